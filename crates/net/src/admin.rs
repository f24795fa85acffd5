//! The admin address: `/_status`, `/_metrics` and `/_clients`, in plain HTTP. It shows who the clients are, so it belongs
//! on loopback or in a network of its own, never on the public address.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use jiff::Timestamp;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::time::sleep;

use crate::observe::Observer;

/// Connections at a time: Prometheus needs one.
const CONNECTIONS: usize = 32;

/// For a request's head.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// Serves the admin pages until it is dropped.
pub async fn serve(listener: TcpListener, observer: Arc<Observer>, clock: fn() -> Timestamp) {
    let slots = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        // The semaphore is never closed.
        let Ok(slot) = Arc::clone(&slots).acquire_owned().await else { return };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "the admin address takes no connection at the moment");
                sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let observer = Arc::clone(&observer);
        tokio::spawn(async move {
            let service = service_fn(move |request| {
                let answer = answer(&request, &observer, clock());
                async move { Ok::<_, Infallible>(answer) }
            });
            let http = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD_TIMEOUT)
                .serve_connection(TokioIo::new(stream), service);
            // Whoever asks half a question has no answer to miss.
            let _ = http.await;
            drop(slot);
        });
    }
}

fn answer<B>(request: &Request<B>, observer: &Observer, now: Timestamp) -> Response<Full<Bytes>> {
    const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";
    let (status, kind, body) = match (request.method(), request.uri().path()) {
        (&Method::GET | &Method::HEAD, "/_metrics" | "/metrics") => {
            (StatusCode::OK, TEXT, observer.metrics(now))
        }
        (&Method::GET | &Method::HEAD, "/_status") => {
            (StatusCode::OK, "application/json", format!("{:#}\n", observer.status(now)))
        }
        (&Method::GET | &Method::HEAD, "/_clients") => {
            (StatusCode::OK, "application/json", format!("{:#}\n", observer.clients(now)))
        }
        (&Method::GET | &Method::HEAD, _) => {
            (StatusCode::NOT_FOUND, TEXT, "there are /_status, /_metrics and /_clients\n".to_owned())
        }
        _ => (StatusCode::METHOD_NOT_ALLOWED, TEXT, "nothing can be changed here\n".to_owned()),
    };
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
