//! The browser's client, served below the engine's path under Node's file names (`serveClient`). It is not part of this
//! crate: the files come from the `dist` folder of the npm package `socket.io-client`, and are read once.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use http::header::{
    CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, ETAG, HeaderValue, IF_NONE_MATCH, VARY,
};
use http::{HeaderMap, Method, Response, StatusCode};

use super::answer::{self, Answer};
use super::compression::Coding;

/// In the order of our liking.
const CODINGS: [Coding; 3] = [Coding::Brotli, Coding::Gzip, Coding::Deflate];
/// What all of them understand as much effort for little time.
const LEVEL: u32 = 6;
/// The file without which a folder is not the client's.
const MAIN: &str = "socket.io.js";

/// The client's files, to serve to pages: `socket.io.js`, `socket.io.min.js`, `socket.io.esm.min.js`,
/// `socket.io.msgpack.min.js` and the `.map` of each, as far as they are there. Clones share them.
///
/// They are served as Node serves them: with their version as the `ETag`, to be asked for again each time (`max-age=0`)
/// and answered with 304 where nothing has changed, in brotli, gzip or deflate as the browser likes. The version is what
/// a script's first comment says (`Socket.IO v4.8.4`), and a `.map` has that of its script. Without one the tag is made
/// of the content.
#[derive(Debug, Clone)]
pub struct ClientFiles(Arc<Files>);

#[derive(Debug)]
struct Files {
    by_name: BTreeMap<String, File>,
    /// What is said where a file is not there.
    missing: Cow<'static, str>,
}

#[derive(Debug)]
struct File {
    kind: &'static str,
    tag: HeaderValue,
    content: Bytes,
    /// Made when the first client wants it.
    encoded: [OnceLock<Option<Bytes>>; CODINGS.len()],
}

impl ClientFiles {
    /// Reads the files of a folder. What is changed there later is not seen.
    ///
    /// # Errors
    /// The folder or a file cannot be read, or there is no `socket.io.js` in it.
    pub fn read(folder: impl AsRef<Path>) -> io::Result<Self> {
        let mut contents = BTreeMap::new();
        for entry in std::fs::read_dir(folder)? {
            let entry = entry?;
            if let Some(name) = entry.file_name().to_str().filter(|name| is_file_name(name)) {
                contents.insert(name.to_owned(), std::fs::read(entry.path())?.into());
            }
        }
        if !contents.contains_key(MAIN) {
            return Err(io::Error::new(io::ErrorKind::NotFound, format!("there is no {MAIN} in it")));
        }
        Ok(Self::new(&contents, "There is no such file of the client here.\n".into()))
    }

    fn new(contents: &BTreeMap<String, Bytes>, missing: Cow<'static, str>) -> Self {
        let file = |(name, content): (&String, &Bytes)| {
            let script = contents.get(name.strip_suffix(".map").unwrap_or(name));
            let version = script.and_then(|script| version(script));
            (name.clone(), File::new(name, content.clone(), version))
        };
        Self(Arc::new(Files { by_name: contents.iter().map(file).collect(), missing }))
    }

    /// No files: whoever asks for one is answered with 404 and this sentence.
    pub fn missing(sentence: impl Into<Cow<'static, str>>) -> Self {
        Self::new(&BTreeMap::new(), sentence.into())
    }

    /// The answer to a request for a file of the client, if it is one.
    pub(crate) fn answer(&self, name: &str, method: &Method, request: &HeaderMap) -> Option<Answer> {
        if !is_file_name(name) || !matches!(*method, Method::GET | Method::HEAD) {
            return None;
        }
        let mut answer = match self.0.by_name.get(name) {
            Some(file) => file.answer(request),
            None => answer::with_body(StatusCode::NOT_FOUND, answer::TEXT, self.0.missing.as_bytes().to_vec()),
        };
        if method == Method::HEAD {
            answer.body_mut().clear();
        }
        Some(answer)
    }
}

impl File {
    fn new(name: &str, content: Bytes, version: Option<&str>) -> Self {
        let version = version.map_or_else(|| format!("{:016x}", fnv(&content)), str::to_owned);
        // RFC 9110 §8.8.3: an opaque-tag is quoted.
        let tag = format!("\"{version}\"").parse().expect("letters, digits and quotes");
        let kind = match name.ends_with(".map") {
            true => "application/json; charset=utf-8",
            false => "application/javascript; charset=utf-8",
        };
        Self { kind, tag, content, encoded: Default::default() }
    }

    fn answer(&self, request: &HeaderMap) -> Answer {
        let mut answer = Response::new(Bytes::new());
        let headers = answer.headers_mut();
        headers.insert(ETAG, self.tag.clone());
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=0"));
        headers.insert(VARY, HeaderValue::from_static("Accept-Encoding"));
        if self.is_known(request) {
            *answer.status_mut() = StatusCode::NOT_MODIFIED;
            return answer;
        }
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(self.kind));
        let mut body = self.content.clone();
        if let Some((coding, encoded)) = self.encoded(request) {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static(coding.as_str()));
            body = encoded;
        }
        headers.insert(CONTENT_LENGTH, body.len().into());
        *answer.body_mut() = body;
        answer
    }

    /// RFC 9110 §13.1.2: the tags are compared weakly, and `*` is any.
    fn is_known(&self, request: &HeaderMap) -> bool {
        let lists = request.get_all(IF_NONE_MATCH).iter().filter_map(|list| list.to_str().ok());
        let mut tags = lists.flat_map(|list| list.split(',')).map(str::trim);
        tags.any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag).as_bytes() == self.tag.as_bytes())
    }

    fn encoded(&self, request: &HeaderMap) -> Option<(Coding, Bytes)> {
        let coding = Coding::accepted(request, &CODINGS)?;
        let place = CODINGS.iter().position(|other| *other == coding)?;
        // Once for each file, and a tenth of a second at most: not worth a thread.
        let encoded = self.encoded[place].get_or_init(|| coding.encode(&self.content, LEVEL).ok().map(Bytes::from));
        Some((coding, encoded.clone()?))
    }
}

/// What the comment at the beginning of a script says that it is.
fn version(script: &[u8]) -> Option<&str> {
    const MARK: &[u8] = b"Socket.IO v";
    let comment = &script[..script.len().min(100)];
    let at = comment.windows(MARK.len()).position(|text| text == MARK)? + MARK.len();
    let end = comment[at..].iter().position(|byte| !byte.is_ascii_alphanumeric() && !b".-+".contains(byte))?;
    std::str::from_utf8(&comment[at..at + end]).ok().filter(|version| !version.is_empty())
}

/// FNV-1a: by every build of this server the same, so that a new one makes nobody load a file again.
fn fnv(content: &[u8]) -> u64 {
    content.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3))
}

/// Whether it is the name of one of the client's files: `socket.io`, perhaps `.msgpack` or `.esm`, perhaps `.min`,
/// `.js`, perhaps `.map`.
fn is_file_name(name: &str) -> bool {
    let optional = |name: &'_ str, endings: &[&str]| {
        endings.iter().find_map(|ending| name.strip_suffix(ending)).unwrap_or(name).to_owned()
    };
    let name = optional(name, &[".map"]);
    let Some(name) = name.strip_suffix(".js") else { return false };
    optional(&optional(name, &[".min"]), &[".msgpack", ".esm"]) == "socket.io"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files() -> ClientFiles {
        let contents = ["socket.io.js", "socket.io.min.js.map"].map(|name| (name, "client ".repeat(500)));
        with(contents)
    }

    fn with<const N: usize>(contents: [(&str, String); N]) -> ClientFiles {
        let contents = contents.map(|(name, content)| (name.to_owned(), content.into()));
        ClientFiles::new(&contents.into(), "none".into())
    }

    fn tag(files: &ClientFiles, name: &str) -> String {
        let answer = files.answer(name, &Method::GET, &HeaderMap::new()).expect("a file's name");
        answer.headers()[ETAG].to_str().expect("text").to_owned()
    }

    fn get(name: &str, header: (http::HeaderName, &'static str)) -> Answer {
        let request = HeaderMap::from_iter([(header.0, HeaderValue::from_static(header.1))]);
        files().answer(name, &Method::GET, &request).expect("a file's name")
    }

    #[test]
    fn names_are_nodes() {
        for name in
            ["socket.io.js", "socket.io.min.js", "socket.io.esm.min.js", "socket.io.msgpack.min.js", "socket.io.js.map"]
        {
            assert!(is_file_name(name), "{name}");
        }
        for name in ["", "socket.io", "socket.io.css", "../socket.io.js", "socket.io.min.esm.js", "socket.io.js.js"] {
            assert!(!is_file_name(name), "{name}");
        }
    }

    #[test]
    fn a_file_is_told_by_its_tag() {
        let plain = get("socket.io.js", (http::header::ACCEPT, "*/*"));
        assert_eq!((plain.status(), plain.body().len()), (StatusCode::OK, 3500));
        assert_eq!(plain.headers()[CACHE_CONTROL], "public, max-age=0");
        assert_eq!(plain.headers()[CONTENT_TYPE], "application/javascript; charset=utf-8");
        let tag = tag(&files(), "socket.io.js");
        assert_eq!(plain.headers()[ETAG], *tag);
        for known in [tag.clone(), format!("W/{tag}"), format!("\"x\", {tag}"), "*".to_owned()] {
            let request = HeaderMap::from_iter([(IF_NONE_MATCH, known.parse().expect("a value"))]);
            let answer = files().answer("socket.io.js", &Method::GET, &request).expect("a file's name");
            assert_eq!((answer.status(), answer.body().len()), (StatusCode::NOT_MODIFIED, 0), "{known}");
            assert_eq!(answer.headers()[ETAG], *tag);
        }
        assert_eq!(get("socket.io.js", (IF_NONE_MATCH, "\"x\"")).status(), StatusCode::OK);
        let map = get("socket.io.min.js.map", (http::header::ACCEPT, "*/*"));
        assert_eq!(map.headers()[CONTENT_TYPE], "application/json; charset=utf-8");
    }

    #[test]
    fn the_tag_is_the_version_that_the_script_tells() {
        let script = |version: &str| format!("/*!\n * Socket.IO v{version}\n * (c) 2014-2026\n */\n!function(){{}}");
        let files = with([
            ("socket.io.js", script("4.8.4")),
            ("socket.io.js.map", "{}".into()),
            ("socket.io.min.js", script("5.0.0-beta.1")),
            ("socket.io.esm.min.js", "export{}".into()),
            ("socket.io.esm.min.js.map", "{}".into()),
            ("socket.io.msgpack.min.js", script("\"4")),
        ]);
        assert_eq!(tag(&files, "socket.io.js"), "\"4.8.4\"");
        assert_eq!(tag(&files, "socket.io.js.map"), "\"4.8.4\"");
        assert_eq!(tag(&files, "socket.io.min.js"), "\"5.0.0-beta.1\"");
        // Without one, by the content, and by every compiler the same.
        assert_eq!(tag(&files, "socket.io.esm.min.js"), "\"77e73adb7c1f931f\"");
        assert_ne!(tag(&files, "socket.io.esm.min.js.map"), tag(&files, "socket.io.esm.min.js"));
        assert_eq!(tag(&files, "socket.io.msgpack.min.js").len(), 18);
        for known in ["\"4.8.4\"", "W/\"4.8.4\""] {
            let request = HeaderMap::from_iter([(IF_NONE_MATCH, HeaderValue::from_static(known))]);
            let answer = files.answer("socket.io.js", &Method::GET, &request).expect("a file's name");
            assert_eq!(answer.status(), StatusCode::NOT_MODIFIED, "{known}");
        }
    }

    #[test]
    fn the_browser_chooses_the_coding() {
        for (accepted, coding) in [("gzip, deflate, br, zstd", "br"), ("gzip", "gzip"), ("deflate", "deflate")] {
            let answer = get("socket.io.js", (http::header::ACCEPT_ENCODING, accepted));
            assert_eq!(answer.headers()[CONTENT_ENCODING], coding);
            assert_eq!(answer.headers()[VARY], "Accept-Encoding");
            assert!(answer.body().len() < 200, "{coding}");
        }
        let brotli = get("socket.io.js", (http::header::ACCEPT_ENCODING, "br")).into_body();
        let mut back = Vec::new();
        io::Read::read_to_end(&mut brotli::Decompressor::new(&*brotli, 4096), &mut back).expect("brotli");
        assert_eq!(back, "client ".repeat(500).as_bytes());
        assert!(!get("socket.io.js", (http::header::ACCEPT_ENCODING, "zstd")).headers().contains_key(CONTENT_ENCODING));
    }

    #[test]
    fn what_is_not_there_is_said_in_words() {
        let answer = get("socket.io.esm.min.js", (http::header::ACCEPT, "*/*"));
        assert_eq!((answer.status(), &answer.body()[..]), (StatusCode::NOT_FOUND, &b"none"[..]));
        assert!(files().answer("", &Method::GET, &HeaderMap::new()).is_none(), "that is for the engine");
        assert!(files().answer("socket.io.js", &Method::POST, &HeaderMap::new()).is_none());
        let head = files().answer("socket.io.js", &Method::HEAD, &HeaderMap::new()).expect("a file's name");
        assert_eq!((head.body().len(), &head.headers()[CONTENT_LENGTH]), (0, &HeaderValue::from_static("3500")));
    }
}
