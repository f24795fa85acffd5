//! EST (RFC 7030, clarified by RFC 8951) at `/.well-known/est/`: the other way to the same certificates. Who may enrol
//! is shown by an invite, as the password of HTTP Basic, or by a certificate that is renewed; what is issued is issued
//! by the functions of [`crate::enrol`].

mod codec;

use axum::body::Body;
use axum::extract::State as FromState;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Extension, Router};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use ca::Redeemed;
use ca::redeem::From;
use http::header::{self, HeaderName, HeaderValue};
use http::{HeaderMap, StatusCode};
use pki::csr::CertificateRequest;
use pki::identity::VerifiedPeer;
use pki::name::SubjectNames;

use crate::enrol::{invite, renewal};
use crate::{Problem, State, Visitor};

/// How long a client waits before it asks again whether a person has approved it (RFC 7030 section 4.2.3).
const ASK_AGAIN_SECONDS: u64 = 10;

/// The routes, with their full paths.
pub(crate) fn routes() -> Router<State> {
    Router::new()
        .route("/.well-known/est/cacerts", get(ca_certificates))
        .route("/.well-known/est/csrattrs", get(request_attributes))
        .route("/.well-known/est/simpleenroll", post(enrol))
        .route("/.well-known/est/simplereenroll", post(reenrol))
        .route("/.well-known/est/serverkeygen", post(server_key))
        .route("/.well-known/est/fullcmc", post(full_cmc))
}

/// An answer in base64, which is what EST carries (RFC 8951 section 3).
fn base64(media_type: &'static str, der: &[u8]) -> Response {
    let mut response = Response::new(Body::from(codec::lines(der)));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    let encoding = HeaderName::from_static("content-transfer-encoding");
    headers.insert(encoding, HeaderValue::from_static("base64"));
    response
}

/// RFC 7030 section 4.1: the anchors, the CAs that issue, and while the root changes what the roots signed for each
/// other.
async fn ca_certificates(FromState(state): FromState<State>) -> Response {
    let lines = state.authority().lines();
    // The chain of the line that issues first: old clients look no further.
    let mut lines_in_use = vec![lines.issuing()];
    let others = lines.all().iter().filter(|line| line.number() != lines.issuing().number());
    lines_in_use.extend(others.filter(|line| line.retired().is_none()));
    let mut chain = Vec::new();
    for line in &lines_in_use {
        chain.extend(line.issuer().intermediates());
        chain.push(line.issuer().anchor().clone());
    }
    chain.extend(lines_in_use.iter().flat_map(|line| line.chain()));
    let mut known = std::collections::HashSet::new();
    chain.retain(|certificate| known.insert(certificate.sha256()));
    base64("application/pkcs7-mime; smime-type=certs-only", &codec::certificates_only(&chain))
}

/// RFC 7030 section 4.5: what a request should be like. The names are the authority's to decide, so only the key is
/// spoken of.
async fn request_attributes() -> Response {
    base64("application/csrattrs", &codec::request_attributes())
}

/// RFC 7030 section 4.2: by a certificate, or by an invite.
async fn enrol(
    FromState(state): FromState<State>,
    Extension(visitor): Extension<Visitor>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    if let Some(code) = password(&headers) {
        let request = request(&body)?;
        let redeemed = state
            .blocking(move |state| {
                invite::redeem(state, &code, &request, From { address: visitor.address.ip(), way: "est" })
            })
            .await
            .map_err(with_challenge)?;
        return Ok(match redeemed {
            Redeemed::Issued(issued, _) => issued_answer(&issued.certificate),
            Redeemed::Waiting => {
                let text = "a person is to approve this; ask again with the same request\n";
                (StatusCode::ACCEPTED, [(header::RETRY_AFTER, ASK_AGAIN_SECONDS.to_string())], text)
                    .into_response()
            }
        });
    }
    if visitor.peer.is_some() {
        return renew(state, visitor, &body).await;
    }
    // Without a body: Bouncy Castle's client closes the answer that asks for a password without reading it, and takes what
    // it has not read for a broken connection.
    let challenge = [(header::WWW_AUTHENTICATE, CHALLENGE), (header::CACHE_CONTROL, "no-store")];
    Ok((StatusCode::UNAUTHORIZED, challenge).into_response())
}

/// How to authenticate: the realm is what people read.
const CHALLENGE: &str = "Basic realm=\"an invite's code as the password, any user name; or a certificate of this authority\", \
                         charset=\"UTF-8\"";

/// RFC 7030 section 4.2.2: by the certificate that is renewed, and by nothing else.
async fn reenrol(
    FromState(state): FromState<State>,
    Extension(visitor): Extension<Visitor>,
    body: Bytes,
) -> Result<Response, Problem> {
    renew(state, visitor, &body).await
}

async fn renew(state: State, visitor: Visitor, body: &[u8]) -> Result<Response, Problem> {
    let Some(peer) = visitor.peer else {
        let detail = "a certificate is renewed with itself: connect with the one that is to be renewed";
        return Err(Problem::of(401, "no-certificate", detail));
    };
    let request = request(body)?;
    same_names(&peer, &request)?;
    let origin = format!("{} by est", visitor.address.ip());
    let issued = state.blocking(move |state| renewal::renew(state, &peer, &request, &origin)).await?;
    Ok(issued_answer(&issued.certificate))
}

/// Names cannot be changed by renewing (RFC 7030 section 4.2.2). A request that names nothing asks for the same.
fn same_names(peer: &VerifiedPeer, request: &CertificateRequest) -> Result<(), Problem> {
    let (old, asked) = (SubjectNames::of(peer.certificate()), request.names());
    let is_other = |name: &&pki::name::GeneralName| !old.alternative.contains(name);
    let foreign = asked.alternative.iter().find(is_other).map(ToString::to_string);
    let common_name = asked.common_name.filter(|name| old.common_name.as_ref() != Some(name));
    match foreign.or(common_name) {
        None => Ok(()),
        Some(name) => Err(Problem::of(
            403,
            "other-names",
            format!(
                "the request names '{name}', which the certificate that is renewed does not: names change by an invite"
            ),
        )),
    }
}

/// RFC 7030 section 4.4, which is not done here.
async fn server_key() -> Problem {
    let detail = "this authority makes no keys for others: a private key that never travels cannot be taken on its way. \
                  Make the key where it is used, and use /.well-known/est/simpleenroll";
    Problem::of(501, "no-server-keys", detail)
}

/// RFC 7030 section 4.3, which is optional and not done here.
async fn full_cmc() -> Problem {
    Problem::of(501, "no-full-cmc", "Full CMC is not spoken here; use /.well-known/est/simpleenroll")
}

fn issued_answer(certificate: &pki::Certificate) -> Response {
    let der = codec::certificates_only(std::slice::from_ref(certificate));
    let mut response = base64("application/pkcs7-mime; smime-type=certs-only", &der);
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Reads a request: base64 of DER, as EST has it, or PEM or DER as people send it.
pub(crate) fn request(body: &[u8]) -> Result<CertificateRequest, Problem> {
    match codec::from_lines(body) {
        Some(der) => crate::enrol::read_request(&der),
        None => crate::enrol::read_request(body),
    }
}

/// The password of HTTP Basic (RFC 7617). The user name says nothing here.
fn password(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, credentials) = value.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = String::from_utf8(STANDARD.decode(credentials.trim()).ok()?).ok()?;
    decoded.split_once(':').map(|(_, password)| password.to_owned())
}

/// A refusal with how to authenticate (RFC 7030 section 3.2.3). What is wrong about a code is a matter of
/// authentication; a limit or a fault is not.
fn with_challenge(problem: Problem) -> Problem {
    let problem = match problem.status().as_u16() {
        404 | 410 => Problem::new(401, problem.kind(), problem.detail()),
        _ => problem,
    };
    if problem.status() == StatusCode::UNAUTHORIZED {
        return problem.header(header::WWW_AUTHENTICATE, CHALLENGE);
    }
    problem
}
