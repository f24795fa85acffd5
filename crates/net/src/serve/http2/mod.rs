//! HTTP/2 with a client (RFC 9113), written for this gateway: all streams of a connection are polled in its one task,
//! what they read from upstreams goes straight into frames, and all frames of a turn leave in one write. `session` reads
//! the frames and keeps the windows and limits, `request` makes a request of a stream's fields, `forward` and `local`
//! answer it.

pub(crate) mod checks;
mod entry;
mod forward;
mod frame;
mod hpack;
mod huffman;
mod local;
mod ready;
mod request;
mod session;
mod stream;
mod wire;

use std::cell::RefCell;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::time::timeout;

use super::connection::Connection;
use crate::accept;
use crate::tls::socket::TlsSocket;
use session::Session;

thread_local! {
    /// Where the frames of one turn are gathered: a connection keeps none between its turns.
    static OUT: RefCell<Vec<u8>> = RefCell::default();
}

/// How a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ended {
    /// The client has closed it.
    Left,
    /// We close it; the client is let finish, so that it gets to read what was said last.
    Closed,
    /// It broke.
    Broken,
}

/// Serves a connection until it ends.
pub(crate) async fn serve(connection: Arc<Connection>, mut socket: TlsSocket) {
    let limit = connection.server.limits.handshake_timeout;
    let mut session = Box::new(Session::new(connection));
    let ended = poll_fn(|cx| poll(&mut session, &mut socket, cx)).await;
    drop(session);
    match ended {
        Ended::Broken => {
            // The alert that says why is among what is to be sent.
            let _ = timeout(limit, poll_fn(|cx| socket.poll_flush(cx))).await;
        }
        Ended::Left => {
            let _ = timeout(limit, poll_fn(|cx| socket.poll_close(cx))).await;
        }
        Ended::Closed => {
            let _ = timeout(limit, poll_fn(|cx| socket.poll_close(cx))).await;
            accept::linger(socket.into_tcp()).await;
        }
    }
}

fn poll(session: &mut Session, socket: &mut TlsSocket, cx: &mut Context<'_>) -> Poll<Ended> {
    session.wire.out = OUT.take();
    session.wire.clear();
    let polled = session.poll(socket, cx);
    // What the socket did not take it keeps itself.
    session.wire.clear();
    OUT.set(std::mem::take(&mut session.wire.out));
    polled
}
