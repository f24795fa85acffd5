//! A conversation that was recorded, as facts: from a capture, a transcript, or a connection that a client made to us.
//! What is sealed stays unknown, and the report says so.

use jiff::Timestamp;
use pki::Certificate;
use pki::name::ServerName;

use super::{
    Agreed, Answer, Asked, Attempt, Direction, End, Facts, GivenUp, Notes, OwnSide, Program, Report, Target,
    Variation, Weight,
};
use crate::capture::What;
use crate::finding::{Fault, Finding, FindingCode, Sender, from_alert};
use crate::tls::{Conversation, Kind, registry};

/// What is known beside the recording.
#[derive(Debug, Clone, Default)]
pub struct Beside {
    /// What the client believes, where that is known.
    pub client_trust: Option<Vec<Certificate>>,
    /// What the server believes of clients, where that is known.
    pub server_trust: Vec<Certificate>,
    /// The program on the client's side.
    pub program: Program,
}

/// Judges a recorded conversation.
///
/// ```
/// use explain::doctor::{Beside, Verdict, judge_recorded};
/// use explain::tls::Conversation;
/// let now = "2026-06-15T12:00:00Z".parse()?;
/// let report = judge_recorded(&Conversation::default(), &Beside::default(), now);
/// assert_eq!(report.verdict, Verdict::Refused);
/// # Ok::<(), jiff::Error>(())
/// ```
#[must_use]
pub fn judge_recorded(conversation: &Conversation, beside: &Beside, now: Timestamp) -> Report {
    let at = conversation.started.unwrap_or(now);
    let attempt = attempt(conversation);
    let client_refused = conversation
        .alerts
        .iter()
        .find(|alert| alert.sender == Sender::Client && !crate::alert::is_closure(alert.description));
    let mut notes = Notes::default();
    let facts = facts(conversation, beside, attempt, at);
    let sees_client = conversation.client_chain.is_some() || facts.asked().is_none();
    super::parameters::judge(&facts, &mut notes);
    super::server_certificate::judge(&facts, &mut notes);
    if sees_client {
        super::client_certificate::judge(&facts, &mut notes);
    } else {
        notes.unchecked("the client's certificate: its message is sealed, and no secret at hand opens it");
    }
    super::answer::judge(&facts, &mut notes);
    super::warnings::judge(&facts, &mut notes);
    if let Some(alert) = client_refused
        && !notes.is_blocked()
    {
        let finding = from_alert(alert.description, Sender::Client, false, alert.after_finished);
        notes.push(Weight::Blocks, Direction::ClientRefusedServer, finding);
    }
    // What the reader of the conversation found and the rules did not.
    for finding in &conversation.findings {
        if !notes.has(finding.code) {
            let blocked = notes.is_blocked();
            let weight = if blocked { Weight::WouldBlock } else { Weight::Blocks };
            notes.push(weight, Direction::Neither, finding.clone());
        }
    }
    if !notes.is_blocked() && !is_complete(conversation) {
        notes.push(Weight::Blocks, Direction::Neither, unexplained(conversation));
    }
    for limit in &conversation.limits {
        notes.unchecked(limit.clone());
    }
    notes.unchecked("what a recording does not show: clocks, files, and what either side believes beyond what is given here");
    super::finish(&facts, notes)
}

fn is_complete(conversation: &Conversation) -> bool {
    conversation.complete || conversation.messages.iter().any(|message| message.kind == Kind::ApplicationData)
}

fn unexplained(conversation: &Conversation) -> Finding {
    let last =
        conversation.messages.last().map_or("nothing".to_owned(), |message| message.kind.name().to_owned());
    Finding::new(
        FindingCode::Unexplained,
        Fault::Network,
        format!(
            "the conversation with {} ends before the handshake does, and nothing in it says why",
            conversation.server
        ),
    )
    .possible()
    .evidence(format!("the last message: {last}"))
    .remedy(
        "record again with the secrets of the connection (SSLKEYLOGFILE), or let the doctor connect itself",
    )
    .fix(Fault::Client, "SSLKEYLOGFILE=keys.log curl …")
}

fn facts(conversation: &Conversation, beside: &Beside, attempt: Attempt, at: Timestamp) -> Facts {
    let (host, port) = conversation.server.rsplit_once(':').unwrap_or((conversation.server.as_str(), "443"));
    let host = conversation.server_name.as_deref().unwrap_or(host);
    let host = ServerName::parse(host).unwrap_or_else(|_| ServerName::Dns("server.invalid".to_owned()));
    let chain: Vec<Certificate> = conversation
        .client_chain
        .iter()
        .flatten()
        .filter_map(|der| Certificate::from_der(der).ok())
        .collect();
    let own = OwnSide {
        can_sign: !chain.is_empty(),
        chain,
        anchors: beside.client_trust.clone().unwrap_or_default(),
        anchor_files: if beside.client_trust.is_some() { vec!["--cacert".to_owned()] } else { Vec::new() },
        trust_unknown: beside.client_trust.is_none(),
        peer_anchors: beside.server_trust.clone(),
        ..OwnSide::default()
    };
    Facts {
        at,
        program: beside.program,
        target: Target::new(host, port.parse().unwrap_or(443)),
        own,
        attempts: vec![attempt],
        neighbours: Vec::new(),
    }
}

fn attempt(conversation: &Conversation) -> Attempt {
    let mut attempt = Attempt::new(Variation::AsAsked, end(conversation));
    attempt.served = conversation.server_chain.clone().unwrap_or_default();
    attempt.stapled.clone_from(&conversation.stapled);
    attempt.sent_certificate = conversation.client_chain.as_ref().is_some_and(|chain| !chain.is_empty());
    attempt.request = conversation.certificate_request.as_ref().map(|request| Asked {
        authorities: request.authorities.clone(),
        signature_schemes: request
            .signature_schemes
            .iter()
            .map(|number| {
                registry::signature_scheme_name(*number).map_or(format!("0x{number:04x}"), str::to_owned)
            })
            .collect(),
    });
    attempt.answer = answer(conversation);
    let finished = conversation
        .messages
        .iter()
        .any(|message| message.sender == Sender::Client && message.kind == Kind::Handshake(20));
    if finished || conversation.complete {
        let version = conversation.version.and_then(registry::version_name).unwrap_or_default();
        attempt.negotiated = Some(Agreed {
            version: version.replace(' ', "v"),
            cipher_suite: conversation
                .cipher_suite
                .and_then(registry::cipher_suite_name)
                .unwrap_or_default()
                .to_owned(),
            group: conversation.group.and_then(registry::group_name).unwrap_or_default().to_owned(),
            application_protocol: conversation.alpn.clone(),
        });
    }
    attempt
}

/// The HTTP answer in what the server sent, where it is one: a status can be a verdict on a certificate.
fn answer(conversation: &Conversation) -> Option<Answer> {
    let first = conversation
        .messages
        .iter()
        .find(|message| message.sender == Sender::Server && message.kind == Kind::ApplicationData)?;
    let text = String::from_utf8_lossy(&first.bytes);
    let status = text.strip_prefix("HTTP/")?.split_ascii_whitespace().nth(1)?.parse().ok()?;
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let server = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("server").then(|| value.trim().to_owned())
    });
    Some(Answer { status, server, body: body.to_owned(), ..Answer::default() })
}

fn end(conversation: &Conversation) -> End {
    let fatal = conversation.alerts.iter().find(|alert| !crate::alert::is_closure(alert.description));
    if let Some(alert) = fatal {
        return match alert.sender {
            Sender::Server => {
                End::Alert { description: alert.description, after_finished: alert.after_finished }
            }
            Sender::Client => End::GivenUp(GivenUp::Certificate(format!(
                "the client sent the alert {}",
                crate::alert::cite(alert.description)
            ))),
        };
    }
    let answered = conversation
        .messages
        .iter()
        .any(|message| message.sender == Sender::Server && message.kind == Kind::ApplicationData);
    if answered {
        return End::Answered;
    }
    let finished = conversation.complete;
    let server_end = conversation.endings.iter().find(|event| event.sender == Sender::Server);
    match server_end.map(|event| &event.what) {
        Some(What::Reset) => {
            End::Reset { after_finished: finished, heard_anything: conversation.server_chain.is_some() }
        }
        Some(What::Closed) => End::Closed { after_finished: finished },
        _ => End::Silent,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recording_that_breaks_off_is_unexplained_and_says_so() {
        let now: Timestamp = Timestamp::UNIX_EPOCH;
        let report = judge_recorded(&Conversation::default(), &Beside::default(), now);
        assert_eq!(report.findings[0].finding.code, FindingCode::Unexplained);
        assert!(!report.unchecked.is_empty());
    }
}
