//! `countersign document verify`.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use pki::Certificate;
use pki::cms::{ContentHash, DocumentPurpose, HashAlgorithm, SignedData};
use pki::oid;
use pki::verify::{RevocationMode, TrustBundle};
use serde_json::json;

use super::judge::{Ground, Judgement, When, judge};
use crate::context::{BAD, Context, GOOD};
use crate::failure::{Exit, Failure, Outcome};
use crate::input;

/// Check content, signature, chain, purpose and revocation of a signed document
#[derive(Debug, Args)]
#[command(before_help = "\
Examples:
  countersign document verify contract.pdf --signature contract.pdf.p7s \\
      --cacert rootCA.pem
  countersign document verify contract.pdf --signature contract.pdf.p7s \\
      --cacert rootCA.pem --crl issuing.crl --crl-required --purpose document
  countersign document verify --signature signed.p7m --cacert rootCA.pem \\
      --content-out contract.pdf
      # one that holds its document")]
pub(crate) struct Verify {
    /// The document; left out where the signature holds it
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,

    /// The signature: CMS in DER, BER or PEM
    #[arg(long, value_name = "FILE")]
    signature: PathBuf,

    /// What is believed: a file of anchors [default: the anchor of the local authority]
    #[arg(long, value_name = "FILE", alias = "CAfile")]
    cacert: Vec<PathBuf>,

    /// What is believed of timestamps [default: what --cacert says]
    #[arg(long, value_name = "FILE")]
    tsa_cacert: Vec<PathBuf>,

    /// Further certificates: the signer's, or such as may stand between it and an anchor
    #[arg(long, value_name = "FILE")]
    untrusted: Vec<PathBuf>,

    /// Revocation lists, PEM or DER; those in the signature count too
    #[arg(long, value_name = "FILE")]
    crl: Vec<PathBuf>,

    /// OCSP responses in DER
    #[arg(long, value_name = "FILE")]
    ocsp: Vec<PathBuf>,

    /// Refuse where nothing says whether a certificate was revoked
    #[arg(long)]
    crl_required: bool,

    /// What the signer's certificate must be for: `signer` (anybody's, also a client's), or `document` (documents or mail)
    #[arg(long, value_enum, default_value = "signer")]
    purpose: PurposeFlag,

    /// Write the document that the signature holds to this file, where the signature is good
    #[arg(long, value_name = "FILE", conflicts_with = "file")]
    content_out: Option<PathBuf>,

    /// Print the facts as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum PurposeFlag {
    Signer,
    Document,
}

impl Verify {
    pub(crate) fn run(self, context: &Context) -> Outcome {
        let anchors = self.anchors(context)?;
        let stamp_anchors = match self.tsa_cacert.as_slice() {
            [] => anchors.clone(),
            files => TrustBundle::new(all(files, input::certificates)?),
        };
        let untrusted = all(&self.untrusted, input::certificates)?;
        let crls = all(&self.crl, input::revocation_lists)?;
        let ocsp = all(&self.ocsp, |file| Ok(vec![input::ocsp_response(file)?]))?;
        let mut extract = self.content_out.as_deref().map(Extract::start).transpose()?;
        let signed = super::read_signature(&self.signature, &mut |octets| match &mut extract {
            Some(extract) => extract.file.write_all(octets),
            None => Ok(()),
        })?;
        let content = self.content(&signed)?;
        let ground = Ground {
            anchors: &anchors,
            stamp_anchors: &stamp_anchors,
            untrusted: &untrusted,
            crls: &crls,
            ocsp: &ocsp,
            revocation: if self.crl_required { RevocationMode::Required } else { RevocationMode::WhereKnown },
            purpose: match self.purpose {
                PurposeFlag::Signer => DocumentPurpose::Signer,
                PurposeFlag::Document => DocumentPurpose::Document,
            },
            now: context.now(),
        };
        let judgements: Vec<Judgement> =
            signed.signers.iter().map(|signer| judge(&signed, signer, &content, &ground)).collect();
        if judgements.is_empty() {
            return Err(Failure::refused(format!("{} has no signer", self.signature.display())));
        }
        // One signature that does not hold is a reason to ask, whatever the others say.
        let is_good = judgements.iter().all(|judgement| judgement.reasons.is_empty());
        if let Some(extract) = extract {
            if is_good { extract.keep()? } else { extract.forget() }
        }
        self.tell(context, &judgements, is_good);
        Ok(if is_good { Exit::Done } else { Exit::Refused })
    }

    fn anchors(&self, context: &Context) -> Result<TrustBundle, Failure> {
        if !self.cacert.is_empty() {
            return all(&self.cacert, input::certificates).map(TrustBundle::new);
        }
        let anchor = context.home()?.join(crate::material::ANCHOR_FILE);
        if anchor.exists() {
            return input::certificates(&anchor).map(TrustBundle::new);
        }
        Err(Failure::usage("nothing to believe: there is no --cacert and no local authority")
            .hint("--cacert rootCA.pem"))
    }

    /// The hashes of the document, wherever it is.
    fn content(&self, signed: &SignedData) -> Result<ContentHash, Failure> {
        match (&self.file, &signed.content) {
            (None, Some(content)) => Ok(content.clone()),
            (None, None) => Err(Failure::usage(format!(
                "{} is a signature without its document; name the document",
                self.signature.display()
            ))
            .hint(format!(
                "countersign document verify FILE --signature {} --cacert rootCA.pem",
                self.signature.display()
            ))),
            (Some(file), content) => {
                let used: Vec<HashAlgorithm> = signed
                    .signers
                    .iter()
                    .filter_map(|signer| signer.hash.ok())
                    .fold(Vec::new(), |mut all, one| {
                        if !all.contains(&one) {
                            all.push(one);
                        }
                        all
                    });
                let found = super::hash_file(file, &used)?;
                let same =
                    |content: &ContentHash| used.iter().all(|hash| content.by(*hash) == found.by(*hash));
                if content.as_ref().is_some_and(|content| !same(content)) {
                    return Err(Failure::refused(format!(
                        "{} holds a document of its own, and {} is another one",
                        self.signature.display(),
                        file.display()
                    )));
                }
                Ok(found)
            }
        }
    }

    fn tell(&self, context: &Context, judgements: &[Judgement], is_good: bool) {
        let document = self.file.as_deref().unwrap_or(&self.signature);
        if self.json {
            context.json(&json!({
                "valid": is_good,
                "document": document,
                "signature": self.signature,
                "signers": judgements.iter().map(as_json).collect::<Vec<_>>(),
            }));
            return;
        }
        context.data(match is_good {
            true => format!("{GOOD}valid{GOOD:#}  {}\n", document.display()),
            false => format!("{BAD}refused{BAD:#}  {}\n", document.display()),
        });
        for judgement in judgements {
            tell_one(context, judgement);
        }
    }
}

fn all<T>(files: &[PathBuf], read: impl Fn(&Path) -> Result<Vec<T>, Failure>) -> Result<Vec<T>, Failure> {
    let mut found = Vec::new();
    for file in files {
        found.extend(read(file)?);
    }
    Ok(found)
}

fn who(certificate: &Certificate) -> String {
    let subject = certificate.subject();
    let name = if subject.is_empty() { certificate.short_name() } else { subject.to_string() };
    format!("{name}, serial {}", certificate.serial_hex())
}

fn when(when: &When) -> String {
    let text = |at: &jiff::Timestamp| at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string();
    match when {
        When::Stamped(at, by) => format!("before {}, by the timestamp of '{by}'", text(at)),
        When::Claimed(at) => format!("{}, as the signer says; nobody else vouches for it", text(at)),
        When::Unknown => "not said".to_owned(),
    }
}

/// What a signature that holds says, and what it does not.
fn worth(judgement: &Judgement) -> Vec<String> {
    let mut lines = Vec::new();
    let name = judgement.signer.as_ref().map(Certificate::short_name).unwrap_or_default();
    let anchor = judgement.path.last().map(Certificate::short_name).unwrap_or_default();
    lines.push(format!(
        "the document is as the key of '{name}' signed it, and '{anchor}' vouches for whose key that is"
    ));
    lines.push(match judgement.revocation_known {
        true => "the lists and answers at hand say that no certificate of the path was revoked".to_owned(),
        false => {
            "nothing at hand says whether it was revoked: --crl FILE, --crl-required to insist".to_owned()
        }
    });
    let usages = judgement.signer.as_ref().and_then(Certificate::extended_key_usages).unwrap_or_default();
    let for_documents = [oid::DOCUMENT_SIGNING, oid::EMAIL_PROTECTION, oid::ANY_EXTENDED_KEY_USAGE];
    if !usages.is_empty() && !usages.iter().any(|usage| for_documents.contains(usage)) {
        let names: Vec<String> = usages.iter().map(ToString::to_string).collect();
        lines.push(format!(
            "its certificate is for {}: it says who signed, and not that its issuer meant it for documents (--purpose \
             document insists)",
            names.join(", ")
        ));
    }
    if matches!(judgement.when, When::Claimed(_) | When::Unknown) {
        lines.push(
            "it is judged as of now: once the certificate is over or revoked, it is worth nothing any more"
                .to_owned(),
        );
    }
    lines.extend(judgement.notes.iter().cloned());
    lines
}

fn tell_one(context: &Context, judgement: &Judgement) {
    let signer = judgement.signer.as_ref().map_or_else(|| "an unknown signer".to_owned(), who);
    context.data(format!("  signer  {signer}\n"));
    context.data(format!("  with    {}\n", judgement.algorithm));
    context.data(format!("  when    {}\n", when(&judgement.when)));
    if judgement.reasons.is_empty() {
        for line in worth(judgement) {
            context.data(format!("  worth   {line}\n"));
        }
        return;
    }
    for reason in &judgement.reasons {
        context.data(format!("  against {reason}\n"));
    }
    for note in &judgement.notes {
        context.data(format!("  note    {note}\n"));
    }
}

fn as_json(judgement: &Judgement) -> serde_json::Value {
    let (stamped, by) = match &judgement.when {
        When::Stamped(at, by) => (Some(at.to_string()), Some(by.clone())),
        _ => (None, None),
    };
    let claimed = match &judgement.when {
        When::Claimed(at) => Some(at.to_string()),
        _ => None,
    };
    json!({
        "signer": judgement.signer.as_ref().map(who),
        "certificate_sha256": judgement.signer.as_ref().map(|c| pki::hex(&c.sha256())),
        "algorithm": judgement.algorithm,
        "signing_time_claimed": claimed,
        "timestamp": stamped,
        "timestamp_authority": by,
        "reasons": judgement.reasons,
        "worth": if judgement.reasons.is_empty() { worth(judgement) } else { judgement.notes.clone() },
        "revocation_known": judgement.revocation_known,
        "path": judgement.path.iter().map(Certificate::short_name).collect::<Vec<_>>(),
    })
}

/// A document that comes out of its signature: under another name until it is known to be good.
struct Extract {
    file: File,
    part: PathBuf,
    path: PathBuf,
}

impl Extract {
    fn start(path: &Path) -> Result<Self, Failure> {
        let part = PathBuf::from(format!("{}.unverified", path.display()));
        if path.exists() {
            return Err(Failure::refused(format!("{} is there already", path.display())));
        }
        let file = File::create_new(&part).map_err(|error| {
            Failure::usage(format!("cannot write {}: {}", part.display(), input::plain(&error)))
        })?;
        Ok(Extract { file, part, path: path.to_owned() })
    }

    fn keep(self) -> Result<(), Failure> {
        std::fs::rename(&self.part, &self.path).map_err(|error| {
            Failure::usage(format!("cannot write {}: {}", self.path.display(), input::plain(&error)))
        })
    }

    fn forget(self) {
        // Best effort: what is left behind says by its name what it is.
        let _ = std::fs::remove_file(&self.part);
    }
}
