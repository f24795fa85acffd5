//! The verdicts of other validators on a case: rustls-webpki as a library, OpenSSL and GnuTLS as programs. Each is
//! asked by its own rules, with what it offers of what the case demands; what it does not offer is a skipped case.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use jiff::Timestamp;
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert};

use super::{Case, MADE_AT, Verdict, der};

fn at(case: &Case) -> Option<Timestamp> {
    case.validation_time.as_deref().unwrap_or(MADE_AT).parse().ok()
}

/// What only some validators offer, and the one at hand does not.
fn unsupported(case: &Case, has_depth: bool, has_lists: bool) -> Option<Verdict> {
    let skip = |what: &str| Some(Verdict::Skipped(format!("{what} are not supported by this API")));
    if case.max_chain_depth.is_some() && !has_depth {
        return skip("limits on the depth");
    }
    if case.crls.as_ref().is_some_and(|lists| !lists.is_empty()) && !has_lists {
        return skip("revocation lists");
    }
    if case.signature_algorithms.as_ref().is_some_and(|list| !list.is_empty()) {
        return skip("lists of signature algorithms");
    }
    None
}

/// rustls-webpki, in this process.
#[must_use]
pub fn webpki(case: &Case) -> Verdict {
    if let Some(skipped) = unsupported(case, false, false) {
        return skipped;
    }
    match try_webpki(case) {
        Ok(()) => Verdict::Accepted,
        Err(why) => Verdict::Refused(why),
    }
}

fn try_webpki(case: &Case) -> Result<(), String> {
    let all = |texts: &[String]| -> Vec<CertificateDer<'static>> {
        texts.iter().filter_map(|pem| Some(CertificateDer::from(der(pem).ok()?))).collect()
    };
    let (trusted, intermediates) = (all(&case.trusted_certs), all(&case.untrusted_intermediates));
    let anchors: Vec<_> =
        trusted.iter().filter_map(|certificate| anchor_from_trusted_cert(certificate).ok()).collect();
    let leaf = CertificateDer::from(der(&case.peer_certificate)?);
    let leaf = EndEntityCert::try_from(&leaf).map_err(|error| error.to_string())?;
    let usage =
        if case.validation_kind == "CLIENT" { KeyUsage::client_auth() } else { KeyUsage::server_auth() };
    let seconds = at(case).and_then(|at| u64::try_from(at.as_second()).ok()).unwrap_or(0);
    let now = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
    let algorithms = webpki::ALL_VERIFICATION_ALGS;
    leaf.verify_for_usage(algorithms, &anchors, &intermediates, now, usage, None, None)
        .map_err(|error| error.to_string())?;
    if let Some(name) = &case.expected_peer_name
        && name.kind != "RFC822"
    {
        let name = ServerName::try_from(name.value.as_str()).map_err(|error| error.to_string())?;
        leaf.verify_is_valid_for_subject_name(&name).map_err(|error| error.to_string())?;
    }
    Ok(())
}

/// `openssl verify -x509_strict`, with files in this folder.
pub fn openssl(case: &Case, folder: &Path) -> Verdict {
    if let Some(skipped) = unsupported(case, true, true) {
        return skipped;
    }
    let Some(at) = at(case) else { return Verdict::Skipped("no time".to_owned()) };
    let write = |name: &str, texts: &[String]| std::fs::write(folder.join(name), texts.concat()).is_ok();
    let lists = case.crls.as_deref().unwrap_or_default();
    let written = write("roots.pem", &case.trusted_certs)
        && write("chain.pem", &case.untrusted_intermediates)
        && write("leaf.pem", std::slice::from_ref(&case.peer_certificate))
        && write("lists.pem", lists);
    if !written {
        return Verdict::Skipped("the files cannot be written".to_owned());
    }
    let mut command = Command::new("openssl");
    command.current_dir(folder).args([
        "verify",
        "-x509_strict",
        "-partial_chain",
        "-no-CApath",
        "-no-CAstore",
    ]);
    command.args(["-CAfile", "roots.pem", "-attime", &at.as_second().max(0).to_string()]);
    command.args(["-purpose", if case.validation_kind == "CLIENT" { "sslclient" } else { "sslserver" }]);
    if !case.untrusted_intermediates.is_empty() {
        command.args(["-untrusted", "chain.pem"]);
    }
    if !lists.is_empty() {
        command.args(["-crl_check", "-CRLfile", "lists.pem"]);
    }
    if let Some(depth) = case.max_chain_depth {
        command.args(["-verify_depth", &depth.to_string()]);
    }
    if let Some(name) = &case.expected_peer_name {
        let flag = match name.kind.as_str() {
            "RFC822" => "-verify_email",
            _ if name.value.parse::<std::net::IpAddr>().is_ok() => "-verify_ip",
            _ => "-verify_hostname",
        };
        command.args([flag, &name.value]);
    }
    verdict_of(command.arg("leaf.pem"))
}

/// `certtool --verify` at the case's time by `faketime`, with files in this folder.
pub fn gnutls(case: &Case, folder: &Path) -> Verdict {
    if let Some(skipped) = unsupported(case, false, true) {
        return skipped;
    }
    let Some(at) = at(case) else { return Verdict::Skipped("no time".to_owned()) };
    let chain: Vec<String> =
        std::iter::once(&case.peer_certificate).chain(&case.untrusted_intermediates).cloned().collect();
    let write = |name: &str, texts: &[String]| std::fs::write(folder.join(name), texts.concat()).is_ok();
    let lists = case.crls.as_deref().unwrap_or_default();
    if !(write("roots.pem", &case.trusted_certs) && write("chain.pem", &chain) && write("lists.pem", lists)) {
        return Verdict::Skipped("the files cannot be written".to_owned());
    }
    let mut command = Command::new("faketime");
    command.current_dir(folder).args(["-f", &at.strftime("@%Y-%m-%d %H:%M:%S").to_string(), "certtool"]);
    command.args(["--verify", "--verify-profile", "low", "--infile", "chain.pem"]);
    command.args(["--load-ca-certificate", "roots.pem"]);
    let purpose = if case.validation_kind == "CLIENT" { "1.3.6.1.5.5.7.3.2" } else { "1.3.6.1.5.5.7.3.1" };
    command.args(["--verify-purpose", purpose]);
    if !lists.is_empty() {
        command.args(["--load-crl", "lists.pem"]);
    }
    if let Some(name) = &case.expected_peer_name {
        let flag = if name.kind == "RFC822" { "--verify-email" } else { "--verify-hostname" };
        command.args([flag, &name.value]);
    }
    command.env("TZ", "UTC");
    verdict_of(&mut command)
}

fn verdict_of(command: &mut Command) -> Verdict {
    match command.stdin(Stdio::null()).output() {
        Ok(output) if output.status.success() => Verdict::Accepted,
        Ok(output) => {
            let said = [output.stdout, output.stderr].concat();
            let said = String::from_utf8_lossy(&said);
            let last = said.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("refused");
            Verdict::Refused(last.to_owned())
        }
        Err(error) => Verdict::Skipped(error.to_string()),
    }
}
