//! How one aggregate of a query is kept: what is stored of it for each group, how two of those become one, and how its value
//! is made from that.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::{Column, DFSchema, ScalarValue};
use datafusion::functions_aggregate::expr_fn::{count, sum};
use datafusion::functions_aggregate::sum::sum_udaf;
use datafusion::logical_expr::expr::{AggregateFunction, AggregateFunctionParams};
use datafusion::logical_expr::{AggregateUDF, Case, Cast, Expr, ExprSchemable as _, ScalarUDF, cast, lit};
use datafusion::prelude::{coalesce, ident};

use super::mean::MeanOf;
use super::numbering::Numbering;
use super::sets::{SetOf, SizeOf};
use crate::refusal::Refusal;

/// Digits of the whole numbers that a mean is made of: any 64-bit number fits.
const DIGITS_OF_A_NUMBER: u8 = 20;

/// Digits of decimals whose mean is made as the engine makes it.
const EXACT_DIGITS: u8 = 25;

/// One aggregate, and how it is kept.
#[derive(Debug, Clone)]
pub(super) struct KeptAggregate {
    function: AggregateFunction,
    kind: AggregateKind,
    /// The columns it is stored in.
    columns: Vec<String>,
}

#[derive(Debug, Clone)]
enum AggregateKind {
    /// The value is stored, and values are added.
    Count,
    /// The value is stored, and the function itself puts values together.
    Same,
    /// The sum of an exact argument and the count of its values.
    Sum { argument: Expr },
    /// The same, for their quotient.
    Mean { argument: Expr, to: DataType },
    /// The values as a set.
    Set,
    /// The value is stored and cannot be continued, for the reason.
    Value(Refusal),
}

impl KeptAggregate {
    /// How the aggregate at `place` of a node with the given input is kept.
    pub(super) fn of(expression: &Expr, place: usize, input: &DFSchema) -> Option<KeptAggregate> {
        match expression {
            Expr::Alias(alias) => KeptAggregate::of(&alias.expr, place, input),
            Expr::AggregateFunction(function) => {
                let kind = kind_of(function, input);
                let columns = match kind {
                    AggregateKind::Sum { .. } | AggregateKind::Mean { .. } => {
                        vec![format!("sum_{place}"), format!("count_{place}")]
                    }
                    _ => vec![format!("value_{place}")],
                };
                Some(KeptAggregate { function: function.clone(), kind, columns })
            }
            _ => None,
        }
    }

    /// Why the aggregate cannot take in more rows; `None` when it can.
    pub(super) fn refusal(&self) -> Option<&Refusal> {
        match &self.kind {
            AggregateKind::Value(refusal) => Some(refusal),
            _ => None,
        }
    }

    /// Whether rows can be taken out of it again.
    pub(super) fn can_shrink(&self) -> bool {
        matches!(self.kind, AggregateKind::Count | AggregateKind::Sum { .. } | AggregateKind::Mean { .. })
    }

    /// The columns of its input that it is made from.
    pub(super) fn reads(&self) -> Vec<Expr> {
        let AggregateFunctionParams { args, filter, order_by, .. } = &self.function.params;
        let filter = filter.iter().map(|filter| filter.as_ref());
        let order = order_by.iter().map(|sort| &sort.expr);
        args.iter().chain(filter).chain(order).flat_map(columns_in).collect()
    }

    /// Whether it needs values to be numbered.
    pub(super) fn is_set(&self) -> bool {
        matches!(self.kind, AggregateKind::Set)
    }

    /// What is stored, made from rows.
    pub(super) fn made(&self, numbering: &Numbering) -> Vec<Expr> {
        let made = match &self.kind {
            AggregateKind::Count | AggregateKind::Same | AggregateKind::Value(_) => {
                vec![Expr::AggregateFunction(self.function.clone())]
            }
            AggregateKind::Sum { argument } | AggregateKind::Mean { argument, .. } => {
                vec![self.over(sum_udaf(), argument.clone()), self.over(self.counting(), argument.clone())]
            }
            AggregateKind::Set => {
                let set_of = Arc::new(AggregateUDF::from(SetOf::values(numbering.clone())));
                vec![self.over(set_of, self.argument())]
            }
        };
        self.named(made)
    }

    /// What is stored, put together from what two of it stored.
    pub(super) fn merged(&self) -> Vec<Expr> {
        let stored = |place: usize| ident(self.columns.get(place).map(String::as_str).unwrap_or_default());
        let merged = match &self.kind {
            AggregateKind::Count => vec![sum(stored(0))],
            AggregateKind::Sum { .. } | AggregateKind::Mean { .. } => vec![sum(stored(0)), sum(stored(1))],
            AggregateKind::Same | AggregateKind::Value(_) => {
                vec![aggregate_of(self.function.func.clone(), vec![stored(0)], None)]
            }
            AggregateKind::Set => {
                vec![aggregate_of(Arc::new(AggregateUDF::from(SetOf::sets())), vec![stored(0)], None)]
            }
        };
        self.named(merged)
    }

    /// The value of the aggregate, of its type, made from what is stored.
    pub(super) fn value(&self, data_type: &DataType) -> Expr {
        let stored = |place: usize| ident(self.columns.get(place).map(String::as_str).unwrap_or_default());
        match &self.kind {
            // A count is never null, and what reads it relies on that.
            AggregateKind::Count => coalesce(vec![stored(0), lit(0_i64)]),
            AggregateKind::Same | AggregateKind::Value(_) if self.function.func.is_nullable() => {
                cast(stored(0), data_type.clone())
            }
            AggregateKind::Same | AggregateKind::Value(_) => {
                let empty = ScalarValue::new_default(data_type).map(lit).unwrap_or_else(|_| lit(ScalarValue::Null));
                coalesce(vec![cast(stored(0), data_type.clone()), cast(empty, data_type.clone())])
            }
            // The sum of no values is null, not zero.
            AggregateKind::Sum { .. } => {
                nullif(lit(0_i64).eq(stored(1)), cast(stored(0), data_type.clone()), data_type)
            }
            AggregateKind::Mean { to, .. } => ScalarUDF::from(MeanOf::new(to.clone())).call(vec![stored(0), stored(1)]),
            AggregateKind::Set => coalesce(vec![ScalarUDF::from(SizeOf::new()).call(vec![stored(0)]), lit(0_i64)]),
        }
    }

    fn argument(&self) -> Expr {
        self.function.params.args.first().cloned().unwrap_or_else(|| lit(ScalarValue::Null))
    }

    /// Another function over an argument, with the same filter.
    fn over(&self, function: Arc<AggregateUDF>, argument: Expr) -> Expr {
        aggregate_of(function, vec![argument], self.function.params.filter.clone())
    }

    fn counting(&self) -> Arc<AggregateUDF> {
        match count(lit(1)) {
            Expr::AggregateFunction(function) => function.func,
            _ => sum_udaf(),
        }
    }

    fn named(&self, expressions: Vec<Expr>) -> Vec<Expr> {
        expressions.into_iter().zip(&self.columns).map(|(expression, name)| expression.alias(name)).collect()
    }
}

fn aggregate_of(function: Arc<AggregateUDF>, arguments: Vec<Expr>, filter: Option<Box<Expr>>) -> Expr {
    Expr::AggregateFunction(AggregateFunction::new_udf(function, arguments, false, filter, Vec::new(), None))
}

fn kind_of(function: &AggregateFunction, input: &DFSchema) -> AggregateKind {
    let AggregateFunctionParams { args, distinct, order_by, null_treatment, .. } = &function.params;
    let name = function.func.name();
    let types: Option<Vec<DataType>> = args.iter().map(|argument| argument.get_type(input).ok()).collect();
    let Some(types) = types.filter(|_| order_by.is_empty() && null_treatment.is_none()) else {
        return AggregateKind::Value(Refusal::new(
            "aggregate",
            format!("{name} cannot be continued from what it gave"),
        ));
    };
    let is_float = types.iter().any(|of| of.is_floating());
    match (name, args.as_slice(), types.as_slice()) {
        ("count", [_], [of]) if *distinct && has_one_form(of) => AggregateKind::Set,
        ("min" | "max" | "bool_and" | "bool_or" | "bit_and" | "bit_or", _, _) => AggregateKind::Same,
        _ if *distinct => AggregateKind::Value(Refusal::new(
            "aggregate",
            format!("{name}(DISTINCT) cannot be continued from what it gave"),
        )),
        ("count", _, _) => AggregateKind::Count,
        ("sum" | "avg", [argument], [of]) => match exact(name, argument, of, input) {
            Some(kind) => kind,
            None if is_float => AggregateKind::Value(Refusal::new(
                "floating_point",
                "a sum of floating-point numbers depends on their order",
            )),
            None => AggregateKind::Value(Refusal::new(
                "aggregate",
                format!("{name} of {of} cannot be continued from what it gave"),
            )),
        },
        _ => AggregateKind::Value(Refusal::new("aggregate", format!("{name} cannot be continued from what it gave"))),
    }
}

/// Sums that do not depend on the order of their rows.
fn exact(name: &str, argument: &Expr, of: &DataType, input: &DFSchema) -> Option<AggregateKind> {
    match (name, of) {
        ("sum", of) if of.is_integer() || matches!(of, DataType::Decimal128(..)) => {
            Some(AggregateKind::Sum { argument: argument.clone() })
        }
        // The engine sums wider ones in more bits than a stored sum has.
        ("avg", DataType::Decimal128(precision, scale)) if *precision <= EXACT_DIGITS => {
            let to = DataType::Decimal128((precision + 4).min(38), (scale + 4).min(38));
            Some(AggregateKind::Mean { argument: argument.clone(), to })
        }
        // The engine makes whole numbers doubles before it takes their mean.
        ("avg", DataType::Float64) => {
            let Expr::Cast(Cast { expr, .. }) = argument else { return None };
            let is_whole = expr.get_type(input).is_ok_and(|of| of.is_integer());
            let whole = DataType::Decimal128(DIGITS_OF_A_NUMBER, 0);
            let argument = cast(expr.as_ref().clone(), whole);
            is_whole.then_some(AggregateKind::Mean { argument, to: DataType::Float64 })
        }
        _ => None,
    }
}

/// Whether equal values have equal bytes. Floating-point numbers have two zeros.
fn has_one_form(of: &DataType) -> bool {
    of.is_integer()
        || of.is_temporal()
        || of.is_string()
        || matches!(of, DataType::Boolean | DataType::Decimal128(..) | DataType::Binary | DataType::BinaryView)
}

/// The columns that an expression reads.
pub(super) fn columns_in(expression: &Expr) -> Vec<Expr> {
    expression.column_refs().into_iter().cloned().map(Expr::Column).collect()
}

/// The value, or null where the condition holds.
fn nullif(condition: Expr, value: Expr, data_type: &DataType) -> Expr {
    let null = ScalarValue::try_from(data_type).unwrap_or(ScalarValue::Null);
    let cases = vec![(Box::new(condition), Box::new(lit(null)))];
    Expr::Case(Case { expr: None, when_then_expr: cases, else_expr: Some(Box::new(value)) })
}

/// The stored column that counts the rows of a group.
pub(super) const ROWS: &str = "rows";

/// The stored column at a place of the groups.
pub(super) fn group_column(place: usize) -> String {
    format!("group_{place}")
}

/// A column of a plan by its place.
pub(super) fn column_at(schema: &DFSchema, place: usize) -> Column {
    Column::from(schema.qualified_field(place))
}
