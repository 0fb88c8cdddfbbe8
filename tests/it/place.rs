//! Where the landing folder and the lake of a project are.

use std::path::{Path, PathBuf};

use crate::s3;

/// A local folder or the S3 server of this test binary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    Folder,
    S3,
}

/// One place, made for one project.
pub enum Site {
    Folder,
    S3 { bucket: String },
}

impl Site {
    pub fn new(place: Place) -> Site {
        match place {
            Place::Folder => Site::Folder,
            Place::S3 => Site::S3 { bucket: s3::server().new_bucket() },
        }
    }

    /// What `medallion.toml` says about where things are.
    pub fn location(&self, name: &str) -> String {
        match self {
            Site::Folder => format!("./{name}"),
            Site::S3 { bucket } => format!("s3://{bucket}/{name}"),
        }
    }

    /// Where the same files lie on this machine. The S3 server keeps every object as a file.
    pub fn folder(&self, root: &Path, name: &str) -> PathBuf {
        match self {
            Site::Folder => root.join(name),
            Site::S3 { bucket } => s3::server().folder().join(bucket).join(name),
        }
    }

    /// Puts a file below `landing`.
    pub fn land(&self, root: &Path, path: &str, bytes: &[u8]) {
        match self {
            Site::Folder => {
                let file = root.join("landing").join(path);
                std::fs::create_dir_all(file.parent().unwrap()).unwrap();
                std::fs::write(file, bytes).unwrap();
            }
            Site::S3 { bucket } => s3::server().put(bucket, &format!("landing/{path}"), bytes),
        }
    }

    /// The environment that a command needs here.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        match self {
            Site::Folder => Vec::new(),
            Site::S3 { .. } => s3::server().environment(),
        }
    }
}
