//! A `medallion` that goes on while a test looks at it: what it says, and how it ends.

use std::io::{BufRead as _, BufReader, Read};
use std::process::{Child, Command, Output};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::project::{Ended, Project};
use crate::waiting::ended_within;

/// How long it may take to end.
const PATIENCE: Duration = Duration::from_secs(90);

/// A process that runs; it is killed when a test fails.
pub struct Running {
    child: Child,
    out: Heard,
    err: Heard,
}

impl Running {
    /// Starts a command of a project and waits for nothing.
    pub fn start(project: &Project, arguments: &[&str]) -> Running {
        Running::of(&mut project.command(arguments))
    }

    /// Starts a command and waits for nothing.
    pub fn of(command: &mut Command) -> Running {
        let mut child = command.spawn().unwrap();
        let (out, err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        Running { child, out: Heard::of(out), err: Heard::of(err) }
    }

    /// The lines that it has printed on stdout so far.
    pub fn printed(&self) -> String {
        self.out.text()
    }

    /// The lines that it has told on stderr so far.
    pub fn told(&self) -> String {
        self.err.text()
    }

    /// Whether it has ended, or does before `limit` has passed.
    pub fn has_ended_within(&mut self, limit: Duration) -> bool {
        ended_within(&mut self.child, limit).is_some()
    }

    /// Sends a signal, such as `TERM`.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// Asks it to end as a supervisor does, and waits until it has.
    pub fn stop(self) -> Ended {
        self.signal("TERM");
        self.ended()
    }

    /// Waits until it has ended.
    pub fn ended(mut self) -> Ended {
        assert!(self.has_ended_within(PATIENCE), "it does not end: {}", self.told());
        self.kill()
    }

    /// Kills it `delay` from now, unless it has ended by then.
    pub fn kill_after(mut self, delay: Duration) -> Ended {
        self.has_ended_within(delay);
        self.kill()
    }

    fn kill(mut self) -> Ended {
        // One that has ended by itself stays as it ended.
        self.child.kill().unwrap();
        let status = self.child.wait().unwrap();
        Ended::of(Output { status, stdout: self.out.whole(), stderr: self.err.whole() })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // One that has ended needs no killing.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Tries `rounds` delays from `from` to the whole of `duration`, which it took undisturbed. Each `round` starts a process,
/// kills it after the delay, checks what it left, and says whether the kill came before its end: one has to.
pub fn kill_in_rounds(duration: Duration, from: f64, rounds: u64, mut round: impl FnMut(Duration) -> bool) {
    let later = (0..rounds).map(|number| from + (1.0 - from) * number as f64 / rounds as f64);
    let mut killed = later.filter(|share| round(duration.mul_f64(*share))).count();
    // Where all were faster than the one whose time was taken, the kill comes earlier, at last at once.
    for share in [from / 2.0, from / 4.0, 0.0] {
        if killed == 0 {
            killed += usize::from(round(duration.mul_f64(share)));
        }
    }
    assert!(killed > 0, "no process was killed before its end");
}

/// What is said into a pipe. It is taken in at once, so that the pipe never fills up.
struct Heard {
    text: Arc<Mutex<String>>,
    listener: Option<JoinHandle<()>>,
}

impl Heard {
    fn of(pipe: impl Read + Send + 'static) -> Heard {
        let text = Arc::<Mutex<String>>::default();
        let listener = std::thread::spawn({
            let text = Arc::clone(&text);
            move || listen(pipe, &text)
        });
        Heard { text, listener: Some(listener) }
    }

    fn text(&self) -> String {
        self.text.lock().unwrap().clone()
    }

    /// All that was said, once the pipe is closed.
    fn whole(&mut self) -> Vec<u8> {
        self.listener.take().unwrap().join().unwrap();
        self.text().into_bytes()
    }
}

fn listen(pipe: impl Read, text: &Mutex<String>) {
    let mut lines = BufReader::new(pipe);
    let mut line = String::new();
    while lines.read_line(&mut line).unwrap() > 0 {
        text.lock().unwrap().push_str(&line);
        line.clear();
    }
}
