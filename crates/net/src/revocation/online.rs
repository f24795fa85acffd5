//! Single certificates asked about at their issuer's responder (OCSP, RFC 6960), beside the lists: answers are kept until
//! they are due, asked for again before they end, and a client whose certificate turns out revoked meanwhile is cut off
//! like one that a new list names. The first handshake of a client waits for the first answer, once its key is proven
//! (`tls::client_verifier`).

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use explain::doctor::{Direction, advised};
use explain::{Fault, Finding, FindingCode};
use http::Method;
use http::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderValue};
use jiff::{SignedDuration, Timestamp};
use pki::ocsp::{self, CertId, CertStatus, HashAlgorithm, OcspError, Response, SingleResponse};
use pki::verify::{ReasonCode, TrustBundle};
use tokio::sync::Semaphore;

use super::schedule;
use crate::dial::TlsOptions;
use crate::fetch::{FetchError, Options, Request, RequestBody, fetch};
use crate::refusal;
use crate::snapshot::{Client, Judge};
use crate::tls::server_verifier::Expectation;
use crate::url::{Scheme, Url};

/// The longest that an answer is not asked for again: a revocation is noticed within this time.
const REFRESH: Duration = Duration::from_secs(300);
/// The largest answer that is taken; OpenSSL's responder sends 2 KiB with its certificate.
const LARGEST: usize = 64 * 1024;
/// Certificates that are remembered. What is over is asked for again.
const REMEMBERED: usize = 20_000;
/// Questions under way at a time.
const AT_ONCE: usize = 64;
/// Handshakes that wait for an answer at a time. Each has a thread, of which there are 512 for all that blocks: a responder
/// that hangs must not take those that names are looked up on.
const WAITING: usize = 256;
/// How long an answer without an end holds (as in `pki::verify`).
const WITHOUT_END: SignedDuration = SignedDuration::from_hours(24);

/// What it means where no answer can be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnlineMode {
    /// Let in: only a certificate that the responder calls revoked is refused.
    Soft,
    /// Refused.
    Hard,
}

/// The responders' clients.
#[derive(Debug)]
pub struct Online {
    mode: OnlineMode,
    responder: Option<Url>,
    limit: Duration,
    known: Mutex<HashMap<[u8; 32], Known>>,
    version: AtomicU64,
    slots: Semaphore,
    waiting: Semaphore,
}

#[derive(Debug)]
struct Known {
    answer: Answer,
    again_at: Timestamp,
    failures: u32,
    is_asked: bool,
}

#[derive(Debug, Clone)]
enum Answer {
    Good {
        until: Timestamp,
    },
    /// Revoked.
    Bad(Box<Finding>),
    Missing {
        /// Whether the responder gave none, or one that cannot be believed.
        code: FindingCode,
        why: Arc<str>,
    },
}

/// A certificate that no answer speaks for.
#[derive(Debug, Clone)]
pub(crate) struct Unvouched {
    pub(crate) finding: Box<Finding>,
    pub(crate) is_revoked: bool,
}

/// Why no answer was had.
#[derive(Debug, thiserror::Error)]
enum AskError {
    #[error("the certificate names no responder that speaks http://")]
    NoResponder,
    #[error("its issuer is not in the path")]
    NoIssuer,
    #[error("its issuer's key cannot be hashed: {0}")]
    Key(#[from] pki::key::PublicKeyError),
    #[error("{0}")]
    Fetch(#[from] FetchError),
    #[error("the responder answers with status {0}")]
    Status(u16),
    #[error("the answer has more than {LARGEST} octets")]
    TooLarge,
    #[error("{0}")]
    Unreadable(#[from] OcspError),
    #[error("the answer is to another question: its nonce is not the one that was sent")]
    Nonce,
    #[error("the answer does not speak of this certificate")]
    Elsewhere,
    #[error("{0}")]
    NotBelieved(String),
    #[error("no random octets can be had")]
    NoDice,
    #[error("there was no answer within {} s", .0.as_secs_f32())]
    Late(Duration),
}

impl AskError {
    /// What it is: a responder that gives no answer, or an answer that is worth nothing.
    fn code(&self) -> FindingCode {
        match self {
            AskError::NoResponder
            | AskError::NoIssuer
            | AskError::Key(_)
            | AskError::Fetch(_)
            | AskError::Status(_)
            | AskError::Unreadable(OcspError::Refused(_))
            | AskError::NoDice
            | AskError::Late(_) => FindingCode::OcspUnavailable,
            AskError::TooLarge
            | AskError::Unreadable(_)
            | AskError::Nonce
            | AskError::Elsewhere
            | AskError::NotBelieved(_) => FindingCode::OcspInvalid,
        }
    }
}

impl Online {
    /// Asks the responder that each certificate names, or this one for all; an answer may take `limit`.
    ///
    /// ```
    /// use net::revocation::{Online, OnlineMode};
    /// let online = Online::new(OnlineMode::Soft, None, std::time::Duration::from_secs(3));
    /// assert_eq!(online.mode(), OnlineMode::Soft);
    /// ```
    #[must_use]
    pub fn new(mode: OnlineMode, responder: Option<Url>, limit: Duration) -> Self {
        Online {
            mode,
            responder,
            limit,
            known: Mutex::default(),
            version: AtomicU64::new(0),
            slots: Semaphore::new(AT_ONCE),
            waiting: Semaphore::new(WAITING),
        }
    }

    /// What it means where no answer can be had.
    #[must_use]
    pub fn mode(&self) -> OnlineMode {
        self.mode
    }

    /// A number that changes whenever a verdict does.
    pub(crate) fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// The verdict on a client, by what is known now.
    pub(crate) fn verdict(&self, client: &Client, now: Timestamp) -> Result<(), Unvouched> {
        let unavailable = |why: String| (FindingCode::OcspUnavailable, Arc::from(why));
        let (code, why): (FindingCode, Arc<str>) = match self.answer(&client.hash()) {
            Some(Answer::Good { until }) if now <= until => return Ok(()),
            Some(Answer::Bad(finding)) => return Err(Unvouched { finding, is_revoked: true }),
            Some(Answer::Good { until }) => unavailable(format!("the last answer was good until {until}")),
            Some(Answer::Missing { code, why }) => (code, why),
            None => unavailable("it was not asked yet".to_owned()),
        };
        match self.mode {
            OnlineMode::Soft => Ok(()),
            OnlineMode::Hard => {
                let text =
                    format!("no responder says that the certificate of '{}' is good: {why}", client.name);
                let finding = advised(
                    Finding::new(code, Fault::Server, text).called(&client.name),
                    Direction::ServerRefusedClient,
                );
                Err(Unvouched { finding: Box::new(finding), is_revoked: false })
            }
        }
    }

    /// Whether a ticket of the client with this certificate may still spare its handshake: one that would be refused
    /// does a handshake again, and hears in it why.
    pub(crate) fn may_resume(&self, certificate: &[u8; 32], now: Timestamp) -> bool {
        match (self.answer(certificate), self.mode) {
            (Some(Answer::Bad(_)), _) => false,
            (Some(Answer::Good { until }), OnlineMode::Hard) => now <= until,
            (Some(Answer::Missing { .. }) | None, OnlineMode::Hard) => false,
            (_, OnlineMode::Soft) => true,
        }
    }

    fn answer(&self, certificate: &[u8; 32]) -> Option<Answer> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(certificate).map(|known| known.answer.clone())
    }

    /// Makes sure that there is an answer, or that none can be had. Waited for is a first answer, one after the end of
    /// the last, and under `hard`, as soon as it is due, one after none: who is in doubt would be refused for it. Where too
    /// many wait already, nobody else does.
    pub(crate) async fn ask(self: &Arc<Self>, judge: &Arc<Judge>, client: &Arc<Client>, now: Timestamp) {
        let waits = {
            let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            match known.get(&client.hash()) {
                None => true,
                Some(Known { answer: Answer::Good { until }, again_at, .. }) => {
                    now > *until && now >= *again_at
                }
                Some(Known { answer: Answer::Missing { .. }, again_at, .. }) => {
                    self.mode == OnlineMode::Hard && now >= *again_at
                }
                Some(Known { answer: Answer::Bad(_), .. }) => false,
            }
        };
        match self.waiting.try_acquire() {
            Ok(_place) if waits => self.question(judge, client, now).await,
            _ => self.refresh(judge, client, now),
        }
    }

    /// Asks again, in the background, where that is due.
    pub(crate) fn refresh(self: &Arc<Self>, judge: &Arc<Judge>, client: &Arc<Client>, now: Timestamp) {
        {
            let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            let entry = known.entry(client.hash()).or_insert_with(|| Known {
                answer: Answer::Missing {
                    code: FindingCode::OcspUnavailable,
                    why: "it is being asked".into(),
                },
                again_at: now,
                failures: 0,
                is_asked: false,
            });
            if entry.is_asked || now < entry.again_at {
                return;
            }
            entry.is_asked = true;
        }
        let (online, judge, client) = (Arc::clone(self), Arc::clone(judge), Arc::clone(client));
        tokio::spawn(async move { online.question(&judge, &client, now).await });
    }

    /// Asks once, and notes what came of it.
    async fn question(&self, judge: &Judge, client: &Client, now: Timestamp) {
        let asked = tokio::time::timeout(self.limit, async {
            let _slot = self.slots.acquire().await;
            self.fetch(judge, client, now).await
        });
        let answer = asked.await.unwrap_or(Err(AskError::Late(self.limit)));
        if let Err(error) = &answer {
            let code = error.code();
            tracing::warn!(client = %client.name, %code, %error, "ocsp: no answer for a client's certificate");
        }
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= REMEMBERED {
            known.retain(|_, one| one.again_at > now);
            if known.len() >= REMEMBERED {
                known.clear();
            }
        }
        let before = known.remove(&client.hash());
        let failures = before.as_ref().map_or(0, |before| before.failures);
        let after = match answer {
            Ok((answer, next_update)) => Known {
                answer,
                again_at: schedule::after_success(now, next_update, REFRESH),
                failures: 0,
                is_asked: false,
            },
            Err(error) => Known {
                // What is still good stays so until its end.
                answer: match before.as_ref().map(|before| &before.answer) {
                    Some(Answer::Good { until }) if *until >= now => Answer::Good { until: *until },
                    Some(Answer::Bad(finding)) => Answer::Bad(finding.clone()),
                    _ => Answer::Missing { code: error.code(), why: error.to_string().into() },
                },
                again_at: schedule::after_failure(now, failures + 1),
                failures: failures + 1,
                is_asked: false,
            },
        };
        let same = before.is_some_and(|before| {
            std::mem::discriminant(&before.answer) == std::mem::discriminant(&after.answer)
        });
        known.insert(client.hash(), after);
        drop(known);
        if !same {
            self.version.fetch_add(1, Ordering::AcqRel);
        }
    }

    async fn fetch(
        &self,
        judge: &Judge,
        client: &Client,
        now: Timestamp,
    ) -> Result<(Answer, Option<Timestamp>), AskError> {
        let leaf = client.peer.certificate();
        let issuer = client.peer.path().certificates().get(1).ok_or(AskError::NoIssuer)?;
        let url = match &self.responder {
            Some(url) => url.clone(),
            None => ocsp::responders_of(leaf)
                .iter()
                .filter_map(|text| Url::parse(text).ok())
                // The answer is signed; a check of https:// would need an answer first (RFC 5280 section 8).
                .find(|url| url.scheme == Scheme::Http)
                .ok_or(AskError::NoResponder)?,
        };
        let mut nonce = vec![0; 16];
        aws_lc_rs::rand::fill(&mut nonce).map_err(|_| AskError::NoDice)?;
        let question = ocsp::Request {
            certificates: vec![CertId::new(issuer, leaf.serial(), HashAlgorithm::Sha1)?],
            nonce: Some(nonce),
        };
        let response = Response::from_der(&self.post(url, question.to_der()).await?)?;
        // A responder that answers from what it signed before repeats no nonce (RFC 5019 section 4).
        if response.nonce().is_some_and(|nonce| Some(nonce) != question.nonce.as_deref()) {
            return Err(AskError::Nonce);
        }
        let single = response.responses().iter().find(|single| single.certificate.is_of(leaf, issuer));
        let Some(SingleResponse { status, this_update, next_update, .. }) = single else {
            return Err(AskError::Elsewhere);
        };
        match judge.ask(client, &response, now) {
            Ok(()) if *status == CertStatus::Good => {
                let until = next_update.or_else(|| this_update.checked_add(WITHOUT_END).ok());
                Ok((Answer::Good { until: until.unwrap_or(now) }, *next_update))
            }
            Ok(()) => Err(AskError::Elsewhere),
            Err(refusal) if refusal.reasons().iter().any(|r| r.code == ReasonCode::CertificateRevoked) => {
                Ok((Answer::Bad(Box::new(refusal::of_path(&refusal, Fault::Client))), *next_update))
            }
            Err(refusal) => Err(AskError::NotBelieved(refusal.first().to_string())),
        }
    }

    async fn post(&self, url: Url, question: Vec<u8>) -> Result<Vec<u8>, AskError> {
        let mut options = Options::new(TlsOptions::new(Expectation::new(TrustBundle::default())));
        options.max_time = Some(self.limit);
        options.connect_timeout = self.limit;
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/ocsp-request"));
        headers.insert(ACCEPT, HeaderValue::from_static("application/ocsp-response"));
        let body = RequestBody::Bytes(Bytes::from(question));
        let mut response = fetch(Request { method: Method::POST, url, headers, body }, &options).await?;
        if response.status() != 200 {
            return Err(AskError::Status(response.status()));
        }
        let mut octets = Vec::new();
        while let Some(chunk) = response.chunk().await? {
            octets.extend_from_slice(&chunk);
            if octets.len() > LARGEST {
                return Err(AskError::TooLarge);
            }
        }
        Ok(octets)
    }
}
