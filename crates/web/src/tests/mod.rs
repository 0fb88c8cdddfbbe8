//! The whole site over a real socket, with a host that plays its tasks.

mod access;
mod client;
mod events;
mod interface;
#[path = "../../examples/preview/host.rs"]
mod play;
mod schema;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use client::{Answer, Client};
use play::{PlayHost, Shared};
use serde_json::Value;

use crate::{Access, Server, Token};

const TOKEN: &str = "a-token-for-tests-only";

/// A task that fails once, so that its first run fails and a repair of it succeeds, between two that succeed.
const FLAKY: &str = r#"{"name": "flaky", "description": "Fails once.", "parameters": [{"name": "day", "default": "today"}], "tasks": [
    {"task_key": "first", "shell_task": {"command": "seconds=0 lines=3 rows=1400"}},
    {"task_key": "second", "depends_on": [{"task_key": "first"}], "shell_task": {"command": "fails=1 kind=data"}},
    {"task_key": "third", "depends_on": [{"task_key": "second"}], "shell_task": {"command": "rows=7"}}]}"#;
const LONG: &str = r#"{"name": "long", "tasks": [
    {"task_key": "only", "shell_task": {"command": "seconds=600"}}, {"task_key": "after", "depends_on": [{"task_key": "only"}], "shell_task": {"command": "rows=1"}}]}"#;

/// A site that answers.
struct Site {
    host: Arc<PlayHost>,
    address: SocketAddr,
    _folder: tempfile::TempDir,
}

impl Site {
    async fn new() -> Site {
        Site::with_names(&[]).await
    }

    /// A site that is reached under those names as well.
    async fn with_names(names: &[&str]) -> Site {
        let folder = tempfile::tempdir().unwrap();
        let host = PlayHost::new(folder.path(), &[(FLAKY, Some("every hour")), (LONG, None)]);
        let server = Server::bind(([127, 0, 0, 1], 0).into()).await.unwrap();
        let address = server.address();
        let access =
            Access::new(Token::new(TOKEN).unwrap(), address, names.iter().map(|&name| name.to_owned()).collect());
        tokio::spawn(server.serve(Arc::new(Shared(Arc::clone(&host))), host.history(), access));
        Site { host, address, _folder: folder }
    }

    async fn client(&self) -> Client {
        Client::connect(self.address).await
    }

    async fn get(&self, path: &str) -> Answer {
        self.client().await.ask("GET", path, &[], "").await
    }

    async fn post(&self, path: &str, body: &str) -> Answer {
        let token = format!("Bearer {TOKEN}");
        self.client().await.ask("POST", path, &[("Authorization", &token)], body).await
    }

    /// Starts a run.
    async fn start(&self, workflow: &str) -> i64 {
        self.host.begin(workflow, BTreeMap::new()).await.unwrap()
    }

    /// The run, once it stands there.
    async fn wait_for(&self, run: i64, status: &str) -> Value {
        let looks = async {
            loop {
                let view = self.get(&format!("/api/runs/{run}")).await.json();
                if view["run"]["status"] == status {
                    return view;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), looks)
            .await
            .unwrap_or_else(|_| panic!("run {run} is not {status}"))
    }
}
