//! A project behind a scheduler: how it is read anew, what there is to watch, and what is said of it.

mod journal;
mod site;
mod source;

pub(crate) use self::journal::Journal;
pub(crate) use self::source::ProjectSource;
