//! How commits and opening fare after thousands of commits. Not a test of behaviour: run it by name, and read what it
//! prints.

use std::time::{Duration, Instant};

use super::super::{CompactionSettings, clean_log, compact};
use super::shelf::{Shelf, later, row};
use crate::{Operation, ledger};

const COMMITS: i64 = 5_000;
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes and prints times"]
async fn times_of_commits_and_of_opening() {
    for every in [None, Some(300)] {
        let shelf = Shelf::new(&[]);
        let settings =
            CompactionSettings { target_file_size: 128 << 20, minimum_files: 8, minimum_age: Duration::ZERO };
        let mut table = shelf.open().await;
        let mut times = Vec::new();
        for number in 0..COMMITS {
            let add = shelf.staged(&table, &[row(number)]).await;
            let commit = shelf.commit(Operation::Append, "", add, Vec::new());
            let begun = Instant::now();
            table.commit(commit).await.unwrap();
            times.push(begun.elapsed());
            if every.is_some_and(|every| number % every == every - 1) {
                compact(&shelf.lake(), &shelf.name, &settings, later(DAY)).await.unwrap();
                table.refresh().await.unwrap();
            }
        }
        report(&format!("compaction every {every:?}, {} files", table.files().await.unwrap().len()), &times);
        open("open", &shelf).await;
        ledger::roll_system(&shelf.lake(), "shop", std::slice::from_ref(&shelf.name)).await.unwrap();
        let begun = Instant::now();
        let cleaned = clean_log(&shelf.lake(), &shelf.name, 7 * DAY, None, later(8 * DAY)).await.unwrap();
        told(&format!("clean log, {} files in {:?}", cleaned.files, begun.elapsed()));
        open("open after it", &shelf).await;
    }
}

async fn open(what: &str, shelf: &Shelf) {
    let begun = Instant::now();
    let table = shelf.open().await;
    told(&format!("{what} version {:?}: {:?}", table.version(), begun.elapsed()));
}

fn report(what: &str, times: &[Duration]) {
    for (when, part) in [("first", &times[..500]), ("last", &times[times.len() - 500..])] {
        let mut part = part.to_vec();
        part.sort();
        let (median, worst) = (part[part.len() / 2], part[part.len() - 1]);
        told(&format!("{what}: {when} 500 commits: median {median:?}, worst {worst:?}"));
    }
}

fn told(line: &str) {
    println!("{line}");
}
