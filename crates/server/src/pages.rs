//! The chat page and what it is made of, from within the binary.

use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderName, HeaderValue};
use axum::response::{IntoResponse, Response};

/// A file of the page.
#[derive(Debug)]
pub struct File {
    /// Where it is served.
    pub path: &'static str,
    content_type: &'static str,
    content: &'static [u8],
}

/// Every file of the page.
pub const FILES: &[File] = &[
    File { path: "/", content_type: HTML, content: include_bytes!("../web/index.html") },
    File { path: "/style.css", content_type: CSS, content: include_bytes!("../web/style.css") },
    File { path: "/favicon.svg", content_type: SVG, content: include_bytes!("../web/favicon.svg") },
    File { path: "/avatar.js", content_type: JAVASCRIPT, content: include_bytes!("../web/avatar.js") },
    File { path: "/chat.js", content_type: JAVASCRIPT, content: include_bytes!("../web/chat.js") },
    File { path: "/clipboard.js", content_type: JAVASCRIPT, content: include_bytes!("../web/clipboard.js") },
    File { path: "/connection.js", content_type: JAVASCRIPT, content: include_bytes!("../web/connection.js") },
    File { path: "/count.js", content_type: JAVASCRIPT, content: include_bytes!("../web/count.js") },
    File { path: "/dom.js", content_type: JAVASCRIPT, content: include_bytes!("../web/dom.js") },
    File { path: "/log.js", content_type: JAVASCRIPT, content: include_bytes!("../web/log.js") },
    File { path: "/names.js", content_type: JAVASCRIPT, content: include_bytes!("../web/names.js") },
    File { path: "/outbox.js", content_type: JAVASCRIPT, content: include_bytes!("../web/outbox.js") },
    File { path: "/people.js", content_type: JAVASCRIPT, content: include_bytes!("../web/people.js") },
    File { path: "/protocol.js", content_type: JAVASCRIPT, content: include_bytes!("../web/protocol.js") },
    File { path: "/room.js", content_type: JAVASCRIPT, content: include_bytes!("../web/room.js") },
    File { path: "/socketio.js", content_type: JAVASCRIPT, content: include_bytes!("../web/socketio.js") },
    File { path: "/status.js", content_type: JAVASCRIPT, content: include_bytes!("../web/status.js") },
];

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const JAVASCRIPT: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

impl File {
    /// The page tells its scripts by these attributes how the server is set, which they have no other way to know.
    pub(crate) fn with_attributes(&'static self, attributes: &str) -> Response {
        match std::str::from_utf8(self.content).ok().filter(|_| self.path == "/") {
            Some(text) => (self.headers(), text.replacen("<html ", &format!("<html {attributes} "), 1)).into_response(),
            None => self.into_response(),
        }
    }

    fn headers(&self) -> [(HeaderName, HeaderValue); 2] {
        [
            (CONTENT_TYPE, HeaderValue::from_static(self.content_type)),
            // The files change with the binary and have no names of their own per version.
            (CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        ]
    }
}

/// What a page of this server may do: load its own script and style, and connect to where it came from.
pub const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
                                           connect-src 'self'; base-uri 'none'; form-action 'none'; \
                                           frame-ancestors 'none'";

impl IntoResponse for &'static File {
    fn into_response(self) -> Response {
        (self.headers(), self.content).into_response()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn text(file: &File) -> &str {
        std::str::from_utf8(file.content).unwrap()
    }

    fn modules() -> impl Iterator<Item = &'static File> {
        FILES.iter().filter(|file| file.content_type == JAVASCRIPT)
    }

    #[test]
    fn every_file_of_the_folder_is_served() {
        let folder = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/web")).unwrap();
        let there: BTreeSet<String> = folder
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .map(|name| if name == "index.html" { "/".to_owned() } else { format!("/{name}") })
            .collect();
        let served: BTreeSet<String> = FILES.iter().map(|file| file.path.to_owned()).collect();
        assert_eq!(served, there);
    }

    /// A module that is missing would stop the whole page, and one not announced costs a round trip.
    #[test]
    fn what_the_modules_import_is_what_the_page_preloads() {
        let imported: BTreeSet<&str> = modules()
            .flat_map(|file| text(file).lines())
            .filter(|line| line.starts_with("import "))
            .map(|line| line.split_once("\"./").unwrap().1.trim_end_matches("\";"))
            .collect();
        let preloaded: BTreeSet<&str> = text(&FILES[0])
            .lines()
            .filter_map(|line| line.trim().strip_prefix("<link rel=\"modulepreload\" href=\""))
            .map(|rest| rest.trim_end_matches("\">"))
            .collect();
        assert_eq!(preloaded, imported);
        let served: BTreeSet<&str> = modules().map(|file| file.path.trim_start_matches('/')).collect();
        assert!(imported.is_subset(&served), "{imported:?} is not all served: {served:?}");
    }
}
