//! Random workflows whose runs are killed at random moments, resumed and repaired.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use proptest::prelude::*;
use serde_json::{Value, json};
use stage::{Context, Error, Kind, Result};

use crate::action::{Action, Output};
use crate::history::RunDetails;
use crate::log::TaskLog;
use crate::reference::Workspace;
use crate::{
    Again, Body, Built, History, Request, ResultState, RunOutcome, Surroundings, Work, Workflow, Workshop, check, run,
    run_again, spec,
};

/// What the program of a task does, each time it is started.
#[derive(Debug, Clone, Copy)]
enum Deed {
    Succeeds,
    /// Fails in that way the first so many times.
    Fails(u32, Kind),
    /// Takes longer than its time limit the first so many times, and stops when told.
    TakesTooLong(u32),
    /// Ends as cancelled the first time.
    Cancels,
}

#[derive(Debug, Clone)]
struct Plan {
    /// For each task: those before it, with the outcome that is asked of a condition.
    before: Vec<Vec<(usize, Option<bool>)>>,
    kinds: Vec<TaskPlan>,
    /// What happens to the run, one after the other.
    fates: Vec<Fate>,
}

#[derive(Debug, Clone)]
struct TaskPlan {
    body: BodyPlan,
    run_if: &'static str,
    is_disabled: bool,
    retries: i64,
    /// How long one start of it takes, in milliseconds.
    takes: u64,
}

#[derive(Debug, Clone)]
enum BodyPlan {
    Program(Deed),
    Condition(bool),
    Loop(Vec<Deed>),
}

/// How one process that works on the run ends, and what the next one is asked.
#[derive(Debug, Clone)]
enum Fate {
    /// The process is killed after so many milliseconds; the run is resumed.
    KilledThenResumed(u64),
    /// The run is cancelled after so many milliseconds; then it is resumed.
    CanceledThenResumed(u64),
    /// The run ends; then these tasks are repaired.
    EndsThenRepaired(Vec<usize>, bool),
    /// The repair of the run is killed as well.
    KilledThenRepaired(u64, Vec<usize>, bool),
}

fn deed() -> impl Strategy<Value = Deed> {
    prop_oneof![
        5 => Just(Deed::Succeeds),
        2 => (1u32..4).prop_map(|times| Deed::Fails(times, Kind::Unavailable)),
        1 => (1u32..3).prop_map(|times| Deed::Fails(times, Kind::Data)),
        1 => (1u32..3).prop_map(Deed::TakesTooLong),
        1 => Just(Deed::Cancels),
    ]
}

fn task_plan() -> impl Strategy<Value = TaskPlan> {
    let body = prop_oneof![
        6 => deed().prop_map(BodyPlan::Program),
        2 => any::<bool>().prop_map(BodyPlan::Condition),
        1 => proptest::collection::vec(deed(), 0..4).prop_map(BodyPlan::Loop),
    ];
    let run_if = prop_oneof![
        4 => Just("ALL_SUCCESS"), 1 => Just("AT_LEAST_ONE_SUCCESS"), 1 => Just("NONE_FAILED"),
        2 => Just("ALL_DONE"), 1 => Just("AT_LEAST_ONE_FAILED"), 1 => Just("ALL_FAILED"),
    ];
    (body, run_if, proptest::bool::weighted(0.08), 0i64..3, 0u64..400)
        .prop_map(|(body, run_if, is_disabled, retries, takes)| TaskPlan { body, run_if, is_disabled, retries, takes })
}

fn fate(tasks: usize) -> impl Strategy<Value = Fate> {
    let named = || proptest::collection::vec(0..tasks, 0..3);
    prop_oneof![
        3 => (0u64..3000).prop_map(Fate::KilledThenResumed),
        1 => (0u64..3000).prop_map(Fate::CanceledThenResumed),
        3 => (named(), any::<bool>()).prop_map(|(tasks, dependents)| Fate::EndsThenRepaired(tasks, dependents)),
        1 => (0u64..3000, named(), any::<bool>())
            .prop_map(|(at, tasks, dependents)| Fate::KilledThenRepaired(at, tasks, dependents)),
    ]
}

fn plan() -> impl Strategy<Value = Plan> {
    (1usize..10).prop_flat_map(|count| {
        let edges = proptest::collection::vec(
            proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
            count,
        );
        let kinds = proptest::collection::vec(task_plan(), count);
        let fates = proptest::collection::vec(fate(count), 0..5);
        (edges, kinds, fates).prop_map(|(edges, kinds, fates)| {
            let before = edges.iter().enumerate().map(|(task, edges)| {
                let mut before = BTreeMap::new();
                for (edge, asked) in edges.iter().filter(|_| task > 0) {
                    let other = edge.index(task);
                    let is_condition = matches!(kinds[other].body, BodyPlan::Condition(_));
                    let outcome = (is_condition && asked % 3 > 0).then_some(asked % 3 == 1);
                    before.entry(other).or_insert(outcome);
                }
                before.into_iter().collect()
            });
            Plan { before: before.collect(), kinds, fates }
        })
    })
}

impl Plan {
    fn workflow(&self) -> Workflow {
        let tasks: Vec<Value> = (0..self.kinds.len()).map(|task| self.task(task)).collect();
        let json = json!({"name": "w", "max_parallel_tasks": 3, "tasks": tasks});
        check(&spec::parse(&json.to_string()).unwrap(), &|_| Ok(())).unwrap()
    }

    fn task(&self, task: usize) -> Value {
        let plan = &self.kinds[task];
        let before = self.before[task].iter().map(|(other, outcome)| match outcome {
            Some(outcome) => json!({"task_key": format!("t{other}"), "outcome": outcome.to_string()}),
            None => json!({"task_key": format!("t{other}")}),
        });
        let mut json = json!({"task_key": format!("t{task}"), "depends_on": before.collect::<Vec<_>>(),
            "run_if": plan.run_if, "disabled": plan.is_disabled});
        let program = |key: &str| json!({"command": ["run", key]});
        match &plan.body {
            BodyPlan::Program(_) => {
                json["shell_task"] = program(&format!("t{task}"));
                json["timeout_seconds"] = 1.into();
                json["retry_on_timeout"] = true.into();
                json["max_retries"] = plan.retries.into();
            }
            BodyPlan::Condition(holds) => {
                json["condition_task"] = json!({"left": holds.to_string(), "op": "EQUAL_TO", "right": "true"});
            }
            BodyPlan::Loop(items) => {
                let items: Vec<Value> = (0..items.len()).map(|item| format!("t{task}[{item}]").into()).collect();
                json["max_retries"] = plan.retries.into();
                json["for_each_task"] = json!({"inputs": Value::from(items).to_string(), "concurrency": 2,
                    "task": {"task_key": "item", "shell_task": program("{{input}}"), "timeout_seconds": 1}});
            }
        }
        json
    }

    fn deed(&self, key: &str) -> (Deed, Duration) {
        let (task, item) = match key.split_once('[') {
            Some((task, item)) => (task, item.trim_end_matches(']').parse::<usize>().ok()),
            None => (key, None),
        };
        let plan = &self.kinds[task[1..].parse::<usize>().unwrap()];
        let deed = match (&plan.body, item) {
            (BodyPlan::Program(deed), None) => *deed,
            (BodyPlan::Loop(items), Some(item)) => items[item],
            other => panic!("no program {key}: {other:?}"),
        };
        (deed, Duration::from_millis(plan.takes))
    }
}

/// Something that a program saw or did.
#[derive(Debug, Clone, PartialEq)]
enum Seen {
    Started(String),
    Ended(String),
    /// A process began to work on the run, and these keys were to be done whatever had become of them.
    Process(BTreeSet<String>),
}

/// What outlives the processes: the programs' own memory.
struct World {
    plan: Plan,
    seen: Mutex<Vec<Seen>>,
}

impl World {
    fn see(&self, seen: Seen) {
        self.seen.lock().unwrap().push(seen);
    }

    fn starts(&self, key: &str) -> u32 {
        let seen = self.seen.lock().unwrap();
        seen.iter().filter(|seen| matches!(seen, Seen::Started(one) if one == key)).count() as u32
    }
}

struct Programs(Arc<World>);

impl Workshop for Programs {
    fn build(&self, work: &Work) -> Result<Built> {
        let Work::Shell { command, .. } = work else { panic!("{work:?}") };
        Ok(Built::Action(Box::new(Program { key: command[1].clone(), world: Arc::clone(&self.0) })))
    }
}

struct Program {
    key: String,
    world: Arc<World>,
}

/// Says that a program has ended, or was dropped.
struct Ended<'a>(&'a Program);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.0.world.see(Seen::Ended(self.0.key.clone()));
    }
}

impl Action for Program {
    fn run<'a>(self: Box<Self>, context: &'a Context, _log: &'a TaskLog) -> BoxFuture<'a, Result<Output>> {
        async move {
            let before = self.world.starts(&self.key);
            self.world.see(Seen::Started(self.key.clone()));
            let _ended = Ended(&self);
            let (deed, takes) = self.world.plan.deed(&self.key);
            tokio::select! {
                () = tokio::time::sleep(takes) => {}
                () = context.cancellation.cancelled() => context.check()?,
            }
            match deed {
                Deed::Fails(times, kind) if before < times => return Err(Error::new(kind, "it would not go")),
                Deed::TakesTooLong(times) if before < times => {
                    context.cancellation.cancelled().await;
                    context.check()?;
                }
                Deed::Cancels if before == 0 => return Err(Error::stopped("somebody stopped it")),
                _ => {}
            }
            Ok(Output::default())
        }
        .boxed()
    }
}

/// One process that works on the run until it ends, or is killed.
struct Process {
    history: History,
    programs: Programs,
    workflow: Workflow,
    context: Context,
}

impl Process {
    fn start(path: &Path, world: &Arc<World>) -> Process {
        Process {
            history: History::open(path).unwrap(),
            programs: Programs(Arc::clone(world)),
            workflow: world.plan.workflow(),
            context: Context::new("replaced by the runner"),
        }
    }

    async fn work(&self, number: Option<i64>, again: &Again) -> RunOutcome {
        let workspace = Workspace::default();
        let surroundings =
            Surroundings { workshop: &self.programs, history: &self.history, workspace: &workspace, events: &|_| () };
        match number {
            None => run(&self.context, &self.workflow, &Request::default(), &surroundings).await.unwrap(),
            Some(number) => run_again(&self.context, &self.workflow, number, again, &surroundings).await.unwrap(),
        }
    }

    /// Dies, and takes its locks along once the last thing it was writing is written.
    async fn die(self) {
        drop(self.programs);
        self.history.wait_until_last().await;
    }
}

fn key(task: usize) -> String {
    format!("t{task}")
}

/// Lives the whole story, and checks what must hold after each chapter.
async fn live(plan: Plan) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("history.db");
    let world = Arc::new(World { plan: plan.clone(), seen: Mutex::default() });
    let workflow = plan.workflow();
    let mut number = None;
    let mut again = Again::Resume;
    let mut fates = plan.fates.iter();
    loop {
        let fate = fates.next();
        let named = match (&again, number) {
            (Again::Repair { tasks, dependents }, Some(_)) => {
                let named = tasks.iter().map(|key| workflow.index_of(key).unwrap()).collect::<Vec<_>>();
                let all = if *dependents { workflow.dag().downstream(named) } else { named.into_iter().collect() };
                all.into_iter().map(key).collect()
            }
            _ => BTreeSet::new(),
        };
        world.see(Seen::Process(named));
        let process = Process::start(&path, &world);
        let kill_at = match fate {
            Some(Fate::KilledThenResumed(at) | Fate::KilledThenRepaired(at, ..)) => Duration::from_millis(*at),
            _ => Duration::from_secs(3600),
        };
        let ended = tokio::select! {
            ended = process.work(number, &again) => Some(ended),
            () = tokio::time::sleep(kill_at) => None,
            () = async {
                match fate {
                    Some(Fate::CanceledThenResumed(at)) => tokio::time::sleep(Duration::from_millis(*at)).await,
                    _ => std::future::pending().await,
                }
                process.context.cancellation.cancel();
                std::future::pending::<()>().await;
            } => None,
        };
        assert!(
            ended.is_some() || matches!(fate, Some(Fate::KilledThenResumed(_) | Fate::KilledThenRepaired(..))),
            "it did not end"
        );
        process.die().await;
        let history = History::open(&path).unwrap();
        let Some(run) = history.runs(None, 2).await.unwrap().into_iter().next() else {
            // It was killed before it had a number.
            continue;
        };
        let details = history.run(run.number).await.unwrap().unwrap();
        number = Some(details.run.number);
        holds(&world, &workflow, &details, ended.as_ref());
        again = match fate {
            None => break,
            Some(Fate::KilledThenResumed(_) | Fate::CanceledThenResumed(_)) => Again::Resume,
            Some(Fate::EndsThenRepaired(tasks, dependents) | Fate::KilledThenRepaired(_, tasks, dependents)) => {
                Again::Repair { tasks: tasks.iter().map(|task| key(*task)).collect(), dependents: *dependents }
            }
        };
    }
}

/// What must hold of a history after a process ended, as `ended` or by being killed.
fn holds(world: &World, workflow: &Workflow, details: &RunDetails, ended: Option<&RunOutcome>) {
    assert_eq!(details.run.number, 1, "everything is about one run");
    assert!(details.run.state.is_some(), "it goes on although nobody works on it");
    // Every attempt has an end, and they are numbered without gaps within each repair.
    let mut numbers: BTreeMap<(&str, u32), Vec<u32>> = BTreeMap::new();
    for attempt in &details.attempts {
        assert!(attempt.state.is_some(), "{attempt:?}");
        assert!(attempt.repair <= details.run.repairs);
        numbers.entry((&attempt.task_key, attempt.repair)).or_default().push(attempt.attempt_number);
    }
    for (of, numbers) in &mut numbers {
        numbers.sort_unstable();
        assert_eq!(*numbers, (0..numbers.len() as u32).collect::<Vec<_>>(), "{of:?}");
    }
    for task in &details.tasks {
        let recorded = details.attempts.iter().filter(|attempt| attempt.task_key == task.task_key).count() as u32;
        assert_eq!(task.executions, recorded, "{}", task.task_key);
        let is_program = task.input.is_some()
            || workflow
                .index_of(&task.task_key)
                .is_ok_and(|index| matches!(workflow.tasks()[index].body(), Body::Work(_)));
        if is_program {
            // A process can die between writing that an attempt begins and beginning it.
            let started = world.starts(&task.task_key);
            assert!(started <= recorded, "{}: {started} starts, {recorded} recorded", task.task_key);
        }
    }
    if let Some(outcome) = ended {
        assert_eq!(details.run.state, Some(outcome.state));
        for task in &outcome.tasks {
            let record = details.tasks.iter().find(|record| record.task_key == task.task_key).unwrap();
            assert_eq!((record.state, record.executions), (Some(task.state), task.executions), "{}", task.task_key);
        }
    }
    right_order(world, workflow);
    once_only(world, details);
}

/// Within the life of one process nothing of a task starts before everything of those before it has ended.
fn right_order(world: &World, workflow: &Workflow) {
    let seen = world.seen.lock().unwrap();
    let task_of = |key: &str| key.split_once('[').map_or(key, |(task, _)| task).to_owned();
    for life in seen.split(|seen| matches!(seen, Seen::Process(_))) {
        for (position, one) in life.iter().enumerate() {
            let Seen::Started(key) = one else { continue };
            let index = workflow.index_of(&task_of(key)).unwrap();
            for before in workflow.dag().dependencies(index) {
                let before = workflow.tasks()[*before].key();
                let goes_on = life[position..].iter().any(|later| match later {
                    Seen::Started(key) | Seen::Ended(key) => task_of(key) == before,
                    _ => false,
                });
                assert!(!goes_on, "{key} started before {before} had ended: {life:?}");
            }
        }
    }
}

/// What succeeded, and whose success is recorded, does not start again unless it was named.
fn once_only(world: &World, details: &RunDetails) {
    let seen = world.seen.lock().unwrap();
    let programs: BTreeSet<&String> = seen
        .iter()
        .filter_map(|seen| match seen {
            Seen::Started(key) => Some(key),
            _ => None,
        })
        .collect();
    for key in programs {
        // Successes of which the record says so; the last one may have been cut off by a kill.
        let recorded = details
            .attempts
            .iter()
            .filter(|attempt| attempt.task_key == **key && attempt.state == Some(ResultState::Success))
            .count();
        let task = key.split_once('[').map_or(key.as_str(), |(task, _)| task);
        let asked = seen.iter().filter(|seen| matches!(seen, Seen::Process(named) if named.contains(task))).count();
        assert!(recorded <= 1 + asked, "{key} succeeded {recorded} times, and was named {asked} times");
    }
}

#[test]
fn whatever_happens_a_run_ends_does_nothing_twice_and_nothing_too_early() {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(200);
    proptest!(ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }, |(plan in plan())| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        runtime.block_on(live(plan));
    });
}
