//! What is done when a run has ended, could not begin, or is left for the next scheduler.

use stage::{Error, Result};
use tokio_util::sync::CancellationToken;

use super::guard;
use super::launch::Ended;
use super::serve::{Keeper, broke_off};
use crate::schedule::Ending;
use crate::state::ResultState;

impl Keeper {
    /// Takes note of a run that has ended.
    pub(super) async fn ended(&mut self, ended: Result<Ended>) {
        let Ended { number, workflow, parameters, started, result } = match ended {
            Ok(ended) => ended,
            Err(error) => return self.shared.trouble(None, &error),
        };
        guard(&self.shared.running).remove(&number);
        let ending = match &result {
            Ok(state) if state.is_success() || *state == ResultState::Canceled => Ending::Well,
            _ => Ending::Failed,
        };
        if let Err(error) = result {
            self.shared.trouble(Some(&workflow), &error);
            if self.not_begun(number, &workflow, &error).await {
                self.shared.tell_failed(number, &workflow, parameters);
            }
        }
        let now = self.shared.clock.now();
        let claim = self.entries.get_mut(&workflow).and_then(|entry| entry.ended(ending, started, now));
        if let Some(claim) = claim
            && let Err(error) = self.claim_or_forget(claim).await
        {
            self.shared.trouble(Some(&workflow), &error);
        }
    }

    /// Sees to a run that may still wait for its turn, since it could not begin: it goes on waiting when the reason may
    /// pass, and has failed when it does not, since it must not be tried for ever. Returns whether it has.
    async fn not_begun(&mut self, number: i64, workflow: &str, error: &Error) -> bool {
        // Forgotten in the next round when it does not wait.
        self.held_back.hold(number);
        if error.kind().is_transient() {
            return false;
        }
        let ended = self.shared.history.end_queued(number, ResultState::Failed, error.chain()).await;
        ended.unwrap_or_else(|error| {
            self.shared.trouble(Some(workflow), &error);
            false
        })
    }

    /// Stops what is going and leaves it for the next scheduler.
    pub(super) async fn leave(mut self) -> Result<()> {
        let going: Vec<(i64, CancellationToken)> = guard(&self.shared.running)
            .iter()
            .filter(|(_, running)| !running.cancellation.is_cancelled())
            .map(|(number, running)| (*number, running.cancellation.clone()))
            .collect();
        for (number, cancellation) in going {
            if self.shared.history.leave(number).await? {
                self.shared.leave(number);
            }
            cancellation.cancel();
        }
        self.looks.abort_all();
        while let Some(ended) = self.runs.join_next().await {
            self.ended(ended.map_err(broke_off)).await;
        }
        Ok(())
    }
}
