//! Who is turned away, and what every answer says to the browser.

use super::{Site, TOKEN};
use crate::page::FILES;

#[tokio::test]
async fn what_changes_something_needs_the_token() {
    let site = Site::new().await;
    for path in ["/api/workflows/flaky/run", "/api/workflows/flaky/pause", "/api/runs/1/cancel", "/api/runs/1/repair"] {
        for fields in [&[][..], &[("Authorization", "Bearer another-token-of-some-length")], &[("Cookie", TOKEN)]] {
            let answer = site.client().await.ask("POST", path, fields, "{}").await;
            assert_eq!(answer.status, 401, "{path} {fields:?}");
            assert_eq!(answer.json()["kind"], "unauthorized");
            assert_eq!(answer.field("www-authenticate"), "Bearer");
            assert!(!answer.body.contains(TOKEN));
        }
    }
    assert_eq!(site.host.history().runs(None, 9).await.unwrap().len(), 0, "nothing was done");
    assert_eq!(site.post("/api/workflows/flaky/run", "{}").await.status, 202);
}

#[tokio::test]
async fn a_browser_that_was_led_here_under_another_name_is_turned_away() {
    let site = Site::new().await;
    for (host, status) in [("rebound.example", 403), ("medallion.example", 403), ("localhost:1", 200)] {
        let answer = site.client().await.ask("GET", "/api/workflows", &[("Host", host)], "").await;
        assert_eq!(answer.status, status, "{host}");
    }
    let origin = [("Host", "localhost"), ("Origin", "https://evil.example")];
    let answer = site.client().await.ask("GET", "/api/workflows", &origin, "").await;
    assert_eq!((answer.status, answer.json()["kind"].as_str()), (403, Some("forbidden")));
}

#[tokio::test]
async fn who_comes_by_a_name_that_is_allowed_needs_the_token_to_read() {
    let site = Site::with_names(&["medallion.example"]).await;
    let token = format!("Bearer {TOKEN}");
    for (path, open) in [("/api/workflows", 401), ("/api/events", 401), ("/metrics", 401), ("/", 200), ("/health", 200)]
    {
        let host = ("Host", "medallion.example");
        assert_eq!(site.client().await.begin("GET", path, &[host], "").await.status, open, "{path}");
        let answer = site.client().await.begin("GET", path, &[host, ("Authorization", &token)], "").await;
        assert_eq!(answer.status, 200, "{path}");
    }
}

#[tokio::test]
async fn every_answer_allows_nothing_from_elsewhere() {
    let site = Site::new().await;
    for path in ["/", "/page/main.js", "/api/workflows", "/api/nothing", "/health"] {
        let answer = site.get(path).await;
        let policy = answer.field("content-security-policy");
        for part in ["default-src 'none'", "script-src 'self'", "frame-ancestors 'none'"] {
            assert!(policy.contains(part), "{path}: {policy}");
        }
        assert!(!policy.contains("unsafe"), "{path}: {policy}");
        assert_eq!(answer.field("x-content-type-options"), "nosniff", "{path}");
    }
}

#[tokio::test]
async fn the_page_is_whole_and_holds_nothing_of_another_host() {
    let site = Site::new().await;
    for file in FILES {
        let answer = site.get(file.path).await;
        assert_eq!(answer.status, 200, "{}", file.path);
        let foreign = answer.body.replace("http://www.w3.org/2000/svg", "");
        assert!(!foreign.contains("http://") && !foreign.contains("https://"), "{}", file.path);
        for (_, name) in answer.body.match_indices("from \"./").map(|(at, _)| (at, &answer.body[at + 8..])) {
            let name = format!("/page/{}", name.split('"').next().unwrap());
            assert!(FILES.iter().any(|file| file.path == name), "{} imports {name}", file.path);
        }
    }
}

#[tokio::test]
async fn the_markup_holds_nothing_that_its_policy_forbids() {
    let page = Site::new().await.get("/").await.body;
    for forbidden in ["<style", " style=", "<script>", " onclick="] {
        assert!(!page.contains(forbidden), "{forbidden}");
    }
}

#[tokio::test]
async fn bodies_that_are_too_long_or_wrong_are_refused() {
    let site = Site::new().await;
    let long = format!("{{\"parameters\": {{\"day\": \"{}\"}}}}", "x".repeat(70_000));
    let answer = site.post("/api/workflows/flaky/run", &long).await;
    assert_eq!((answer.status, answer.json()["kind"].as_str()), (413, Some("too_large")));
    for body in
        ["nonsense", "[]", r#"{"parameter": {}}"#, r#"{"parameters": {"day": 1}}"#, r#"{"parameters": {"dya": "1"}}"#]
    {
        let answer = site.post("/api/workflows/flaky/run", body).await;
        assert_eq!((answer.status, answer.json()["kind"].as_str()), (400, Some("config")), "{body}");
    }
}
