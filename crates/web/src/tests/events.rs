//! Changes as they are told to whoever listens.

use std::time::Duration;

use serde_json::{Value, json};

use super::Site;
use super::client::Client;
use crate::Change;
use crate::events::MOST_STREAMS;

/// The next event: its name and what it carries.
async fn event(client: &mut Client) -> (String, Value) {
    let (mut name, mut data) = (String::new(), Value::Null);
    let reading = async {
        loop {
            let line = client.line().await;
            match line.split_once(": ") {
                Some(("event", value)) => name = value.to_owned(),
                Some(("data", value)) => data = serde_json::from_str(value).unwrap(),
                _ if line.is_empty() && !name.is_empty() => return,
                _ => {}
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(20), reading).await.unwrap();
    (name, data)
}

async fn listen(site: &Site) -> Client {
    let mut client = site.client().await;
    let answer = client.begin("GET", "/api/events", &[], "").await;
    assert_eq!((answer.status, answer.field("content-type")), (200, "text/event-stream"));
    assert_eq!(event(&mut client).await.0, "hello");
    client
}

#[tokio::test]
async fn what_happens_in_a_run_is_told_as_it_happens() {
    let site = Site::new().await;
    let mut client = listen(&site).await;
    let run = site.start("flaky").await;
    let mut told = Vec::new();
    loop {
        let (name, data) = event(&mut client).await;
        assert_eq!(data["run"], run);
        told.push(format!("{name} {} {}", data["task_key"].as_str().unwrap_or("-"), data["status"].as_str().unwrap()));
        if name == "run" && data["status"] != "RUNNING" {
            break;
        }
    }
    let expected = [
        "run - RUNNING",
        "task first RUNNING",
        "task first SUCCESS",
        "task second RUNNING",
        "task second FAILED",
        "task third UPSTREAM_FAILED",
        "run - FAILED",
    ];
    assert_eq!(told, expected);
    let view = site.get(&format!("/api/runs/{run}")).await.json();
    assert_eq!(view["run"]["status"], "FAILED", "what was told is to be read at once");
}

#[tokio::test]
async fn who_is_too_slow_is_told_to_look_again() {
    let site = Site::new().await;
    let mut client = listen(&site).await;
    // More than the channel and the buffers of the sockets hold.
    for run in 0..100_000 {
        site.host.tell(Change::Run { run, workflow: "w".repeat(100), status: "RUNNING".to_owned() });
    }
    let mut last = json!(null);
    loop {
        match event(&mut client).await {
            (name, _) if name == "resync" => break,
            (_, data) => last = data,
        }
    }
    assert_ne!(last["run"], 99_999);
    while event(&mut client).await.1["run"] != 99_999 {}
}

#[tokio::test]
async fn there_are_only_so_many_streams_and_a_closed_one_makes_room() {
    let site = Site::new().await;
    let mut listening = Vec::new();
    for _ in 0..MOST_STREAMS {
        listening.push(listen(&site).await);
    }
    let answer = site.get("/api/events").await;
    assert_eq!((answer.status, answer.json()["kind"].as_str()), (503, Some("unavailable")));
    assert_eq!(site.get("/api/runs").await.status, 200, "everything else is answered");
    listening.pop();
    let looks = async {
        while site.client().await.begin("GET", "/api/events", &[], "").await.status != 200 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), looks).await.unwrap();
}
