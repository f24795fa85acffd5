//! The answers that are our own, in the form the visitor reads: HTML for a browser, JSON for a program, text for curl.
//! An answer names a refusal by its code and tells no more than the visitor's own certificate says.

use std::fmt::Write as _;
use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use explain::finding::Fix;
use explain::{Fault, Finding, FindingCode};
use http::header::{self, HeaderMap, HeaderValue};
use http::{Response, StatusCode};
use pki::identity::VerifiedPeer;
use serde_json::{Value, json};

use super::body::AnswerBody;

/// The form of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    Html,
    Json,
    Text,
}

impl Wanted {
    /// What `Accept` puts first (RFC 9110 section 12.5.1); text where it says nothing of HTML or JSON.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        Self::of_values(headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok()))
    }

    /// The same of the values of `Accept` alone.
    pub(crate) fn of_values<'v>(values: impl Iterator<Item = &'v str>) -> Self {
        let mut best = (0.0, Wanted::Text);
        for range in values.flat_map(|value| value.split(',')) {
            let mut parts = range.split(';').map(str::trim);
            let wanted = match parts.next().unwrap_or_default().to_ascii_lowercase().as_str() {
                "text/html" | "application/xhtml+xml" => Wanted::Html,
                "application/json" | "application/problem+json" => Wanted::Json,
                "text/plain" => Wanted::Text,
                _ => continue,
            };
            let quality = parts.find_map(|part| part.strip_prefix("q=")?.parse().ok()).unwrap_or(1.0);
            // Of equals the first stays.
            if quality > best.0 {
                best = (quality, wanted);
            }
        }
        best.1
    }
}

/// The look of every page of ours: inline here, since a page of the gateway stands among another service's paths, and
/// a file of its own in the console.
pub const STYLE_SHEET: &str = include_str!("style.css");

/// The policy of every page: this style and nothing else, from nowhere, in no frame.
static CONTENT_SECURITY_POLICY: LazyLock<HeaderValue> = LazyLock::new(|| {
    let hash = STANDARD.encode(pki::sha256(STYLE_SHEET.as_bytes()));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{hash}'; img-src data:; base-uri 'none'; form-action 'none'; \
         frame-ancestors 'none'"
    );
    HeaderValue::from_str(&policy).unwrap_or_else(|_| HeaderValue::from_static("default-src 'none'"))
});

/// A page: `body` is HTML.
pub(crate) fn html(status: StatusCode, title: &str, body: &str) -> Response<AnswerBody> {
    let mut response = answer(status, HTML, document(title, body));
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY.clone());
    response.headers_mut().insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    response
}

const HTML: &str = "text/html; charset=utf-8";

fn document(title: &str, body: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>{}</title>\n\
         <link rel=\"icon\" href=\"data:,\">\n<style>{STYLE_SHEET}</style>\n</head>\n<body>\n\
         <main id=\"main\" class=\"narrow\">\n{body}</main>\n\
         <footer class=\"site\">answered by the gateway itself · countersign</footer>\n</body>\n</html>\n",
        escape(title)
    )
}

/// JSON, indented for people who look at it with curl.
pub(crate) fn json_answer(status: StatusCode, value: &Value) -> Response<AnswerBody> {
    answer(status, "application/json", format!("{value:#}\n"))
}

/// Plain text.
pub(crate) fn text_answer(status: StatusCode, text: String) -> Response<AnswerBody> {
    answer(status, "text/plain; charset=utf-8", text)
}

fn answer(status: StatusCode, content_type: &'static str, text: String) -> Response<AnswerBody> {
    let mut response = Response::new(AnswerBody::from(text));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::VARY, HeaderValue::from_static("Accept"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}

/// Something went wrong: a code for programs and a sentence for people.
pub(crate) fn problem(
    wanted: Wanted,
    status: StatusCode,
    code: &str,
    sentence: &str,
) -> Response<AnswerBody> {
    with_names(wanted, status, code, sentence, &[], None)
}

/// A request that is refused because of who asks.
pub(crate) fn refusal(
    wanted: Wanted,
    finding: &Finding,
    peer: Option<&VerifiedPeer>,
) -> Response<AnswerBody> {
    let sentence = match finding.code {
        FindingCode::NotAllowedByPolicy => {
            "Your certificate is valid, but none of the names in it may come in here."
        }
        FindingCode::NoClientCertificate => {
            "This service wants a client certificate, and your client sent none."
        }
        FindingCode::CertificateExpired => "Your certificate has expired since the connection was opened.",
        FindingCode::CertificateRevoked => "Your certificate was revoked.",
        FindingCode::OcspInvalid | FindingCode::OcspUnavailable => {
            "Whether your certificate was revoked cannot be told at the moment."
        }
        _ => "Your certificate is no longer accepted here.",
    };
    let names: Vec<String> = peer
        .filter(|_| finding.code == FindingCode::NotAllowedByPolicy)
        .map(|peer| peer.identities().iter().map(ToString::to_string).collect())
        .unwrap_or_default();
    with_names(wanted, StatusCode::FORBIDDEN, finding.code.name(), sentence, &names, Some(finding))
}

/// The command that a visitor can type, or have typed by who issued the certificate. What the operator would have to
/// change is the log's to say.
fn command_of_visitor(finding: &Finding) -> Option<&Fix> {
    let is_theirs = |fix: &&Fix| matches!(fix.place, Fault::Client | Fault::Issuer | Fault::Clock);
    finding.fix.iter().chain(&finding.alternative).map(|fix| &**fix).find(is_theirs)
}

/// What somebody who is refused can do about it.
pub(crate) fn advice(code: FindingCode) -> Option<&'static str> {
    Some(match code {
        FindingCode::NotAllowedByPolicy => {
            "If you have another certificate, close every window of the browser and choose that one. Otherwise tell \
             whoever runs this service the names above."
        }
        FindingCode::NoClientCertificate => {
            "Import the certificate that you were given, then close every window of the browser and come back: it asks \
             once, and remembers a no. With curl: --cert client.pem --key client-key.pem."
        }
        FindingCode::CertificateExpired => {
            "Renew it with whoever issued it, import the new one, and close every window of the browser."
        }
        FindingCode::CertificateRevoked => {
            "It cannot be used again. Ask whoever issued it for a new one, with a new key."
        }
        FindingCode::CertificateNotYetValid => "Compare the clock of this device with the time above.",
        FindingCode::UnknownIssuer => {
            "It was issued by somebody whom this service does not know. If you have another certificate, close every \
             window of the browser and choose that one."
        }
        FindingCode::CrlExpired
        | FindingCode::CrlMissing
        | FindingCode::CrlUnusable
        | FindingCode::OcspInvalid
        | FindingCode::OcspUnavailable => {
            "This is not yours to mend: tell whoever runs this service, with the code above."
        }
        _ => return None,
    })
}

fn with_names(
    wanted: Wanted,
    status: StatusCode,
    code: &str,
    sentence: &str,
    names: &[String],
    finding: Option<&Finding>,
) -> Response<AnswerBody> {
    // People at a browser are told in their own words, programs in those of the engine.
    let remedy = finding.and_then(|finding| finding.remedy.as_deref());
    let advice = finding.and_then(|finding| advice(finding.code)).or(remedy);
    let fix = finding.and_then(command_of_visitor);
    match wanted {
        Wanted::Json => {
            let mut value = json!({ "code": code, "message": sentence });
            if !names.is_empty() {
                value["names"] = json!(names);
            }
            if let Some(advice) = advice {
                value["advice"] = json!(advice);
            }
            if let Some(remedy) = remedy {
                value["remedy"] = json!(remedy);
            }
            if let Some(fix) = fix {
                value["fix"] = fix.json();
            }
            json_answer(status, &value)
        }
        Wanted::Text => {
            let mut text = format!("{code}: {sentence}\n");
            if !names.is_empty() {
                let _ = writeln!(text, "names in your certificate: {}", names.join(", "));
            }
            if let Some(remedy) = remedy {
                let _ = writeln!(text, "what to do: {remedy}");
            }
            if let Some(fix) = fix {
                let _ = writeln!(text, "  {}", fix.command);
            }
            text_answer(status, text)
        }
        Wanted::Html => {
            let mut facts = vec![("Code", code.to_owned())];
            facts.extend(names.iter().map(|name| ("Your name", name.clone())));
            let title = status.canonical_reason().unwrap_or("Refused");
            let mut body = format!("<h1 class=\"bad\">{}</h1>\n<p>{}</p>\n", escape(title), escape(sentence));
            body.push_str(&facts_html(&facts));
            if let Some(advice) = advice {
                let _ = writeln!(body, "<h2>What to do</h2>\n<p>{}</p>", escape(advice));
            }
            if let Some(fix) = fix {
                let _ = writeln!(body, "<p><code>{}</code></p>", escape(&fix.command));
            }
            html(status, title, &body)
        }
    }
}

/// Labels and what they stand for, as a list.
pub(crate) fn facts_html(facts: &[(&str, String)]) -> String {
    let mut html = "<dl class=\"facts\">\n".to_owned();
    for (label, fact) in facts {
        // What a client chose does not arrange the text around it (UAX #9).
        let _ = writeln!(html, "<dt>{label}</dt><dd><bdi class=\"code\">{}</bdi></dd>", escape(fact));
    }
    html.push_str("</dl>\n");
    html
}

/// Text inside HTML, in elements and in quoted attributes.
pub(crate) fn escape(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut html, c| {
        match c {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            c => html.push(c),
        }
        html
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accept_decides_the_form() {
        let cases = [
            ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", Wanted::Html),
            ("application/json", Wanted::Json),
            ("text/html;q=0.2, application/json;q=0.9", Wanted::Json),
            ("*/*", Wanted::Text),
            ("", Wanted::Text),
            ("text/plain, text/html", Wanted::Text),
        ];
        for (accept, expected) in cases {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, HeaderValue::from_static(accept));
            assert_eq!(Wanted::of(&headers), expected, "{accept}");
        }
    }

    #[test]
    fn names_cannot_write_html() {
        assert_eq!(escape("<script>'\"&"), "&lt;script&gt;&#39;&quot;&amp;");
    }
}
