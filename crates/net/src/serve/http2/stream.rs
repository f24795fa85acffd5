//! One stream: what the client may still send on it and we to it, and what answers it.

use std::task::Context;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};

use super::forward::{Exchange, Step};
use super::frame::ErrorCode;
use super::hpack::Fields;
use super::local::Local;
use super::wire::Wire;
use crate::serve::connection::Connection;
use crate::serve::headers::is_claim_name;
use crate::serve::http1::body::FORBIDDEN;
use crate::serve::http1::head;

/// The sending side, as one stream has it.
pub(super) struct Line<'w> {
    pub(super) wire: &'w mut Wire,
    pub(super) id: u32,
    pub(super) window: &'w mut i64,
}

impl Line<'_> {
    /// Sends of `octets` what the windows let pass, and says how much that was.
    pub(super) fn data(&mut self, octets: &[u8]) -> usize {
        self.wire.data(self.id, self.window, octets)
    }

    /// What the windows let pass.
    pub(super) fn room(&self) -> usize {
        usize::try_from(self.wire.window.min(*self.window)).unwrap_or(0)
    }
}

/// How a stream's turn ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// It is woken when it can go on.
    Waits,
    /// It waits for a larger window.
    Blocked,
    /// It goes on when others have had their turn.
    Again,
    /// Its answer was sent to the end.
    Over,
    /// It broke off.
    Broken(ErrorCode),
}

/// What answers a stream.
pub(super) enum Work {
    Forward(Box<Exchange>),
    Local(Box<Local>),
}

pub(super) struct Stream {
    pub(super) id: u32,
    /// The client may send more.
    pub(super) is_open: bool,
    /// What may be sent of the answer's body.
    pub(super) window: i64,
    /// What the client may send of its body before it is told to go on, and what it was not told of yet.
    pub(super) receives: i64,
    pub(super) freed: u32,
    /// What was given to an answer that is not to come any more.
    pub(super) dropped: usize,
    /// What the request's body still has by its Content-Length.
    pub(super) left: Option<u64>,
    pub(super) is_blocked: bool,
    /// When it has stood still for too long, in milliseconds of this process; 0 where it may.
    pub(super) deadline: u64,
    pub(super) work: Work,
}

impl Stream {
    /// Has its turn.
    pub(super) fn poll(&mut self, wire: &mut Wire, cx: &mut Context<'_>) -> Turn {
        let mut line = Line { wire, id: self.id, window: &mut self.window };
        let turn = match &mut self.work {
            Work::Local(local) => local.poll(&mut line, cx),
            Work::Forward(exchange) => match exchange.poll(&mut line, cx) {
                Step::Turn(turn) => turn,
                Step::Page(page) => {
                    let (freed, entry) = (exchange.waiting(), exchange.take_entry());
                    let mut local = Local::page(*page, exchange.is_head(), entry);
                    let turn = local.poll(&mut line, cx);
                    self.work = Work::Local(Box::new(local));
                    self.dropped += freed;
                    turn
                }
            },
        };
        self.is_blocked = turn == Turn::Blocked;
        turn
    }

    /// It stood still for too long: a page where nothing of the answer was sent, else its end.
    pub(super) fn expire(&mut self) -> Turn {
        if let Work::Forward(exchange) = &mut self.work
            && let Step::Page(page) = exchange.expire()
        {
            let (freed, entry) = (exchange.waiting(), exchange.take_entry());
            self.work = Work::Local(Box::new(Local::page(*page, exchange.is_head(), entry)));
            self.dropped += freed;
            return Turn::Again;
        }
        Turn::Broken(ErrorCode::InternalError)
    }

    /// Takes a piece of the request's body.
    pub(super) fn give(&mut self, data: &[u8]) {
        match &mut self.work {
            Work::Forward(exchange) => exchange.give(data),
            Work::Local(local) => local.give(data),
        }
    }

    /// The request is whole, with these trailers; without what no trailer may be (RFC 9110 section 6.5.1), and without
    /// claims of an identity.
    pub(super) fn end(&mut self, trailers: Option<&Fields>) {
        self.is_open = false;
        let passed = trailers.into_iter().flat_map(Fields::iter).filter(|(name, _)| {
            !FORBIDDEN.iter().any(|other| *name == other.as_bytes()) && !is_claim_name(name)
        });
        match &mut self.work {
            Work::Forward(exchange) => {
                let mut lines = Vec::new();
                for part in passed.flat_map(|(name, value)| [name, b": ", value, b"\r\n"]) {
                    lines.extend_from_slice(part);
                }
                exchange.end(&lines);
            }
            Work::Local(local) => {
                let mut map = HeaderMap::new();
                for (name, value) in passed {
                    if let (Ok(name), Ok(value)) =
                        (HeaderName::from_bytes(name), HeaderValue::from_bytes(value))
                    {
                        map.append(name, value);
                    }
                }
                local.end(map);
            }
        }
    }

    /// The octets of the request's body that were taken since this was last asked.
    pub(super) fn take_freed(&mut self) -> usize {
        let freed = match &mut self.work {
            Work::Forward(exchange) => exchange.take_freed(),
            Work::Local(local) => local.take_freed(),
        };
        freed + std::mem::take(&mut self.dropped)
    }

    /// Those that nobody has taken.
    pub(super) fn waiting(&self) -> usize {
        match &self.work {
            Work::Forward(exchange) => exchange.waiting(),
            Work::Local(local) => local.waiting(),
        }
    }

    /// Where something has moved since this was last asked, how long it may stand still from now on.
    pub(super) fn take_limit(&mut self, connection: &Connection) -> Option<Option<Duration>> {
        match &mut self.work {
            Work::Forward(exchange) => exchange.take_moved().then(|| Some(exchange.limit(connection))),
            Work::Local(local) if local.is_responding() => Some(None),
            Work::Local(local) => {
                local.take_moved().then_some(Some(connection.server.limits.body_idle_timeout))
            }
        }
    }
}

/// Whether a field of an HTTP/2 message is one (RFC 9113 section 8.2.1): no capitals in its name, no control character
/// and no white space around its value. Pseudo-fields have names of their own.
pub(super) fn is_field(name: &[u8], value: &[u8]) -> bool {
    let is_space = |octet: Option<&u8>| matches!(octet, Some(b' ' | b'\t'));
    head::is_token(name)
        && !name.iter().any(u8::is_ascii_uppercase)
        && head::is_value(value)
        && !is_space(value.first())
        && !is_space(value.last())
}
