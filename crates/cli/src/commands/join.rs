//! `countersign join`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use http::Method;
use keys::file::{Replace, write_private, write_public};
use pki::key::{KeyAlgorithm, SigningKey as _};
use pki::name::{GeneralName, SubjectNames};
use pki::verify::{Purpose, Rules, TrustBundle, verify};
use pki::{Certificate, csr};
use serde_json::{Value, json};

use crate::context::{BOLD, Context, DIM};
use crate::failure::{Exit, Failure, OrFail as _, Outcome};
use crate::http::{Site, credentials};
use crate::input;
use crate::key::{self, OwnKey};
use crate::material::{Believed, Files, check_anchors};

/// Obtain the certificate that you were invited to
#[derive(Debug, Args)]
#[command(before_help = "\
Examples:
  countersign join 'https://ca.acme.test:8444/i/CODE#FINGERPRINT'
      # NAME.pem, NAME-key.pem, rootCA.pem in this directory
  countersign join - < link.txt
  countersign join 'https://…' --out /etc/mtls --install-renewal
  countersign join 'https://…' \\
      --key-at 'pkcs11:token=tpm;object=web?pin-source=file:/etc/tpm.pin'
      # NAME-key.uri says where the key is, which never leaves its token")]
pub(crate) struct Join {
    /// The link of the invite, whole: what stands behind # pins the authority. '-' reads it from standard input: what is
    /// in a command line, other users of the machine can see
    #[arg(value_name = "LINK")]
    link: String,

    /// The kind of key: p256, p384, ed25519, rsa2048, rsa3072, rsa4096, mldsa44, mldsa65 or mldsa87
    #[arg(long, value_name = "KIND", default_value = "p256")]
    key: KeyAlgorithm,

    /// Have a key certified that stays where it is: pkcs11:…, command:… or https+signer:…; one that a pkcs11: URI names by
    /// its object= and the token has not yet is made there
    #[arg(long, value_name = "REFERENCE")]
    key_at: Option<String>,

    /// Where the files go
    #[arg(long, value_name = "DIR", default_value = ".")]
    out: PathBuf,

    /// Replace files that are there
    #[arg(long)]
    force: bool,

    /// How long to wait for a person who must approve it
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = crate::duration::parse)]
    wait: jiff::SignedDuration,

    /// Also install a daily renewal for this user (a systemd timer)
    #[arg(long)]
    install_renewal: bool,

    /// Print the facts as JSON
    #[arg(long)]
    json: bool,
}

/// A link, taken apart.
struct Link {
    base: String,
    code: String,
    fingerprint: String,
}

impl Link {
    fn parse(text: &str) -> Result<Self, Failure> {
        let wrong = |what: &str| {
            Failure::usage(format!("this is no invite's link: {what}"))
                .hint("countersign join 'https://HOST/i/CODE#FINGERPRINT'    (whole, in quotes)")
        };
        let (address, fingerprint) = text.trim().split_once('#').ok_or_else(|| {
            wrong("it has no #FINGERPRINT at its end, without which anybody could pose as the authority")
        })?;
        let (base, code) = address.rsplit_once("/i/").ok_or_else(|| wrong("it has no /i/CODE"))?;
        let fingerprint = fingerprint.replace(':', "").to_ascii_lowercase();
        if fingerprint.len() != 64 || !fingerprint.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(wrong("its fingerprint is not the 64 hexadecimal digits of a SHA-256"));
        }
        if ca::invite::Code::parse(code).is_none() {
            return Err(wrong("its code was not copied whole"));
        }
        Ok(Link { base: base.to_owned(), code: code.to_owned(), fingerprint })
    }
}

impl Join {
    pub(crate) fn run(self, context: &Context) -> Outcome {
        let link = match self.link.as_str() {
            "-" => String::from_utf8(input::bytes(std::path::Path::new("-"))?).unwrap_or_default(),
            link => link.to_owned(),
        };
        let link = Link::parse(&link)?;
        if !self.out.is_dir() {
            return Err(Failure::usage(format!("{} is no directory", self.out.display()))
                .hint(format!("mkdir -p {}", self.out.display())));
        }
        let anchor = pinned_anchor(&link)?;
        let site = Site::new(&link.base, TrustBundle::new(vec![anchor.clone()]), None)?;
        let believed = believed(&site)?.unwrap_or_else(|| Believed::only(&anchor));
        check_anchors(&self.out, &believed)?;

        // The key is on the disk before it is asked for: what is interrupted goes on with the same one, and the
        // invite's use is not lost.
        let handle: String = link.code.chars().take_while(|c| *c != '-').collect();
        let pending = self.out.join(format!(".join-{}-key.pem", handle.to_ascii_lowercase()));
        let key = if self.key_at.is_none() && pending.exists() {
            OwnKey::File(input::private_key(context, &pending, None)?)
        } else {
            key::new_or_at(context, self.key_at.as_deref(), self.key)?
        };
        if let OwnKey::File(key) = &key
            && !pending.exists()
        {
            write_private(&pending, key.to_pkcs8_pem().as_bytes(), Replace::No).or_usage()?;
        }
        let names = SubjectNames { common_name: Some("join".to_owned()), ..SubjectNames::default() };
        let request = csr::build_request(&names, &key).or_usage()?;
        let request = pki::pem::encode("CERTIFICATE REQUEST", &request).into_bytes();
        let chain = self.ask(context, &site, &link, &request, &key)?;
        let leaf = chain.first().ok_or_else(|| Failure::refused("the authority sent no certificate"))?;
        let anchors = TrustBundle::new(believed.anchors.clone());
        check(leaf, &chain[1..], &anchors, &key, context)?;

        let label = leaf.subject().common_name();
        let label =
            label.or_else(|| leaf.subject_alt_names().first().map(GeneralName::value)).unwrap_or(handle);
        let files = Files::of(&self.out, &label);
        let replace = if self.force { Replace::Yes } else { Replace::No };
        files.check(replace, false).map_err(|failure| {
            failure.hint(match &key {
                OwnKey::File(_) => {
                    format!("the key is kept in {}; join again with --force or --out DIR", pending.display())
                }
                OwnKey::Elsewhere(..) => "join again with --force or --out DIR".to_owned(),
            })
        })?;
        files.write(&key, &chain, &believed, replace)?;
        write_origin(&files, &link.base, &link.fingerprint)?;
        // What it held is in its place now.
        let _ = std::fs::remove_file(&pending);
        self.tell(context, &label, &files, leaf)?;
        Ok(Exit::Done)
    }

    /// Asks until there is an answer that is no "wait".
    fn ask(
        &self,
        context: &Context,
        site: &Site,
        link: &Link,
        request: &[u8],
        key: &OwnKey,
    ) -> Result<Vec<Certificate>, Failure> {
        let path = format!("/i/{}", link.code);
        let deadline = context.now().checked_add(self.wait).or_usage()?;
        let mut is_told = false;
        loop {
            let answer = site.send(Method::POST, &path, "application/pkcs10", Some(request.to_vec()))?;
            match answer.status {
                200 => return certificates(&answer.body),
                202 => {
                    if !is_told {
                        let hash = pki::hex(&pki::sha256(key.public_key().spki_der()));
                        context.say(format!(
                            "A person is to approve this. Tell them the key's SHA-256:\n  {BOLD}{hash}{BOLD:#}"
                        ));
                        is_told = true;
                    }
                    if context.now() > deadline {
                        return Err(Failure::refused(
                            "nobody approved it in time; the invite stays as it is",
                        )
                        .hint("run the same command again: it goes on with the same key"));
                    }
                    std::thread::sleep(Duration::from_secs(answer.retry_after().unwrap_or(5).clamp(1, 60)));
                }
                _ => return Err(Failure::refused(answer.detail())),
            }
        }
    }

    fn tell(&self, context: &Context, label: &str, files: &Files, leaf: &Certificate) -> Result<(), Failure> {
        let installed = self.install_renewal.then(|| install_renewal(files)).transpose()?;
        if self.json {
            context.json(&json!({
                "name": label,
                "serial_number": leaf.serial_hex(),
                "not_after": leaf.not_after().to_string(),
                "certificate": files.certificate(),
                "key": files.key_place(),
                "anchor": files.anchor(),
                "renewal": installed,
            }));
            return Ok(());
        }
        context.say(format!(
            "Joined as {BOLD}{label}{BOLD:#}, good until {}",
            leaf.not_after().strftime("%Y-%m-%d %H:%M UTC")
        ));
        context.data(format!(
            "certificate  {}\nkey          {}\nanchor       {}\n",
            files.certificate().display(),
            files.key_place().display(),
            files.anchor().display()
        ));
        match installed {
            Some(timer) => context.say(format!("{DIM}Renewed daily when due, by {}{DIM:#}", timer.display())),
            None => context.say(format!(
                "{DIM}Renew it before it ends: countersign renew {}\n\
                 or have that done: countersign join … --install-renewal, or countersign agent{DIM:#}",
                files.certificate().display()
            )),
        }
        Ok(())
    }
}

/// The authority's root, which is what the link says it is whoever sent it.
fn pinned_anchor(link: &Link) -> Result<Certificate, Failure> {
    let answer = Site::anyone(&link.base)?.send(Method::GET, "/root.pem", "", None)?;
    let roots =
        if answer.status == 200 { pki::pem::read(&answer.body).unwrap_or_default() } else { Vec::new() };
    if roots.is_empty() {
        return Err(Failure::refused(format!("there is no countersign authority at {}", link.base)));
    }
    // Two while the authority changes its root.
    let hash = |root: &pki::pem::Block| pki::hex(&pki::sha256(&root.der));
    let is_pinned =
        |root: &&pki::pem::Block| pki::same_secret(hash(root).as_bytes(), link.fingerprint.as_bytes());
    let Some(pinned) = roots.iter().find(is_pinned) else {
        let found = hash(&roots[0]);
        return Err(Failure::refused(format!(
            "whoever answers at {} is not the authority that invited you, and was told nothing",
            link.base
        ))
        .fact(format!("its root has the SHA-256 {found}"))
        .fact(format!("the link says          {}", link.fingerprint))
        .hint("ask the one who sent the link whether it is whole and current"));
    };
    Certificate::from_der(&pinned.der).or_refuse()
}

/// Whom the authority wants to be believed by; `None` where it is one that does not say.
pub(crate) fn believed(site: &Site) -> Result<Option<Believed>, Failure> {
    let answer = site.send(Method::GET, "/trust", "", None)?;
    Ok((answer.status == 200).then(|| Believed::read(&answer.body)).flatten())
}

fn certificates(pem: &[u8]) -> Result<Vec<Certificate>, Failure> {
    let blocks = pki::pem::read(pem).or_refuse()?;
    blocks.iter().map(|block| Certificate::from_der(&block.der).or_refuse()).collect()
}

/// What came is for our key, and leads to the pinned anchor.
fn check(
    leaf: &Certificate,
    intermediates: &[Certificate],
    anchors: &TrustBundle,
    key: &OwnKey,
    context: &Context,
) -> Result<(), Failure> {
    if leaf.public_key().ok() != Some(key.public_key()) {
        return Err(Failure::refused("the authority sent a certificate for another key"));
    }
    verify(leaf, intermediates, &Rules::new(anchors, Purpose::Any, context.now())).or_refuse()?;
    Ok(())
}

/// The file that says where a certificate came from.
fn origin_file(files: &Files) -> PathBuf {
    files.certificate().with_extension("").with_file_name({
        let stem = files.certificate().file_stem().map(|s| s.to_string_lossy().into_owned());
        format!("{}-ca.json", stem.unwrap_or_default())
    })
}

fn write_origin(files: &Files, base: &str, fingerprint: &str) -> Result<(), Failure> {
    let text = format!("{:#}\n", json!({ "ca": base, "anchor_sha256": fingerprint }));
    write_public(&origin_file(files), text.as_bytes(), Replace::Yes).or_usage()
}

/// The authority a certificate was joined from, where it was.
pub(crate) fn origin_of(files: &Files) -> Option<String> {
    let text = std::fs::read(origin_file(files)).ok()?;
    let value: Value = serde_json::from_slice(&text).ok()?;
    value["ca"].as_str().map(str::to_owned)
}

/// Renews a joined certificate with itself.
pub(crate) fn renew_joined(
    context: &Context,
    files: &Files,
    base: &str,
    keep_key: bool,
) -> Result<Certificate, Failure> {
    let mut anchors = TrustBundle::new(input::certificates(&files.anchor())?);
    let old = input::certificates(&files.certificate())?;
    let site = Site::new(
        base,
        anchors.clone(),
        Some(credentials(context, &files.certificate(), &files.key_place())?),
    )?;
    let key = super::renew::next_key(context, files, old[0].public_key().or_refuse()?, keep_key)?;
    let request = csr::build_request(&SubjectNames::of(&old[0]), &key).or_usage()?;
    let request = pki::pem::encode("CERTIFICATE REQUEST", &request).into_bytes();
    let answer = site.send(Method::POST, "/api/v1/renew", "application/pkcs10", Some(request))?;
    if answer.status != 200 {
        return Err(Failure::refused(answer.detail()));
    }
    let chain = certificates(&answer.body)?;
    let leaf = chain.first().cloned().ok_or_else(|| Failure::refused("the authority sent no certificate"))?;
    let believed = believed(&site)?
        .unwrap_or_else(|| Believed { anchors: anchors.anchors().to_vec(), former: Vec::new() });
    anchors = TrustBundle::new(believed.anchors.clone());
    check(&leaf, &chain[1..], &anchors, &key, context)?;
    files.write(&key, &chain, &believed, Replace::Yes)?;
    Ok(leaf)
}

/// Writes a systemd service and its timer for this user, and starts the timer where systemd runs.
fn install_renewal(files: &Files) -> Result<PathBuf, Failure> {
    let home = std::env::var_os("XDG_CONFIG_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let home = home.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".config")));
    let home = home.ok_or_else(|| Failure::usage("neither XDG_CONFIG_HOME nor HOME is set"))?;
    let directory = home.join("systemd/user");
    std::fs::create_dir_all(&directory)
        .map_err(|e| Failure::usage(format!("cannot make {}: {}", directory.display(), input::plain(&e))))?;
    let certificate = std::fs::canonicalize(files.certificate())
        .map_err(|e| Failure::usage(format!("{}: {}", files.certificate().display(), input::plain(&e))))?;
    let program = std::env::current_exe().unwrap_or_else(|_| PathBuf::from("countersign"));
    let stem = certificate.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    let name = format!("countersign-renew-{stem}");
    let quoted = |path: &Path| {
        let text = path.display().to_string().replace('\\', "\\\\").replace('"', "\\\"").replace('%', "%%");
        format!("\"{text}\"")
    };
    let service = format!(
        "[Unit]\nDescription=Renew {stem} when it is due\n\n[Service]\nType=oneshot\n\
         ExecStart={} renew --if-due {}\n",
        quoted(&program),
        quoted(&certificate)
    );
    let timer = format!(
        "[Unit]\nDescription=Renew {stem} when it is due\n\n[Timer]\nOnCalendar=daily\n\
         RandomizedDelaySec=6h\nPersistent=true\n\n[Install]\nWantedBy=timers.target\n"
    );
    write_public(&directory.join(format!("{name}.service")), service.as_bytes(), Replace::Yes).or_usage()?;
    let path = directory.join(format!("{name}.timer"));
    write_public(&path, timer.as_bytes(), Replace::Yes).or_usage()?;
    // Where there is no systemd the files are there for when there is.
    let _ = std::process::Command::new("systemctl")
        .args(["--user", "enable", "--now", &format!("{name}.timer")])
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .status();
    Ok(path)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // In a test a panic is the report.
mod tests {
    use super::*;

    #[test]
    fn a_link_without_its_whole_fingerprint_or_code_is_refused() {
        let code = "abcdefgh-abcdefghjkmnpqrstuvwxyz023";
        let print = "0".repeat(64);
        let link = Link::parse(&format!("https://ca.test:8444/i/{code}#{print}")).unwrap();
        assert_eq!((link.base.as_str(), link.code.as_str()), ("https://ca.test:8444", code));
        for bad in [
            format!("https://ca.test/i/{code}"),
            format!("https://ca.test/i/{code}#{}", &print[1..]),
            format!("https://ca.test/i/{}#{print}", &code[1..]),
            format!("https://ca.test/{code}#{print}"),
        ] {
            assert!(Link::parse(&bad).is_err(), "{bad}");
        }
    }
}
