//! Lakes that fail: no server, no rights, no space, tables that someone else altered.

use std::process::Command;

use crate::place::Place;
use crate::project::Project;
use crate::{s3, shop};

/// Runs `run shop` on S3 with one variable of the environment changed.
fn run_with(name: &str, value: &str) -> crate::project::Ended {
    let project = shop::project(Place::S3);
    project.land("orders/1.json", shop::orders(1..3));
    let mut command = project.command(&["run", "shop"]);
    command.env(name, value);
    crate::project::Ended::of(command.output().unwrap())
}

#[test]
fn a_wrong_secret_is_told_and_not_tried_again() {
    let ended = run_with("AWS_SECRET_ACCESS_KEY", "wrong").check_failed(2, "check AWS_SECRET_ACCESS_KEY");
    assert!(!ended.err.contains("wrong\"") && !ended.err.contains(s3::SECRET_KEY), "{}", ended.err);
}

#[test]
fn an_unknown_access_key_is_told_in_one_line_with_the_bucket_and_what_to_set() {
    let ended = run_with("AWS_ACCESS_KEY_ID", "nobody").check_failed(2, "refused the credentials");
    let told: Vec<&str> = ended.err.lines().filter(|line| line.contains("bucket")).collect();
    assert_eq!(told.len(), 1, "{ended:#?}");
    assert!(told[0].contains("check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"), "{ended:#?}");
    assert!(told[0].contains("bucket `bucket-") && told[0].contains("at http://127.0.0.1:"), "{ended:#?}");
    assert!(!told[0].contains('<'), "{ended:#?}");
}

#[test]
fn a_server_that_is_not_there_is_worth_another_try() {
    let address = format!("http://{}", s3::free_address());
    run_with("AWS_ENDPOINT_URL", &address).check_failed(75, "the server does not answer");
}

#[test]
fn a_bucket_that_is_not_there_is_named() {
    let project = shop::project(Place::S3);
    project.land("orders/1.json", shop::orders(1..3));
    let ended = project.run(&["run", "shop", "--var", "lake=s3://no-such-bucket/lake"]);
    ended.check_failed(2, "the bucket does not exist");
}

fn filled() -> Project {
    let project = shop::project(Place::Folder);
    project.land("orders/1.json", shop::orders(1..=3));
    project.succeed(&["run", "shop"]);
    project
}

#[test]
fn a_data_file_that_is_gone_is_named_and_nothing_is_built_on_its_absence() {
    let project = filled();
    for action in project.log("shop.bronze.orders").concat() {
        if let Some(path) = action["add"]["path"].as_str() {
            std::fs::remove_file(project.table("shop.bronze.orders").join(path)).unwrap();
        }
    }
    let before = project.log("shop.silver.orders").len();
    let ended = project.fail(&["silver", "silver.orders", "--full-refresh"], 1, "has lost its data file part-");
    let told = ended.err.lines().find(|line| line.contains("part-")).unwrap();
    assert_eq!((told.matches("part-").count(), told.matches("shop.bronze.orders").count()), (1, 1), "{told}");
    assert!(told.contains("put it back, or read the landing files again"), "{told}");
    assert_eq!((project.log("shop.silver.orders").len(), project.count("shop.silver.orders")), (before, 3));
}

#[test]
fn a_table_that_lost_a_data_file_is_rebuilt_as_the_message_says() {
    let project = filled();
    for action in project.log("shop.silver.orders").concat() {
        if let Some(path) = action["add"]["path"].as_str() {
            std::fs::remove_file(project.table("shop.silver.orders").join(path)).unwrap();
        }
    }
    let remedy = "rebuild the table with `medallion silver shop.silver.orders --full-refresh`";
    project.fail(&["gold", "gold.spent", "--full-refresh"], 1, remedy);
    project.fail(&["query", "SELECT * FROM shop.silver.orders"], 1, remedy);
    project.succeed(&["silver", "shop.silver.orders", "--full-refresh"]);
    assert_eq!(project.count("shop.silver.orders"), 3);
}

#[test]
fn an_upstream_that_was_created_anew_is_refused_until_a_full_refresh() {
    let project = filled();
    std::fs::remove_dir_all(project.table("shop.bronze.orders")).unwrap();
    project.land("orders/2.json", shop::orders(4..=5));
    project.succeed(&["bronze", "bronze.orders"]);
    let read_again = project.count("shop.bronze.orders");
    project.fail(
        &["silver", "silver.orders"],
        1,
        "was created anew since shop.silver.orders last read it; run with --full-refresh",
    );
    project.succeed(&["silver", "silver.orders", "--full-refresh"]);
    assert_eq!((read_again, project.count("shop.silver.orders")), (5, 5));
}

#[test]
fn a_log_that_does_not_parse_is_named() {
    let project = filled();
    let log = project.table("shop.silver.orders").join("_delta_log/00000000000000000000.json");
    std::fs::write(log, "{\"add\": \n").unwrap();
    project.land("orders/2.json", shop::orders(4..=5));
    project.fail(&["silver", "silver.orders"], 1, "shop.silver.orders");
}

/// A small file system in memory, unmounted at the end.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount() -> Option<SmallDisk> {
        let folder = tempfile::tempdir().unwrap();
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=3m", "tmpfs"]).arg(folder.path()).output();
        mounted.is_ok_and(|output| output.status.success()).then(|| SmallDisk(folder))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Nothing more can be done when it cannot be unmounted.
        let _ = Command::new("umount").arg(self.0.path()).status();
    }
}

#[test]
fn a_full_disk_is_told_and_after_making_room_the_run_completes() {
    let Some(disk) = SmallDisk::mount() else {
        println!("skipped: a tmpfs cannot be mounted here");
        return;
    };
    let project = shop::project(Place::Folder);
    let mut random = fastrand::Rng::with_seed(1);
    let mut text = String::new();
    for id in 0..40_000 {
        let noise: String = std::iter::repeat_with(|| random.alphanumeric()).take(120).collect();
        text.push_str(&format!(
            "{{\"id\":{id},\"customer\":\"{noise}\",\"amount\":1.00,\"at\":\"2024-03-01T10:00:00Z\"}}\n"
        ));
    }
    project.land("orders/1.json", text);
    let lake = format!("lake={}", disk.0.path().display());
    let arguments = ["run", "shop", "--var", &lake];
    project.fail(&arguments, 75, "the disk is full; free space and run again");
    let grown = Command::new("mount").args(["-o", "remount,size=60m"]).arg(disk.0.path()).status().unwrap();
    assert!(grown.success());
    project.succeed(&arguments);
    let count = ["query", "SELECT COUNT(*) AS n FROM shop.silver.orders", "--output", "csv", "--var", &lake];
    assert_eq!(project.succeed(&count).out, "n\n40000\n");
}
