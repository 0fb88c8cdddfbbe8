//! The tests of the whole program: each drives the real `medallion` and looks at the lake it leaves behind.
//!
//! `project` makes a small project in a folder of its own and runs commands in it, `place` says where its lake is, `s3`
//! is the S3 server of this test binary, `apache` is its Kafka, `scrape` reads metrics, `waiting` waits for conditions,
//! `running` is a command that goes on meanwhile, `streaming` one that serves its figures, and `browser` is Chromium.
//! Every other module holds tests of one subject.
//! A test that must hold on a local folder and on S3 is one function `check_...` with a test for each place.

mod apache;
mod broker;
mod browser;
mod gateway;
mod golden;
#[cfg(feature = "kinesis")]
mod moto;
mod orders_topic;
mod place;
mod project;
mod registry;
mod running;
mod s3;
mod scrape;
mod shop;
mod soak;
mod streaming;
mod waiting;

mod architecture; // which crate may use which
mod backfill; // intervals of event time
mod bundles; // jobs of Databricks: definitions and bundles
mod check; // `medallion check`
mod checks; // checks of tables as a whole
mod concurrency; // several processes on one lake
mod crash; // kill -9 at any moment
mod demo_stream; // generated events through a stand-in for Kafka to gold
mod evolution; // data that the schema does not describe
mod experiments; // the generated pipeline of the demo project
mod formats; // files of every format hold the same rows
mod gold_refresh; // the ways to bring gold up to date
mod kafka; // topics of Kafka, each message once
mod kafka_faults; // brokers that fail, and what is gone
#[cfg(feature = "kinesis")]
mod kinesis; // streams of Kinesis, each record once
mod landing; // which files are read, and when again
mod late_rows; // watermarks of silver tables
mod maintenance; // optimize and vacuum
mod pipeline_tests; // `medallion test`
mod profile; // what columns hold, commit by commit
mod quality; // expectations, quarantine, audits
mod replay; // rows in quarantine once more
mod retail; // the real invoices
mod runner; // workflows: order, failures, signals, history
mod runs; // runs shown, compared, repaired, resumed, cancelled
mod scheduler; // workflows that start by themselves
mod storage; // lakes that fail: no server, no rights, no space, altered tables
mod stream; // tables that are kept going, what it serves, how it ends
mod stream_backlog; // a stream that is told to stop while it is behind
mod stream_crash; // kill -9 of a stream at any moment
mod stream_equals_batch; // a stream and a run over the same topic
mod stream_outage; // a lake that fails for a while
mod tasks; // tasks that are no stages, and what they leave for others
mod web; // the page of a served project, in a browser
mod write_modes; // append, unique_key, merge, overwrite, clean steps
mod wrong_input; // one clear line and the right exit code
