//! A program, with the secrets of the project.

use std::collections::BTreeMap;
use std::path::PathBuf;

use futures::future::BoxFuture;
use stage::{Context, Error, Result};
use workflow::action::{Action, Output};
use workflow::log::TaskLog;
use workflow::shell::Program;

use crate::project::{Secrets, exposed};

pub(super) struct Shell {
    pub(super) command: Vec<String>,
    /// Values may hold references to secrets.
    pub(super) environment: BTreeMap<String, String>,
    pub(super) working_folder: Option<String>,
    pub(super) root: PathBuf,
    pub(super) secrets: Secrets,
}

impl Action for Shell {
    fn run<'a>(self: Box<Self>, context: &'a Context, log: &'a TaskLog) -> BoxFuture<'a, Result<Output>> {
        Box::pin(async move {
            // A secret may come from a file or a program.
            let program = tokio::task::spawn_blocking(move || self.program()).await;
            let program = program.map_err(|error| Error::bug("could not prepare a program").with_source(error))??;
            context.check()?;
            Box::new(program).run(context, log).await
        })
    }
}

impl Shell {
    fn program(self) -> Result<Program> {
        let mut environment = BTreeMap::new();
        let mut secrets = Vec::new();
        for (name, template) in self.environment {
            let (value, found) = exposed(&template, &self.secrets)?;
            environment.insert(name, value);
            secrets.extend(found);
        }
        let folder = self.working_folder.map_or(self.root.clone(), |folder| self.root.join(folder));
        Ok(Program { command: self.command, environment, folder, secrets })
    }
}
