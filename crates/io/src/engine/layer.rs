//! The engine in front of another service: requests for its path are answered here, the others there.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use tower_layer::Layer;
use tower_service::Service;

use super::service::{EngineService, answer};

/// A [`Layer`] that answers requests for the engine's [path](super::EngineConfig::path) and leaves the others to the
/// service inside.
#[derive(Debug, Clone)]
pub struct EngineLayer {
    pub(crate) service: EngineService,
}

impl<S> Layer<S> for EngineLayer {
    type Service = EngineOr<S>;

    fn layer(&self, inner: S) -> EngineOr<S> {
        EngineOr { engine: self.service.clone(), inner }
    }
}

/// A service with an engine before it.
#[derive(Debug, Clone)]
pub struct EngineOr<S> {
    engine: EngineService,
    inner: S,
}

impl<B, R, S> Service<Request<B>> for EngineOr<S>
where
    B: Body + Send + 'static,
    B::Data: Send,
    S: Service<Request<B>, Response = Response<R>>,
    S::Future: Send + 'static,
    R: From<Bytes>,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<R>, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        if !self.engine.core.config.owns(request.uri().path()) {
            return Box::pin(self.inner.call(request));
        }
        let core = std::sync::Arc::clone(&self.engine.core);
        Box::pin(async move {
            Ok::<_, Infallible>(answer(&core, request).await.map(R::from)).map_err(|never| match never {})
        })
    }
}
