//! `countersign-limbo [WHO] < limbo.json > results.json`: the verdicts on a corpus of x509-limbo, in its own result
//! format. WHO is `strict` (the default: RFC 5280 sections 4 and 6), `path` (section 6 alone, what gateway and clients
//! ask), or another validator by the same harness: `webpki`, `openssl`, `gnutls`.

use std::error::Error;
use std::io::Write as _;

use pki::verify::Conformance;
use testkit::limbo::{self, Corpus, peers};

fn main() -> Result<(), Box<dyn Error>> {
    let who = std::env::args().nth(1).unwrap_or_else(|| "strict".to_owned());
    let corpus: Corpus = serde_json::from_reader(std::io::stdin().lock())?;
    let folder = std::env::temp_dir().join(format!("countersign-limbo-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let results = match who.as_str() {
        "strict" => limbo::run("countersign-strict", &corpus, |case| limbo::judge(case, Conformance::Strict)),
        "path" => limbo::run("countersign-path", &corpus, |case| limbo::judge(case, Conformance::Path)),
        "webpki" => limbo::run("rustls-webpki", &corpus, peers::webpki),
        "openssl" => limbo::run("openssl", &corpus, |case| peers::openssl(case, &folder)),
        "gnutls" => limbo::run("gnutls", &corpus, |case| peers::gnutls(case, &folder)),
        other => return Err(format!("'{other}' is none of strict, path, webpki, openssl, gnutls").into()),
    };
    std::fs::remove_dir_all(&folder)?;
    let mut out = std::io::stdout().lock();
    serde_json::to_writer_pretty(&mut out, &results)?;
    writeln!(out)?;
    Ok(())
}
