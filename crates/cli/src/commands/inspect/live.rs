//! Looking at a live server: what it serves, what it asks of clients, and how it takes our certificate.

use std::time::Duration;

use explain::{Inspection, describe_chain};
use net::dial::probe::{Outcome, Probe, probe};
use net::dial::{Route, TlsOptions};
use net::tls::server_verifier::Expectation;
use net::url::Url;
use serde_json::{Value, json};

use crate::commands::tls_arguments::TlsArguments;
use crate::context::{Context, width};
use crate::failure::{Failure, OrFail as _};
use crate::table::wrap;

/// From the name's lookup to the end of the handshake.
const LIMIT: Duration = Duration::from_secs(15);

/// How long the server's verdict is waited for. Under TLS 1.3 one that sends no ticket says nothing until a request
/// comes, so silence is an answer too.
const PATIENCE: Duration = Duration::from_millis(1500);

/// What was learned beyond the certificates.
pub(super) struct Facts {
    probe: Probe,
}

/// Looks at the server of a URL.
pub(super) fn look(
    context: &Context,
    address: &str,
    tls: &TlsArguments,
) -> Result<(Inspection, Facts), Failure> {
    let url = Url::parse(address).or_usage()?;
    let mut options = TlsOptions::new(Expectation::new(tls.anchors(context)?));
    options.classical = tls.is_classical();
    options.alpn = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    if let Some(own) = tls.credentials(context)? {
        options.credentials = Some(own.key.credentials(own.chain).or_usage()?);
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::usage(format!("cannot start: {error}")))?;
    let route = Route::default();
    let looking = probe(&url.host, url.port, &route, options, LIMIT, PATIENCE);
    let probe = runtime.block_on(looking).map_err(|error| {
        let finding = error.finding();
        let failure = Failure::unreachable(format!("{}: {}", finding.code, finding.summary));
        match finding.remedy {
            Some(remedy) => failure.hint(remedy),
            None => failure,
        }
    })?;
    let chain = probe.served.as_ref().map(|served| served.chain.clone()).unwrap_or_default();
    let source = format!("{}:{}", url.host_text(), url.port);
    Ok((describe_chain(&chain, &source, context.now()), Facts { probe }))
}

impl Facts {
    /// Lines for a person.
    pub(super) fn text(&self) -> String {
        let probe = &self.probe;
        let mut lines = vec!["\nthe connection".to_owned()];
        let mut line = |what: &str, text: String| {
            let indent = text.len() - text.trim_start().len();
            for (index, part) in wrap(&text, width().saturating_sub(13 + indent)).into_iter().enumerate() {
                let what = if index == 0 { what } else { "" };
                lines.push(format!("  {what:<10} {:indent$}{part}", ""));
            }
        };
        if let Some(address) = probe.address {
            line("address", address.to_string());
        }
        if let Some(tls) = &probe.negotiated {
            line("TLS", format!("{}, {}, {}", tls.version, tls.cipher_suite, tls.group));
            line("ALPN", tls.alpn.clone().unwrap_or_else(|| "none".to_owned()));
        }
        match probe.served.as_ref().map(|served| served.verdict.finding()) {
            None => line("server", "sent no certificate".to_owned()),
            Some(None) => line("server", "its certificate is verified".to_owned()),
            Some(Some(finding)) => line("server", format!("not verified: {finding}")),
        }
        match &probe.certificate_request {
            None => line("client", "no certificate is asked for".to_owned()),
            Some(request) => {
                line("client", "a certificate is asked for, issued under".to_owned());
                let names = request.authority_names();
                if names.is_empty() {
                    line("", "  any CA: the server does not say which".to_owned());
                }
                // Some servers name the whole system store.
                for name in names.iter().take(10) {
                    line("", format!("  {}", explain::escape::text(name)));
                }
                if names.len() > 10 {
                    line("", format!("  and {} more", names.len() - 10));
                }
                line("", format!("signed with {}", shorten(&request.signature_schemes)));
            }
        }
        line("verdict", self.verdict());
        lines.join("\n") + "\n"
    }

    fn verdict(&self) -> String {
        let sent = if self.probe.sent_certificate { "with our certificate" } else { "without a certificate" };
        match &self.probe.outcome {
            Outcome::Accepted => format!("let in {sent}"),
            Outcome::Silent => {
                format!(
                    "no objection {sent} within {} s (it speaks when a request comes)",
                    PATIENCE.as_secs_f32()
                )
            }
            Outcome::RefusedLater { finding, .. } => {
                format!("refused {sent}, after the handshake: {finding}")
            }
            Outcome::Failed(failure) => format!("the handshake failed: {}", failure.finding),
        }
    }

    /// The facts for programs.
    pub(super) fn json(&self) -> Value {
        let probe = &self.probe;
        let (outcome, finding) = match &probe.outcome {
            Outcome::Accepted => ("accepted", None),
            Outcome::Silent => ("silent", None),
            Outcome::RefusedLater { finding, .. } => ("refused_after_handshake", Some(finding)),
            Outcome::Failed(failure) => ("handshake_failed", Some(&failure.finding)),
        };
        json!({
            "address": probe.address.map(|address| address.to_string()),
            "tls": probe.negotiated.as_ref().map(|tls| json!({
                "version": tls.version, "cipher_suite": tls.cipher_suite, "group": tls.group, "alpn": tls.alpn,
            })),
            "verified": probe.served.as_ref().is_some_and(|served| served.verdict.finding().is_none()),
            "verification": probe.served.as_ref().and_then(|served| served.verdict.finding()).map(|f| f.json()),
            "certificate_request": probe.certificate_request.as_ref().map(|request| json!({
                "certificate_authorities": request.authority_names(),
                "signature_algorithms": request.signature_schemes,
            })),
            "sent_certificate": probe.sent_certificate,
            "outcome": outcome,
            "finding": finding.map(explain::Finding::json),
        })
    }
}

fn shorten(schemes: &[String]) -> String {
    match schemes {
        [] => "anything".to_owned(),
        few if few.len() <= 4 => few.join(", "),
        many => format!("{}, and {} more", many[..3].join(", "), many.len() - 3),
    }
}
