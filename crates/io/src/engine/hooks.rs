//! Where an application has a say in requests: who may come in, what is answered besides, and how ids are made.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Response};
use switchboard_io_proto::engine::{HandshakeError, IdError, Sid};

/// A request without its body, shared by those who are asked about it.
pub type Parts = Arc<http::request::Parts>;

type Later<T> = Pin<Box<dyn Future<Output = T> + Send>>;
type Allow = dyn Fn(Parts) -> Later<Result<(), Refusal>> + Send + Sync;
type Middleware = dyn Fn(Parts) -> Later<Result<HeaderMap, Stop>> + Send + Sync;
type Headers = dyn Fn(&mut HeaderMap, &http::request::Parts) + Send + Sync;
type OnError = dyn Fn(&ConnectionError<'_>) + Send + Sync;
type GenerateId = dyn Fn(&http::request::Parts) -> Result<Sid, IdError> + Send + Sync;

/// A request is not allowed: 403 with code 4 (400 for a WebSocket).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Refusal {
    /// What the client is told. `None`: `Forbidden`.
    pub message: Option<String>,
}

impl Refusal {
    /// A refusal in these words.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: Some(message.into()) }
    }
}

/// What a middleware does with a request that goes no further.
#[derive(Debug)]
pub enum Stop {
    /// It failed: the client is told `Bad request` (code 3), and the words are for the log and for `connection_error`.
    Failed(String),
    /// It is answered with this instead.
    Answer(Box<Response<Bytes>>),
}

/// A request that opened no session, or was not let in to one.
#[derive(Debug)]
#[non_exhaustive]
pub struct ConnectionError<'a> {
    /// The request.
    pub request: &'a http::request::Parts,
    /// Why; its code, message and context are Node's.
    pub error: &'a HandshakeError,
    /// What a middleware said of its failure.
    pub detail: Option<&'a str>,
}

/// The application's say. Everything is optional; several of a kind of which there may be one replace each other.
///
/// In the order in which they are asked: middlewares for every request; `allow_request` for a new session;
/// `generate_id`; `initial_headers` for the answer that opens a session, `headers` for every answer. Hooks that return
/// a future are awaited before anything else of the request is done; a client that goes away meanwhile drops the
/// future.
///
/// With a middleware, `allow_request`, or hooks for headers, WebSockets are opened by the HTTP service even where a
/// [gate](crate::engine::Engine::opens) would have opened them on a shard.
#[derive(Clone, Default)]
pub struct Hooks {
    allow_request: Option<Arc<Allow>>,
    middlewares: Vec<Arc<Middleware>>,
    initial_headers: Option<Arc<Headers>>,
    headers: Option<Arc<Headers>>,
    connection_error: Option<Arc<OnError>>,
    generate_id: Option<Arc<GenerateId>>,
}

impl Hooks {
    /// Asks whether a client may open a session (Node: `allowRequest`).
    #[must_use]
    pub fn allow_request<F, Fut>(mut self, allow: F) -> Self
    where
        F: Fn(Parts) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), Refusal>> + Send + 'static,
    {
        self.allow_request = Some(Arc::new(move |parts| Box::pin(allow(parts))));
        self
    }

    /// Adds a middleware, after those that are there (Node: `engine.use`). It returns headers for the answer, or stops
    /// the request.
    #[must_use]
    pub fn middleware<F, Fut>(mut self, middleware: F) -> Self
    where
        F: Fn(Parts) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<HeaderMap, Stop>> + Send + 'static,
    {
        self.middlewares.push(Arc::new(move |parts| Box::pin(middleware(parts))));
        self
    }

    /// Changes the headers of the answer that opens a session.
    #[must_use]
    pub fn initial_headers(
        mut self,
        change: impl Fn(&mut HeaderMap, &http::request::Parts) + Send + Sync + 'static,
    ) -> Self {
        self.initial_headers = Some(Arc::new(change));
        self
    }

    /// Changes the headers of every answer to a client of a session.
    #[must_use]
    pub fn headers(mut self, change: impl Fn(&mut HeaderMap, &http::request::Parts) + Send + Sync + 'static) -> Self {
        self.headers = Some(Arc::new(change));
        self
    }

    /// Is told of every request that was refused.
    #[must_use]
    pub fn connection_error(mut self, tell: impl Fn(&ConnectionError<'_>) + Send + Sync + 'static) -> Self {
        self.connection_error = Some(Arc::new(tell));
        self
    }

    /// Makes the ids of sessions. They are secrets, and have 20 characters. Default: [`Sid::generate`]. An error
    /// refuses the session (`Bad request`, code 3).
    #[must_use]
    pub fn generate_id(
        mut self,
        generate: impl Fn(&http::request::Parts) -> Result<Sid, IdError> + Send + Sync + 'static,
    ) -> Self {
        self.generate_id = Some(Arc::new(generate));
        self
    }

    /// Whether all is decided without asking the application, so that a shard can do it.
    pub(crate) fn are_silent(&self) -> bool {
        self.allow_request.is_none()
            && self.middlewares.is_empty()
            && self.initial_headers.is_none()
            && self.headers.is_none()
    }

    /// Whether they change the headers of answers to polls, for which they want to see the request again.
    pub(crate) fn change_polls(&self) -> bool {
        self.headers.is_some()
    }

    pub(crate) async fn run_middlewares(&self, parts: &Parts) -> Result<HeaderMap, Stop> {
        let mut headers = HeaderMap::new();
        for middleware in &self.middlewares {
            // `extend` replaces what an earlier one has said under the same name and keeps several of one.
            headers.extend(middleware(Arc::clone(parts)).await?);
        }
        Ok(headers)
    }

    pub(crate) async fn ask(&self, parts: &Parts) -> Result<(), HandshakeError> {
        let Some(allow) = &self.allow_request else { return Ok(()) };
        allow(Arc::clone(parts)).await.map_err(|refusal| HandshakeError::forbidden(refusal.message))
    }

    pub(crate) fn change_headers(&self, is_initial: bool, headers: &mut HeaderMap, parts: &http::request::Parts) {
        if is_initial && let Some(change) = &self.initial_headers {
            change(headers, parts);
        }
        if let Some(change) = &self.headers {
            change(headers, parts);
        }
    }

    pub(crate) fn tell(&self, error: &ConnectionError<'_>) {
        if let Some(tell) = &self.connection_error {
            tell(error);
        }
    }

    pub(crate) fn make_id(&self, parts: &http::request::Parts) -> Result<Sid, HandshakeError> {
        Ok(match &self.generate_id {
            Some(generate) => generate(parts)?,
            None => Sid::generate()?,
        })
    }
}

impl fmt::Debug for Hooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hooks")
            .field("allow_request", &self.allow_request.is_some())
            .field("middlewares", &self.middlewares.len())
            .field("initial_headers", &self.initial_headers.is_some())
            .field("headers", &self.headers.is_some())
            .field("connection_error", &self.connection_error.is_some())
            .field("generate_id", &self.generate_id.is_some())
            .finish()
    }
}
