//! A handler of another crate: it is given each admitted request with who sent it, and gives the answer.

use std::fmt;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use pki::identity::VerifiedPeer;

use super::body::IncomingBody;

/// The body of a service's answer.
pub type ServiceBody = UnsyncBoxBody<Bytes, Box<dyn std::error::Error + Send + Sync>>;

/// An answer on its way.
pub type Answering = Pin<Box<dyn Future<Output = Response<ServiceBody>> + Send>>;

/// Who sent a request.
#[derive(Debug, Clone)]
pub struct Visitor {
    /// From where.
    pub address: SocketAddr,
    /// Whose certificate was verified; `None` without one. Where the snapshot tolerates expired certificates, this one
    /// may be past its end.
    pub peer: Option<Arc<VerifiedPeer>>,
}

/// Answers requests that were let in.
pub trait Service: Send + Sync {
    /// Answers one.
    fn answer(&self, request: Request<IncomingBody>, visitor: Visitor) -> Answering;
}

impl fmt::Debug for dyn Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Service")
    }
}
