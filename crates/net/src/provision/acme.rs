//! An ACME client (RFC 8555, with RFC 9773 and profiles): the conversation, without deciding how a challenge is shown or
//! when it is asked again.

use std::sync::{Arc, Mutex, PoisonError};

use http::Method;
use http::header::{self, HeaderMap, HeaderValue};
use jiff::Timestamp;
use pki::Certificate;
use pki::key::{KeyAlgorithm, SignError, SigningKey};
use serde_json::{Value, json};

use super::jws::{b64, bind, describe, sign};
use super::{Exchange, ExchangeError, Incoming, Outgoing};

/// How often a request is sent again with a fresh nonce (RFC 8555 section 6.5). A refused nonce costs the server
/// nothing and changes nothing there, so patience is safe: a server that refuses one in five at random, as Pebble does
/// to test its clients, still gets every request within these.
const NONCE_ATTEMPTS: usize = 12;

/// Why a conversation did not lead where it should.
#[derive(Debug, thiserror::Error)]
pub enum AcmeError {
    /// There is no answer.
    #[error(transparent)]
    Exchange(#[from] ExchangeError),
    /// The server says no.
    #[error("the server refused: {detail} ({kind})")]
    Refused {
        /// The word of the error type.
        kind: String,
        /// The sentence.
        detail: String,
        /// The seconds after which it may go otherwise.
        retry_after: Option<u64>,
    },
    /// The answer is not what ACME has there.
    #[error("the server's answer makes no sense: {0}")]
    Answer(&'static str),
    /// A kind of key that ACME does not know.
    #[error("an account key of the kind {0} cannot be used; use p256, p384, ed25519 or RSA")]
    AccountKey(KeyAlgorithm),
    /// The key did not sign.
    #[error(transparent)]
    Sign(#[from] SignError),
    /// What the key signed is not a signature of its kind.
    #[error("the account key made no signature of its kind")]
    Signature,
}

/// The directory (RFC 8555 section 7.1.1).
#[derive(Debug, Clone)]
struct Directory {
    new_nonce: String,
    new_account: String,
    new_order: String,
    revoke: Option<String>,
    renewal_info: Option<String>,
    profiles: Vec<String>,
}

/// An external account key.
#[derive(Clone)]
pub struct ExternalAccount {
    /// Its name.
    pub kid: String,
    /// The MAC key.
    pub mac_key: Vec<u8>,
}

/// An order and how it stands (RFC 8555 section 7.1.3).
#[derive(Debug, Clone)]
pub struct Order {
    /// Its URL.
    pub url: String,
    /// `pending`, `ready`, `processing`, `valid` or `invalid`.
    pub status: String,
    /// The URLs of its authorizations.
    pub authorizations: Vec<String>,
    finalize: String,
    certificate: Option<String>,
    /// Why it is invalid.
    pub error: Option<String>,
}

/// An authorization and how it stands.
#[derive(Debug, Clone)]
pub struct Authorization {
    /// The name.
    pub identifier: String,
    /// `pending`, `valid`, `invalid` and others.
    pub status: String,
    /// The ways to show control of it.
    pub challenges: Vec<Challenge>,
}

/// A way to show control.
#[derive(Debug, Clone)]
pub struct Challenge {
    /// `http-01`, `dns-01`, `tls-alpn-01` and others.
    pub kind: String,
    /// Where it is answered.
    pub url: String,
    /// Its token; empty in kinds that have none.
    pub token: String,
    /// Why it failed.
    pub error: Option<String>,
}

/// When a certificate should be renewed (RFC 9773).
#[derive(Debug, Clone, Copy)]
pub struct RenewalInfo {
    /// From here on.
    pub start: Timestamp,
    /// Until here.
    pub end: Timestamp,
    /// Seconds until it should be asked again.
    pub retry_after: u64,
}

/// An account at an ACME server.
pub struct Client<E> {
    exchange: E,
    directory: Directory,
    key: Arc<dyn SigningKey>,
    algorithm: &'static str,
    jwk: String,
    kid: String,
    nonce: Mutex<Option<String>>,
}

impl<E: Exchange> Client<E> {
    /// Finds the account of this key at a server, or makes one; agrees to the server's terms.
    ///
    /// # Errors
    /// [`AcmeError`].
    pub async fn open(
        exchange: E,
        directory: &str,
        key: Arc<dyn SigningKey>,
        contact: &[String],
        external: Option<&ExternalAccount>,
    ) -> Result<Self, AcmeError> {
        let (algorithm, jwk) = describe(key.public_key())?;
        let answer = exchange.exchange(get(directory)).await?;
        let directory = read_directory(&checked(answer)?)?;
        let mut client =
            Client { exchange, directory, key, algorithm, jwk, kid: String::new(), nonce: Mutex::default() };
        let url = client.directory.new_account.clone();
        let mut wish = json!({ "termsOfServiceAgreed": true, "onlyReturnExisting": true });
        // An account that is there needs no external key again, which may be spent.
        let answer = match client.post(&url, wish.to_string().as_bytes()).await {
            Err(AcmeError::Refused { kind, .. }) if kind == "accountDoesNotExist" => {
                wish = json!({ "termsOfServiceAgreed": true, "contact": contact });
                if let Some(external) = external {
                    wish["externalAccountBinding"] =
                        bind(&external.kid, &external.mac_key, &url, &client.jwk);
                }
                client.post(&url, wish.to_string().as_bytes()).await?
            }
            other => other?,
        };
        client.kid =
            answer.header("location").ok_or(AcmeError::Answer("an account without a Location"))?.to_owned();
        Ok(client)
    }

    /// The account's URL.
    #[must_use]
    pub fn account(&self) -> &str {
        &self.kid
    }

    /// Whether the server knows a profile of this name.
    #[must_use]
    pub fn has_profile(&self, name: &str) -> bool {
        self.directory.profiles.iter().any(|known| known == name)
    }

    /// The text that shows control for a challenge with this token (RFC 8555 section 8.1).
    #[must_use]
    pub fn key_authorization(&self, token: &str) -> String {
        format!("{token}.{}", b64(pki::sha256(self.jwk.as_bytes())))
    }

    /// The value of the TXT record at `_acme-challenge.NAME` (section 8.4).
    #[must_use]
    pub fn dns_value(&self, token: &str) -> String {
        b64(pki::sha256(self.key_authorization(token).as_bytes()))
    }

    /// Orders a certificate for names, each with its type, perhaps in the place of another certificate.
    ///
    /// # Errors
    /// [`AcmeError`].
    pub async fn order(
        &self,
        names: &[(&str, String)],
        profile: Option<&str>,
        replaces: Option<&Certificate>,
    ) -> Result<Order, AcmeError> {
        let identifiers: Vec<Value> =
            names.iter().map(|(kind, value)| json!({ "type": kind, "value": value })).collect();
        let mut wish = json!({ "identifiers": identifiers });
        if let Some(profile) = profile.filter(|name| self.has_profile(name)) {
            wish["profile"] = json!(profile);
        }
        let replaced = replaces.and_then(renewal_name).filter(|_| self.directory.renewal_info.is_some());
        if let Some(name) = &replaced {
            wish["replaces"] = json!(name);
        }
        let url = &self.directory.new_order;
        let answer = match self.post(url, wish.to_string().as_bytes()).await {
            // Another account's, or replaced already: it matters to the server's statistics, not to us.
            Err(AcmeError::Refused { kind, .. })
                if replaced.is_some() && matches!(kind.as_str(), "alreadyReplaced" | "malformed") =>
            {
                if let Some(members) = wish.as_object_mut() {
                    members.remove("replaces");
                }
                self.post(url, wish.to_string().as_bytes()).await?
            }
            other => other?,
        };
        let url =
            answer.header("location").ok_or(AcmeError::Answer("an order without a Location"))?.to_owned();
        read_order(url, &parsed(&answer)?)
    }

    /// How an order stands now.
    ///
    /// # Errors
    /// [`AcmeError`].
    pub async fn refresh(&self, order: &Order) -> Result<Order, AcmeError> {
        read_order(order.url.clone(), &parsed(&self.post(&order.url, b"").await?)?)
    }

    /// How an authorization stands now.
    ///
    /// # Errors
    /// [`AcmeError`].
    pub async fn authorization(&self, url: &str) -> Result<Authorization, AcmeError> {
        read_authorization(&parsed(&self.post(url, b"").await?)?)
    }

    /// Says that a challenge can be validated.
    ///
    /// # Errors
    /// [`AcmeError`].
    pub async fn answer(&self, challenge: &Challenge) -> Result<(), AcmeError> {
        self.post(&challenge.url, b"{}").await.map(drop)
    }

    /// Sends the request of a ready order.
    ///
    /// # Errors
    /// [`AcmeError`].
    pub async fn finalize(&self, order: &Order, csr: &[u8]) -> Result<Order, AcmeError> {
        let payload = json!({ "csr": b64(csr) }).to_string();
        read_order(order.url.clone(), &parsed(&self.post(&order.finalize, payload.as_bytes()).await?)?)
    }

    /// The chain of a valid order in PEM, leaf first.
    ///
    /// # Errors
    /// [`AcmeError`].
    pub async fn certificate(&self, order: &Order) -> Result<Vec<u8>, AcmeError> {
        let url =
            order.certificate.as_deref().ok_or(AcmeError::Answer("a valid order without a certificate"))?;
        Ok(self.post(url, b"").await?.body)
    }

    /// Takes a certificate back.
    ///
    /// # Errors
    /// [`AcmeError`].
    pub async fn revoke(&self, certificate: &Certificate) -> Result<(), AcmeError> {
        let url =
            self.directory.revoke.as_deref().ok_or(AcmeError::Answer("no revokeCert in the directory"))?;
        let payload = json!({ "certificate": b64(certificate.der()) }).to_string();
        self.post(url, payload.as_bytes()).await.map(drop)
    }

    /// Signs and sends, with a fresh nonce where the server wants another.
    async fn post(&self, url: &str, payload: &[u8]) -> Result<Incoming, AcmeError> {
        let mut attempt = 1;
        loop {
            let nonce = self.take_nonce().await?;
            let mut header = json!({ "alg": self.algorithm, "nonce": nonce, "url": url });
            if self.kid.is_empty() {
                header["jwk"] = serde_json::from_str(&self.jwk).unwrap_or_default();
            } else {
                header["kid"] = json!(self.kid);
            }
            let body = sign(&*self.key, &header, payload)?.to_string();
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/jose+json"));
            let request =
                Outgoing { method: Method::POST, url: url.to_owned(), headers, body: body.into_bytes() };
            let answer = self.exchange.exchange(request).await?;
            self.keep_nonce(&answer);
            match checked(answer) {
                Err(AcmeError::Refused { kind, .. }) if kind == "badNonce" && attempt < NONCE_ATTEMPTS => {
                    attempt += 1
                }
                result => return result,
            }
        }
    }

    async fn take_nonce(&self) -> Result<String, AcmeError> {
        if let Some(kept) = self.nonce.lock().unwrap_or_else(PoisonError::into_inner).take() {
            return Ok(kept);
        }
        let mut request = get(&self.directory.new_nonce);
        request.method = Method::HEAD;
        let answer = checked(self.exchange.exchange(request).await?)?;
        Ok(answer.header("replay-nonce").ok_or(AcmeError::Answer("no Replay-Nonce"))?.to_owned())
    }

    fn keep_nonce(&self, answer: &Incoming) {
        if let Some(nonce) = answer.header("replay-nonce") {
            *self.nonce.lock().unwrap_or_else(PoisonError::into_inner) = Some(nonce.to_owned());
        }
    }
}

/// When the server of a directory suggests to renew a certificate; `None` where it suggests nothing. Needs no account.
///
/// # Errors
/// [`AcmeError`].
pub async fn renewal_info<E: Exchange>(
    exchange: &E,
    directory: &str,
    certificate: &Certificate,
) -> Result<Option<RenewalInfo>, AcmeError> {
    let directory = read_directory(&checked(exchange.exchange(get(directory)).await?)?)?;
    let (Some(base), Some(name)) = (directory.renewal_info, renewal_name(certificate)) else {
        return Ok(None);
    };
    let url = format!("{}/{name}", base.trim_end_matches('/'));
    let answer = checked(exchange.exchange(get(&url)).await?)?;
    let window = &parsed(&answer)?["suggestedWindow"];
    let time = |name: &str| window[name].as_str().and_then(|text| text.parse::<Timestamp>().ok());
    let (Some(start), Some(end)) = (time("start"), time("end")) else {
        return Err(AcmeError::Answer("a suggestedWindow without start and end"));
    };
    // RFC 9773 section 4.2: a window that ends before it begins is none.
    if end <= start {
        return Ok(None);
    }
    // Section 4.3.3: six hours where nothing is said, and nothing beyond a day or below a minute is believed.
    let retry_after = answer.retry_after().unwrap_or(21_600).clamp(60, 86_400);
    Ok(Some(RenewalInfo { start, end, retry_after }))
}

/// How renewal information names a certificate (RFC 9773 section 4.1).
fn renewal_name(certificate: &Certificate) -> Option<String> {
    let key = certificate.authority_key_identifier()?;
    Some(format!("{}.{}", b64(key), b64(certificate.serial())))
}

fn get(url: &str) -> Outgoing {
    Outgoing { method: Method::GET, url: url.to_owned(), headers: HeaderMap::new(), body: Vec::new() }
}

/// The answer, or what it says against the request.
fn checked(answer: Incoming) -> Result<Incoming, AcmeError> {
    if (200..300).contains(&answer.status) {
        return Ok(answer);
    }
    let problem: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let kind = problem["type"]
        .as_str()
        .and_then(|kind| kind.rsplit(':').next())
        .unwrap_or("no error type")
        .to_owned();
    let detail =
        problem["detail"].as_str().map_or_else(|| format!("HTTP status {}", answer.status), str::to_owned);
    Err(AcmeError::Refused { kind, detail, retry_after: answer.retry_after() })
}

fn parsed(answer: &Incoming) -> Result<Value, AcmeError> {
    serde_json::from_slice(&answer.body).map_err(|_| AcmeError::Answer("it is no JSON"))
}

fn text(value: &Value, name: &'static str) -> Result<String, AcmeError> {
    value[name].as_str().map(str::to_owned).ok_or(AcmeError::Answer(name))
}

fn read_directory(answer: &Incoming) -> Result<Directory, AcmeError> {
    let value = parsed(answer)?;
    let profiles = value["meta"]["profiles"].as_object();
    Ok(Directory {
        new_nonce: text(&value, "newNonce")?,
        new_account: text(&value, "newAccount")?,
        new_order: text(&value, "newOrder")?,
        revoke: value["revokeCert"].as_str().map(str::to_owned),
        renewal_info: value["renewalInfo"].as_str().map(str::to_owned),
        profiles: profiles.map(|profiles| profiles.keys().cloned().collect()).unwrap_or_default(),
    })
}

fn error_of(value: &Value) -> Option<String> {
    value["error"]["detail"].as_str().map(str::to_owned)
}

fn read_order(url: String, value: &Value) -> Result<Order, AcmeError> {
    let authorizations = value["authorizations"].as_array().ok_or(AcmeError::Answer("authorizations"))?;
    Ok(Order {
        url,
        status: text(value, "status")?,
        authorizations: authorizations.iter().filter_map(|url| url.as_str().map(str::to_owned)).collect(),
        finalize: text(value, "finalize")?,
        certificate: value["certificate"].as_str().map(str::to_owned),
        error: error_of(value),
    })
}

fn read_authorization(value: &Value) -> Result<Authorization, AcmeError> {
    let challenge = |value: &Value| {
        Some(Challenge {
            kind: value["type"].as_str()?.to_owned(),
            url: value["url"].as_str()?.to_owned(),
            token: value["token"].as_str().unwrap_or_default().to_owned(),
            error: error_of(value),
        })
    };
    let challenges = value["challenges"].as_array();
    Ok(Authorization {
        identifier: text(&value["identifier"], "value")?,
        status: text(value, "status")?,
        challenges: challenges.map(|all| all.iter().filter_map(challenge).collect()).unwrap_or_default(),
    })
}
