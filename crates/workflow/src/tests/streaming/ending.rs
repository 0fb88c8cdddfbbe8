//! How a stream is stopped.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use stage::{Error, Kind};
use tokio::time::Instant;

use super::tables::{SECOND, Tables, arrival, committed};
use crate::ResultState::{Canceled, Success};
use crate::STOPPING_TIME;
use crate::stream::TableState::{Retrying, Stopped};
use crate::tests::fakes::{fails, script, until_stopped};

#[tokio::test(start_paused = true)]
async fn an_open_batch_is_finished_and_no_other_begins() {
    let mut tables = Tables::new();
    let works = script(|calls, context| async move {
        tokio::time::sleep(5 * SECOND).await;
        context.check()?;
        Ok(committed(calls as u64, 1))
    });
    tables.table("a", &[], works, arrival(|_| std::future::pending()));
    tables.follower("b", "a", SECOND);
    let (going, counts) = tables.start();
    going.after(6 * SECOND).await;
    let started = Instant::now();
    let status = Arc::clone(&going.status);
    let outcome = going.stop().await;
    assert!((3.9..4.1).contains(&started.elapsed().as_secs_f64()), "{:?}", started.elapsed());
    assert_eq!((outcome.state, outcome.exit_code(), outcome.tables[0].progress.rows_written), (Success, 0, 2));
    assert_eq!(counts.advances("a"), 2);
    assert!(status.is_stopping() && !status.is_ready());
    assert!(status.tables().iter().all(|table| table.state == Stopped));
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_takes_too_long_is_told_to_stop_and_one_that_does_not_is_dropped() {
    struct Flag(Arc<AtomicBool>);
    impl Drop for Flag {
        fn drop(&mut self) {
            self.0.store(true, Ordering::SeqCst);
        }
    }
    let dropped: Arc<AtomicBool> = Arc::default();
    let seen = Arc::clone(&dropped);
    let mut tables = Tables::new();
    tables.table("obeys", &[], until_stopped(), arrival(|_| std::future::pending()));
    let stubborn = script(move |_, _| {
        let flag = Flag(Arc::clone(&seen));
        async move {
            let _flag = flag;
            std::future::pending().await
        }
    });
    tables.table("stubborn", &[], stubborn, arrival(|_| std::future::pending()));
    let (going, _) = tables.start();
    going.after(SECOND).await;
    let started = Instant::now();
    let outcome = going.stop().await;
    assert!(started.elapsed() <= STOPPING_TIME && dropped.load(Ordering::SeqCst), "{:?}", started.elapsed());
    assert!(outcome.tables.iter().all(|table| table.state == Canceled));
    assert!(outcome.tables.iter().all(|table| table.error.as_ref().map(Error::kind) == Some(Kind::Stopped)));
    assert_eq!(outcome.exit_code(), 0);
}

#[tokio::test(start_paused = true)]
async fn waiting_for_the_next_try_ends_at_once() {
    let mut tables = Tables::new();
    tables.table("a", &[], fails(Kind::Unavailable, 1000), arrival(|_| std::future::pending()));
    let (going, _) = tables.start();
    going.after(20 * SECOND).await;
    assert_eq!(going.of("a").state, Retrying);
    let started = Instant::now();
    let outcome = going.stop().await;
    assert_eq!((started.elapsed().as_millis(), outcome.exit_code(), outcome.tables[0].state), (0, 0, Canceled));
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_stopped_before_it_begins_advances_nothing() {
    let mut tables = Tables::new();
    tables.source("a");
    let (going, counts) = tables.start();
    let outcome = going.stop().await;
    assert_eq!((outcome.state, counts.advances("a")), (Success, 0));
}

#[tokio::test(start_paused = true)]
async fn a_commit_that_is_being_made_is_not_broken_off() {
    let mut tables = Tables::new();
    let commits = script(|_, context| async move {
        context.cancellation.cancelled().await;
        let _committing = context.meter.begin_commit();
        tokio::time::sleep(6 * SECOND).await;
        Ok(committed(0, 5))
    });
    tables.table("a", &[], commits, arrival(|_| std::future::pending()));
    tables.table("b", &[], until_stopped(), arrival(|_| std::future::pending()));
    let (going, _) = tables.start();
    going.after(SECOND).await;
    let outcome = going.stop().await;
    let states: Vec<_> = outcome.tables.iter().map(|table| (table.state, table.progress.rows_written)).collect();
    assert_eq!(states, [(Success, 5), (Canceled, 0)]);
}
