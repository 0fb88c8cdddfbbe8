//! Clean steps checked against a schema and sorted by column. Every step concerns one column, so a checked spec is a list
//! of columns, each with where it comes from and what is done to it in the documented order.

use arrow::array::ArrayRef;
use arrow::datatypes::{DataType, Schema};
use stage::Problem;

use super::cast::Cast;
use super::literal::{literal, typed_text};
use super::names::unknown_column;
use super::text::TextStep;
use crate::bridge;
use crate::spec::{CastSpec, CleanSpec, TypeSpec};
use crate::types::{data_type, type_name};

/// One column after the steps, or one that is dropped by them.
#[derive(Debug, Clone)]
pub(super) struct Column {
    /// The name after flatten and rename.
    pub(super) name: String,
    /// The type after cast.
    pub(super) data_type: DataType,
    /// The column of the input.
    pub(super) source: usize,
    /// Which field of which struct it is, from the outside in; empty for a whole column.
    pub(super) path: Vec<usize>,
    /// What is done, in order.
    pub(super) steps: Vec<Step>,
    /// Whether the column goes in the end.
    pub(super) dropped: bool,
    /// The name before rename, for messages.
    was: String,
}

/// What is done to one column.
#[derive(Debug, Clone)]
pub(super) enum Step {
    /// Steps over text.
    Text(Vec<TextStep>),
    /// Single values that become null.
    NullIf(Vec<ArrayRef>),
    /// The cast, whose losses are counted under the name of this rule.
    Cast(String, Cast),
    /// The single value that replaces null.
    Fill(ArrayRef),
}

/// The columns after all steps, in order, or everything that is wrong with the spec.
pub(super) fn compile(spec: &CleanSpec, input: &Schema) -> Result<Vec<Column>, Vec<Problem>> {
    let mut compiler = Compiler { columns: Vec::new(), flattened: Vec::new(), problems: Vec::new() };
    for (source, field) in input.fields().iter().enumerate() {
        compiler.columns.push(Column {
            name: field.name().clone(),
            data_type: field.data_type().clone(),
            source,
            path: Vec::new(),
            steps: Vec::new(),
            dropped: false,
            was: field.name().clone(),
        });
    }
    compiler.flatten(&spec.flatten);
    compiler.rename(spec);
    compiler.text("trim", &spec.trim, TextStep::Trim);
    compiler.text("lower", &spec.lower, TextStep::Lower);
    compiler.text("upper", &spec.upper, TextStep::Upper);
    compiler.null_if(spec);
    compiler.cast(spec);
    compiler.fill(spec);
    for (index, name) in spec.deduplicate.iter().enumerate() {
        compiler.find(&format!("clean/deduplicate/{index}"), name);
    }
    compiler.drop(&spec.drop);
    if compiler.problems.is_empty() { Ok(compiler.columns) } else { Err(compiler.problems) }
}

struct Compiler {
    columns: Vec<Column>,
    flattened: Vec<String>,
    problems: Vec<Problem>,
}

impl Compiler {
    fn flatten(&mut self, names: &[String]) {
        for (index, name) in names.iter().enumerate() {
            let at = format!("clean/flatten/{index}");
            let Some(place) = self.find(&at, name) else { continue };
            let DataType::Struct(fields) = self.columns[place].data_type.clone() else {
                let type_name = type_name(&self.columns[place].data_type);
                self.problem(at, format!("only a struct can be flattened, and `{name}` is {type_name}"));
                continue;
            };
            let parent = self.columns.remove(place);
            for (child, field) in fields.iter().enumerate() {
                let flat = format!("{name}_{}", field.name());
                self.refuse_taken(&at, &flat, None);
                let path = parent.path.iter().copied().chain([child]).collect();
                self.columns.insert(
                    place + child,
                    Column {
                        name: flat.clone(),
                        data_type: field.data_type().clone(),
                        path,
                        was: flat,
                        ..parent.clone()
                    },
                );
            }
            self.flattened.push(name.clone());
        }
    }

    fn rename(&mut self, spec: &CleanSpec) {
        // All at once, so that two columns can exchange their names.
        let mut renamed = Vec::new();
        for (old, new) in &spec.rename {
            let at = format!("clean/rename/{old}");
            let Some(place) = self.find(&at, old) else { continue };
            if new.trim().is_empty() {
                self.problem(at, format!("the new name of `{old}` is empty"));
                continue;
            }
            renamed.push((at, place, new.clone()));
        }
        for (_, place, new) in &renamed {
            self.columns[*place].name.clone_from(new);
        }
        for (at, place, new) in renamed {
            self.refuse_taken(&at, &new, Some(place));
        }
    }

    fn text(&mut self, step: &str, names: &[String], text_step: TextStep) {
        for (index, name) in names.iter().enumerate() {
            let at = format!("clean/{step}/{index}");
            let Some(place) = self.find(&at, name) else { continue };
            let column = &mut self.columns[place];
            if !is_text(&column.data_type) {
                let type_name = type_name(&column.data_type);
                self.problem(at, format!("{step} is for string columns, and `{name}` is {type_name} at this point"));
                continue;
            }
            column.push_text(text_step.clone());
        }
    }

    fn null_if(&mut self, spec: &CleanSpec) {
        for (name, words) in &spec.null_if {
            let at = format!("clean/null_if/{name}");
            let Some(place) = self.find(&at, name) else { continue };
            let data_type = self.columns[place].data_type.clone();
            if is_text(&data_type) {
                self.columns[place].push_text(TextStep::NullIf(words.clone()));
                continue;
            }
            let mut values = Vec::new();
            for (index, word) in words.iter().enumerate() {
                match typed_text(word, &data_type) {
                    Ok(value) => values.push(value),
                    Err(message) => self.problem(format!("{at}/{index}"), message),
                }
            }
            self.columns[place].steps.push(Step::NullIf(values));
        }
    }

    fn cast(&mut self, spec: &CleanSpec) {
        for (name, cast) in &spec.cast {
            let at = format!("clean/cast/{name}");
            let place = self.find(&at, name);
            let (wanted, format) = match cast {
                CastSpec::Type(wanted) => (wanted, None),
                CastSpec::Format { r#type, format } => (r#type, Some(format.as_str())),
            };
            let wanted = match data_type(&TypeSpec::Name(wanted.clone())) {
                Ok(wanted) => wanted,
                Err(message) => {
                    self.problem(at, message);
                    continue;
                }
            };
            let Some(place) = place else { continue };
            let column = &mut self.columns[place];
            match Cast::new(&column.data_type, &wanted, format) {
                Ok(_) if column.data_type == wanted => {}
                Ok(cast) => column.steps.push(Step::Cast(format!("cast_{name}"), cast)),
                Err(message) => self.problem(at, format!("`{name}`: {message}")),
            }
            // Later steps are checked as if the cast were fine, so that one mistake is told once.
            self.columns[place].data_type = wanted;
        }
    }

    fn fill(&mut self, spec: &CleanSpec) {
        for (name, value) in &spec.fill {
            let at = format!("clean/fill/{name}");
            let Some(place) = self.find(&at, name) else { continue };
            match literal(value, &self.columns[place].data_type) {
                Ok(value) => self.columns[place].steps.push(Step::Fill(value)),
                Err(message) => self.problem(at, format!("`{name}`: {message}")),
            }
        }
    }

    fn drop(&mut self, names: &[String]) {
        for (index, name) in names.iter().enumerate() {
            let Some(place) = self.find(&format!("clean/drop/{index}"), name) else { continue };
            self.columns[place].dropped = true;
        }
        if !names.is_empty() && self.columns.iter().all(|column| column.dropped) {
            self.problem("clean/drop".to_owned(), "this drops every column; keep at least one".to_owned());
        }
    }

    /// The place of a column by its name at this point; a problem is noted when it is not there.
    fn find(&mut self, at: &str, name: &str) -> Option<usize> {
        let place = self.columns.iter().position(|column| column.name == name);
        if place.is_none() {
            let message = if let Some(renamed) = self.columns.iter().find(|column| column.was == name) {
                format!("there is no column `{name}` any more: it was renamed to `{}` before this step", renamed.name)
            } else if self.flattened.iter().any(|flattened| flattened == name) {
                let prefix = format!("{name}_");
                let fields: Vec<&str> = self.names().filter(|column| column.starts_with(&prefix)).collect();
                format!("there is no column `{name}` any more: it was flattened into {}", fields.join(", "))
            } else {
                unknown_column(name, self.names())
            };
            self.problem(at.to_owned(), message);
        }
        place
    }

    /// Notes a problem when another column has this name. Delta tells no columns apart that differ in case only.
    fn refuse_taken(&mut self, at: &str, name: &str, own: Option<usize>) {
        let taken = self
            .columns
            .iter()
            .enumerate()
            .find(|(place, column)| Some(*place) != own && column.name.eq_ignore_ascii_case(name));
        if let Some((_, column)) = taken {
            let message = format!("this makes a second column `{}`; rename one of them, or drop it", column.name);
            self.problem(at.to_owned(), message);
        }
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        self.columns.iter().map(|column| column.name.as_str())
    }

    fn problem(&mut self, at: String, message: String) {
        self.problems.push(Problem::new(at, message));
    }
}

impl Column {
    fn push_text(&mut self, step: TextStep) {
        // Text comes back from Polars as views, whatever it was.
        self.data_type = DataType::Utf8View;
        if let Some(Step::Text(steps)) = self.steps.last_mut() {
            steps.push(step);
        } else {
            self.steps.push(Step::Text(vec![step]));
        }
    }
}

fn is_text(data_type: &DataType) -> bool {
    bridge::crosses(data_type) && matches!(data_type, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
}
