//! Cross-origin requests: which pages may read answers, as the npm package `cors` says it; and, stricter than Node,
//! which pages may open a WebSocket, for which browsers ask nobody.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS,
    ORIGIN, VARY,
};
use http::{HeaderMap, HeaderName, HeaderValue};
use switchboard_ws::Origins;

/// Which origins are allowed.
#[derive(Clone, Default)]
pub enum AllowOrigin {
    /// Every page, told as `*`, with which browsers send no cookies. The default.
    #[default]
    Any,
    /// Every page, told by its own origin: with `credentials` every site can use what the user's cookies allow.
    Reflect,
    /// This one, told to everyone.
    Exactly(String),
    /// These.
    List(Vec<String>),
    /// Those for which the function says yes.
    Predicate(Arc<dyn Fn(&str) -> bool + Send + Sync>),
}

impl AllowOrigin {
    /// Those for which the function says yes.
    pub fn predicate(allows: impl Fn(&str) -> bool + Send + Sync + 'static) -> Self {
        Self::Predicate(Arc::new(allows))
    }

    fn allows(&self, origin: &str) -> bool {
        match self {
            Self::Any | Self::Reflect => true,
            Self::Exactly(one) => one == origin,
            Self::List(list) => list.iter().any(|one| one == origin),
            Self::Predicate(allows) => allows(origin),
        }
    }
}

impl fmt::Debug for AllowOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("Any"),
            Self::Reflect => f.write_str("Reflect"),
            Self::Exactly(one) => f.debug_tuple("Exactly").field(one).finish(),
            Self::List(list) => f.debug_tuple("List").field(list).finish(),
            Self::Predicate(_) => f.write_str("Predicate(..)"),
        }
    }
}

/// What pages of other origins are told. The defaults are those of the npm package `cors`.
///
/// With this configured, WebSockets are opened for the same pages, and for those of this server's own origin, which may
/// read answers in any case. Without, only for those of its own origin. Clients that are no pages may always. (Node
/// lets every page in, with the user's cookies.)
#[derive(Debug, Clone)]
pub struct Cors {
    /// Who may. Default: everyone.
    pub origin: AllowOrigin,
    /// With cookies and other credentials. Default: no.
    pub credentials: bool,
    /// The methods that a preflight allows. Default: `GET,HEAD,PUT,PATCH,POST,DELETE`.
    pub methods: Vec<String>,
    /// The headers that a preflight allows. Default: `None`, those that are asked for.
    pub allowed_headers: Option<Vec<String>>,
    /// The headers of answers that pages may read besides the simple ones. Default: none.
    pub exposed_headers: Vec<String>,
    /// How long browsers may remember a preflight. Default: `None`, as they like.
    pub max_age: Option<Duration>,
}

impl Default for Cors {
    fn default() -> Self {
        Self {
            origin: AllowOrigin::Any,
            credentials: false,
            methods: ["GET", "HEAD", "PUT", "PATCH", "POST", "DELETE"].map(String::from).into(),
            allowed_headers: None,
            exposed_headers: Vec::new(),
            max_age: None,
        }
    }
}

impl Cors {
    /// Adds what every answer tells. `origin`: that of the request.
    pub(crate) fn write(&self, origin: Option<&HeaderValue>, answer: &mut HeaderMap) {
        self.write_origin(origin, answer);
        if self.credentials {
            answer.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        }
        set(answer, ACCESS_CONTROL_EXPOSE_HEADERS, &self.exposed_headers.join(","));
    }

    /// Adds what the answer to a preflight tells besides.
    pub(crate) fn write_preflight(&self, request: &HeaderMap, answer: &mut HeaderMap) {
        self.write(request.get(ORIGIN), answer);
        set(answer, ACCESS_CONTROL_ALLOW_METHODS, &self.methods.join(","));
        match &self.allowed_headers {
            Some(allowed) => set(answer, ACCESS_CONTROL_ALLOW_HEADERS, &allowed.join(",")),
            None => {
                answer.append(VARY, HeaderValue::from_static("Access-Control-Request-Headers"));
                if let Some(asked) = request.get(ACCESS_CONTROL_REQUEST_HEADERS) {
                    answer.insert(ACCESS_CONTROL_ALLOW_HEADERS, asked.clone());
                }
            }
        }
        if let Some(max_age) = self.max_age {
            answer.insert(ACCESS_CONTROL_MAX_AGE, max_age.as_secs().into());
        }
    }

    fn write_origin(&self, origin: Option<&HeaderValue>, answer: &mut HeaderMap) {
        match &self.origin {
            AllowOrigin::Any => {
                answer.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
            }
            AllowOrigin::Exactly(one) => {
                set(answer, ACCESS_CONTROL_ALLOW_ORIGIN, one);
                answer.append(VARY, HeaderValue::from_static("Origin"));
            }
            some => {
                let text = origin.and_then(|origin| origin.to_str().ok());
                if let (Some(origin), Some(text)) = (origin, text)
                    && some.allows(text)
                {
                    answer.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
                }
                answer.append(VARY, HeaderValue::from_static("Origin"));
            }
        }
    }
}

/// Whether a page may open a WebSocket. Clients that are no pages send no `Origin` and may.
pub(crate) fn may_open_websocket(cors: Option<&Cors>, request: &HeaderMap) -> bool {
    let is_allowed = |cors: &Cors| {
        let mut origins = request.get_all(ORIGIN).iter();
        origins.all(|origin| origin.to_str().is_ok_and(|origin| cors.origin.allows(origin)))
    };
    Origins::SameOrigin.check(request).is_ok() || cors.is_some_and(is_allowed)
}

fn set(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    // What cannot be a header is a setting that cannot work; it is left out rather than break every answer.
    if let Ok(value) = HeaderValue::from_str(value)
        && !value.is_empty()
    {
        headers.insert(name, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(origin: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(ORIGIN, origin.parse().expect("a value"));
        headers.insert("host", "here.example".parse().expect("a value"));
        headers
    }

    fn told(cors: &Cors, origin: &str) -> (Option<String>, bool) {
        let mut answer = HeaderMap::new();
        cors.write(from(origin).get(ORIGIN), &mut answer);
        let told = answer.get(ACCESS_CONTROL_ALLOW_ORIGIN).map(|value| value.to_str().expect("text").to_owned());
        (told, answer.get(VARY).is_some_and(|vary| vary == "Origin"))
    }

    #[test]
    fn origins_are_told_as_the_package_tells_them() {
        let cors = |origin| Cors { origin, ..Cors::default() };
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(told(&cors(AllowOrigin::Any), "http://a"), (some("*"), false));
        assert_eq!(told(&cors(AllowOrigin::Reflect), "http://a"), (some("http://a"), true));
        assert_eq!(told(&cors(AllowOrigin::Exactly("http://b".into())), "http://a"), (some("http://b"), true));
        let list = cors(AllowOrigin::List(vec!["http://a".into(), "http://b".into()]));
        assert_eq!(told(&list, "http://b"), (some("http://b"), true));
        assert_eq!(told(&list, "http://c"), (None, true));
        let predicate = cors(AllowOrigin::predicate(|origin| origin.ends_with(".example")));
        assert_eq!(told(&predicate, "http://a.example"), (some("http://a.example"), true));
        assert_eq!(told(&predicate, "http://a"), (None, true));
    }

    #[test]
    fn a_websocket_is_for_the_pages_that_may_read_answers() {
        assert!(may_open_websocket(None, &from("http://here.example")));
        assert!(!may_open_websocket(None, &from("http://there.example")));
        assert!(may_open_websocket(None, &HeaderMap::new()), "no page");
        assert!(may_open_websocket(Some(&Cors::default()), &from("http://there.example")));
        let list = Cors { origin: AllowOrigin::List(vec!["http://a".into()]), ..Cors::default() };
        assert!(may_open_websocket(Some(&list), &from("http://a")));
        assert!(!may_open_websocket(Some(&list), &from("http://there.example")));
        assert!(may_open_websocket(Some(&list), &from("http://here.example")), "its own");
        assert!(may_open_websocket(Some(&list), &HeaderMap::new()));
    }
}
