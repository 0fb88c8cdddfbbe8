//! What is told of a run, and to whom.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use notify::Notice;
use stage::{Error, Kind, Progress};
use workflow::scheduler::Event as SchedulerEvent;
use workflow::{Event, ResultState, check, spec};

use super::{Outbox, RunNotices, ScheduledNotices};

type Sent = Arc<Mutex<Vec<(String, Notice)>>>;

/// An outbox that keeps what it is given.
fn kept() -> (Outbox, Sent) {
    let sent: Sent = Arc::default();
    let keeping = Arc::clone(&sent);
    let outbox = Outbox::sending_by(Arc::new(move |notice, to| {
        keeping.lock().unwrap().push((to.to_string(), notice));
        Box::pin(async { Ok(()) })
    }));
    (outbox, sent)
}

/// Tells the notices of a run of one task with these settings, as `event of task or run to destination`.
async fn told(settings: &str, task_settings: &str, events: &[Event]) -> Vec<String> {
    let text = format!(
        r#"{{ "name": "daily", {settings} "tasks": [{{ "task_key": "load", {task_settings} "max_retries": 1,
            "shell_task": {{ "command": "true" }} }}] }}"#
    );
    let workflow = check(&spec::parse(&text).unwrap(), &|_| Ok(())).unwrap();
    let (outbox, sent) = kept();
    let notices = RunNotices::new("shop", &workflow, &BTreeMap::new(), outbox.clone());
    for event in events {
        notices.hear(event);
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    drop(notices);
    outbox.close().await;
    let sent = sent.lock().unwrap();
    sent.iter().map(|(to, notice)| format!("{} to {to}", notice.headline())).collect()
}

fn started() -> Vec<Event> {
    let (run_id, workflow) = ("daily-7".to_owned(), "daily".to_owned());
    vec![
        Event::RunStarted { number: 7, run_id, workflow, tasks: 1 },
        Event::TaskStarted { task_key: "load".to_owned() },
    ]
}

fn failed(will_retry_in: Option<Duration>) -> Event {
    let (task_key, state, kind, message) = ("load".to_owned(), ResultState::Failed, Kind::Unavailable, "no".to_owned());
    Event::AttemptFailed { task_key, attempt_number: 0, state, kind, message, will_retry_in, is_in_vain: false }
}

fn ended(state: ResultState) -> Vec<Event> {
    let progress = Progress::default;
    vec![
        Event::TaskEnded { task_key: "load".to_owned(), state, progress: progress(), seconds: 1.0 },
        Event::RunEnded { state, progress: progress(), seconds: 1.0 },
    ]
}

const BOTH: &str = r#""email_notifications": { "on_start": ["a@x.org"], "on_success": ["b@x.org", "c@x.org"] },
    "webhook_notifications": { "on_failure": [{ "id": "ops" }] },"#;

#[tokio::test(start_paused = true)]
async fn each_occasion_is_told_to_its_recipients() {
    let good = [started(), ended(ResultState::Success)].concat();
    assert_eq!(
        told(BOTH, "", &good).await,
        ["[shop] daily started (run 7) to a@x.org", "[shop] daily succeeded (run 7) to b@x.org, c@x.org"]
    );
    let bad = [started(), vec![failed(None)], ended(ResultState::Failed)].concat();
    assert_eq!(told(BOTH, "", &bad).await[1..], ["[shop] daily failed (run 7) to webhook `ops`"]);
}

#[tokio::test(start_paused = true)]
async fn a_task_tells_of_each_failed_attempt_unless_only_the_last_counts() {
    let on_failure = r#""email_notifications": { "on_failure": ["a@x.org"] },"#;
    let events =
        [started(), vec![failed(Some(Duration::from_secs(1))), failed(None)], ended(ResultState::Failed)].concat();
    assert_eq!(told("", on_failure, &events).await.len(), 2);
    let only_last = format!(r#"{on_failure} "notification_settings": {{ "alert_on_last_attempt": true }},"#);
    assert_eq!(told("", &only_last, &events).await, ["[shop] daily: task load failed (run 7) to a@x.org"]);
}

#[tokio::test(start_paused = true)]
async fn what_was_cancelled_or_skipped_can_be_left_out() {
    let on_failure = r#""email_notifications": { "on_failure": ["a@x.org"] },"#;
    let quiet = format!(
        r#"{on_failure} "notification_settings": {{ "no_alert_for_canceled_runs": true, "no_alert_for_skipped_runs": true }},"#
    );
    for state in [ResultState::Canceled, ResultState::UpstreamFailed] {
        assert_eq!(told("", on_failure, &ended(state)).await.len(), 1);
        assert!(told("", &quiet, &ended(state)).await.is_empty());
    }
    assert!(told("", on_failure, &ended(ResultState::Excluded)).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_run_that_does_not_take_place_is_told_with_the_reason() {
    let text = format!(
        r#"{{ "name": "daily", {BOTH} "tasks": [{{ "task_key": "load", "shell_task": {{ "command": "true" }} }}] }}"#
    );
    let workflow = check(&spec::parse(&text).unwrap(), &|_| Ok(())).unwrap();
    let (outbox, sent) = kept();
    RunNotices::new("shop", &workflow, &BTreeMap::new(), outbox.clone()).skipped(8, "another run is going");
    outbox.close().await;
    let sent = sent.lock().unwrap();
    assert_eq!((sent.len(), sent[0].1.reason.as_deref()), (1, Some("another run is going")));
    assert_eq!(sent[0].1.headline(), "[shop] daily was skipped (run 8)");
}

#[tokio::test(start_paused = true)]
async fn a_run_that_takes_too_long_is_told_of_once_and_only_while_it_goes_on() {
    let health = r#""email_notifications": { "on_duration_warning_threshold_exceeded": ["a@x.org"] },
        "health": { "rules": [{ "metric": "RUN_DURATION_SECONDS", "op": "GREATER_THAN", "value": 3 }] },"#;
    // Each event takes a second.
    let quick = [started(), ended(ResultState::Success)].concat();
    assert!(told(health, "", &quick).await.is_empty());
    let slow = [started(), vec![failed(None), failed(None), failed(None), failed(None)]].concat();
    assert_eq!(told(health, "", &slow).await, ["[shop] daily takes longer than expected (run 7) to a@x.org"]);
}

#[tokio::test(start_paused = true)]
async fn closing_waits_for_what_is_on_its_way_but_not_for_ever() {
    let send = |seconds: u64| -> Outbox {
        Outbox::sending_by(Arc::new(move |_, _| {
            Box::pin(async move {
                tokio::time::sleep(Duration::from_secs(seconds)).await;
                Err(Error::unavailable("nobody listens"))
            })
        }))
    };
    for (takes, waits) in [(3, 3), (10_000, 30)] {
        let outbox = send(takes);
        outbox.put(Notice::new(notify::Event::Test, "shop", ""), notify::Destination::Webhook("ops".into()));
        let began = tokio::time::Instant::now();
        outbox.close().await;
        assert_eq!(began.elapsed().as_secs(), waits);
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_of_an_earlier_process_that_is_given_up_is_told_with_the_reason_and_leads_to_its_page() {
    let text = format!(
        r#"{{ "name": "daily", {BOTH} "tasks": [{{ "task_key": "load", "shell_task": {{ "command": "true" }} }}] }}"#
    );
    let workflow = check(&spec::parse(&text).unwrap(), &|_| Ok(())).unwrap();
    let (outbox, sent) = kept();
    let given = BTreeMap::from([("day".to_owned(), "2024-03-01".to_owned())]);
    let notices = RunNotices::new("shop", &workflow, &given, outbox.clone());
    let notices = notices.linked(Some("http://127.0.0.1:9601".to_owned()));
    notices.given_up(9, &ended(ResultState::Failed)[1]);
    drop(notices);
    outbox.close().await;
    let (to, notice) = sent.lock().unwrap().first().cloned().unwrap();
    assert_eq!((notice.headline().as_str(), to.as_str()), ("[shop] daily failed (run 9)", "webhook `ops`"));
    assert!(notice.reason.is_some_and(|reason| reason.contains("not resumed")));
    assert_eq!(notice.parameters, given);
    assert_eq!(notice.link.as_deref(), Some("http://127.0.0.1:9601/#/runs/9"));
}

/// Hears what a scheduler tells of run 7 of a workflow.
fn of_scheduler(event: Event) -> SchedulerEvent {
    let parameters = Arc::new(BTreeMap::from([("day".to_owned(), "1".to_owned())]));
    SchedulerEvent::Run { number: 7, workflow: "daily".to_owned(), parameters, event }
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_scheduler_waits_for_the_notices_of_runs_from_before_a_reload() {
    let text = format!(
        r#"{{ "name": "daily", {BOTH} "tasks": [{{ "task_key": "load", "shell_task": {{ "command": "true" }} }}] }}"#
    );
    let workflow = check(&spec::parse(&text).unwrap(), &|_| Ok(())).unwrap();
    let workflows = BTreeMap::from([("daily".to_owned(), workflow)]);
    let sent = Sent::default();
    let by = |settings: &'static str| -> Arc<super::outbox::Send> {
        let sent = Arc::clone(&sent);
        Arc::new(move |notice, _| {
            let sent = Arc::clone(&sent);
            Box::pin(async move {
                tokio::time::sleep(Duration::from_secs(5)).await;
                sent.lock().unwrap().push((settings.to_owned(), notice));
                Ok(())
            })
        })
    };
    let scheduled = ScheduledNotices::default();
    scheduled.take("shop", workflows.clone(), by("old"));
    scheduled.hear(&of_scheduler(started().remove(0)));
    scheduled.take("shop", workflows, by("new"));
    scheduled.hear(&of_scheduler(ended(ResultState::Failed).remove(1)));
    scheduled.close().await;
    let sent = sent.lock().unwrap();
    let told: Vec<_> = sent.iter().map(|(by, notice)| (by.as_str(), notice.headline())).collect();
    let started = "[shop] daily started (run 7)".to_owned();
    assert_eq!(told, [("old", started), ("old", "[shop] daily failed (run 7)".to_owned())]);
    assert_eq!(sent[0].1.parameters["day"], "1");
}
