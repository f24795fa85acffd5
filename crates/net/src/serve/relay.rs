//! Two connections become one: octets pass both ways until both sides have ended, or one breaks. What TCP mode does
//! from the first octet on, and an Upgrade from its answer on.

use std::cell::RefCell;
use std::io;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::ReadBuf;

use super::upstream::Link;
use super::watch::Watch;
use crate::tls::socket::TlsSocket;

/// What is read at a time where many share a connection.
pub(crate) const READ: usize = Stride::LEAST as usize;

thread_local! {
    static READ_BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; Stride::MOST]);
}

/// How much is read at a time. 256 KiB move a tenth more octets down for a second of processor time than 64, and a quarter
/// more up (bench/README.md). But what the other side does not take is kept, so as much is read only while it takes all.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stride(u32);

impl Stride {
    const LEAST: u32 = 64 * 1024;
    pub(crate) const MOST: usize = 256 * 1024;

    pub(crate) fn octets(self) -> usize {
        self.0 as usize
    }

    /// Learns whether what was read last was taken at once.
    pub(crate) fn learn(&mut self, was_taken: bool) {
        self.0 = if was_taken { (2 * self.0).min(Self::MOST as u32) } else { Self::LEAST };
    }
}

impl Default for Stride {
    fn default() -> Self {
        Stride(Self::LEAST)
    }
}

/// Runs `look` with what can be read from an upstream now; an empty slice at its end.
pub(crate) fn poll_link<T>(
    link: &mut Link,
    stride: Stride,
    cx: &mut Context<'_>,
    look: impl FnOnce(&mut Context<'_>, &[u8]) -> T,
) -> Poll<io::Result<T>> {
    poll_link_at_most(link, stride.octets(), cx, look)
}

/// The same with at most so many octets.
pub(crate) fn poll_link_at_most<T>(
    link: &mut Link,
    most: usize,
    cx: &mut Context<'_>,
    look: impl FnOnce(&mut Context<'_>, &[u8]) -> T,
) -> Poll<io::Result<T>> {
    READ_BUFFER.with_borrow_mut(|buffer| {
        let mut read = ReadBuf::new(&mut buffer[..most.min(Stride::MOST)]);
        ready!(link.poll_read(cx, &mut read))?;
        Poll::Ready(Ok(look(cx, read.filled())))
    })
}

/// The state of the two directions.
#[derive(Debug, Default)]
pub(crate) struct Relay {
    client_ended: bool,
    told_upstream: bool,
    upstream_ended: bool,
    told_client: bool,
    stride: Stride,
    /// Octets from the client, and to it.
    pub(crate) up: u64,
    pub(crate) down: u64,
}

/// The sides of a relay and how long both may be silent.
pub(crate) struct Sides<'s> {
    pub(crate) socket: &'s mut TlsSocket,
    pub(crate) link: &'s mut Link,
    pub(crate) watch: &'s Watch,
    pub(crate) idle: Option<Duration>,
}

impl Relay {
    /// Passes on what can be passed on. Ready when both sides have ended.
    pub(crate) fn poll(&mut self, sides: &mut Sides<'_>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let before = self.up + self.down;
        if sides.socket.has_tickets_alone() && self.up > 0 {
            // An answer takes the tickets with it; after this look they are sent alone.
            let _ = self.poll_down(sides, cx)?;
        }
        let up = self.poll_up(sides, cx)?;
        let down = self.poll_down(sides, cx)?;
        if let Some(idle) = sides.idle {
            if self.up + self.down != before {
                sides.watch.arm(idle);
            } else if sides.watch.has_expired() {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
        }
        if up.is_ready() && down.is_ready() { Poll::Ready(Ok(())) } else { Poll::Pending }
    }

    fn poll_up(&mut self, sides: &mut Sides<'_>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Sides { socket, link, .. } = sides;
        loop {
            while !socket.plain().is_empty() {
                let written = link.poll_write(cx, socket.plain());
                socket.learn(matches!(written, Poll::Ready(Ok(count)) if count == socket.plain().len()));
                let count = ready!(written)?;
                socket.take(count);
                if self.up == 0 {
                    socket.hold_tickets();
                }
                self.up += count as u64;
            }
            if self.client_ended {
                ready!(link.poll_flush(cx))?;
                if !self.told_upstream {
                    ready!(link.poll_shutdown(cx))?;
                    self.told_upstream = true;
                }
                return Poll::Ready(Ok(()));
            }
            match socket.poll_fill(cx)? {
                Poll::Ready(0) => {
                    if !socket.ended_cleanly() {
                        // What the client meant to say is cut short, and the upstream must not take it for whole.
                        return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
                    }
                    self.client_ended = true;
                }
                Poll::Ready(_) => {}
                Poll::Pending => {
                    let _ = link.poll_flush(cx)?;
                    return Poll::Pending;
                }
            }
        }
    }

    fn poll_down(&mut self, sides: &mut Sides<'_>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Sides { socket, link, .. } = sides;
        loop {
            if socket.backlog() > 0 && !socket.has_tickets_alone() {
                ready!(socket.poll_flush(cx))?;
            }
            if self.upstream_ended {
                if !self.told_client {
                    // Where both have ended the connection is closed as a whole.
                    ready!(if self.told_upstream {
                        socket.poll_farewell(cx)
                    } else {
                        socket.poll_close(cx)
                    })?;
                    self.told_client = true;
                }
                return Poll::Ready(Ok(()));
            }
            let count = ready!(poll_link(link, self.stride, cx, |cx, octets| {
                if octets.is_empty() { Ok(0) } else { socket.send(cx, &[octets]).map(|()| octets.len()) }
            }))??;
            self.stride.learn(socket.backlog() == 0);
            self.upstream_ended = count == 0;
            self.down += count as u64;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_is_read_only_while_it_is_taken_at_once() {
        let mut stride = Stride::default();
        let reads: Vec<usize> = [true, true, true, false, true]
            .map(|was_taken| {
                let octets = stride.octets();
                stride.learn(was_taken);
                octets / 1024
            })
            .into();
        assert_eq!(reads, [64, 128, 256, 256, 64]);
        assert_eq!(stride.octets(), 128 * 1024);
    }
}
