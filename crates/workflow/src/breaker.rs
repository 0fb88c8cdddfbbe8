//! Circuit breakers: a source that fails again and again is left alone for a while.
//!
//! After [`MOST_FAILURES`] failures in a row that may pass by themselves, no matter of which task or run, a source is not
//! asked for [`FIRST_REST`]. Then one attempt may ask it, the probe. It closes the breaker by succeeding; by failing it
//! makes the next rest twice as long, up to [`LONGEST_REST`]. Every attempt meanwhile fails at once without touching the
//! source.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::Utc;
use stage::{Error, Kind, Result};
use tokio::time::Instant;

/// The failures in a row after which a source is left alone.
pub const MOST_FAILURES: u32 = 5;
/// How long it is left alone at first.
pub const FIRST_REST: Duration = Duration::from_secs(30);
/// How long it is left alone at most.
pub const LONGEST_REST: Duration = Duration::from_secs(300);
/// How long others wait while a probe is on its way, which may take as long as a batch does.
const PROBING: Duration = FIRST_REST;

/// The breakers of all sources. Clones are the same breakers, so that the runs of a process can share them.
#[derive(Debug, Clone, Default)]
pub struct Breakers {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    /// Those of the sources whose last attempt failed.
    sources: HashMap<String, Breaker>,
    /// How many probes there were.
    probes: u64,
}

/// The breaker of one source.
#[derive(Debug, Default)]
struct Breaker {
    /// Failures in a row.
    failures: u32,
    /// How often it opened in a row; 0 when it is closed.
    opened: u32,
    /// When the source may be asked again.
    rests_until: Option<Instant>,
    /// The probe that is on its way.
    probe: Option<u64>,
}

/// The leave to ask a source. Dropped without [`Pass::ended`], it says nothing about the source.
#[derive(Debug)]
pub(crate) struct Pass {
    breakers: Breakers,
    source: String,
    /// Its number, when it is a probe.
    probe: Option<u64>,
}

/// A source that is not to be asked.
#[derive(Debug)]
pub(crate) struct Refused {
    /// When it may be asked again.
    pub(crate) until: Instant,
    pub(crate) error: Error,
}

impl Breakers {
    /// Leave to ask a source now.
    pub(crate) fn admit(&self, source: &str) -> Result<Pass, Refused> {
        let now = Instant::now();
        let state = &mut *self.lock();
        let pass = |probe| Pass { breakers: self.clone(), source: source.to_owned(), probe };
        let Some(breaker) = state.sources.get_mut(source) else { return Ok(pass(None)) };
        match breaker.rests_until {
            None => Ok(pass(None)),
            Some(until) if now < until => Err(refused(source, breaker.failures, now, until)),
            Some(_) if breaker.probe.is_some() => Err(refused(source, breaker.failures, now, now + PROBING)),
            Some(_) => {
                state.probes += 1;
                breaker.probe = Some(state.probes);
                Ok(pass(breaker.probe))
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn refused(source: &str, failures: u32, now: Instant, until: Instant) -> Refused {
    let at = chrono::Duration::from_std(until - now).map(|rest| Utc::now() + rest).unwrap_or_else(|_| Utc::now());
    let at = at.format("%H:%M:%S");
    let message = format!("{source} failed {failures} times in a row and is not asked again before {at} UTC");
    Refused { until, error: Error::unavailable(message) }
}

impl Pass {
    /// Notes how asking ended, and says until when the source is left alone now. An error of another kind than
    /// [`Kind::Unavailable`] tells that the source did answer, or nothing about it.
    pub(crate) fn ended(self, error: Option<Kind>) -> Option<Instant> {
        let breakers = self.breakers.clone();
        let mut state = breakers.lock();
        match error {
            None | Some(Kind::Data | Kind::Quality) => {
                state.sources.remove(&self.source);
                return None;
            }
            Some(Kind::Conflict | Kind::Config | Kind::Stopped | Kind::Bug) => return None,
            Some(Kind::Unavailable) => {}
        }
        let breaker = state.sources.entry(self.source.clone()).or_default();
        breaker.failures = breaker.failures.saturating_add(1);
        let is_probe = self.probe.is_some() && self.probe == breaker.probe;
        if is_probe || (breaker.rests_until.is_none() && breaker.failures >= MOST_FAILURES) {
            let rest = FIRST_REST.saturating_mul(2u32.saturating_pow(breaker.opened)).min(LONGEST_REST);
            breaker.opened = breaker.opened.saturating_add(1);
            breaker.rests_until = Some(Instant::now() + rest);
        }
        breaker.rests_until
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        if self.probe.is_some()
            && let Some(breaker) = self.breakers.lock().sources.get_mut(&self.source)
            && breaker.probe == self.probe
        {
            breaker.probe = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SOURCE: &str = "s3://landing";

    fn fails(breakers: &Breakers, times: u32) {
        (0..times).for_each(|_| {
            breakers.admit(SOURCE).unwrap().ended(Some(Kind::Unavailable));
        });
    }

    #[tokio::test(start_paused = true)]
    async fn five_failures_in_a_row_open_it_and_one_success_closes_it() {
        let breakers = Breakers::default();
        fails(&breakers, 4);
        breakers.admit(SOURCE).unwrap().ended(None);
        fails(&breakers, 5);
        let refused = breakers.admit(SOURCE).unwrap_err();
        assert_eq!(refused.until - Instant::now(), FIRST_REST);
        let message = refused.error.message();
        assert!(
            message.starts_with("s3://landing failed 5 times in a row and is not asked again before "),
            "{message}"
        );
        assert!(breakers.admit("another").is_ok());
        tokio::time::advance(FIRST_REST).await;
        let probe = breakers.admit(SOURCE).unwrap();
        assert!(breakers.admit(SOURCE).is_err());
        probe.ended(None);
        fails(&breakers, 4);
        assert!(breakers.admit(SOURCE).is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn each_rest_is_twice_as_long_up_to_a_limit() {
        let breakers = Breakers::default();
        fails(&breakers, 5);
        for seconds in [30, 60, 120, 240, 300, 300] {
            let rest = breakers.admit(SOURCE).unwrap_err().until - Instant::now();
            assert_eq!(rest, Duration::from_secs(seconds));
            tokio::time::advance(rest).await;
            fails(&breakers, 1);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_probe_that_says_nothing_leaves_its_place_to_another() {
        let breakers = Breakers::default();
        fails(&breakers, 5);
        tokio::time::advance(FIRST_REST).await;
        drop(breakers.admit(SOURCE).unwrap());
        breakers.admit(SOURCE).unwrap().ended(Some(Kind::Stopped));
        breakers.admit(SOURCE).unwrap().ended(None);
        fails(&breakers, 4);
    }

    /// Something that happens to a source.
    #[derive(Debug, Clone)]
    enum Step {
        Begin,
        /// One of those that are on their way ends.
        End(usize, Option<Kind>),
        Drop(usize),
        Wait(u64),
    }

    fn step() -> impl Strategy<Value = Step> {
        let kind = prop_oneof![
            4 => Just(Some(Kind::Unavailable)),
            1 => Just(None),
            1 => Just(Some(Kind::Conflict)),
            1 => Just(Some(Kind::Data)),
        ];
        prop_oneof![
            4 => Just(Step::Begin),
            4 => (0..8usize, kind).prop_map(|(index, kind)| Step::End(index, kind)),
            1 => (0..8usize).prop_map(Step::Drop),
            2 => (0..400u64).prop_map(Step::Wait),
        ]
    }

    fn is_open(breakers: &Breakers) -> bool {
        breakers.lock().sources.get(SOURCE).is_some_and(|breaker| breaker.rests_until.is_some())
    }

    proptest! {
        #[test]
        fn an_open_one_lets_one_probe_through_and_a_success_always_closes_it(
            steps in prop::collection::vec(step(), 0..120),
        ) {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
            runtime.block_on(async {
                let breakers = Breakers::default();
                // Each with whether it was let through since the breaker opened.
                let mut going: Vec<(Pass, bool)> = Vec::new();
                for step in steps {
                    let was_open = is_open(&breakers);
                    match step {
                        Step::Begin => {
                            let admitted = breakers.admit(SOURCE);
                            prop_assert!(was_open || admitted.is_ok());
                            going.extend(admitted.map(|pass| (pass, was_open)));
                        }
                        Step::End(index, kind) if index < going.len() => {
                            let until = going.remove(index).0.ended(kind);
                            prop_assert!(until.is_none_or(|until| until <= Instant::now() + LONGEST_REST));
                            prop_assert!(kind.is_some() || breakers.admit(SOURCE).unwrap().probe.is_none());
                        }
                        Step::Drop(index) if index < going.len() => drop(going.remove(index)),
                        Step::Wait(seconds) => tokio::time::advance(Duration::from_secs(seconds)).await,
                        _ => {}
                    }
                    if !is_open(&breakers) {
                        going.iter_mut().for_each(|(_, is_probe)| *is_probe = false);
                    }
                    prop_assert!(going.iter().filter(|(_, is_probe)| *is_probe).count() <= 1);
                }
                going.clear();
                tokio::time::advance(LONGEST_REST).await;
                breakers.admit(SOURCE).unwrap().ended(None);
                prop_assert!(!is_open(&breakers));
                Ok(())
            })?;
        }
    }
}
