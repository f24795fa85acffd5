//! The ways to a certificate that are ours alone: invites, and renewal with the certificate itself. The functions here
//! block; EST ends in the same ones.

pub mod invite;
pub mod renewal;

use axum::Router;
use axum::response::{IntoResponse as _, Response};
use ca::Issued;
use http::header::{self, HeaderValue};
use pki::csr::CertificateRequest;

use crate::{Problem, State};

/// The routes.
pub(crate) fn routes() -> Router<State> {
    invite::routes().merge(renewal::routes())
}

/// Reads a signing request in PEM or DER, and checks that its key signed it.
///
/// # Errors
/// A [`Problem`] that says what is wrong with it.
pub(crate) fn read_request(body: &[u8]) -> Result<CertificateRequest, Problem> {
    let bad = |detail: String| Problem::of(400, "bad-request", detail);
    let der = if pki::pem::looks_like_pem(body) {
        let blocks = pki::pem::read(body).map_err(|error| bad(format!("the request is no PEM: {error}")))?;
        let mut requests = blocks.into_iter().filter(|block| {
            matches!(block.label.as_str(), "CERTIFICATE REQUEST" | "NEW CERTIFICATE REQUEST")
        });
        match (requests.next(), requests.next()) {
            (Some(request), None) => request.der,
            (None, _) => return Err(bad("there is no CERTIFICATE REQUEST in the PEM".to_owned())),
            (Some(_), Some(_)) => return Err(bad("send one CERTIFICATE REQUEST, not several".to_owned())),
        }
    } else {
        body.to_vec()
    };
    CertificateRequest::from_der(&der)
        .map_err(|error| bad(format!("the signing request is not taken: {error}")))
}

/// The certificate and those between it and the anchor, in PEM.
pub(crate) fn chain_pem(issued: &Issued) -> String {
    std::iter::once(&issued.certificate).chain(&issued.chain).map(pki::Certificate::to_pem).collect()
}

/// The answer that is a certificate (RFC 8555 section 9.1 has the media type).
pub(crate) fn answer(issued: &Issued) -> Response {
    let mut response = chain_pem(issued).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/pem-certificate-chain"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
