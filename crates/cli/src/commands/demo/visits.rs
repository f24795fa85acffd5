//! The visitors, one after another, and what each side saw.

use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use explain::FindingCode;
use explain::capture::Transcript;
use net::dial::TlsOptions;
use net::fetch::{FetchError, Options, Request, fetch};
use net::record::Recorder;
use net::serve::AccessRecord;
use net::snapshot::Handle;
use net::tls::Credentials;
use net::tls::server_verifier::Expectation;
use net::url::Url;

use super::cast::{Cast, Person};
use crate::failure::{Failure, OrFail as _};

/// How long anything of a visit may take. Far more than it does: a loaded machine is slow.
const PATIENCE: Duration = Duration::from_secs(20);

/// What should happen.
enum Expected {
    /// Let in, and greeted by this name.
    Greeted(&'static str),
    /// Refused: by this alert on the client's side, for this reason on the server's.
    Refused(u8, FindingCode),
}

/// One visit.
pub(super) struct Visit {
    /// Who came.
    pub(super) name: &'static str,
    /// What is particular about them.
    pub(super) story: &'static str,
    /// What the client saw.
    pub(super) client: String,
    /// What the server saw.
    pub(super) server: String,
    /// Whether the visitor was let in.
    pub(super) let_in: bool,
    /// Whether the refusal came after the client had called its handshake done.
    pub(super) refused_late: bool,
    /// Whether all of it is as it should be.
    pub(super) as_expected: bool,
    /// What was said, to be explained byte by byte.
    pub(super) transcript: Transcript,
}

/// Sends everybody to the server.
pub(super) fn send(
    runtime: &tokio::runtime::Runtime,
    cast: &Cast,
    handle: &Handle,
    port: u16,
    heard: &Receiver<AccessRecord>,
) -> Result<Vec<Visit>, Failure> {
    // The list that names the revoked one is in force since a moment ago.
    handle.replace(super::snapshot(cast)?);
    let refused = |alert: u8, code| Expected::Refused(alert, code);
    let cast_list: [(&str, &str, Option<&Person>, Expected); 6] = [
        (
            "alice",
            "her certificate is of our authority, in date, and for clients",
            Some(&cast.alice),
            Expected::Greeted("alice"),
        ),
        ("nobody", "has no certificate", None, refused(116, FindingCode::NoClientCertificate)),
        (
            "stranger",
            "calls itself alice too, certified by another authority",
            Some(&cast.stranger),
            refused(48, FindingCode::UnknownIssuer),
        ),
        (
            "yesterday's alice",
            "her certificate ended a day ago",
            Some(&cast.yesterday),
            refused(45, FindingCode::CertificateExpired),
        ),
        (
            "alice's lost laptop",
            "a second certificate of hers, revoked a moment ago",
            Some(&cast.revoked),
            refused(44, FindingCode::CertificateRevoked),
        ),
        (
            "the server itself",
            "shows its server certificate as a client's",
            Some(&cast.server),
            refused(43, FindingCode::WrongPurpose),
        ),
    ];
    let mut visits = Vec::new();
    for (name, story, person, expected) in cast_list {
        visits.push(visit(runtime, cast, port, heard, name, story, person, &expected)?);
    }
    Ok(visits)
}

#[allow(clippy::too_many_arguments, reason = "one call site; a struct would only name the same things again")]
fn visit(
    runtime: &tokio::runtime::Runtime,
    cast: &Cast,
    port: u16,
    heard: &Receiver<AccessRecord>,
    name: &'static str,
    story: &'static str,
    person: Option<&Person>,
    expected: &Expected,
) -> Result<Visit, Failure> {
    let mut tls = TlsOptions::new(Expectation::new(cast.authority.anchors().clone()));
    if let Some(person) = person {
        tls.credentials = Some(Credentials::new(person.chain.clone(), person.key.to_pkcs8_der()).or_usage()?);
    }
    let recorder = Recorder::start(name, &format!("localhost:{port}"), None);
    tls.key_log = Some(Arc::new(recorder.clone()));
    tls.recorder = Some(recorder.clone());
    let mut options = Options::new(tls);
    options.max_time = Some(PATIENCE);
    let mut request = Request::get(Url::parse(&format!("https://localhost:{port}/")).or_usage()?);
    request.headers.insert(http::header::ACCEPT, http::HeaderValue::from_static("text/plain"));
    let answer = runtime.block_on(async {
        let response = fetch(request, &options).await?;
        let (status, tls) = (response.status(), response.conversation().tls.clone());
        let body = response.bytes().await?;
        Ok::<_, FetchError>((status, tls, String::from_utf8_lossy(&body).into_owned()))
    });
    let record = heard.recv_timeout(PATIENCE).ok();

    let (client, client_fits, let_in, refused_late) = match (&answer, expected) {
        (Ok((status, tls, body)), expected) => {
            let first = body.lines().next().unwrap_or_default();
            let fits = matches!(expected, Expected::Greeted(name)
                if *status == 200 && body.contains(name));
            let version = tls.as_ref().map(|tls| format!(", over {}", tls.version)).unwrap_or_default();
            (format!("HTTP {status} \"{first}\"{version}"), fits, *status == 200, false)
        }
        (Err(error), expected) => {
            let (alert, late) = match error {
                FetchError::RefusedLater { alert, .. } => (Some(*alert), true),
                FetchError::Handshake(failure) => (failure.alert_received, false),
                _ => (None, false),
            };
            let fits = matches!(expected, Expected::Refused(wanted, _) if alert == Some(*wanted));
            let text = match alert {
                Some(alert) => format!("alert {}", explain::alert::cite(alert)),
                None => error.to_string(),
            };
            (text, fits, false, late)
        }
    };
    let (server, server_fits) = match record {
        Some(AccessRecord::Request(record)) => {
            let who = record.identity.as_deref().unwrap_or("nobody");
            let rule = record.rule.as_deref().unwrap_or("no rule");
            let fits = matches!(expected, Expected::Greeted(name) if who == *name && record.status == 200);
            (format!("{who}, let in by {rule}"), fits)
        }
        Some(AccessRecord::Refusal(record)) => {
            let fits = matches!(expected, Expected::Refused(_, code) if record.finding.code == *code);
            (format!("{}: {}", record.finding.code, record.finding.summary), fits)
        }
        None => ("nothing".to_owned(), false),
    };
    Ok(Visit {
        name,
        story,
        client,
        server,
        let_in,
        refused_late,
        as_expected: client_fits && server_fits,
        transcript: recorder.transcript(),
    })
}
