//! `countersign document timestamp`: the question for a time-stamping authority, and its answer put into the signature.

use std::path::PathBuf;

use clap::Args;
use keys::file::{Replace, write_public};
use pki::cms::Timestamp;
use pki::der::{Reader, tag};

use crate::context::Context;
use crate::failure::{Exit, Failure, OrFail as _, Outcome};
use crate::input;

/// Have a time-stamping authority say when a signature was there
#[derive(Debug, Args)]
#[command(before_help = "\
Examples:
  countersign document timestamp contract.pdf.p7s --request-out q.tsq
  curl -H 'Content-Type: application/timestamp-query' --data-binary @q.tsq \\
      https://tsa.example/ -o a.tsr
  countersign document timestamp contract.pdf.p7s --response a.tsr")]
pub(crate) struct TimestampArguments {
    /// A signature that `document sign` made, or another one in DER by one signer
    #[arg(value_name = "SIGNATURE")]
    signature: PathBuf,

    /// Write the request (RFC 3161 TimeStampReq) to this file
    #[arg(long, value_name = "FILE", required_unless_present = "response", conflicts_with = "response")]
    request_out: Option<PathBuf>,

    /// Put the timestamp of this response (TimeStampResp, or the token alone) into the signature
    #[arg(long, value_name = "FILE")]
    response: Option<PathBuf>,
}

impl TimestampArguments {
    pub(crate) fn run(self, context: &Context) -> Outcome {
        let der = super::whole_signature(&self.signature)?;
        let signed = super::parsed(&self.signature, &der)?;
        let [signer] = signed.signers.as_slice() else {
            return Err(Failure::refused(format!(
                "{} has {} signers, and one can be stamped",
                self.signature.display(),
                signed.signers.len()
            )));
        };
        if let Some(out) = &self.request_out {
            let nonce = keys::random::random_bytes::<8>().or_usage()?;
            write_public(out, &pki::cms::request(&signer.signature, &nonce), Replace::Yes).or_usage()?;
            context.data(format!("{}\n", out.display()));
            return Ok(Exit::Done);
        }
        let response = input::bytes(self.response.as_deref().unwrap_or_else(|| "-".as_ref()))?;
        let token = token_of(&response)?;
        let stamp = Timestamp::check(&token, &signer.signature).or_refuse()?;
        let stamped = pki::cms::with_timestamp(&der, &token).or_refuse()?;
        let is_pem = input::bytes(&self.signature)?.first() != Some(&0x30);
        let written = if is_pem { pki::pem::encode("CMS", &stamped).into_bytes() } else { stamped };
        write_public(&self.signature, &written, Replace::Yes).or_usage()?;
        context.say(format!("Stamped {} by '{}'", stamp.time, stamp.certificate.short_name()));
        context.data(format!("{}\n", self.signature.display()));
        Ok(Exit::Done)
    }
}

/// The token of a TimeStampResp (RFC 3161 section 2.4.2), or the token itself.
fn token_of(response: &[u8]) -> Result<Vec<u8>, Failure> {
    let damaged =
        |error| Failure::refused(format!("the response is no answer of a time-stamping authority: {error}"));
    let mut outer = Reader::new(response);
    let mut fields = outer.nested(tag::SEQUENCE).map_err(damaged)?;
    if fields.peek() == Some(tag::OBJECT_IDENTIFIER) {
        return Ok(response.to_vec());
    }
    let mut status = fields.nested(tag::SEQUENCE).map_err(damaged)?;
    let code = status.small_integer("PKIStatus").map_err(damaged)?;
    // 0 is granted, 1 granted with modifications.
    if code > 1 || fields.is_empty() {
        return Err(Failure::refused(format!(
            "the time-stamping authority gave no timestamp (PKIStatus {code})"
        )));
    }
    Ok(fields.expect(tag::SEQUENCE).map_err(damaged)?.whole.to_vec())
}
