//! `countersign audit prove` and `countersign audit log`: what was issued is in the log, and what is not in the log was
//! issued behind the authority's back.

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ca::log::{Checkpoint, Frontier, Hash, Proof, leaf_hash, origin, verify_consistency};
use clap::{Args, Subcommand};
use keys::file::{Replace, write_public};
use pki::Certificate;
use pki::issuer::Issuer;
use serde_json::Value;

use crate::api::{Api, ApiArguments, path_segment};
use crate::context::{BOLD, Context, DIM};
use crate::failure::{Exit, Failure, OrFail as _, Outcome};
use crate::home::Home;
use crate::input;

/// The log of everything issued
#[derive(Debug, Subcommand)]
#[command(before_help = "\
Examples:
  countersign audit log checkpoint > monday.checkpoint
      # what the log is now, signed; keep it where the authority cannot reach
  countersign audit log verify --since monday.checkpoint
      # nothing was taken out, changed or slipped in since
  countersign audit log check alice.tlog-proof alice.pem
      # a proof, without asking anybody
  countersign audit log check root.tlog-proof rootCA.pem --issuing alice.pem
      # that of a root, which says nothing of its issuing CA itself")]
pub(crate) enum Log {
    /// Print the signed checkpoint: how many certificates there are, and a hash over all of them
    Checkpoint(ShowCheckpoint),
    /// Read the whole log, and check it against its checkpoint, the audit trail and an earlier checkpoint
    Verify(Verify),
    /// Check a proof that was made by `audit prove`; needs no authority
    Check(Check),
}

/// Print the signed checkpoint
#[derive(Debug, Args)]
pub(crate) struct ShowCheckpoint {
    #[command(flatten)]
    api: ApiArguments,
}

/// Read the whole log, and check it
#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// An earlier checkpoint, which the log must still begin with
    #[arg(long, value_name = "FILE")]
    since: Option<PathBuf>,

    /// With --since: have the growth proved, without reading the certificates
    #[arg(long, requires = "since")]
    quick: bool,

    #[command(flatten)]
    api: ApiArguments,
}

/// Check a proof, without asking anybody
#[derive(Debug, Args)]
pub(crate) struct Check {
    /// What `audit prove` wrote
    #[arg(value_name = "PROOF")]
    proof: PathBuf,

    /// The certificate, with the issuing CA's behind it as `issue` and `join` write them
    #[arg(value_name = "CERTIFICATE")]
    certificate: PathBuf,

    /// A file with the issuing CA's certificate, where CERTIFICATE is a root or another CA alone
    #[arg(long, value_name = "FILE")]
    issuing: Option<PathBuf>,

    /// The authority's root [default: rootCA.pem in the home]
    #[arg(long, value_name = "FILE")]
    root: Option<PathBuf>,
}

/// Prove that a certificate is in the log
#[derive(Debug, Args)]
#[command(before_help = "\
Examples:
  countersign audit prove alice
      # writes alice.tlog-proof, which anyone with the root can check
  countersign audit prove found-in-the-wild.pem
      # one that is not in the log was made behind the authority's back
  countersign audit prove rootCA.pem --out root.tlog-proof
      # the authority's own CAs are in it too")]
pub(crate) struct Prove {
    /// A name, the start of a serial number (8 digits or more), or a certificate's file; also of a CA
    #[arg(value_name = "NAME|SERIAL|FILE")]
    which: String,

    /// Where the proof goes [default: NAME.tlog-proof]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,

    #[command(flatten)]
    api: ApiArguments,
}

impl Log {
    pub(crate) fn run(self, context: &Context) -> Outcome {
        match self {
            Log::Checkpoint(command) => show(context, &command),
            Log::Verify(command) => verify(context, &command),
            Log::Check(command) => check(context, &command),
        }
    }
}

/// How the names of logs of this program begin.
const LOG_NAME: &str = "log.countersign/";

/// Whose log it is: what its checkpoints must be signed with.
struct Signer {
    issuing: Certificate,
    origin: String,
    /// All CAs whose certificates are in it: issuing CAs and the roots above them, more than one of each where the
    /// authority changed its CA.
    issuers: Vec<Certificate>,
}

impl Signer {
    /// The issuing CA under this root, which must have signed it.
    fn under(root: &Certificate, issuing: Certificate) -> Result<Self, Failure> {
        let key = root.public_key().or_refuse()?;
        issuing.verify_signature(key).map_err(|_| {
            Failure::refused(format!(
                "'{}' is no CA of the root '{}'",
                issuing.subject().short(),
                root.subject().short()
            ))
        })?;
        // Which also says that it is a CA at all.
        Issuer::new(issuing.clone(), vec![root.clone()]).or_refuse()?;
        Ok(Signer { issuers: vec![issuing.clone(), root.clone()], issuing, origin: origin(root) })
    }

    fn checkpoint(&self, note: &str) -> Result<Checkpoint, Failure> {
        Checkpoint::verify(note, &self.origin, self.issuing.public_key().or_refuse()?).or_refuse()
    }

    fn proof(&self, proof: &Proof, certificate: &Certificate) -> Result<Checkpoint, Failure> {
        proof.verify(certificate.der(), &self.origin, self.issuing.public_key().or_refuse()?).or_refuse()
    }

    /// The CA of the authority that signed a certificate; refuses one that none signed.
    fn of(&self, certificate: &Certificate) -> Result<&Certificate, Failure> {
        let signed = |issuer: &&Certificate| {
            issuer.public_key().is_ok_and(|key| certificate.verify_signature(key).is_ok())
        };
        if let Some(issuer) = self.issuers.iter().find(signed) {
            return Ok(issuer);
        }
        let names: Vec<String> =
            self.issuers.iter().map(|issuer| format!("'{}'", issuer.subject().short())).collect();
        Err(Failure::refused(format!(
            "this certificate ({}) was not signed by {}",
            certificate.serial_hex(),
            names.join(" or ")
        )))
    }
}

/// What the authority says of its log now, believed as far as the root here vouches for it.
fn current(context: &Context, api: &Api) -> Result<(Signer, Checkpoint, String), Failure> {
    let document = api.get("/api/v1/log")?;
    let certificate = |member: &str| -> Result<Certificate, Failure> {
        let text = document[member].as_str().unwrap_or_default();
        let blocks = pki::pem::read(text.as_bytes()).or_refuse()?;
        let block = blocks.first().ok_or_else(|| Failure::refused("the authority named no certificate"))?;
        Certificate::from_der(&block.der).or_refuse()
    };
    let root = certificate("anchor")?;
    let known = Home::of(context)?.anchor();
    // The authority is who is judged here: what it says of itself counts for nothing where this machine knows better.
    let certificates = |member: &str| -> Result<Vec<Certificate>, Failure> {
        let read = |pem: &Value| {
            let blocks = pki::pem::read(pem.as_str().unwrap_or_default().as_bytes()).or_refuse()?;
            blocks.iter().map(|block| Certificate::from_der(&block.der).or_refuse()).collect()
        };
        let all: Result<Vec<Vec<Certificate>>, Failure> =
            document[member].as_array().into_iter().flatten().map(read).collect();
        Ok(all?.concat())
    };
    // The log keeps the key that it began with: where that is under a root of before, later roots have signed for it.
    let vouched = |known: &[Certificate], crosses: &[Certificate]| {
        let mut believed = known.to_vec();
        for _ in crosses {
            for cross in crosses.iter().filter(|cross| cross.is_ca()) {
                let by = |by: &Certificate| {
                    by.subject() == cross.issuer()
                        && by.public_key().is_ok_and(|key| cross.verify_signature(key).is_ok())
                };
                if believed.iter().any(by) && !believed.contains(cross) {
                    believed.push(cross.clone());
                }
            }
        }
        let is_root = |one: &Certificate| {
            one.subject() == root.subject() && one.public_key().ok() == root.public_key().ok()
        };
        believed.iter().any(is_root)
    };
    if known.exists() && !vouched(&input::certificates(&known)?, &certificates("crosses")?) {
        return Err(Failure::refused(format!(
            "the authority names another root than {}; it is another authority, or no honest one",
            known.display()
        )));
    }
    let mut signer = Signer::under(&root, certificate("issuer")?)?;
    for issuer in certificates("issuers")?.into_iter().chain(certificates("roots")?) {
        if !signer.issuers.contains(&issuer) {
            signer.issuers.push(issuer);
        }
    }
    let note = document["checkpoint"].as_str().unwrap_or_default().to_owned();
    let checkpoint = signer.checkpoint(&note)?;
    Ok((signer, checkpoint, note))
}

fn show(context: &Context, command: &ShowCheckpoint) -> Outcome {
    let api = Api::open(context, &command.api)?;
    let (_, checkpoint, note) = current(context, &api)?;
    context.data(note);
    context.say(format!(
        "{BOLD}{}{BOLD:#} certificates are in the log. {DIM}Keep this where the authority cannot reach: `audit log verify \
         --since FILE` then shows whatever is taken out or changed.{DIM:#}",
        checkpoint.size
    ));
    Ok(Exit::Done)
}

/// An earlier checkpoint of the same log.
fn earlier(signer: &Signer, file: &Path, now: &Checkpoint) -> Result<Checkpoint, Failure> {
    let text = String::from_utf8(input::bytes(file)?)
        .map_err(|_| Failure::usage(format!("{} is no text", file.display())))?;
    let old = signer.checkpoint(&text)?;
    if old.size > now.size {
        return Err(Failure::refused(format!(
            "the log has {} entries, and had {} when {} was signed: entries were taken out, or the memory is an older \
             copy",
            now.size,
            old.size,
            file.display()
        )));
    }
    Ok(old)
}

fn changed(file: &Path, old: &Checkpoint) -> Failure {
    Failure::refused(format!(
        "the first {} entries are not those of {}: the authority signed two logs that contradict each other",
        old.size,
        file.display()
    ))
    .hint("keep both checkpoints: together they are the proof of it")
}

fn verify(context: &Context, command: &Verify) -> Outcome {
    let api = Api::open(context, &command.api)?;
    let (signer, checkpoint, note) = current(context, &api)?;
    let since = command.since.as_deref();
    let old = since.map(|file| earlier(&signer, file, &checkpoint)).transpose()?;
    if let (true, Some(file), Some(old)) = (command.quick, since, &old) {
        let path = format!("/api/v1/log/consistency?from={}&to={}", old.size, checkpoint.size);
        let proof = hashes(&api.get(&path)?["path"])?;
        if !verify_consistency((old.size, &old.root), (checkpoint.size, &checkpoint.root), &proof) {
            return Err(changed(file, old));
        }
        context.data(note);
        context.say(format!(
            "The log grew from {BOLD}{}{BOLD:#} to {BOLD}{}{BOLD:#} entries, and begins as it did",
            old.size, checkpoint.size
        ));
        return Ok(Exit::Done);
    }
    let mut reading = Reading::new(&api, checkpoint.size);
    let mut frontier = Frontier::default();
    let matches = |old: &Option<Checkpoint>, frontier: &Frontier| {
        old.as_ref().is_none_or(|old| old.size != frontier.size() || old.root == frontier.root())
    };
    let mut is_consistent = matches(&old, &frontier);
    api.each("/api/v1/audit", "events", |event| {
        if (event["what"] == "issue" || event["what"] == "certify") && frontier.size() < checkpoint.size {
            let entry = reading.next()?;
            let certificate = Certificate::from_der(&entry).or_refuse()?;
            let serial = event["serial_number"].as_str().unwrap_or_default();
            if certificate.serial_hex() != serial {
                return Err(Failure::refused(format!(
                    "entry {} of the log is the certificate {}, and the audit trail has {serial} issued in that place",
                    frontier.size(),
                    certificate.serial_hex(),
                )));
            }
            frontier.push(leaf_hash(&entry));
            is_consistent &= matches(&old, &frontier);
        }
        Ok(())
    })?;
    if frontier.size() != checkpoint.size {
        return Err(Failure::refused(format!(
            "the audit trail tells of {} certificates, and the log's checkpoint of {}",
            frontier.size(),
            checkpoint.size
        )));
    }
    if frontier.root() != checkpoint.root {
        return Err(Failure::refused(
            "the certificates on record are not those of the checkpoint: one was changed since it was issued",
        ));
    }
    if let (false, Some(file), Some(old)) = (is_consistent, since, &old) {
        return Err(changed(file, old));
    }
    context.data(note);
    context.say(format!(
        "{BOLD}{}{BOLD:#} certificates, each where the audit trail has it, and together what the checkpoint says",
        checkpoint.size
    ));
    Ok(Exit::Done)
}

/// Reads the log's entries one after the other, a page at a time.
struct Reading<'a> {
    api: &'a Api,
    size: u64,
    at: u64,
    page: std::collections::VecDeque<Vec<u8>>,
}

impl<'a> Reading<'a> {
    fn new(api: &'a Api, size: u64) -> Self {
        Reading { api, size, at: 0, page: std::collections::VecDeque::new() }
    }

    fn next(&mut self) -> Result<Vec<u8>, Failure> {
        if self.page.is_empty() {
            let document = self.api.get(&format!("/api/v1/log/entries?start={}&limit=500", self.at))?;
            let entries = document["entries"].as_array().cloned().unwrap_or_default();
            let decode = |entry: &Value| STANDARD.decode(entry.as_str()?).ok();
            self.page = entries
                .iter()
                .map(decode)
                .collect::<Option<_>>()
                .ok_or_else(|| Failure::refused("an entry of the log is not whole"))?;
        }
        let short = || {
            let (at, size) = (self.at, self.size);
            Failure::refused(format!("the log ends at entry {at}, and its checkpoint says {size}"))
        };
        let entry = self.page.pop_front().ok_or_else(short)?;
        self.at += 1;
        Ok(entry)
    }
}

fn hashes(value: &Value) -> Result<Vec<Hash>, Failure> {
    let hash = |value: &Value| STANDARD.decode(value.as_str()?).ok()?.try_into().ok();
    value
        .as_array()
        .and_then(|values| values.iter().map(hash).collect())
        .ok_or_else(|| Failure::refused("the authority's proof is not whole"))
}

impl Prove {
    pub(crate) fn run(self, context: &Context) -> Outcome {
        let file = Some(Path::new(&self.which)).filter(|path| path.is_file());
        let shown = file.map(input::certificates).transpose()?.and_then(|found| found.into_iter().next());
        let api = Api::open(context, &self.api)?;
        let (signer, _, _) = current(context, &api)?;
        let by = shown.as_ref().map(|certificate| signer.of(certificate)).transpose()?;
        let which =
            shown.as_ref().map_or_else(|| self.which.clone(), |shown| shown.serial_hex().replace(':', ""));
        let answer = api.get(&format!("/api/v1/log/proof/{}", path_segment(&which)));
        let document = match (answer, &shown) {
            (Ok(document), _) => document,
            (Err(failure), Some(shown)) if failure.message().contains("is in the log") => {
                return Err(convicted(shown, by.unwrap_or(&signer.issuing)));
            }
            (Err(failure), _) => return Err(failure),
        };
        let text = document["proof"].as_str().unwrap_or_default();
        let proof = Proof::parse(text).or_refuse()?;
        let certificate = match shown {
            Some(shown) => shown,
            None => {
                let pem = document["certificate"].as_str().unwrap_or_default();
                let blocks = pki::pem::read(pem.as_bytes()).or_refuse()?;
                let der = blocks.first().map(|block| block.der.as_slice()).unwrap_or_default();
                Certificate::from_der(der).or_refuse()?
            }
        };
        // Two certificates with one serial number: the one in the log is another one.
        let by = by.unwrap_or(&signer.issuing);
        let checkpoint = signer.proof(&proof, &certificate).map_err(|_| convicted(&certificate, by))?;
        let name = document["name"].as_str().unwrap_or("certificate");
        let out = self.out.unwrap_or_else(|| PathBuf::from(format!("{}.tlog-proof", file_name(name))));
        write_public(&out, text.as_bytes(), Replace::Yes).or_usage()?;
        context.say(format!(
            "{BOLD}{}{BOLD:#} is entry {} of {} in the log; the proof is in {}",
            explain::escape::text(name),
            proof.index,
            checkpoint.size,
            out.display()
        ));
        let is_root = certificate.is_ca() && certificate.subject() == certificate.issuer();
        context.say(format!(
            "{DIM}Anyone with the root can check it: audit log check {} CERTIFICATE{}{DIM:#}",
            out.display(),
            if is_root { " --issuing CHAIN" } else { "" }
        ));
        Ok(Exit::Done)
    }
}

/// A name as part of a file's name.
fn file_name(name: &str) -> String {
    let plain = |c: char| if c.is_alphanumeric() || "-_.@".contains(c) { c } else { '_' };
    name.chars().map(plain).collect::<String>().trim_start_matches('.').to_owned()
}

fn convicted(certificate: &Certificate, by: &Certificate) -> Failure {
    let by = by.subject().short();
    Failure::refused(format!(
        "the certificate {} has the signature of '{by}' and is NOT in its log: it was issued behind the authority's back, by \
         whoever can use its key, or the log was put back to an older copy",
        certificate.serial_hex(),
    ))
    .hint(format!("keep the certificate: it is the proof. Then treat the key of '{by}' as stolen"))
}

fn check(context: &Context, command: &Check) -> Outcome {
    let root = match &command.root {
        Some(file) => file.clone(),
        None => Home::of(context)?.anchor(),
    };
    let roots = input::certificates(&root)?;
    let chain = input::certificates(&command.certificate)?;
    let first =
        roots.first().ok_or_else(|| Failure::usage(format!("{} holds no certificate", root.display())))?;
    let behind = command.issuing.as_deref().map(input::certificates).transpose()?.unwrap_or_default();
    // What stands first in a file that holds leaf and chain is the leaf.
    let is_issuing = |one: &&Certificate| one.is_ca() && one.subject() != one.issuer();
    let (certificate, issuing) = match (chain.as_slice(), behind.iter().find(is_issuing)) {
        ([certificate, ..], Some(issuing)) => (certificate, issuing),
        ([certificate, issuing, ..], None) => (certificate, issuing),
        // The issuing CA's own certificate is proved by what it signed itself.
        ([issuing], None) if is_issuing(&issuing) => (issuing, issuing),
        _ => {
            return Err(Failure::usage(format!(
                "{} holds no chain; the issuing CA's certificate belongs behind the certificate, or is named by --issuing",
                command.certificate.display()
            ))
            .hint(format!(
                "countersign audit log check {} {} --issuing CHAIN",
                command.proof.display(),
                command.certificate.display()
            )));
        }
    };
    let root = roots.iter().find(|root| root.subject() == issuing.issuer()).unwrap_or(first);
    let mut signer = Signer::under(root, issuing.clone())?;
    signer.of(certificate)?;
    let text = String::from_utf8(input::bytes(&command.proof)?)
        .map_err(|_| Failure::usage(format!("{} is no text", command.proof.display())))?;
    let proof = Proof::parse(&text).or_refuse()?;
    // A log keeps its name when the authority changes its root, and is signed by each of its issuing CAs: what tells
    // whose it is is the signature.
    let named = proof.checkpoint.lines().next().filter(|named| named.starts_with(LOG_NAME));
    signer.origin = named.map_or(signer.origin, str::to_owned);
    let checkpoint = signer.proof(&proof, certificate)?;
    context.say(format!(
        "{BOLD}{}{BOLD:#} is entry {} of the {} that were in the log when '{}' signed this",
        certificate.serial_hex(),
        proof.index,
        checkpoint.size,
        issuing.subject().short()
    ));
    Ok(Exit::Done)
}
