//! Where data rests: Delta tables on a local disk or on S3.
//!
//! The one idea: **the table is the checkpoint**. Rows and the position they came from go into one Delta commit, and
//! everything else (quarantine, system tables) is rolled forward from what that commit says of itself. There is one
//! commit function, [`Table::commit`], for every change of every table.
//!
//! - [`Lake`] knows the location and opens tables.
//! - [`Table`] is one opened table: snapshot, positions, files.
//! - [`Writer`] turns record batches into staged Parquet files; they are invisible until committed.
//! - [`Commit`] and [`Record`] say what a commit does and what it tells about itself.
//! - [`Changes`] is what happened to a table since a version.
//! - [`maintenance`] keeps files few, large and needed, and the log short.
//! - [`ledger`] rolls quarantine and system tables forward.
//! - [`replay`] notes in quarantine tables what became of rows that were looked at again.

mod changes;
mod commit;
mod error;
mod guard;
pub mod ledger;
mod listing;
mod local_log;
pub mod maintenance;
mod open;
mod profiles;
mod record;
pub mod replay;
mod rolling;
mod scan;
mod schema;
mod statistics;
mod storage;
mod system_rows;
mod table;
mod telling;
mod writer;

pub use changes::{Changes, Moved};
pub use commit::{Commit, Operation};
pub use deltalake::kernel::Add;
pub use error::{classify_delta, classify_parquet, classify_store};
pub use guard::{Candidate, Guard};
pub use listing::ListedFile;
pub use open::Lake;
pub use record::{
    BESIDE_BATCHES, Considered, IngestedFile, KEPT_FOLDER, ProfiledColumn, REMEMBERED_FOLDER, Record, Remembered,
    Replay, RuleOutcome,
};
pub use rolling::RollingWriter;
pub use schema::{in_flight, union};
pub use statistics::rows_told;
pub use storage::{S3Settings, Storage};
pub use table::{Table, VersionInfo};
pub use writer::{Staging, Writer};
