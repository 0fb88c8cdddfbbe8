//! A program as a task.
//!
//! The program gets a process group of its own, no standard input, and our environment with what the task adds. What it
//! prints goes line by line into the log of the task, secrets masked. Who may press the buttons of the page is kept from
//! it: [`HIDDEN_VARIABLES`] are not passed on, and their values are masked. A line `{"values": {..}}` on its standard output
//! publishes values instead; several are put together.
//!
//! # How it ends
//! | The program | the task |
//! |---|---|
//! | ended with 0 | succeeds |
//! | ended with 2 (wrong usage), 126 or 127 (not to be run, not there), or could not be started | fails for good |
//! | ended with any other code, or by a signal | fails, and is tried again as often as `max_retries` says |
//! | was told to stop | is stopped: SIGTERM to the group, and SIGKILL after [`PATIENCE`] |
//!
//! What the program leaves running in its process group is ended with it. Something that is to stay needs a group of its
//! own (`setsid`).

mod group;
mod lines;
mod mask;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::{BoxFuture, FusedFuture};
use serde_json::{Map, Value};
use stage::{Context, Error, Result, Secret};
use tokio::io::AsyncRead;
use tokio::process::{Child, Command};

use self::group::Group;
use self::lines::Lines;
use self::mask::Mask;
use crate::action::{Action, Output};
use crate::log::TaskLog;

/// How long a program may take to end after SIGTERM, and what it left running to close its output.
pub const PATIENCE: Duration = Duration::from_secs(1);
/// The most bytes of all values of a task together.
const MOST_VALUES_BYTES: usize = 1 << 20;

/// The environment variables of ours that no program gets, unless the task sets them itself: what is in them is for
/// Medallion alone.
pub const HIDDEN_VARIABLES: [&str; 1] = ["MEDALLION_TOKEN"];

/// The exit code by which a program says that it was called wrongly.
const WRONG_USAGE: i32 = 2;
/// The exit codes by which shells say that a program cannot be run or is not there.
const NOT_RUNNABLE: [i32; 2] = [126, 127];

/// A program that is to run.
pub struct Program {
    /// The program and its arguments. A relative path with a `/` in it begins at the folder.
    pub command: Vec<String>,
    /// Environment variables, added to ours.
    pub environment: BTreeMap<String, Secret>,
    /// The folder it starts in.
    pub folder: PathBuf,
    /// What is masked in everything it prints.
    pub secrets: Vec<Secret>,
}

impl Action for Program {
    fn run<'a>(self: Box<Self>, context: &'a Context, log: &'a TaskLog) -> BoxFuture<'a, Result<Output>> {
        Box::pin(async move {
            let hidden = HIDDEN_VARIABLES.iter().filter_map(std::env::var_os);
            let hidden = hidden.map(|value| Secret::new(value.to_string_lossy()));
            let mask = Mask::new(&self.secrets.iter().cloned().chain(hidden).collect::<Vec<_>>());
            let mut child = self.start(&mask)?;
            // From here on nothing of it outlives this future, however that ends.
            let group = Group::of(&child);
            let mut heard = Heard { log, mask: &mask, values: Ok(Map::new()), last_error_line: String::new() };
            let status = until_ended(&mut child, &group, context, &mut heard).await;
            drop(group);
            let status = status.map_err(|error| {
                Error::unavailable(format!("could not wait for `{}`", self.name())).with_source(error)
            })?;
            self.judge(status, context, heard)
        })
    }
}

impl Program {
    fn name(&self) -> &str {
        self.command.first().map_or("", String::as_str)
    }

    fn start(&self, mask: &Mask) -> Result<Child> {
        if !self.folder.is_dir() {
            return Err(Error::config(format!("there is no folder {} to start a program in", self.folder.display())));
        }
        let mut command = Command::new(self.path());
        HIDDEN_VARIABLES.iter().for_each(|name| {
            command.env_remove(name);
        });
        command
            .args(self.command.iter().skip(1))
            .envs(self.environment.iter().map(|(name, value)| (name, value.expose())))
            .current_dir(&self.folder)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        command.spawn().map_err(|error| {
            let message = format!("could not start `{}`", mask.masked(self.name()));
            let may_pass = [io::ErrorKind::WouldBlock, io::ErrorKind::OutOfMemory, io::ErrorKind::ExecutableFileBusy];
            match may_pass.contains(&error.kind()) {
                true => Error::unavailable(message).with_source(error),
                false => Error::config(message).with_source(error),
            }
        })
    }

    fn path(&self) -> PathBuf {
        let name = self.name();
        if name.contains('/') { self.folder.join(name) } else { Path::new(name).to_path_buf() }
    }

    fn judge(&self, status: ExitStatus, context: &Context, heard: Heard<'_>) -> Result<Output> {
        if status.success() {
            return Ok(Output { values: heard.values?, ..Output::default() });
        }
        let name = heard.mask.masked(self.name());
        if context.check().is_err() {
            return Err(Error::stopped(format!("`{name}` was told to stop, and {}", ended(status))));
        }
        let mut message = format!("`{name}` {}", ended(status));
        if !heard.last_error_line.is_empty() {
            message.push_str(&format!(": {}", heard.last_error_line));
        }
        Err(match status.code() {
            Some(code) if code == WRONG_USAGE || NOT_RUNNABLE.contains(&code) => Error::config(message),
            _ => Error::unavailable(message),
        })
    }
}

fn ended(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt as _;
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("ended with exit code {code}"),
        (None, Some(signal)) => format!("was ended by signal {signal}"),
        (None, None) => "ended".to_owned(),
    }
}

/// Waits for the end of the program and of its output, and ends it when it is to stop.
async fn until_ended(
    child: &mut Child,
    group: &Group,
    context: &Context,
    heard: &mut Heard<'_>,
) -> io::Result<ExitStatus> {
    let (out, err) = (Lines::new(child.stdout.take(), heard.mask), Lines::new(child.stderr.take(), heard.mask));
    let mut output = std::pin::pin!(heard.listen(out, err).fuse());
    let status = loop {
        tokio::select! {
            biased;
            () = &mut output => {}
            status = child.wait() => break status?,
            () = context.cancellation.cancelled() => break stopped(child, group, &mut output).await?,
        }
    };
    // A part of a pipeline may still be writing.
    if !output.is_terminated() && tokio::time::timeout(PATIENCE, &mut output).await.is_err() {
        group.kill();
        let _ = tokio::time::timeout(PATIENCE, &mut output).await;
    }
    Ok(status)
}

/// Tells the program to stop, listening on, and kills it when it does not.
async fn stopped(
    child: &mut Child,
    group: &Group,
    mut output: impl FusedFuture<Output = ()> + Unpin,
) -> io::Result<ExitStatus> {
    group.terminate();
    let ended = tokio::time::timeout(PATIENCE, async {
        tokio::select! {
            biased;
            () = &mut output => child.wait().await,
            status = child.wait() => status,
        }
    });
    if let Ok(status) = ended.await {
        return status;
    }
    group.kill();
    child.wait().await
}

/// What a program has said so far.
struct Heard<'a> {
    log: &'a TaskLog,
    mask: &'a Mask,
    values: Result<Map<String, Value>>,
    last_error_line: String,
}

impl Heard<'_> {
    async fn listen(&mut self, mut out: Lines<'_, impl AsyncRead + Unpin>, mut err: Lines<'_, impl AsyncRead + Unpin>) {
        let (mut out_open, mut err_open) = (true, true);
        while out_open || err_open {
            tokio::select! {
                line = out.next(), if out_open => match line {
                    Some(line) => self.hear_output(&line),
                    None => out_open = false,
                },
                line = err.next(), if err_open => match line {
                    Some(line) => self.hear_error(line),
                    None => err_open = false,
                },
            }
        }
    }

    fn hear_output(&mut self, line: &str) {
        match published(line) {
            Some(values) => self.publish(values),
            None => self.log.line(&format!("stdout: {}", lines::shown(line))),
        }
    }

    fn hear_error(&mut self, line: String) {
        self.log.line(&format!("stderr: {}", lines::shown(&line)));
        if !line.trim().is_empty() {
            self.last_error_line = lines::shown(&line).into_owned();
        }
    }

    fn publish(&mut self, published: Map<String, Value>) {
        let Ok(values) = &mut self.values else { return };
        for (name, value) in published {
            let value = self.mask.masked_value(value);
            self.log.line(&format!("value {name} = {}", lines::shown(&value.to_string())));
            values.insert(self.mask.masked(&name), value);
        }
        let bytes: usize = values.iter().map(|(name, value)| name.len() + value.to_string().len()).sum();
        if bytes > MOST_VALUES_BYTES {
            let message =
                format!("the values have {bytes} bytes together, and at most {MOST_VALUES_BYTES} are published");
            self.values = Err(Error::data(message));
        }
    }
}

/// The values of a line that is nothing but `{"values": {..}}`.
fn published(line: &str) -> Option<Map<String, Value>> {
    if !line.trim_start().starts_with('{') {
        return None;
    }
    let Ok(Value::Object(mut object)) = serde_json::from_str::<Value>(line) else { return None };
    match (object.len(), object.remove("values")) {
        (1, Some(Value::Object(values))) => Some(values),
        _ => None,
    }
}
