//! Requests to an upstream that speaks HTTP/2, as gRPC services do: many on one connection, trailers and streams both
//! ways. Each thread has its own connections.

use std::cell::RefCell;
use std::collections::HashMap;

use http::request::Parts;
use http::uri::{Authority, Scheme};
use http::{Method, Request, Response, Uri, header};
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};

use super::{ExchangeError, Upstream, pool};
use crate::serve::body::AnswerBody;
use crate::serve::headers::ForwardedBody;

thread_local! {
    static CONNECTIONS: RefCell<HashMap<pool::Key, SendRequest<ForwardedBody>>> = RefCell::default();
}

impl Upstream {
    /// Sends a request on the connection to the server whose turn it is. A request that the connection did not begin
    /// to send, or that may be repeated and has no body, is sent again on a new one.
    pub(super) async fn exchange_http2(
        &self,
        parts: Parts,
        body: ForwardedBody,
    ) -> Result<Response<AnswerBody>, ExchangeError> {
        let mut request = Request::from_parts(parts, body);
        self.address(&mut request)?;
        if let Some(mut sender) = self.open_sender() {
            let again = repeatable(&request);
            match sender.try_send_request(request).await {
                Ok(answer) => return Ok(answer.map(AnswerBody::Incoming)),
                Err(mut failed) => match (failed.take_message(), again) {
                    (Some(unsent), _) => request = unsent,
                    (None, Some(again)) => request = again,
                    (None, None) => return Err(failed.into_error().into()),
                },
            }
        }
        let (key, link) = self.connect().await?;
        let (mut sender, connection) = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            // The windows that nghttpx and Envoy give; 64 KiB hold a stream up at each round trip.
            .initial_stream_window_size(256 * 1024)
            .initial_connection_window_size(1024 * 1024)
            .handshake(TokioIo::new(link))
            .await?;
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "an HTTP/2 connection to the upstream ended");
            }
        });
        CONNECTIONS.with_borrow_mut(|all| all.insert(key, sender.clone()));
        sender.ready().await?;
        Ok(sender.send_request(request).await?.map(AnswerBody::Incoming))
    }

    fn open_sender(&self) -> Option<SendRequest<ForwardedBody>> {
        let key = (self.number, self.order().next()?);
        CONNECTIONS.with_borrow_mut(|all| {
            let sender = all.get(&key)?;
            if sender.is_closed() {
                all.remove(&key);
                return None;
            }
            Some(sender.clone())
        })
    }

    /// In HTTP/2 the host is part of the target.
    fn address(&self, request: &mut Request<ForwardedBody>) -> Result<(), ExchangeError> {
        let problem = |error: &dyn std::error::Error| ExchangeError::Answer(error.to_string());
        let host = request.headers_mut().remove(header::HOST);
        let host = host.as_ref().and_then(|host| host.to_str().ok()).unwrap_or_default();
        let authority: Authority = host.parse().map_err(|error: http::uri::InvalidUri| problem(&error))?;
        let mut parts = std::mem::take(request.uri_mut()).into_parts();
        parts.scheme = Some(if self.nodes[0].target.is_tls() { Scheme::HTTPS } else { Scheme::HTTP });
        parts.authority = Some(authority);
        *request.uri_mut() = Uri::from_parts(parts).map_err(|error| problem(&error))?;
        *request.version_mut() = http::Version::HTTP_2;
        Ok(())
    }
}

/// A copy of a request that can be sent twice without harm.
fn repeatable(request: &Request<ForwardedBody>) -> Option<Request<ForwardedBody>> {
    let harmless = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    if !harmless || !request.body().is_empty() {
        return None;
    }
    let mut copy = Request::new(ForwardedBody::empty());
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.headers_mut() = request.headers().clone();
    *copy.version_mut() = request.version();
    Some(copy)
}
