//! The HTTP interface and the page of a running scheduler.
