//! The story, for a terminal of 80 columns; or the facts, for programs.

use std::path::Path;

use serde_json::{Value, json};

use super::cast::Cast;
use super::peers::{PeerRun, Peers};
use super::visits::Visit;
use crate::context::{BAD, BOLD, Context, DIM, GOOD};
use crate::table::wrap;

/// The width that every line keeps to.
const WIDTH: usize = 80;

/// Tells the story as it happens.
pub(super) struct Teller<'a> {
    context: &'a Context,
    /// The facts, where they are wanted instead.
    facts: Option<Value>,
}

impl<'a> Teller<'a> {
    pub(super) fn new(context: &'a Context, json: bool) -> Self {
        Teller { context, facts: json.then(|| json!({})) }
    }

    fn line(&self, text: impl AsRef<str>) {
        if self.facts.is_none() {
            self.context.data(format!("{}\n", text.as_ref()));
        }
    }

    fn chapter(&self, number: u8, title: &str) {
        self.line(format!("\n{BOLD}{number}. {title}{BOLD:#}"));
    }

    /// A label and a text that is wrapped behind it.
    fn entry(&self, label: &str, text: &str) {
        for (index, part) in wrap(text, WIDTH - 14).into_iter().enumerate() {
            let label = if index == 0 { label } else { "" };
            self.line(format!("   {BOLD}{label:<10}{BOLD:#} {part}"));
        }
    }

    fn fact(&mut self, name: &str, value: Value) {
        if let Some(facts) = &mut self.facts {
            facts[name] = value;
        }
    }

    pub(super) fn opening(&self) {
        self.line(format!("{BOLD}Mutual TLS: the server proves who it is, and so does the client.{BOLD:#}"));
        self.line("Everything below happens now, on this machine, and leaves nothing behind.");
    }

    pub(super) fn authority(&mut self, cast: &Cast) {
        let issuer = cast.authority.issuer();
        self.chapter(1, "An authority that both sides believe");
        self.entry(
            "root",
            "The anchor: its certificate is all that anyone has to believe. It may certify localhost only, so \
             that stealing its key is worth little.",
        );
        self.entry(
            "issuing",
            "Signs day by day, on the root's behalf. Should its key be lost, the root makes another, and nobody \
             has to believe anything new.",
        );
        self.fact(
            "authority",
            json!({
                "root": issuer.anchor().subject().to_string(),
                "root_sha256": pki::hex(&issuer.anchor().sha256()),
                "issuing": issuer.certificate().subject().to_string(),
            }),
        );
    }

    pub(super) fn certificates(&mut self, cast: &Cast) {
        self.chapter(2, "A certificate for each side");
        self.entry(
            "localhost",
            "For the server: names the host that clients ask for, and is good for serving only.",
        );
        self.entry(
            "alice",
            "For a client: names alice, and is good for calling only. Its key was made here and was shown to \
             nobody, the authority included.",
        );
        let facts = |person: &super::cast::Person| {
            json!({
                "subject": person.chain[0].subject().to_string(),
                "serial_number": person.chain[0].serial_hex(),
                "not_after": person.chain[0].not_after().to_string(),
            })
        };
        self.fact("certificates", json!({ "server": facts(&cast.server), "alice": facts(&cast.alice) }));
    }

    pub(super) fn server(&mut self, url: &str) {
        self.chapter(3, "A server that asks back");
        self.entry("", &format!("{url} requires a client certificate, and admits alice."));
        self.fact("url", json!(url));
    }

    /// `page` is where their handshakes are told byte by byte; each is a place in it.
    pub(super) fn visitors(&mut self, visits: &[Visit], page: Option<&Path>) {
        self.chapter(4, "Its visitors");
        for (number, visit) in (1..).zip(visits) {
            let (style, mark) = match (visit.as_expected, visit.let_in) {
                (false, _) => (BAD, "NOT AS IT SHOULD BE"),
                (true, true) => (GOOD, "let in"),
                (true, false) => (BAD, "refused"),
            };
            self.line(format!("   {BOLD}{}:{BOLD:#} {style}{mark}{style:#}", visit.name));
            for part in wrap(visit.story, WIDTH - 6) {
                self.line(format!("     {DIM}{part}{DIM:#}"));
            }
            for (who, saw) in [("client saw", &visit.client), ("server saw", &visit.server)] {
                for (index, part) in wrap(saw, WIDTH - 18).into_iter().enumerate() {
                    let who = if index == 0 { who } else { "" };
                    self.line(format!("     {who:<11} {part}"));
                }
            }
            if let Some(page) = page {
                self.line(format!("     {DIM}byte by byte {}#c{number}{DIM:#}", page.display()));
            }
        }
        if visits.iter().any(|visit| visit.refused_late) {
            self.line("");
            for part in wrap(
                "Under TLS 1.3 each of the refused had called its own handshake done before the server judged \
                 its certificate. The refusals above are the ones that arrived after that.",
                WIDTH - 4,
            ) {
                self.line(format!("   {part}"));
            }
        }
        self.fact(
            "visitors",
            visits
                .iter()
                .map(|visit| {
                    json!({
                        "name": visit.name, "story": visit.story, "let_in": visit.let_in,
                        "client_saw": visit.client, "server_saw": visit.server,
                        "refused_after_own_handshake": visit.refused_late, "as_expected": visit.as_expected,
                    })
                })
                .collect(),
        );
    }

    pub(super) fn peers(&mut self, peers: &Peers, runs: &[PeerRun]) {
        self.chapter(5, "The same with programs you know");
        for (name, found) in [("curl", &peers.curl), ("Node.js", &peers.node)] {
            if found.is_none() {
                self.entry(name, "is not on this machine, so it was left out.");
            }
        }
        for run in runs {
            let (style, mark) = if run.as_expected { (GOOD, "let in") } else { (BAD, "NOT AS IT SHOULD BE") };
            self.line(format!("   {BOLD}{}:{BOLD:#} {style}{mark}{style:#}", run.title));
            for part in wrap(&run.command, WIDTH - 8) {
                self.line(format!("     {DIM}{part}{DIM:#}"));
            }
            for part in wrap(&run.said, WIDTH - 6) {
                self.line(format!("     {part}"));
            }
        }
        self.fact(
            "programs",
            runs.iter()
                .map(|run| {
                    json!({
                        "title": run.title, "command": run.command, "said": run.said,
                        "as_expected": run.as_expected,
                    })
                })
                .collect(),
        );
    }

    pub(super) fn closing(&mut self, passed: bool, url: &str, visits: &[Visit], runs: &[PeerRun]) {
        self.chapter(6, "Now with your own service");
        self.line(
            "   countersign init\n\
             \x20  countersign issue server localhost\n\
             \x20  countersign issue client alice\n\
             \x20  countersign serve --to http://127.0.0.1:3000 --allow-cn alice\n\
             \n\
             \x20  curl --cacert rootCA.pem --cert alice.pem --key alice-key.pem \\\n\
             \x20       https://localhost:8443/\n\
             \n\
             \x20  // or, without a gateway, in Node.js itself:\n\
             \x20  https.createServer({\n\
             \x20    cert: fs.readFileSync('localhost.pem'),\n\
             \x20    key: fs.readFileSync('localhost-key.pem'),\n\
             \x20    ca: fs.readFileSync('rootCA.pem'),\n\
             \x20    requestCert: true, rejectUnauthorized: true,\n\
             \x20  }, handler).listen(8443);",
        );
        let count = visits.len() + runs.len();
        if passed {
            self.line(format!("\n{GOOD}All {count} verdicts were the right ones.{GOOD:#}"));
        } else {
            self.line(format!("\n{BAD}Not every verdict was the right one: see above.{BAD:#}"));
        }
        self.fact("passed", json!(passed));
        self.fact("tried_at", json!(url));
        if let Some(facts) = &self.facts {
            self.context.json(facts);
        }
    }

    pub(super) fn keep(&self, url: &str, directory: &Path) {
        let directory = directory.display();
        self.line(format!(
            "\n{BOLD}The server keeps running until Ctrl-C. From another terminal:{BOLD:#}\n\
             \x20  cd {directory}\n\
             \x20  curl --cacert rootCA.pem --cert alice.pem --key alice-key.pem {url}\n\
             \x20  curl --cacert rootCA.pem {url}\n\
             \x20  openssl s_client -connect {} -CAfile rootCA.pem\n\
             \n\
             In a browser: trust rootCA.pem, import alice.p12 (its password is in\n\
             alice-p12-password.txt), and open {url}",
            url.trim_start_matches("https://").trim_end_matches('/'),
        ));
    }
}
