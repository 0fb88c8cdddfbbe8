//! The files of the page. They are part of the program and hold nothing of a project.

use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};

/// A file of the page.
#[derive(Debug, Clone, Copy)]
pub(crate) struct File {
    /// Where it is asked for.
    pub(crate) path: &'static str,
    kind: &'static str,
    text: &'static str,
}

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

/// Every file, that of a path first.
pub(crate) const FILES: [File; 15] = [
    File { path: "/", kind: HTML, text: include_str!("page/index.html") },
    File { path: "/page/icon.svg", kind: SVG, text: include_str!("page/icon.svg") },
    File { path: "/page/style.css", kind: CSS, text: include_str!("page/style.css") },
    File { path: "/page/drawing.css", kind: CSS, text: workflow::drawing::STYLE },
    File { path: "/page/main.js", kind: SCRIPT, text: include_str!("page/main.js") },
    File { path: "/page/api.js", kind: SCRIPT, text: include_str!("page/api.js") },
    File { path: "/page/events.js", kind: SCRIPT, text: include_str!("page/events.js") },
    File { path: "/page/elements.js", kind: SCRIPT, text: include_str!("page/elements.js") },
    File { path: "/page/words.js", kind: SCRIPT, text: include_str!("page/words.js") },
    File { path: "/page/workflows.js", kind: SCRIPT, text: include_str!("page/workflows.js") },
    File { path: "/page/workflow.js", kind: SCRIPT, text: include_str!("page/workflow.js") },
    File { path: "/page/run.js", kind: SCRIPT, text: include_str!("page/run.js") },
    File { path: "/page/gantt.js", kind: SCRIPT, text: include_str!("page/gantt.js") },
    File { path: "/page/drawing.js", kind: SCRIPT, text: include_str!("page/drawing.js") },
    File { path: "/page/dialogs.js", kind: SCRIPT, text: include_str!("page/dialogs.js") },
];

impl IntoResponse for File {
    fn into_response(self) -> Response {
        ([(CONTENT_TYPE, self.kind), (CACHE_CONTROL, "no-cache")], self.text).into_response()
    }
}
