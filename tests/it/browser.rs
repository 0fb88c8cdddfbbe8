//! A browser without a window: Chromium, driven through ChromeDriver by WebDriver (https://www.w3.org/TR/webdriver2/).

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::waiting::wait_for;

/// How long the driver may take for an answer.
const PATIENCE: Duration = Duration::from_secs(60);
const WHAT_TO_INSTALL: &str =
    "the tests of the page need Chromium and its driver: apt-get install chromium chromium-driver";
/// What keeps Chromium from talking to anybody by itself.
const FLAGS: [&str; 10] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
];

/// A browser with one window; it goes when this is dropped.
pub struct Browser {
    driver: Child,
    address: String,
    session: String,
    _profile: TempDir,
}

impl Browser {
    /// Starts one whose page is that wide and high.
    pub fn start(width: u32, height: u32) -> Browser {
        let profile = tempfile::tempdir().unwrap();
        let mut driver = Command::new("chromedriver")
            .arg("--port=0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("{WHAT_TO_INSTALL} ({error})"));
        let address = format!("127.0.0.1:{}", port(&mut driver));
        let mut browser = Browser { driver, address, session: String::new(), _profile: profile };
        let folder = format!("--user-data-dir={}", browser._profile.path().display());
        let flags: Vec<&str> = FLAGS.into_iter().chain([folder.as_str()]).collect();
        let wanted = json!({ "capabilities": { "alwaysMatch": {
            "goog:loggingPrefs": { "browser": "ALL" }, "goog:chromeOptions": { "args": flags },
        } } });
        let session = browser.call("POST", "/session", &wanted);
        browser.session = format!("/session/{}", session["sessionId"].as_str().unwrap());
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500 });
        let size = json!({ "cmd": "Emulation.setDeviceMetricsOverride", "params": size });
        browser.post("/goog/cdp/execute", &size);
        browser
    }

    pub fn open(&self, url: &str) {
        self.post("/url", &json!({ "url": url }));
    }

    /// What a script returns; it ends with `return`.
    pub fn evaluate(&self, script: &str) -> Value {
        self.post("/execute/sync", &json!({ "script": script, "args": [] }))
    }

    /// Waits until a script returns something that is neither `null` nor `false`.
    pub fn wait_for(&self, script: &str) -> Value {
        wait_for(script, || Some(self.evaluate(script)).filter(|value| *value != json!(null) && *value != json!(false)))
    }

    /// Waits for an element that is seen and whose text has `text` in it, and clicks it.
    pub fn click(&self, selector: &str, text: &str) {
        self.wait_for(&format!(
            "const seen = [...document.querySelectorAll({})].filter((one) => one.checkVisibility() && one.textContent.includes({}));
            seen[0]?.click(); return seen.length > 0;",
            json!(selector),
            json!(text)
        ));
    }

    /// Types into a field as a person does, key by key.
    pub fn type_into(&self, selector: &str, text: &str) {
        self.wait_for(&format!("return document.querySelector({}) !== null", json!(selector)));
        let found = self.post("/element", &json!({ "using": "css selector", "value": selector }));
        let id = found.as_object().unwrap().values().next().unwrap().as_str().unwrap().to_owned();
        self.post(&format!("/element/{id}/clear"), &json!({}));
        self.post(&format!("/element/{id}/value"), &json!({ "text": text }));
    }

    /// What the browser complained of since the last time.
    pub fn complaints(&self) -> Vec<String> {
        let log = self.post("/se/log", &json!({ "type": "browser" }));
        let grave = log.as_array().unwrap().iter().filter(|entry| entry["level"] == "SEVERE");
        grave.map(|entry| entry["message"].as_str().unwrap().to_owned()).collect()
    }

    fn post(&self, path: &str, body: &Value) -> Value {
        self.call("POST", &format!("{}{path}", self.session), body)
    }

    fn call(&self, method: &str, path: &str, body: &Value) -> Value {
        let (status, body) = self.ask(method, path, body).unwrap();
        assert!(status.contains(" 200 "), "{method} {path}: {status} {body}");
        let mut told: Value = serde_json::from_str(&body).unwrap();
        told["value"].take()
    }

    /// The status line and the body of an answer. The driver keeps connections open, so the body ends where its length says.
    fn ask(&self, method: &str, path: &str, body: &Value) -> std::io::Result<(String, String)> {
        let mut connection = TcpStream::connect(&self.address)?;
        connection.set_read_timeout(Some(PATIENCE))?;
        let (address, body) = (&self.address, body.to_string());
        let length = body.len();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
        );
        connection.write_all((head + &body).as_bytes())?;
        let mut answer = BufReader::new(connection);
        let (mut status, mut length) = (String::new(), 0);
        answer.read_line(&mut status)?;
        loop {
            let mut line = String::new();
            answer.read_line(&mut line)?;
            match line.trim_end().to_ascii_lowercase().split_once(':') {
                Some(("content-length", value)) => length = value.trim().parse().unwrap_or_default(),
                Some(_) => {}
                None => break,
            }
        }
        let mut body = vec![0; length];
        answer.read_exact(&mut body)?;
        Ok((status, String::from_utf8_lossy(&body).into_owned()))
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The end of the session ends Chromium, also where a test fails. A driver that is gone has none.
        let _ = self.ask("DELETE", &self.session, &json!({}));
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

/// The port that the driver has chosen; what it says later is thrown away.
fn port(driver: &mut Child) -> u16 {
    let mut lines = BufReader::new(driver.stdout.take().unwrap());
    let mut line = String::new();
    loop {
        line.clear();
        assert!(lines.read_line(&mut line).unwrap() > 0, "ChromeDriver ended before it had a port; {WHAT_TO_INSTALL}");
        if let Some((_, port)) = line.split_once("started successfully on port ") {
            std::thread::spawn(move || std::io::copy(&mut lines, &mut std::io::sink()));
            return port.trim().trim_end_matches('.').parse().unwrap();
        }
    }
}
