//! What can go wrong with a fetch: each with curl's exit code, and with a sentence that says whose side refused whom.

use std::io;
use std::time::Duration;

use explain::{Fault, Finding, FindingCode};

use crate::dial::{DialError, HandshakeFailure};
use crate::tls::CredentialsError;
use crate::url::UrlError;

/// Why a fetch failed.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The URL is none.
    #[error(transparent)]
    Url(#[from] UrlError),
    /// A part of the request cannot be sent.
    #[error("the request cannot be sent: {0}")]
    Request(String),
    /// There is no connection.
    #[error(transparent)]
    Dial(#[from] DialError),
    /// The client's own certificate and key are of no use.
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
    /// The handshake failed, on either side.
    #[error("{}", told(&.0.finding))]
    Handshake(Box<HandshakeFailure>),
    /// The server refused the connection after the handshake was done on our side.
    #[error("{}", told(.finding))]
    RefusedLater {
        /// What it means.
        finding: Box<Finding>,
        /// The alert.
        alert: u8,
    },
    /// The connection was closed without an answer.
    #[error("{}", told(.finding))]
    EmptyReply {
        /// What it means.
        finding: Box<Finding>,
    },
    /// The connection broke while the request was sent or the answer read.
    #[error("the connection broke {during}: {reason}")]
    Broken {
        /// Before or in the answer.
        during: &'static str,
        /// What the layers below say.
        reason: String,
    },
    /// The answer is no HTTP.
    #[error("the answer is no HTTP: {0}")]
    NotHttp(String),
    /// The answer ended before its end.
    #[error("the answer broke off after {received} bytes of its body: {reason}")]
    Partial {
        /// The bytes that came.
        received: u64,
        /// What the layers below say.
        reason: String,
    },
    /// The time was over.
    #[error("no complete answer from {target} within {} s", after.as_secs_f32())]
    Timeout {
        /// Who was asked.
        target: String,
        /// The limit.
        after: Duration,
    },
    /// The answer has a status of 400 or more, and that counts as a failure.
    #[error("the server answered with status {0}")]
    Status(u16),
    /// More redirections than are followed.
    #[error("{0} redirections were followed and there is one more; the last leads to {1}")]
    TooManyRedirects(u32, String),
    /// The body cannot be written where it should go.
    #[error("the answer cannot be written: {0}")]
    Output(#[source] io::Error),
    /// The request's body cannot be read.
    #[error("the body to send cannot be read: {0}")]
    Input(String),
}

fn told(finding: &Finding) -> String {
    let mut text = finding.summary.clone();
    for fact in &finding.evidence {
        text.push_str("; ");
        text.push_str(fact);
    }
    if let Some(remedy) = &finding.remedy {
        text.push_str("; ");
        text.push_str(remedy);
    }
    if let Some(fix) = &finding.fix {
        text.push_str("; ");
        text.push_str(&fix.command);
    }
    text
}

impl FetchError {
    /// The exit code that curl has for it.
    #[must_use]
    pub fn curl_exit_code(&self) -> u8 {
        match self {
            FetchError::Url(UrlError::Scheme(_)) => 1,
            FetchError::Url(_) | FetchError::Request(_) => 3,
            FetchError::Dial(DialError::Resolve { .. }) => 6,
            FetchError::Dial(DialError::Connect { .. }) => 7,
            FetchError::NotHttp(_) => 8,
            FetchError::Partial { .. } => 18,
            FetchError::Status(_) => 22,
            FetchError::Output(_) => 23,
            FetchError::Input(_) => 26,
            FetchError::Dial(DialError::Timeout { .. }) | FetchError::Timeout { .. } => 28,
            FetchError::Handshake(failure) if failure.server_refused_by_us => 60,
            FetchError::Handshake(_) => 35,
            FetchError::TooManyRedirects(..) => 47,
            FetchError::EmptyReply { .. } => 52,
            FetchError::RefusedLater { .. } | FetchError::Broken { .. } => 56,
            FetchError::Credentials(_) => 58,
        }
    }

    /// The same in the one refusal vocabulary.
    #[must_use]
    pub fn finding(&self) -> Finding {
        match self {
            FetchError::Dial(error) => error.finding(),
            FetchError::Handshake(failure) => failure.finding.clone(),
            FetchError::RefusedLater { finding, .. } | FetchError::EmptyReply { finding } => {
                (**finding).clone()
            }
            other => {
                let (code, fault) = match other {
                    FetchError::Credentials(CredentialsError::KeyMismatch { .. }) => {
                        (FindingCode::KeyMismatch, Fault::Client)
                    }
                    FetchError::Timeout { .. } => (FindingCode::Timeout, Fault::Server),
                    FetchError::Broken { .. } => (FindingCode::ConnectionReset, Fault::Server),
                    FetchError::Partial { .. } => (FindingCode::ClosedWithoutAlert, Fault::Server),
                    FetchError::NotHttp(_) | FetchError::Status(_) | FetchError::TooManyRedirects(..) => {
                        (FindingCode::ProtocolViolation, Fault::Server)
                    }
                    _ => (FindingCode::ConfigurationUnusable, Fault::Environment),
                };
                Finding::new(code, fault, other.to_string())
            }
        }
    }
}
