//! `medallion test`: what tests of pipelines show, and how they tell what is different.

use serde_json::{Value, json};

use crate::place::Place;
use crate::project::{Project, repository};
use crate::shop;

const HEAD: &str = "now = \"2024-03-02T00:00:00Z\"\n";

/// The shop with one test.
fn with_test(test: &str) -> Project {
    shop::project(Place::Folder).with("pipelines/shop/tests/t.toml", &format!("{HEAD}{test}"))
}

fn given(ids: &[i64]) -> String {
    let rows: String = ids.iter().map(|id| shop::order(*id)).collect();
    format!("[given.bronze]\norders = '''\n{rows}'''\n")
}

#[test]
fn the_demo_pipelines_pass_their_tests_without_a_lake() {
    let settings = std::fs::read_to_string(repository().join("medallion.toml")).unwrap();
    let project = Project::new(Place::Folder).with("medallion.toml", &settings);
    let mut tests = 0;
    for pipeline in ["experiments", "behavior", "behavior_stream", "retail"] {
        let part = format!("pipelines/{pipeline}");
        crate::project::copy(&repository().join(&part), &project.path(&part));
        let written = std::fs::read_dir(project.path(&part).join("tests")).unwrap().count();
        assert!(written > 0, "{pipeline} has no test");
        tests += written;
    }
    let ended = project.succeed(&["test", "--output", "json"]).out;
    let told: Vec<Value> = serde_json::from_str(&ended).unwrap();
    assert_eq!(told.len(), tests);
    assert!(told.iter().all(|test| test["passed"] == json!(true)), "{ended}");
    assert!(!project.path("lake").exists());
    let one = project.succeed(&["test", "experiments/repeated_and_refused"]);
    assert!(one.err.contains("1 passed, 0 failed"), "{}", one.err);
}

#[test]
fn a_difference_is_told_with_its_place_and_both_values() {
    let expected =
        "[[expect.silver.orders]]\nid = 1\ncustomer = \"customer 2\"\n\n[[expect.gold.spent]]\ncustomer = \"nobody\"\n";
    let project = with_test(&format!("{}{expected}", given(&[1])));
    let ended = project.run(&["test", "shop"]);
    assert_eq!(ended.code, 1, "{ended:#?}");
    let told = [
        "FAILED shop/t",
        "pipelines/shop/tests/t.toml:6: shop.silver.orders: expected { id = 1, customer = \"customer 2\" }",
        "      customer: expected \"customer 2\", found \"customer 1\"",
        "pipelines/shop/tests/t.toml:10: shop.gold.spent: expected { customer = \"nobody\" }",
        "not expected: { customer = \"customer 1\" }",
    ];
    told.iter().for_each(|line| assert!(ended.out.contains(line), "{line}\n{}", ended.out));
    assert!(ended.err.contains("0 passed, 1 failed"), "{}", ended.err);
}

#[test]
fn a_crash_late_rows_and_several_batches_can_be_written_down() {
    let silver = "from = \"bronze.orders\"\nwatermark = { column = \"at\", delay = \"1h\" }\n[clean]\ncast = { at = \"timestamp\" }\n";
    let late = shop::order(3).replace("T10:", "T07:");
    let test = format!(
        "{}[[step]]\ncrash = \"after bronze.orders\"\n[step.given.bronze]\norders = '''\n{}'''\n\
         [[step]]\nnow = \"2024-03-03T00:00:00Z\"\n[step.given.bronze]\norders = '''\n{late}'''\n\
         [[expect.silver.orders]]\nid = 1\n[[expect.silver.orders]]\nid = 2\n[[rejects.silver.orders]]\nid = 3\nreasons = [\"late\"]\n",
        given(&[1]),
        shop::order(2),
    );
    let project = with_test(&test);
    project.write("pipelines/shop/silver/orders.toml", silver);
    project.succeed(&["test"]);
}

#[test]
fn mistakes_in_tests_are_found_by_check_and_stop_nothing_but_the_tests() {
    let test = "[given.bronze]\nordrs = []\n[[step]]\ncrsh = \"after silver.orders\"\ncrash = \"around noon\"\n";
    let project = with_test(test);
    let ended = project.run(&["check"]);
    assert_eq!(ended.code, 2);
    let told = [
        "t.toml:3:1: there is no table `bronze.ordrs` in the pipeline `shop`; nearest is `bronze.orders`",
        "unknown key `crsh`; nearest is `crash`",
        "expected `before <layer>.<table>` or `after <layer>.<table>`, found `around noon`",
        "the test expects nothing",
    ];
    told.iter().for_each(|line| assert!(ended.out.contains(line), "{line}\n{}", ended.out));
    project.fail(&["test"], 2, "t.toml");
    project.land("orders/1.json", shop::orders(1..3));
    project.succeed(&["run", "shop"]);
}

#[test]
fn a_failure_can_be_expected_and_one_that_is_not_is_told() {
    let rule = "[[expect]]\nname = \"small\"\nexpect = \"id < 5\"\non_fail = \"fail\"\n";
    let project = with_test(&format!("fails = \"violated `small`\"\n{}", given(&[1, 7])));
    project.write("pipelines/shop/silver/orders.toml", &format!("{}{rule}", shop::SILVER));
    project.succeed(&["test"]);
    project.write("pipelines/shop/silver/orders.toml", shop::SILVER);
    let ended = project.run(&["test"]);
    assert_eq!(ended.code, 1);
    assert!(
        ended.out.contains("t.toml:2: shop: expected an error that says `violated `small``, and all went well"),
        "{}",
        ended.out
    );
}

#[test]
fn rows_may_be_given_to_any_table_in_its_types() {
    let test = "[[given.silver.orders]]\nid = 1\ncustomer = \"a\"\namount = 1.5\nat = 2024-03-01T10:00:00Z\n\
        [[given.silver.orders]]\nid = 2\ncustomer = \"a\"\namount = \"2.25\"\n\
        [[expect.gold.spent]]\ncustomer = \"a\"\norders = 2\nspent = 3.75\n";
    with_test(test).succeed(&["test"]);
    let ended = with_test(&test.replace("amount = 1.5", "amont = 1.5")).run(&["test"]);
    assert!(ended.out.contains("there is no column `amont`; nearest is `amount`"), "{}", ended.out);
}
