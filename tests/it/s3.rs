//! An S3 server, versitygw, started once for the whole test binary.
//!
//! Its objects are plain files below a folder, a bucket is a folder in it. A shell watches over it: when this process
//! ends, in whatever way, the pipe between them closes, and the shell ends the server and removes the folder.

use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use object_store::aws::AmazonS3Builder;
use object_store::{ObjectStoreExt as _, path};

use crate::waiting::wait_for;

const VERSION: &str = "v1.8.0";
const MODULE: &str = "github.com/versity/versitygw/cmd/versitygw";
const WATCH: &str = r#""$0" --quiet --port "$1" posix "$2" >"$2.log" 2>&1 & server=$!
    cat >/dev/null
    kill $server; wait $server; rm -rf "$2" "$2.log""#;

/// The key that may do everything.
pub const ACCESS_KEY: &str = "medallion-tests";
pub const SECRET_KEY: &str = "medallion-tests-secret";

pub struct Server {
    address: String,
    folder: PathBuf,
    buckets: AtomicUsize,
    /// Its standard input is the pipe that keeps the server alive.
    _watch: Child,
}

/// The server; started when it is first asked for.
pub fn server() -> &'static Server {
    static SERVER: OnceLock<Result<Server, String>> = OnceLock::new();
    match SERVER.get_or_init(start) {
        Ok(server) => server,
        Err(why) => panic!("{why}"),
    }
}

impl Server {
    pub fn address(&self) -> &str {
        &self.address
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    pub fn new_bucket(&self) -> String {
        let bucket = format!("bucket-{}", self.buckets.fetch_add(1, Ordering::Relaxed));
        std::fs::create_dir(self.folder.join(&bucket)).unwrap();
        bucket
    }

    /// What a client must have in its environment.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        vec![
            ("AWS_ENDPOINT_URL", format!("http://{}", self.address)),
            ("AWS_ACCESS_KEY_ID", ACCESS_KEY.to_owned()),
            ("AWS_SECRET_ACCESS_KEY", SECRET_KEY.to_owned()),
            ("AWS_REGION", "us-east-1".to_owned()),
            ("AWS_ALLOW_HTTP", "true".to_owned()),
        ]
    }

    pub fn put(&self, bucket: &str, key: &str, bytes: &[u8]) {
        let store = AmazonS3Builder::new()
            .with_endpoint(format!("http://{}", self.address))
            .with_allow_http(true)
            .with_region("us-east-1")
            .with_access_key_id(ACCESS_KEY)
            .with_secret_access_key(SECRET_KEY)
            .with_bucket_name(bucket)
            .build()
            .unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(store.put(&path::Path::from(key), bytes.to_vec().into())).unwrap();
    }
}

fn start() -> Result<Server, String> {
    let program = installed()?;
    let folder = tempfile::Builder::new().prefix("medallion-s3-").tempdir().map_err(|error| error.to_string())?.keep();
    let address = free_address();
    let watch = Command::new("sh")
        .args(["-c", WATCH])
        .arg(&program)
        .args([address.as_str(), folder.to_str().unwrap()])
        .env("ROOT_ACCESS_KEY", ACCESS_KEY)
        .env("ROOT_SECRET_KEY", SECRET_KEY)
        .stdin(Stdio::piped())
        .process_group(0)
        .spawn()
        .map_err(|error| format!("could not start {}: {error}", program.display()))?;
    wait_for("the S3 server to answer", || TcpStream::connect(&address).ok());
    Ok(Server { address, folder, buckets: AtomicUsize::new(0), _watch: watch })
}

/// An address of this machine that nobody listens on.
pub fn free_address() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

/// The program, built below the target folder if it is not there yet.
fn installed() -> Result<PathBuf, String> {
    let tools = crate::project::target_folder().join("tools");
    let program = tools.join("versitygw");
    if program.exists() {
        return Ok(program);
    }
    let built = Command::new("go")
        .args(["install", &format!("{MODULE}@{VERSION}")])
        .env("GOBIN", &tools)
        .env("CGO_ENABLED", "0")
        .output()
        .map_err(|error| format!("the S3 tests need `go` to build versitygw once, and it cannot be run: {error}"))?;
    match built.status.success() {
        true => Ok(program),
        false => Err(format!("could not build versitygw: {}", String::from_utf8_lossy(&built.stderr))),
    }
}
