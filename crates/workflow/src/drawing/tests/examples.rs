//! Pictures of several sizes.

use crate::drawing::{Edge, Node, Picture};

/// A node in a plan, or with `state` in a run; `detail` is split at slashes.
pub(super) fn node(key: &str, label: &str, state: &str, detail: &str) -> Node {
    let parts = |text: &str| text.split('/').map(|part| part.trim().to_owned()).collect();
    Node {
        key: key.to_owned(),
        label: Some(label).filter(|label| !label.is_empty()).map(str::to_owned).into_iter().collect(),
        state: Some(state).filter(|state| !state.is_empty()).map(str::to_owned),
        detail: parts(detail),
    }
}

/// `from -> to`, or `from -> to: label`.
pub(super) fn edges(list: &[&str]) -> Vec<Edge> {
    let edge = |text: &&str| {
        let (ends, label) = text.split_once(": ").map_or((*text, None), |(ends, label)| (ends, Some(label)));
        let (from, to) = ends.split_once(" -> ").unwrap();
        Edge { from: from.to_owned(), to: to.to_owned(), label: label.map(str::to_owned) }
    };
    list.iter().map(edge).collect()
}

/// A plan of three layers.
pub(super) fn small() -> Picture {
    Picture {
        title: "behavior".to_owned(),
        nodes: vec![
            node("bronze", "All landing folders", "", ""),
            node("silver", "Customers and products first, then the events that look them up", "", ""),
            node("gold", "KPIs, products, segments, funnel, reviews", "", ""),
        ],
        edges: edges(&["bronze -> silver", "silver -> gold"]),
    }
}

/// A run of twelve tasks in progress, with a condition, a retry and a failure.
pub(super) fn medium() -> Picture {
    Picture {
        title: "shop, run 42".to_owned(),
        nodes: vec![
            node("bronze_orders", "New files of orders", "SUCCESS", "1,204,113 rows / 4.2 s"),
            node("bronze_customers", "New files of customers", "SUCCESS", "18,220 rows / 0.9 s"),
            node("bronze_clicks", "Topic of clicks", "SUCCESS", "9,800,421 rows / 21.0 s"),
            node("silver_orders", "Typed, checked, each order once", "SUCCESS", "1,204,001 rows / 6.1 s"),
            node("silver_customers", "Typed, history kept", "SUCCESS", "18,220 rows / 1.3 s"),
            node("silver_clicks", "Typed, sessions", "RUNNING", "4,100,000 rows / 11.4 s"),
            node("is_month_end", "Day of month is the last", "SUCCESS", "true / 0.0 s"),
            node("gold_revenue", "Revenue by day and country", "WAITING_FOR_RETRY", "/ 2.0 s / attempt 2"),
            node("gold_segments", "Segments of customers", "FAILED", "/ 0.4 s"),
            node("gold_funnel", "From click to order", "BLOCKED", ""),
            node("monthly_report", "Mail to finance", "UPSTREAM_FAILED", ""),
            node("optimize", "Compact all tables", "EXCLUDED", ""),
        ],
        edges: edges(&[
            "bronze_orders -> silver_orders",
            "bronze_customers -> silver_customers",
            "bronze_clicks -> silver_clicks",
            "silver_customers -> silver_orders",
            "silver_orders -> gold_revenue",
            "silver_orders -> gold_segments",
            "silver_customers -> gold_segments",
            "silver_clicks -> gold_funnel",
            "silver_orders -> gold_funnel",
            "gold_revenue -> monthly_report",
            "gold_segments -> monthly_report",
            "is_month_end -> monthly_report: true",
            "is_month_end -> optimize: false",
        ]),
    }
}

/// A plan of sixty tasks: many tables in three layers, exports behind some of them, and tasks that stand alone.
pub(super) fn wide() -> Picture {
    layered("warehouse", 60)
}

/// A plan of so many tasks, shaped as warehouses are: about a third bronze, a third silver, the rest gold, exports and
/// maintenance.
pub(super) fn layered(title: &str, tasks: usize) -> Picture {
    let third = tasks / 3;
    let mut picture = Picture { title: title.to_owned(), ..Picture::default() };
    let mut add = |key: String, label: String, from: Vec<String>| {
        picture.edges.extend(from.into_iter().map(|from| Edge { from, to: key.clone(), label: None }));
        picture.nodes.push(Node { key, label: vec![label], ..Node::default() });
    };
    for n in 0..third {
        add(format!("bronze_{n:02}"), format!("Files of source {n}"), Vec::new());
    }
    for n in 0..third {
        let lookup = (n % 4 == 3).then(|| format!("silver_{:02}", n - 3));
        let from = std::iter::once(format!("bronze_{n:02}")).chain(lookup).collect();
        add(format!("silver_{n:02}"), "Typed, checked, each row once".to_owned(), from);
    }
    for n in 0..tasks - 2 * third {
        match n % 10 {
            8 => add(format!("export_{n:02}"), "To the shop".to_owned(), vec![format!("gold_{:02}", n - 3)]),
            9 => add(format!("vacuum_{n:02}"), "Old files".to_owned(), Vec::new()),
            _ => {
                let from = [n, (n * 7 + 3) % third].map(|n| format!("silver_{:02}", n % third)).into();
                add(format!("gold_{n:02}"), "By day and country".to_owned(), from);
            }
        }
    }
    picture
}
