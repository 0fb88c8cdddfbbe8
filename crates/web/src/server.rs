//! The server: an address first, answers later.

use std::net::SocketAddr;
use std::sync::Arc;

use stage::{Error, Result};
use tokio::net::TcpListener;
use workflow::History;

use crate::access::Access;
use crate::connection::Connections;
use crate::host::Host;
use crate::routes::{Site, router};

/// A server that has its address and does not answer yet.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
}

impl Server {
    /// Takes an address.
    ///
    /// # Errors
    /// [`stage::Kind::Config`] when it cannot be had.
    pub async fn bind(address: SocketAddr) -> Result<Server> {
        let refused = |error: std::io::Error| {
            let message = format!("could not listen on {address}; is it taken? choose another with --listen");
            Error::config(message).with_source(error)
        };
        let listener = TcpListener::bind(address).await.map_err(refused)?;
        let address = listener.local_addr().map_err(refused)?;
        Ok(Server { listener, address })
    }

    /// Where it listens; the port is chosen by the system when 0 was asked for.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers for as long as it is polled.
    ///
    /// # Errors
    /// None that are known; taking connections goes on whatever happens to one of them.
    pub async fn serve(self, host: Arc<dyn Host>, history: History, access: Access) -> Result<()> {
        let router = router(Site::new(host, history), access);
        let served = axum::serve(Connections::new(self.listener), router).await;
        served.map_err(|error| Error::unavailable("the page is not served any more").with_source(error))
    }
}
