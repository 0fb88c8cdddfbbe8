//! Trying again when the other side does not answer, with growing delays, and giving up after about a minute.

use std::time::Duration;

use stage::{Error, Result};

/// How often and how patiently one notice is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retries {
    /// How often at most, the first time included.
    pub tries: u32,
    /// The longest delay after the first try. It doubles with each further one, and a random half of it is left out.
    pub first_delay: Duration,
    /// The longest delay that a server can ask for.
    pub longest_delay: Duration,
    /// How long one try may take.
    pub time_limit: Duration,
}

impl Default for Retries {
    fn default() -> Self {
        Retries {
            tries: 5,
            first_delay: Duration::from_secs(4),
            longest_delay: Duration::from_secs(60),
            time_limit: Duration::from_secs(10),
        }
    }
}

/// Why a try failed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Trying again changes nothing.
    Final(Error),
    /// It may pass; the server may have said after how long.
    Passing(Error, Option<Duration>),
}

/// The tries of one notice so far.
pub(crate) struct Tries {
    retries: Retries,
    made: u32,
}

impl Tries {
    pub(crate) fn new(retries: Retries) -> Self {
        Tries { retries, made: 0 }
    }

    /// Waits until it is time for the next try.
    ///
    /// # Errors
    /// The failure, when there is to be no other.
    pub(crate) async fn wait_after(&mut self, failure: Failure) -> Result<()> {
        self.made += 1;
        let (error, asked) = match failure {
            Failure::Final(error) => return Err(error),
            Failure::Passing(error, asked) => (error, asked),
        };
        if self.made >= self.retries.tries {
            return Err(if self.made == 1 {
                error
            } else {
                error.context(format!("gave up after {} tries", self.made))
            });
        }
        let delay = self.delay().max(asked.unwrap_or_default().min(self.retries.longest_delay));
        tracing::debug!(error = error.chain(), ?delay, "a notice is tried again");
        tokio::time::sleep(delay).await;
        Ok(())
    }

    fn delay(&self) -> Duration {
        let doubled = 2u32.saturating_pow(self.made.saturating_sub(1).min(16));
        let whole = self.retries.first_delay.saturating_mul(doubled).min(self.retries.longest_delay);
        whole.mul_f64(0.5 + fastrand::f64() / 2.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stage::Kind;
    use tokio::time::Instant;

    fn passing(asked: Option<u64>) -> Failure {
        Failure::Passing(Error::unavailable("no answer"), asked.map(Duration::from_secs))
    }

    #[tokio::test(start_paused = true)]
    async fn delays_grow_and_end_after_about_a_minute() {
        let start = Instant::now();
        let mut tries = Tries::new(Retries::default());
        for whole in [4, 8, 16, 32] {
            let before = start.elapsed();
            tries.wait_after(passing(None)).await.unwrap();
            let waited = (start.elapsed() - before).as_secs_f64();
            assert!(waited >= f64::from(whole) / 2.0 && waited <= f64::from(whole) + 0.01, "{waited} of {whole}");
        }
        let error = tries.wait_after(passing(None)).await.unwrap_err();
        assert_eq!(error.chain(), "gave up after 5 tries: no answer");
        assert_eq!(error.kind(), Kind::Unavailable);
        assert!(start.elapsed() <= Duration::from_secs(61));
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_can_ask_for_a_longer_delay_up_to_a_limit() {
        let start = Instant::now();
        let mut tries = Tries::new(Retries::default());
        tries.wait_after(passing(Some(20))).await.unwrap();
        assert_eq!(start.elapsed().as_secs(), 20);
        tries.wait_after(passing(Some(86_400))).await.unwrap();
        assert_eq!(start.elapsed().as_secs(), 80);
    }

    #[tokio::test(start_paused = true)]
    async fn what_cannot_pass_is_told_at_once() {
        let start = Instant::now();
        let failure = Failure::Final(Error::config("the login was refused"));
        let error = Tries::new(Retries::default()).wait_after(failure).await.unwrap_err();
        assert_eq!((error.kind(), error.chain().as_str()), (Kind::Config, "the login was refused"));
        assert_eq!(start.elapsed(), Duration::ZERO);
    }
}
