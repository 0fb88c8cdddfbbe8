//! The loop of a scheduler. Each round looks at everything; between rounds it sleeps until something may be due.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use stage::{Error, Result};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::coming::is_paused;
use super::entry::Entry;
use super::event::Event;
use super::held_back::HeldBack;
use super::launch::{Ended, How, Launch, launched};
use super::look::{Look, look};
use super::queue::{Turn, turns};
use super::site::Project;
use super::{Running, Scheduler, Shared, guard};
use crate::definition::Workflow;
use crate::history::{Claim, RunRecord};
use crate::request::Request;
use crate::state::ResultState;

/// The longest between two rounds: how soon a pause, or the end of a run, of another process is seen.
const ROUND: TimeDelta = TimeDelta::seconds(1);
/// How often the project's files are looked at.
const RELOAD_EVERY: TimeDelta = TimeDelta::seconds(2);

impl Scheduler {
    /// Starts what is due, until `stop` is set. What is going then is stopped and left for the next scheduler.
    ///
    /// # Errors
    /// When the history cannot be read at the beginning. Later troubles are told, and what could not be done is tried
    /// again.
    pub async fn serve(&self, stop: CancellationToken) -> Result<()> {
        let mut keeper = Keeper::new(Arc::clone(&self.shared));
        keeper.go_on_with_interrupted().await?;
        while !stop.is_cancelled() {
            let sleep = match keeper.round().await {
                Ok(next) => {
                    self.shared.well(None);
                    next
                }
                Err(error) => {
                    self.shared.trouble(None, &error);
                    ROUND
                }
            };
            tokio::select! {
                biased;
                () = stop.cancelled() => {}
                Some(ended) = keeper.runs.join_next() => keeper.ended(ended.map_err(broke_off)).await,
                Some(look) = keeper.looks.join_next() => keeper.looked(look.map_err(broke_off)).await,
                () = self.shared.wake.notified() => {}
                () = self.shared.clock.sleep(sleep) => {}
            }
        }
        keeper.leave().await
    }
}

pub(super) fn broke_off(error: tokio::task::JoinError) -> Error {
    Error::bug("work of the scheduler broke off").with_source(error)
}

/// What the loop knows.
pub(super) struct Keeper {
    pub(super) shared: Arc<Shared>,
    pub(super) project: Arc<Project>,
    pub(super) entries: BTreeMap<String, Entry>,
    pub(super) runs: JoinSet<Ended>,
    pub(super) looks: JoinSet<Look>,
    /// The runs that wait and could not begin.
    pub(super) held_back: HeldBack,
    /// The runs that were told of as waiting.
    told_waiting: BTreeSet<i64>,
    /// The schedules that were seen paused.
    told_paused: BTreeMap<String, bool>,
    fingerprint: u64,
    next_reload: DateTime<Utc>,
}

impl Keeper {
    fn new(shared: Arc<Shared>) -> Keeper {
        Keeper {
            project: shared.project(),
            entries: BTreeMap::new(),
            runs: JoinSet::new(),
            looks: JoinSet::new(),
            held_back: HeldBack::default(),
            told_waiting: BTreeSet::new(),
            told_paused: BTreeMap::new(),
            fingerprint: shared.fingerprint,
            next_reload: shared.clock.now() + RELOAD_EVERY,
            shared,
        }
    }

    /// Does all there is to do now. Returns how long nothing is expected to be due.
    async fn round(&mut self) -> Result<TimeDelta> {
        self.reload().await;
        self.follow_schedules().await?;
        self.claim_due().await?;
        self.look_around();
        self.start_waiting().await?;
        self.go_on_with_asked();
        let now = self.shared.clock.now();
        let next = self.entries.values().filter_map(Entry::wakes_at).filter(|time| *time > now).min();
        Ok(next.map_or(ROUND, |time| (time - now).min(ROUND)))
    }

    /// Reads the project anew when its files have changed.
    async fn reload(&mut self) {
        let now = self.shared.clock.now();
        // A clock that was ahead must not keep the files unread.
        if now < self.next_reload && self.next_reload <= now + RELOAD_EVERY {
            return;
        }
        self.next_reload = now + RELOAD_EVERY;
        let fingerprint = fingerprint(&self.shared).await;
        if fingerprint == self.fingerprint {
            return;
        }
        self.fingerprint = fingerprint;
        let shared = Arc::clone(&self.shared);
        let loaded = tokio::task::spawn_blocking(move || shared.source.load()).await;
        match loaded.unwrap_or_else(|error| Err(vec![format!("reading the project broke off: {error}")])) {
            Ok(project) => {
                self.project = Arc::new(project);
                *guard(&self.shared.project) = Arc::clone(&self.project);
                guard(&self.shared.problems).clear();
                self.shared.tell(Event::Reloaded { workflows: self.project.workflows.len() });
            }
            Err(problems) => {
                guard(&self.shared.problems).clone_from(&problems);
                self.shared.tell(Event::ProblemsFound { problems });
            }
        }
    }

    /// Brings the schedules in line with the project and with what was paused and resumed.
    async fn follow_schedules(&mut self) -> Result<()> {
        let records = self.shared.history.schedules().await?;
        let project = Arc::clone(&self.project);
        self.entries.retain(|name, _| project.workflows.contains_key(name));
        for (name, workflow) in &project.workflows {
            let record = records.get(name);
            let Some(schedule) = workflow.schedule() else {
                self.entries.remove(name);
                continue;
            };
            let paused = is_paused(schedule, record);
            if self.told_paused.insert(name.clone(), paused).is_some_and(|before| before != paused) {
                self.shared.tell(Event::Paused { workflow: name.clone(), paused });
            }
            if paused {
                self.entries.remove(name);
                if record.is_some_and(|record| record.trigger.is_some()) {
                    self.shared.history.rest_schedule(name).await?;
                }
                continue;
            }
            // Without a trigger it was paused, if only for a moment, and begins anew.
            let goes_on = record.is_some_and(|record| record.trigger.is_some())
                && self.entries.get(name).is_some_and(|entry| entry.is_of(&schedule.trigger));
            if !goes_on {
                let state = self.shared.history.schedule_state(name).await?;
                let now = self.shared.clock.now();
                let (entry, claim) = Entry::begin(workflow, &schedule.trigger, record, state.as_deref(), now);
                if let Some(claim) = claim {
                    self.claim(claim).await?;
                }
                self.entries.insert(name.clone(), entry);
            }
        }
        Ok(())
    }

    /// Claims what is due by the clock, or after the run before.
    async fn claim_due(&mut self) -> Result<()> {
        let started = self.shared.started();
        let open = self.shared.history.open_runs().await?;
        let (project, now) = (Arc::clone(&self.project), self.shared.clock.now());
        let names: Vec<String> = self.entries.keys().cloned().collect();
        for name in names {
            let Some((entry, workflow)) = self.entries.get_mut(&name).zip(project.workflows.get(&name)) else {
                continue;
            };
            if let Some((error, claim)) = entry.set_back(now) {
                self.shared.trouble(Some(&name), &error);
                self.claim_or_forget(claim).await?;
                continue;
            }
            let recorded = open.iter().filter(|run| run.workflow == name).map(|run| run.number);
            let started = started.iter().filter(|(_, workflow)| **workflow == name).map(|(number, _)| *number);
            let open = recorded.chain(started).collect::<BTreeSet<i64>>().len();
            if let Some(claim) = entry.due(workflow, open, now) {
                self.claim_or_forget(claim).await?;
            }
        }
        Ok(())
    }

    /// Records a claim. If that fails, the schedule is read anew, since it took the claim as done.
    pub(super) async fn claim_or_forget(&mut self, claim: Claim) -> Result<()> {
        let workflow = claim.workflow.clone();
        let claimed = self.claim(claim).await;
        if claimed.is_err() {
            self.entries.remove(&workflow);
        }
        claimed
    }

    async fn claim(&self, claim: Claim) -> Result<()> {
        let (workflow, told) = (claim.workflow.clone(), claim.missed.clone());
        let claimed = self.shared.history.claim(claim).await?;
        let number = claimed.and_then(|claimed| claimed.missed);
        if let Some((number, (run, reason))) = number.zip(told)
            && let Some(missed) = run.cause.missed
        {
            self.shared.tell(Event::Missed { number, workflow, missed, reason });
        }
        Ok(())
    }

    /// Sends somebody to look at the files and tables that it is time for.
    fn look_around(&mut self) {
        let now = self.shared.clock.now();
        for (name, entry) in &mut self.entries {
            let looking = entry.looks_at(now).and_then(|trigger| look(name, trigger, Arc::clone(&self.project.site)));
            if let Some(looking) = looking {
                entry.is_looking = true;
                self.looks.spawn(looking);
            }
        }
    }

    /// Takes note of what a look has found.
    async fn looked(&mut self, look: Result<Look>) {
        let (name, noted) = match look {
            Ok(look) => (look.workflow.clone(), self.note(look).await),
            Err(error) => return self.shared.trouble(None, &error),
        };
        if let Err(error) = noted {
            self.shared.trouble(Some(&name), &error);
        }
    }

    async fn note(&mut self, look: Look) -> Result<()> {
        let (project, now) = (Arc::clone(&self.project), self.shared.clock.now());
        let workflow = project.workflows.get(&look.workflow);
        let Some((entry, workflow)) = self.entries.get_mut(&look.workflow).zip(workflow) else { return Ok(()) };
        entry.looked(look.took, now);
        let claim = entry.seen(workflow, &look.seen?, now).map_err(Error::config)?;
        self.shared.well(Some(&look.workflow));
        match claim {
            Some(claim) => self.claim_or_forget(claim).await,
            None => Ok(()),
        }
    }

    /// Starts the runs that wait and that there is room for.
    async fn start_waiting(&mut self) -> Result<()> {
        let started = self.shared.started();
        let open = self.shared.history.open_runs().await?;
        self.told_waiting.retain(|number| open.iter().any(|run| run.number == *number));
        self.held_back.retain(|number| open.iter().any(|run| run.number == number && run.started_at.is_none()));
        let project = Arc::clone(&self.project);
        for (run, turn) in turns(&open, &started, &project.workflows, self.shared.clock.now()) {
            match turn {
                // It keeps its turn, so that those after it do not overtake it.
                Turn::Start if self.held_back.holds(run.number) => {}
                Turn::Start => {
                    let Some(workflow) = project.workflows.get(&run.workflow) else { continue };
                    let request = Request { cause: run.cause.clone(), queued: Some(run.number), ..Request::default() };
                    self.start(run.number, workflow, &run.parameters, How::Queued(Box::new(request)));
                }
                Turn::Wait => self.tell_waiting(run),
                Turn::Skip(state, reason) => self.skip(run, state, reason).await?,
            }
        }
        Ok(())
    }

    fn tell_waiting(&mut self, run: &RunRecord) {
        if self.told_waiting.insert(run.number) {
            let (workflow, cause) = (run.workflow.clone(), run.cause.clone());
            self.shared.tell(Event::RunQueued { number: run.number, workflow, cause });
        }
    }

    async fn skip(&mut self, run: &RunRecord, state: ResultState, reason: String) -> Result<()> {
        self.told_waiting.remove(&run.number);
        if self.shared.history.end_queued(run.number, state, reason.clone()).await? {
            let (workflow, cause) = (run.workflow.clone(), run.cause.clone());
            self.shared.tell(Event::RunSkipped { number: run.number, workflow, cause, reason });
        }
        Ok(())
    }

    pub(super) fn start(&mut self, number: i64, workflow: &Workflow, given: &BTreeMap<String, String>, how: How) {
        self.told_waiting.remove(&number);
        let cancellation = CancellationToken::new();
        let running = Running { workflow: workflow.name().to_owned(), cancellation: cancellation.clone() };
        guard(&self.shared.running).insert(number, running);
        // What the run was given stands, for parameters that are still there.
        let parameters = given.iter().filter(|(name, _)| workflow.parameters().contains_key(*name));
        let parameters = parameters.map(|(name, value)| (name.clone(), value.clone())).collect();
        let launch = Launch { number, workflow: workflow.clone(), parameters, how, cancellation };
        self.runs.spawn(launched(Arc::clone(&self.shared), Arc::clone(&self.project), launch));
    }
}

async fn fingerprint(shared: &Arc<Shared>) -> u64 {
    let shared = Arc::clone(shared);
    tokio::task::spawn_blocking(move || shared.source.fingerprint()).await.unwrap_or_default()
}
