//! A project in a folder of its own, and `medallion` run in it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::place::{Place, Site};

/// A project and its lake. All of it goes when this is dropped.
pub struct Project {
    root: TempDir,
    site: Site,
}

/// How a command ended.
#[derive(Debug)]
pub struct Ended {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Project {
    /// A project without tables.
    pub fn new(place: Place) -> Project {
        Project::at(Site::new(place))
    }

    pub fn at(site: Site) -> Project {
        let root = tempfile::Builder::new().prefix("medallion-test-").tempdir().unwrap();
        let project = Project { root, site };
        let (landing, lake) = (project.site.location("landing"), project.site.location("lake"));
        project.write(
            "medallion.toml",
            &format!(
                "[project]\nname = \"test\"\n[variables]\nlanding = \"{landing}\"\nlake = \"{lake}\"\n\
                 retail_landing = \"{landing}/retail\"\n[lake]\npath = \"${{var.lake}}\"\n"
            ),
        );
        project
    }

    /// A project with a copy of a pipeline of the demo project and its workflow.
    pub fn with_demo_pipeline(place: Place, pipeline: &str) -> Project {
        let project = Project::new(place);
        let part = format!("pipelines/{pipeline}");
        copy(&repository().join(&part), &project.path(&part));
        let workflow = format!("workflows/{pipeline}.json");
        project.write(&workflow, &std::fs::read_to_string(repository().join(&workflow)).unwrap());
        project
    }

    /// The same project with one more file.
    pub fn with(self, path: &str, text: &str) -> Project {
        self.write(path, text);
        self
    }

    pub fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// Puts a file into the landing folder.
    pub fn land(&self, path: &str, bytes: impl AsRef<[u8]>) {
        self.site.land(self.root.path(), path, bytes.as_ref());
    }

    /// A path in the project's folder.
    pub fn path(&self, path: &str) -> PathBuf {
        self.root.path().join(path)
    }

    /// The folder of a table, such as `shop.silver.orders`.
    pub fn table(&self, name: &str) -> PathBuf {
        self.lake().join(name.replace('.', "/"))
    }

    /// `landing` or `lake` as another project can name it.
    pub fn location(&self, name: &str) -> String {
        match &self.site {
            Site::Folder => self.path(name).to_str().unwrap().to_owned(),
            site => site.location(name),
        }
    }

    pub fn lake(&self) -> PathBuf {
        self.site.folder(self.root.path(), "lake")
    }

    /// `medallion` with these arguments, not started yet.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(binary());
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("AWS_") || name.starts_with("MEDALLION_"))
        {
            command.env_remove(name);
        }
        command.envs(self.site.environment());
        command.current_dir(self.root.path()).args(arguments);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Ended {
        Ended::of(self.command(arguments).output().unwrap())
    }

    /// Runs a command that must succeed.
    pub fn succeed(&self, arguments: &[&str]) -> Ended {
        let ended = self.run(arguments);
        assert_eq!(ended.code, 0, "medallion {}: {ended:#?}", arguments.join(" "));
        ended
    }

    /// Runs a command that must fail with this code and say this in one line on stderr.
    pub fn fail(&self, arguments: &[&str], code: i32, said: &str) -> Ended {
        self.run(arguments).check_failed(code, said)
    }

    /// The rows of a query.
    pub fn query(&self, sql: &str) -> Vec<Value> {
        let ended = self.succeed(&["query", sql, "--limit", "0", "--output", "json"]);
        serde_json::from_str(&ended.out).unwrap()
    }

    /// The rows of a query as JSON, each a line.
    pub fn lines(&self, sql: &str) -> String {
        self.query(sql).iter().map(|row| format!("{row}\n")).collect()
    }

    /// The rows of a table as JSON, sorted.
    pub fn all_rows(&self, table: &str) -> Vec<String> {
        let mut rows: Vec<String> =
            self.query(&format!("SELECT * FROM {table}")).iter().map(ToString::to_string).collect();
        assert!(!rows.is_empty(), "{table} is empty");
        rows.sort();
        rows
    }

    /// The one number a query gives.
    pub fn number(&self, sql: &str) -> i64 {
        let rows = self.query(sql);
        rows[0].as_object().unwrap().values().next().unwrap().as_i64().unwrap()
    }

    pub fn count(&self, table: &str) -> i64 {
        self.number(&format!("SELECT COUNT(*) AS n FROM {table}"))
    }

    /// The commits of a table, oldest first, each as its actions.
    pub fn log(&self, table: &str) -> Vec<Vec<Value>> {
        let mut files = files_below(&self.table(table).join("_delta_log"));
        files.retain(|file| file.extension().is_some_and(|extension| extension == "json"));
        let actions = |text: String| text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        files.iter().map(|file| actions(std::fs::read_to_string(file).unwrap())).collect()
    }

    /// How many versions every table of the lake has.
    pub fn versions(&self) -> BTreeMap<String, usize> {
        let mut versions = BTreeMap::new();
        for file in files_below(&self.lake()) {
            let path = file.strip_prefix(self.lake()).unwrap().to_string_lossy().into_owned();
            if let Some((table, _)) = path.split_once("/_delta_log/").filter(|_| path.ends_with(".json")) {
                *versions.entry(table.replace('/', ".")).or_default() += 1;
            }
        }
        versions
    }
}

impl Ended {
    pub fn of(output: Output) -> Ended {
        use std::os::unix::process::ExitStatusExt as _;
        let code = output.status.code().unwrap_or_else(|| -output.status.signal().unwrap_or_default());
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Ended { code, out: text(output.stdout), err: text(output.stderr) }
    }

    /// Asserts the exit code, and that exactly one line of stderr tells of a failure, in these words.
    pub fn check_failed(self, code: i32, said: &str) -> Ended {
        assert_eq!(self.code, code, "{self:#?}");
        let failures: Vec<&str> =
            self.err.lines().filter(|line| line.starts_with("error: ") || line.contains("` failed: ")).collect();
        assert_eq!(failures.len(), 1, "{self:#?}");
        assert!(failures[0].contains(said), "expected `{said}`: {self:#?}");
        assert!(!self.err.contains("panicked") && !self.err.contains("backtrace"), "{self:#?}");
        self
    }
}

/// Every file below a folder, sorted.
pub fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().map(Result::unwrap) {
        match entry.file_type().unwrap().is_dir() {
            true => files.extend(files_below(&entry.path())),
            false => files.push(entry.path()),
        }
    }
    files.sort();
    files
}

/// The folder of this repository, asked for when a test runs: two checkouts may share one target folder.
pub fn repository() -> PathBuf {
    let tests = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").unwrap());
    tests.parent().unwrap().to_owned()
}

/// The target folder that this test was built in.
pub fn target_folder() -> PathBuf {
    let own = std::env::current_exe().unwrap();
    own.ancestors().nth(3).unwrap().to_owned()
}

/// The program under test: `MEDALLION_BIN`, or the one built beside this test.
fn binary() -> PathBuf {
    if let Some(named) = std::env::var_os("MEDALLION_BIN") {
        return named.into();
    }
    let own = std::env::current_exe().unwrap();
    let built = own.ancestors().nth(2).unwrap().join("medallion");
    assert!(
        built.exists(),
        "there is no {}; run `cargo build --workspace --bins` first, or set MEDALLION_BIN",
        built.display()
    );
    built
}

/// Copies a folder and what is below it.
pub fn copy(from: &Path, to: &Path) {
    for file in files_below(from) {
        let target = to.join(file.strip_prefix(from).unwrap());
        std::fs::create_dir_all(target.parent().unwrap()).unwrap();
        std::fs::copy(file, target).unwrap();
    }
}
