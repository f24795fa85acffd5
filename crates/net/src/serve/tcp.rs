//! TCP mode: the connection of a permitted client is passed on to a service that speaks whatever it speaks.

use std::borrow::Cow;
use std::future::poll_fn;
use std::sync::Arc;
use std::time::Instant;

use explain::Finding;
use http::Method;

use super::access::{AccessRecord, RequestRecord};
use super::connection::Connection;
use super::counters::Counters;
use super::relay::{Relay, Sides};
use super::standing::{RefusedRequest, Seat};
use super::{Handler, TcpUpstream};
use crate::tls::socket::TlsSocket;

/// Serves one connection after its handshake.
pub(crate) async fn serve(connection: Arc<Connection>, mut socket: TlsSocket) {
    let started = Instant::now();
    let now = connection.now();
    let mut record = Box::new(connection.record(Method::CONNECT, String::new(), "TCP", now));
    let seat = connection.standing.judge("", "/", None, now);
    Counters::add(&connection.server.counters.requests);
    match seat {
        Seat::Admitted { admission, client, route } => {
            connection.note_admitted(&mut record, &admission, client.as_deref(), &route);
            let pass = match connection.enter(&route, client.as_deref(), connection.origin(|_| Vec::new())) {
                Ok(pass) => pass,
                Err(turned) => {
                    record.verdict = Cow::Owned(format!("FAILED:{}", turned.finding.code));
                    record.finding = Some(turned.finding);
                    record.status = 429;
                    close(&mut socket).await;
                    return finish(&connection, record, started);
                }
            };
            Counters::add(&connection.server.counters.requests_open);
            let ended = match &*route.handler {
                Handler::Tcp(upstream) => pass_on(&connection, upstream, &mut socket, &mut record).await,
                // A snapshot is in TCP mode where its one route is.
                _ => Err(None),
            };
            Counters::remove(&connection.server.counters.requests_open);
            drop(pass);
            match ended {
                Ok(()) => record.complete = true,
                // Ended without a word: what was passed on so far must not look whole.
                Err(finding) => {
                    record.finding = finding;
                    return finish(&connection, record, started);
                }
            }
        }
        Seat::Refused(RefusedRequest { finding, .. }) => {
            connection.note_refused(&mut record, finding, None);
            record.status = 403;
        }
        Seat::Nowhere { .. } => record.status = 404,
    }
    close(&mut socket).await;
    finish(&connection, record, started);
}

fn finish(connection: &Connection, mut record: Box<RequestRecord>, started: Instant) {
    record.duration = started.elapsed();
    (connection.server.log)(&AccessRecord::Request(record));
}

async fn close(socket: &mut TlsSocket) {
    let _ = poll_fn(|cx| socket.poll_farewell(cx)).await;
}

async fn pass_on(
    connection: &Connection,
    service: &TcpUpstream,
    socket: &mut TlsSocket,
    record: &mut RequestRecord,
) -> Result<(), Option<Finding>> {
    let (_, mut link) = Box::pin(service.upstream.connect()).await.map_err(|_| None)?;
    record.status = 200;
    if service.proxy_protocol {
        let header = connection.proxy_header(socket);
        poll_fn(|cx| poll_all(&mut link, &header, cx)).await.map_err(|_| None)?;
    }
    let mut relay = Relay::default();
    let idle = connection.server.limits.body_idle_timeout;
    connection.watch().arm(idle);
    let ended = {
        let mut sides = Sides { socket, link: &mut link, watch: connection.watch(), idle: Some(idle) };
        poll_fn(|cx| relay.poll(&mut sides, cx)).await
    };
    record.bytes = relay.down;
    ended.map_err(|error| {
        tracing::debug!(address = %connection.address, %error, "a connection was cut short");
        None
    })
}

fn poll_all(
    link: &mut super::upstream::Link,
    octets: &[u8],
    cx: &mut std::task::Context<'_>,
) -> std::task::Poll<std::io::Result<()>> {
    // A header is smaller than any socket's buffer, which is empty at this moment.
    match std::task::ready!(link.poll_write(cx, octets))? {
        count if count == octets.len() => std::task::Poll::Ready(Ok(())),
        _ => std::task::Poll::Ready(Err(std::io::ErrorKind::WriteZero.into())),
    }
}
