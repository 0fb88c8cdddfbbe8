//! The HTTP interface and the page of a running scheduler.
//!
//! What is shown comes from the run history ([`workflow::History`]); what is done, and what happens meanwhile, goes through
//! [`Host`]. [`Server`] brings both to a socket. What there is to ask for stands in [`OPENAPI`], which `/api/openapi.json`
//! serves and a test holds against the routes and their answers.
//!
//! # Who may do what
//! | Asked for | needs |
//! |---|---|
//! | the files of the page, `/health` | nothing: no file of the page holds anything of the project |
//! | reading, on a loopback address without names that are allowed | nothing |
//! | reading, anywhere else | the token |
//! | anything that changes something | the token |
//!
//! The token stands in `Authorization: Bearer`, never in a cookie, so that another site cannot use it from a browser. A
//! browser that was given a false address for a name (DNS rebinding) is turned away by the `Host` and `Origin` it sends:
//! see [`Access`].

mod access;
mod actions;
mod asked;
mod connection;
mod events;
mod failure;
mod health;
mod host;
mod log_part;
mod page;
mod pictures;
mod routes;
mod runs;
mod scheduled;
mod server;
mod status;
#[cfg(test)]
mod tests;
mod token;
mod workflows;

// The host that tests share with the example names this crate.
#[cfg(test)]
extern crate self as web;

pub use access::Access;
pub use host::{Change, Host, Plan, changes_of};
pub use routes::OPENAPI;
pub use scheduled::Scheduled;
pub use server::Server;
pub use token::Token;
