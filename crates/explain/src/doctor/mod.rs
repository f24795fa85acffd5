//! Which side said no, why, and the one command that mends it: facts in, ranked findings out.
//!
//! The facts are the files of this side, what the server showed on each connection, and the answer. Alerts confirm;
//! they are not trusted alone, since five of them have several causes each. Where no rule fits, that is said.
//!
//! Nothing here opens a file or a socket: `net::doctor` makes the connections, `cli` reads the files.

mod advice;
mod anchors;
mod answer;
mod client_certificate;
mod command;
mod facts;
mod local;
mod mend;
mod parameters;
mod pile;
mod profile;
mod programs;
mod reach;
mod recorded;
mod report;
mod server_certificate;
mod stapled;
mod text;
mod warnings;
mod words;

pub use advice::{Advice, advice, advised};
pub use command::{CommandError, Secret, Settings, Surroundings, environment_of_node, read_command};
pub use facts::{
    Agreed, Answer, Asked, Attempt, End, Facts, GivenUp, LocalFinding, Neighbour, NeighbourContent, OwnSide,
    Proxy, Target, Variation,
};
pub use local::{Encoding, Given, NamedFile, Opened, Role, Unread, neighbour, read_own_side};
pub use pile::{PileFile, examine_files};
pub use programs::{PartialChain, Program, TrustStore, UnknownProgram};
pub use recorded::{Beside, judge_recorded};
pub use report::{Direction, Ranked, Report, Verdict, Weight};
pub use text::read_text;

use pki::Certificate;

use crate::finding::{Finding, FindingCode, Sender, from_alert};

/// What the rules have found so far.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    found: Vec<Ranked>,
    checked: Vec<String>,
    unchecked: Vec<String>,
}

impl Notes {
    pub(crate) fn push(&mut self, weight: Weight, direction: Direction, finding: Finding) {
        self.found.push(Ranked::new(weight, direction, finding));
    }

    pub(crate) fn checked(&mut self, what: impl Into<String>) {
        self.checked.push(what.into());
    }

    pub(crate) fn unchecked(&mut self, what: impl Into<String>) {
        self.unchecked.push(what.into());
    }

    /// Whether something is found that keeps the pair from working.
    pub(crate) fn is_blocked(&self) -> bool {
        self.found.iter().any(|ranked| ranked.weight != Weight::Warns)
    }

    pub(crate) fn has(&self, code: FindingCode) -> bool {
        self.found.iter().any(|ranked| ranked.finding.code == code)
    }
}

/// Judges the facts. The rules go in the order in which a connection goes, so that the first thing in the way comes
/// first.
///
/// ```
/// use explain::doctor::{Attempt, End, Facts, OwnSide, Program, Target, Variation, Verdict, diagnose};
/// let facts = Facts {
///     at: "2026-06-15T12:00:00Z".parse()?,
///     program: Program::Curl,
///     target: Target::new(pki::name::ServerName::parse("localhost")?, 8443),
///     own: OwnSide::default(),
///     attempts: vec![Attempt::new(Variation::AsAsked, End::ConnectionRefused)],
///     neighbours: Vec::new(),
/// };
/// assert_eq!(diagnose(&facts).verdict, Verdict::Unreachable);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use]
pub fn diagnose(facts: &Facts) -> Report {
    let mut notes = Notes::default();
    for local in &facts.own.findings {
        let (weight, direction) = if local.blocks {
            (Weight::Blocks, Direction::ClientStopped)
        } else {
            (Weight::Warns, Direction::Neither)
        };
        notes.push(weight, direction, local.finding.clone());
    }
    reach::judge(facts, &mut notes);
    parameters::judge(facts, &mut notes);
    server_certificate::judge(facts, &mut notes);
    client_certificate::judge(facts, &mut notes);
    answer::judge(facts, &mut notes);
    warnings::judge(facts, &mut notes);
    last_resort(facts, &mut notes);
    finish(facts, notes)
}

/// The report of what was found, with the words of others and commands that can be pasted.
pub(crate) fn finish(facts: &Facts, notes: Notes) -> Report {
    let mut report = Report::new(notes.found, notes.checked, notes.unchecked);
    for ranked in &mut report.findings {
        words::add(facts, ranked);
        for fix in ranked.finding.fix.iter_mut().chain(ranked.finding.alternative.iter_mut()) {
            fix.command = complete(facts, &fix.command);
        }
    }
    report
}

/// A command with the client's other options in it, so that it can be pasted as it is. `…` stands for the URL; before it
/// may stand another command, which makes what this one is called with.
fn complete(facts: &Facts, command: &str) -> String {
    let (before, last) = match command.split_once(" && curl ") {
        Some((before, rest)) => (format!("{before} && "), format!("curl {rest}")),
        None => (String::new(), command.to_owned()),
    };
    for ours in ["countersign doctor … ", "countersign explain … "] {
        if let Some(rest) = last.strip_prefix(ours) {
            let mut parts =
                vec![ours.trim_end_matches("… ").trim_end().to_owned(), shell(&facts.target.url())];
            parts.extend(options(facts, &[], true));
            parts.push(rest.to_owned());
            return before + &parts.join(" ");
        }
    }
    let Some(rest) =
        last.strip_prefix("curl ").filter(|rest| !rest.contains("  #") && !rest.starts_with("-V"))
    else {
        return command.to_owned();
    };
    let mut words: Vec<&str> = rest.split(' ').collect();
    let url = match words.pop() {
        Some("…") | None => shell(&facts.target.url()),
        Some(url) => url.to_owned(),
    };
    // A target that is reached by another name or without TLS keeps its own way.
    let is_ours = url.contains(&facts.target.authority());
    let mut parts = vec!["curl".to_owned()];
    parts.extend(words.iter().map(|word| (*word).to_owned()));
    parts.extend(options(facts, &words, is_ours));
    parts.push(url);
    before + &parts.join(" ")
}

/// The options that the client was given, without those that stand in the command already.
fn options(facts: &Facts, words: &[&str], is_ours: bool) -> Vec<String> {
    let mut parts = Vec::new();
    for (option, value) in &facts.own.options {
        let is_route = matches!(option.as_str(), "--resolve" | "--connect-to");
        if words.contains(&option.as_str()) || (is_route && !is_ours) {
            continue;
        }
        parts.push(option.clone());
        if !value.is_empty() {
            parts.push(shell(value));
        }
    }
    parts
}

/// What is left where no rule knew the cause: what the alert allows to be concluded, and no more.
fn last_resort(facts: &Facts, notes: &mut Notes) {
    let Some(main) = facts.main() else { return };
    if main.is_let_in() || notes.is_blocked() {
        return;
    }
    let finding = match &main.end {
        End::Alert { description, after_finished } => {
            from_alert(*description, Sender::Server, main.sent_certificate, *after_finished).possible()
        }
        end => Finding::new(
            FindingCode::Unexplained,
            crate::Fault::Server,
            format!("the connection to {} failed, and nothing that is known here explains it", facts.target.authority()),
        )
        .possible()
        .evidence(format!("it ended so: {}", end_text(end)))
        .remedy(
            "what is known is above; what is not: why the other side ended it. Its log may say; a record of the \
             conversation can be shown to others",
        )
        .fix(crate::Fault::Client, "countersign explain … --save failure.transcript"),
    };
    notes.push(Weight::Blocks, Direction::ServerRefusedClient, finding);
}

/// An end in words.
pub(crate) fn end_text(end: &End) -> String {
    let place = |after: bool| if after { "after the client's Finished" } else { "during the handshake" };
    match end {
        End::Answered => "the server answered".to_owned(),
        End::Silent => "the server said nothing".to_owned(),
        End::Alert { description, after_finished } => {
            format!(
                "the server sent the alert {} {}",
                crate::alert::cite(*description),
                place(*after_finished)
            )
        }
        End::Closed { after_finished } => {
            format!("the server closed the connection {} without an alert", place(*after_finished))
        }
        End::Reset { after_finished, heard_anything } => {
            let heard = if *heard_anything { "" } else { ", before it had said anything" };
            format!("the connection was reset {}{heard}", place(*after_finished))
        }
        End::HandshakeTimeout => "the server did not answer the ClientHello in time".to_owned(),
        End::GivenUp(why) => match why {
            GivenUp::Version(text)
            | GivenUp::Parameters(text)
            | GivenUp::Certificate(text)
            | GivenUp::Protocol(text) => {
                format!("this side ended the handshake: {text}")
            }
            GivenUp::ApplicationProtocol => "no application protocol in common".to_owned(),
        },
        End::NotTls(first) => format!("the first bytes are no TLS: \"{}\"", crate::escape::bytes(first)),
        End::ConnectionRefused => "the port is closed".to_owned(),
        End::NotResolved(text) => format!("the name has no address: {text}"),
        End::ConnectTimeout => "no connection in time".to_owned(),
        End::Unreachable(text) => format!("no connection: {text}"),
        End::ProxyRefused(status) => format!("the proxy answered: {status}"),
        End::ProxyUnreachable(text) => format!("the proxy cannot be reached: {text}"),
    }
}

/// A certificate as people find it: its subject, and what it is in the chain.
pub(crate) fn name(certificate: &Certificate) -> String {
    let subject = certificate.subject();
    if subject.is_empty() { certificate.short_name() } else { crate::escape::text(&subject.to_string()) }
}

/// Where a certificate stands: `the leaf`, `the intermediate at place 2`, `the root`.
pub(crate) fn place(depth: usize, certificate: &Certificate) -> String {
    match (depth, certificate.is_self_issued()) {
        (0, _) => "the leaf, first in the chain".to_owned(),
        (_, true) => format!("the root, number {} in the chain", depth + 1),
        (_, false) => format!("the intermediate, number {} in the chain", depth + 1),
    }
}

/// A word for a shell: quoted where it must be.
///
/// ```
/// assert_eq!(explain::doctor::shell("my key.pem"), "'my key.pem'");
/// ```
#[must_use]
pub fn shell(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@%+,".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}
