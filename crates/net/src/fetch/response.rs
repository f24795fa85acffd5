//! The answer to a fetch: its head at once, its body as it is asked for.

use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{self, HeaderMap};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use tokio::io::{AsyncWrite, AsyncWriteExt as _};
use tokio::time::timeout_at;

use super::{FetchError, Limit, refused_later};
use crate::dial::CertificateRequest;
use crate::dial::handshake::Memory;
use crate::tls::Negotiated;
use crate::tls::server_verifier::Served;

/// What was seen of the connection, for `-v`.
#[derive(Debug, Clone, Default)]
pub struct Conversation {
    /// The address that answered, where it is TCP.
    pub address: Option<SocketAddr>,
    /// What was agreed on; `None` without TLS.
    pub tls: Option<Negotiated>,
    /// The server's certificates and the verdict.
    pub served: Option<Served>,
    /// What the server asked for, where it asked for a client certificate.
    pub certificate_request: Option<CertificateRequest>,
    /// Whether one was sent.
    pub sent_certificate: bool,
}

/// An answer whose head has come.
#[derive(Debug)]
pub struct Response {
    head: http::response::Parts,
    body: Incoming,
    conversation: Conversation,
    memory: Option<Arc<Memory>>,
    limit: Option<Limit>,
    target: String,
    received: u64,
}

impl Response {
    pub(super) fn new(
        answer: http::Response<Incoming>,
        conversation: Conversation,
        memory: Option<Arc<Memory>>,
        limit: Option<Limit>,
        target: String,
    ) -> Self {
        let (head, body) = answer.into_parts();
        Response { head, body, conversation, memory, limit, target, received: 0 }
    }

    /// The status.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.head.status.as_u16()
    }

    /// The headers.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        &self.head.headers
    }

    /// What was seen of the connection.
    #[must_use]
    pub fn conversation(&self) -> &Conversation {
        &self.conversation
    }

    /// The head as `-i` shows it: status line and headers, CRLF at each end, and an empty line.
    #[must_use]
    pub fn head_bytes(&self) -> Vec<u8> {
        let status = self.head.status;
        let mut head = match self.head.version {
            http::Version::HTTP_2 => format!("HTTP/2 {} \r\n", status.as_str()),
            version => {
                let said = self.head.extensions.get::<hyper::ext::ReasonPhrase>();
                let reason = match said {
                    Some(said) => String::from_utf8_lossy(said.as_bytes()),
                    None => status.canonical_reason().unwrap_or_default().into(),
                };
                format!("{version:?} {} {reason}\r\n", status.as_str())
            }
        }
        .into_bytes();
        for (name, value) in &self.head.headers {
            head.extend_from_slice(name.as_str().as_bytes());
            head.extend_from_slice(b": ");
            head.extend_from_slice(value.as_bytes());
            head.extend_from_slice(b"\r\n");
        }
        head.extend_from_slice(b"\r\n");
        head
    }

    /// Makes a failure of a status of 400 and more, as `--fail` does.
    ///
    /// # Errors
    /// [`FetchError::Status`].
    pub fn fail_on_error_status(self) -> Result<Self, FetchError> {
        if self.status() >= 400 { Err(FetchError::Status(self.status())) } else { Ok(self) }
    }

    /// The next piece of the body; `None` at its end.
    ///
    /// # Errors
    /// [`FetchError`] where the answer breaks off.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, FetchError> {
        loop {
            let next = self.body.frame();
            let frame = match self.limit {
                None => next.await,
                Some(limit) => timeout_at(limit.deadline, next)
                    .await
                    .map_err(|_| FetchError::Timeout { target: self.target.clone(), after: limit.after })?,
            };
            match frame {
                None => return Ok(None),
                Some(Ok(frame)) => {
                    // Trailers are no part of the body, and HTTP/2 may end it with an empty frame.
                    if let Ok(data) = frame.into_data()
                        && !data.is_empty()
                    {
                        self.received += data.len() as u64;
                        return Ok(Some(data));
                    }
                }
                Some(Err(error)) => {
                    return Err(refused_later(self.memory.as_deref()).unwrap_or_else(|| {
                        FetchError::Partial { received: self.received, reason: causes(&error) }
                    }));
                }
            }
        }
    }

    /// Writes the body as it comes, and gives its length.
    ///
    /// # Errors
    /// [`FetchError`] where the answer breaks off or cannot be written.
    pub async fn copy_to(mut self, output: &mut (impl AsyncWrite + Unpin)) -> Result<u64, FetchError> {
        while let Some(data) = self.chunk().await? {
            output.write_all(&data).await.map_err(FetchError::Output)?;
        }
        output.flush().await.map_err(FetchError::Output)?;
        Ok(self.received)
    }

    /// The whole body, in memory.
    ///
    /// # Errors
    /// [`FetchError`] where the answer breaks off.
    pub async fn bytes(mut self) -> Result<Vec<u8>, FetchError> {
        let mut body = Vec::new();
        while let Some(data) = self.chunk().await? {
            body.extend_from_slice(&data);
        }
        Ok(body)
    }

    /// Where a redirection leads.
    pub(super) fn location(&self) -> Option<String> {
        if !matches!(self.status(), 301 | 302 | 303 | 307 | 308) {
            return None;
        }
        let location = self.head.headers.get(header::LOCATION)?;
        Some(String::from_utf8_lossy(location.as_bytes()).into_owned())
    }
}

/// An error and its causes on one line.
pub(super) fn causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.ends_with(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}

/// The kind of the I/O error among the causes of an error.
pub(super) fn io_kind(error: &hyper::Error) -> Option<io::ErrorKind> {
    let mut source = error.source();
    while let Some(cause) = source {
        if let Some(io) = cause.downcast_ref::<io::Error>() {
            return Some(io.kind());
        }
        source = cause.source();
    }
    None
}

/// The request body's own error, where it broke the exchange.
pub(super) fn input_error(error: &hyper::Error) -> Option<String> {
    error.is_user().then(|| causes(error))
}
