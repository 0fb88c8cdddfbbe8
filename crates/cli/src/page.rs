//! The page of `medallion serve`: where it listens, and who may use it.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use ::stage::Result;
use web::{Access, Scheduled, Server, Token};
use workflow::scheduler::Scheduler;

/// The variable that holds the token.
const TOKEN: &str = "MEDALLION_TOKEN";

/// A page that has its address and does not answer yet.
pub(crate) struct Page {
    server: Server,
    access: Access,
    /// Where the token lies, for people.
    token_lies: String,
}

impl Page {
    /// Takes the address, and reads the token or makes one.
    ///
    /// # Errors
    /// [`stage::Kind::Config`] when the address cannot be had, or there is something wrong with the token.
    pub(crate) async fn bind(root: &Path, address: SocketAddr, names: Vec<String>) -> Result<Page> {
        let (token, token_lies) = match std::env::var(TOKEN) {
            Ok(token) => (Token::new(&token).map_err(|error| error.context(TOKEN))?, format!("in {TOKEN}")),
            Err(_) => {
                let path = root.join(".medallion").join("token");
                (Token::in_file(&path)?, format!("in {}", path.display()))
            }
        };
        let server = Server::bind(address).await?;
        let access = Access::new(token, server.address(), names);
        Ok(Page { server, access, token_lies })
    }

    /// Where the page is for those on other machines and on this one; `None` when it listens everywhere, since no name of
    /// this machine is known then.
    pub(crate) fn address(&self) -> Option<String> {
        let address = self.server.address();
        (!address.ip().is_unspecified()).then(|| format!("http://{address}"))
    }

    /// Where the page is and what it takes to use it, on one line.
    pub(crate) fn announcement(&self) -> String {
        let what = if self.access.guards_reading() { "everything" } else { "whatever changes something" };
        format!("the page is on http://{}/; {what} needs the token {}", self.server.address(), self.token_lies)
    }

    /// Answers for as long as it is polled.
    ///
    /// # Errors
    /// As [`Server::serve`].
    pub(crate) async fn serve(self, scheduler: &Scheduler) -> Result<()> {
        let host = Arc::new(Scheduled::new(scheduler.clone()));
        self.server.serve(host, scheduler.history().clone(), self.access).await
    }
}
