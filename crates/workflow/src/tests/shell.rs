//! Programs as tasks, with the real `sh`.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::json;
use stage::{Context, Error, Kind, Secret};

use crate::action::{Action, Output};
use crate::log::Logs;
use crate::shell::Program;

/// How long a condition may take to come true.
const DEADLINE: Duration = Duration::from_secs(20);

struct Ran {
    result: Result<Output, Error>,
    log: String,
}

impl Ran {
    fn error(&self) -> (Kind, &str) {
        let error = self.result.as_ref().unwrap_err();
        (error.kind(), error.message())
    }
}

fn program(folder: &Path, script: &str) -> Program {
    let command = ["sh", "-c", script].map(str::to_owned).to_vec();
    Program { command, environment: BTreeMap::new(), folder: folder.to_path_buf(), secrets: Vec::new() }
}

async fn ran(program: Program, context: &Context) -> Ran {
    let folder = tempfile::tempdir().unwrap();
    let logs = Logs::in_folder(folder.path().to_path_buf());
    let log = logs.task(1, "task");
    let result = Box::new(program).run(context, &log).await;
    Ran { result, log: logs.read(1, "task", 0).unwrap() }
}

async fn script(text: &str) -> Ran {
    let folder = tempfile::tempdir().unwrap();
    ran(program(folder.path(), text), &Context::new("test")).await
}

async fn until(what: &str, condition: impl Fn() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < DEADLINE, "{what} did not happen");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Whether a process is there and not only waiting to be reaped.
fn lives(process: &str) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{}/stat", process.trim())).unwrap_or_default();
    !status.is_empty() && !status.rsplit(')').next().unwrap_or_default().trim_start().starts_with('Z')
}

#[tokio::test]
async fn lines_are_logged_with_where_they_came_from() {
    let ran = script("echo one; echo two >&2; printf 'no end'").await;
    ran.result.unwrap();
    let mut lines: Vec<&str> = ran.log.lines().map(|line| line.split_once(' ').unwrap().1).collect();
    lines.sort_unstable();
    assert_eq!(lines, ["stderr: two", "stdout: no end", "stdout: one"]);
}

#[tokio::test]
async fn values_are_put_together_and_other_json_is_a_line() {
    let ran = script(
        r#"echo '{"values": {"rows": 3, "name": "a"}}'; echo '{"values": {"rows": 4}}'; echo '{"values": 1}'; echo '{"rows": 5}'"#,
    )
    .await;
    let values = ran.result.unwrap().values;
    assert_eq!(serde_json::Value::Object(values), json!({"rows": 4, "name": "a"}));
    assert!(ran.log.contains(r#"stdout: {"values": 1}"#) && ran.log.contains(r#"stdout: {"rows": 5}"#), "{}", ran.log);
}

#[tokio::test]
async fn more_values_than_can_be_kept_fail_the_task_for_good() {
    let ran =
        script(r#"i=0; while [ $i -lt 30 ]; do printf '{"values": {"v%d": "%040000d"}}\n' $i 0; i=$((i+1)); done"#)
            .await;
    assert_eq!(ran.error().0, Kind::Data);
}

#[tokio::test]
async fn secrets_are_masked_in_lines_values_and_errors() {
    let folder = tempfile::tempdir().unwrap();
    let secret = || Secret::new("s3cr\"et");
    let text = r#"echo "key $KEY"; printf '{"values": {"k": "s3cr\\"et", "deep": [{"s3cr\\"et": "x s3cr\\"et"}]}}\n'; echo "no $KEY" >&2; exit 1"#;
    let program = Program {
        environment: BTreeMap::from([("KEY".to_owned(), Secret::new("s3cr\"et"))]),
        secrets: vec![secret()],
        ..program(folder.path(), text)
    };
    let ran = ran(program, &Context::new("test")).await;
    assert_eq!(ran.error(), (Kind::Unavailable, "`sh` ended with exit code 1: no ***"));
    assert!(ran.log.contains("stdout: key ***") && ran.log.contains(r#"value k = "***""#), "{}", ran.log);
    assert!(!ran.log.contains("s3cr"), "{}", ran.log);
}

#[tokio::test]
async fn what_is_no_text_and_what_has_no_end_is_survived() {
    let ran = script(r"printf 'a\377b\n'; head -c 3000000 /dev/zero | tr '\0' x; echo; printf '\033[31mred\n'").await;
    ran.result.unwrap();
    assert!(ran.log.contains("stdout: a\u{fffd}b\n"), "{}", &ran.log[..200]);
    assert!(ran.log.contains("stdout: \u{fffd}[31mred"));
    assert!(ran.log.contains("(the rest of the line was left out)") && ran.log.len() < 10_000);
}

#[tokio::test]
async fn exit_codes_tell_whether_trying_again_may_help() {
    for (text, kind, message) in [
        ("echo early >&2; echo ' ' >&2; exit 1", Kind::Unavailable, "`sh` ended with exit code 1: early"),
        ("exit 75", Kind::Unavailable, "`sh` ended with exit code 75"),
        ("exit 2", Kind::Config, "`sh` ended with exit code 2"),
        ("exit 126", Kind::Config, "`sh` ended with exit code 126"),
        ("kill -9 $$", Kind::Unavailable, "`sh` was ended by signal 9"),
    ] {
        assert_eq!(script(text).await.error(), (kind, message), "{text}");
    }
    assert_eq!(script("no-such-program-anywhere").await.error().0, Kind::Config);
    let folder = tempfile::tempdir().unwrap();
    let missing = Program { command: vec!["./nothing".into()], ..program(folder.path(), "") };
    assert_eq!(ran(missing, &Context::new("test")).await.error(), (Kind::Config, "could not start `./nothing`"));
    let nowhere = ran(program(&folder.path().join("no"), "true"), &Context::new("test")).await;
    assert_eq!(nowhere.error().0, Kind::Config);
}

#[tokio::test]
async fn the_folder_and_the_environment_are_those_of_the_task() {
    let folder = tempfile::tempdir().unwrap();
    let text = r#"pwd -P > where; printf '{"values": {"day": "%s", "path": "%s"}}\n' "$DAY" "${PATH:+there}""#;
    let environment = BTreeMap::from([("DAY".to_owned(), Secret::new("monday; $(echo x)"))]);
    let ran = ran(Program { environment, ..program(folder.path(), text) }, &Context::new("test")).await;
    assert_eq!(
        serde_json::Value::Object(ran.result.unwrap().values),
        json!({"day": "monday; $(echo x)", "path": "there"})
    );
    let told = std::fs::read_to_string(folder.path().join("where")).unwrap();
    assert_eq!(Path::new(told.trim()), folder.path().canonicalize().unwrap());
}

#[tokio::test]
async fn stopping_ends_the_children_of_the_program_too() {
    let folder = tempfile::tempdir().unwrap();
    let context = Context::new("test");
    // Neither the program nor its child listens to SIGTERM.
    let text = "trap '' TERM; sh -c 'trap \"\" TERM; echo $$ > child; while :; do sleep 0.1; done' & wait; wait";
    let child = folder.path().join("child");
    let running = tokio::spawn({
        let (program, context) = (program(folder.path(), text), context.clone());
        async move { ran(program, &context).await }
    });
    until("the child", || std::fs::read_to_string(&child).is_ok_and(|text| text.ends_with('\n'))).await;
    let process = std::fs::read_to_string(&child).unwrap();
    assert!(lives(&process));
    context.cancellation.cancel();
    assert_eq!(running.await.unwrap().error().0, Kind::Stopped);
    until("the end of the child", || !lives(&process)).await;
}

#[tokio::test]
async fn dropping_ends_the_children_of_the_program_too() {
    let folder = tempfile::tempdir().unwrap();
    let child = folder.path().join("child");
    let program = program(folder.path(), "sh -c 'echo $$ > child; exec sleep 1000' & wait");
    let running = tokio::spawn(async move { ran(program, &Context::new("test")).await });
    until("the child", || std::fs::read_to_string(&child).is_ok_and(|text| text.ends_with('\n'))).await;
    running.abort();
    assert!(running.await.err().unwrap().is_cancelled());
    let process = std::fs::read_to_string(&child).unwrap();
    until("the end of the child", || !lives(&process)).await;
}

#[tokio::test]
async fn a_program_may_clean_up_when_it_is_told_to_stop() {
    let folder = tempfile::tempdir().unwrap();
    let context = Context::new("test");
    let text = "trap 'echo cleaned; exit 0' TERM; echo > ready; while :; do sleep 0.05; done";
    let running = tokio::spawn({
        let (program, context) = (program(folder.path(), text), context.clone());
        async move { ran(program, &context).await }
    });
    until("the start", || folder.path().join("ready").exists()).await;
    context.cancellation.cancel();
    let ran = running.await.unwrap();
    ran.result.unwrap();
    assert!(ran.log.contains("stdout: cleaned"), "{}", ran.log);
}

#[tokio::test]
async fn what_a_program_leaves_running_ends_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let begun = Instant::now();
    ran(program(folder.path(), "sleep 1000 & echo $! > child"), &Context::new("test")).await.result.unwrap();
    assert!(begun.elapsed() < DEADLINE);
    let process = std::fs::read_to_string(folder.path().join("child")).unwrap();
    until("the end of the child", || !lives(&process)).await;
}

/// Not a test of its own: a process that was given the token of the page, for the next test.
#[tokio::test]
#[ignore = "runs only as the child of another test"]
async fn a_program_of_a_process_with_a_token() {
    let ran = script("echo \"found ${MEDALLION_TOKEN-nothing}\"; tr '\\0' '\\n' < /proc/$PPID/environ; env").await;
    ran.result.unwrap();
    print!("{}", ran.log);
}

#[tokio::test]
async fn the_token_of_the_page_is_kept_from_programs_and_from_what_they_print() {
    let child = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "tests::shell::a_program_of_a_process_with_a_token", "--ignored", "--nocapture"])
        .env("MEDALLION_TOKEN", "t0ken-of-the-page")
        .output()
        .unwrap();
    let log = String::from_utf8(child.stdout).unwrap();
    assert!(child.status.success() && log.contains("stdout: found nothing"), "{log}");
    assert!(log.contains("stdout: MEDALLION_TOKEN=***") && !log.contains("t0ken"), "{log}");
}
