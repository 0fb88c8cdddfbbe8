//! The page of `medallion serve --listen`, in a browser.

use serde_json::json;

use crate::browser::Browser;
use crate::place::Place;
use crate::project::Project;
use crate::running::Running;
use crate::waiting::wait_for;

const TOKEN: &str = "the-token-of-this-test";

/// `second` fails until there is a file `ready`.
const STEPS: &str = r#"{ "name": "steps", "description": "Three steps.",
    "parameters": [{ "name": "day", "default": "today" }],
    "tasks": [
        { "task_key": "first", "shell_task": { "command": "echo the day is $DAY", "env": { "DAY": "{{job.parameters.day}}" } } },
        { "task_key": "second", "depends_on": [{ "task_key": "first" }], "shell_task": { "command": "test -e ready" } },
        { "task_key": "third", "depends_on": [{ "task_key": "second" }], "shell_task": { "command": "echo done" } }
    ] }"#;

/// A served project.
struct Served {
    project: Project,
    running: Running,
    url: String,
}

impl Served {
    fn start() -> Served {
        let project = Project::new(Place::Folder).with("workflows/steps.json", STEPS);
        let mut command = project.command(&["serve", "--listen", "127.0.0.1:0"]);
        let running = Running::of(command.env("MEDALLION_TOKEN", TOKEN));
        let url = wait_for("the page", || {
            let told = running.told();
            let rest = told.split_once("the page is on ")?.1;
            Some(rest.split_once(';')?.0.to_owned())
        });
        Served { project, running, url }
    }
}

/// Nothing of the page is cut off at the right.
#[track_caller]
fn check_width(browser: &Browser) {
    let widths = browser.evaluate("return [document.scrollingElement.scrollWidth, innerWidth]");
    assert!(widths[0].as_u64() <= widths[1].as_u64(), "the page is wider than the window: {widths}");
}

/// Waits for the badge of the run that is shown.
fn wait_for_run(browser: &Browser, status: &str) {
    browser.wait_for(&format!("return document.querySelector('h1 .badge')?.dataset.status === {}", json!(status)));
}

/// Where the tasks of the run that is shown stand.
const TASKS: &str = "return [...document.querySelectorAll('tr[data-task]')].map((row) => `${row.dataset.task} ${row.dataset.status}`).join()";

fn check_page(width: u32, height: u32) {
    let served = Served::start();
    let browser = Browser::start(width, height);
    browser.open(&served.url);
    check_list(&browser);
    check_run(&browser);
    check_log(&browser);
    check_repair(&browser, &served);
    check_workflow(&browser, &served);
    check_wrong_address(&browser, &served);
    check_nothing_foreign(&browser, &served);
    drop(browser);
    let ended = served.running.stop();
    assert!(!ended.err.contains(TOKEN) && !ended.out.contains(TOKEN), "the token is told to nobody");
}

/// The list, and a run that is started from it with a parameter and the token.
fn check_list(browser: &Browser) {
    browser.wait_for("return document.querySelector('#live')?.dataset.state === 'live'");
    browser.wait_for("return document.querySelector('[data-workflow=steps]')?.textContent.includes('Three steps.')");
    check_width(browser);
    browser.click("[data-workflow=steps] [data-action=run]", "Run");
    browser.type_into("dialog input[name=p0]", "2026-11-22");
    browser.click("dialog button[type=submit]", "Run");
    browser.type_into("dialog #token", "not-the-token-at-all");
    browser.click("dialog button[type=submit]", "Use it");
    browser.wait_for("return document.querySelector('dialog .problem')?.textContent.includes('not the token')");
    browser.type_into("dialog #token", TOKEN);
    browser.click("dialog button[type=submit]", "Use it");
}

/// The run, which fails, watched to its end.
fn check_run(browser: &Browser) {
    wait_for_run(browser, "FAILED");
    assert_eq!(browser.evaluate(TASKS), "first SUCCESS,second FAILED,third UPSTREAM_FAILED");
    assert_eq!(browser.evaluate("return document.querySelectorAll('.canvas g[data-task].state-FAILED').length"), 1);
    assert_eq!(browser.evaluate("return document.querySelectorAll('.gantt .bar').length"), 2);
    check_width(browser);
}

/// The log of a task.
fn check_log(browser: &Browser) {
    browser.click("tr[data-task=first] a", "first");
    browser.wait_for("return document.querySelector('.log pre')?.textContent.includes('the day is 2026-11-22')");
    check_width(browser);
}

/// The repair of the run, after which there is nothing to be repaired.
fn check_repair(browser: &Browser, served: &Served) {
    served.project.write("ready", "");
    browser.click("#repair", "Repair");
    browser.click("dialog button[type=submit]", "Repair");
    wait_for_run(browser, "SUCCESS");
    assert_eq!(browser.evaluate(TASKS), "first SUCCESS,second SUCCESS,third SUCCESS");
    let marks = browser.evaluate("return document.querySelectorAll('.gantt .mark').length");
    assert_eq!(marks, 2, "the repair has its own clock");
    assert_eq!(browser.evaluate("return document.querySelector('#repair') === null"), true);
}

/// The runs of a workflow; one of another process appears as well.
fn check_workflow(browser: &Browser, served: &Served) {
    browser.open(&format!("{}#/workflows/steps", served.url));
    browser.wait_for("return document.querySelectorAll('tr[data-run]').length === 1");
    served.project.succeed(&["run", "steps"]);
    browser.wait_for("return document.querySelectorAll('tr[data-run]').length === 2");
    check_width(browser);
}

/// An address that is not well-formed leads to the list.
fn check_wrong_address(browser: &Browser, served: &Served) {
    browser.open(&format!("{}#/runs/%", served.url));
    browser.wait_for("return location.hash === '#/' && document.querySelector('[data-workflow=steps]') !== null");
}

/// Nothing was asked of another host, and nothing went wrong in the browser.
fn check_nothing_foreign(browser: &Browser, served: &Served) {
    let asked = browser.evaluate("return performance.getEntriesByType('resource').map((one) => one.name)");
    let asked = asked.as_array().unwrap();
    let foreign: Vec<_> = asked.iter().filter(|url| !url.as_str().unwrap().starts_with(&served.url)).collect();
    assert!(foreign.is_empty() && !asked.is_empty(), "asked of others: {foreign:?}");
    let complaints = browser.complaints();
    // The wrong token was refused.
    let others: Vec<_> = complaints.iter().filter(|message| !message.contains("401 (Unauthorized)")).collect();
    assert!(others.is_empty(), "{others:?}");
}

#[test]
fn a_run_is_started_watched_and_repaired_on_a_desktop() {
    check_page(1280, 900);
}

#[test]
fn a_run_is_started_watched_and_repaired_on_a_phone() {
    check_page(390, 844);
}

#[test]
fn the_token_lies_in_a_file_for_its_owner_only() {
    let project = Project::new(Place::Folder).with("workflows/steps.json", STEPS);
    let running = Running::start(&project, &["serve", "--listen", "127.0.0.1:0"]);
    wait_for("the page", || running.told().contains("the page is on").then_some(()));
    let path = project.path(".medallion/token");
    let token = std::fs::read_to_string(&path).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&path).unwrap().permissions());
    assert_eq!((token.trim().len(), mode & 0o777), (64, 0o600));
    let ended = running.stop();
    assert!(ended.err.contains("token in ") && ended.err.contains(".medallion/token"), "{}", ended.err);
    assert!(!ended.err.contains(token.trim()));
}
