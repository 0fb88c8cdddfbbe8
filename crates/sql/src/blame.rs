//! Which expression of a query an error without a position is about.
//!
//! The planner says that a string and a list cannot be compared, and not where. So every expression is replaced by NULL
//! in turn: those without which the error is gone are to blame. It costs a plan per expression, and only when a query
//! is wrong.

use std::ops::ControlFlow;

use datafusion::execution::session_state::SessionState;
use datafusion::sql::parser::Statement as Parsed;
use datafusion::sql::sqlparser::ast::{Expr, Spanned, Statement, Value, VisitMut, VisitorMut};
use datafusion::sql::sqlparser::tokenizer::{Location, Span};

/// Queries with more expressions than this are not searched.
const MOST_EXPRESSIONS: usize = 300;

/// Where the expression begins without which planning does not fail with `message`; the smallest if they are nested.
pub(crate) async fn blame(state: &SessionState, statement: &Statement, message: &str) -> Option<Location> {
    let mut guilty: Vec<Found> = Vec::new();
    for index in 0..MOST_EXPRESSIONS {
        let mut changed = statement.clone();
        let mut walk = Replace { index, seen: 0, depth: 0, found: None };
        let _ = VisitMut::visit(&mut changed, &mut walk);
        let Some(found) = walk.found else {
            break;
        };
        if failure(state, changed).await.as_deref() != Some(message) {
            guilty.push(found);
        }
    }
    smallest(&guilty).map(|found| found.span.start)
}

/// What planning fails with, types included.
pub(crate) async fn failure(state: &SessionState, statement: Statement) -> Option<String> {
    let planned = state.statement_to_plan(Parsed::Statement(Box::new(statement))).await;
    let checked = planned.and_then(|plan| state.analyzer().execute_and_check(plan, state.config_options(), |_, _| {}));
    checked.err().map(|error| error.find_root().to_string())
}

/// An expression that was replaced.
#[derive(Clone, Copy)]
struct Found {
    depth: usize,
    span: Span,
}

/// Follows the nesting down as long as there is only one way: two guilty operands blame what holds them together.
fn smallest(guilty: &[Found]) -> Option<Found> {
    let (mut smallest, rest) = guilty.split_first()?;
    let mut rest = rest;
    while let Some((next, after)) = rest.split_first() {
        let has_sibling = after.iter().any(|other| other.depth <= next.depth);
        if next.depth <= smallest.depth || has_sibling {
            break;
        }
        (smallest, rest) = (next, after);
    }
    Some(*smallest)
}

/// Replaces one expression by NULL: that with the given number, counted from the outside in and from left to right.
struct Replace {
    index: usize,
    seen: usize,
    depth: usize,
    found: Option<Found>,
}

impl VisitorMut for Replace {
    type Break = ();

    fn pre_visit_expr(&mut self, expression: &mut Expr) -> ControlFlow<()> {
        self.depth += 1;
        if self.seen == self.index {
            let span = expression.span();
            // Without a span there is nothing to point at; the expression stays and is not to blame.
            if span != Span::empty() {
                *expression = Expr::Value(Value::Null.with_span(span));
            }
            self.found = Some(Found { depth: self.depth, span });
        }
        self.seen += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, _expression: &mut Expr) -> ControlFlow<()> {
        self.depth -= 1;
        ControlFlow::Continue(())
    }
}
