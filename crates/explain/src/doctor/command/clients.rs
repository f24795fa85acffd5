//! Other clients that take certificates by option: openssl s_client, wget, gnutls-cli, HTTPie, grpcurl.

use super::{CommandError, Secret, Settings, Surroundings, default_trust};
use crate::doctor::{Encoding, Program};

pub(super) fn openssl(arguments: &[String], around: &Surroundings<'_>) -> Result<Settings, CommandError> {
    let mut settings = Settings { program: Program::OpenSsl, ..Settings::default() };
    if arguments.first().map(String::as_str) != Some("s_client") {
        return Err(CommandError::UnknownProgram(format!(
            "openssl {}",
            arguments.first().map_or("", String::as_str)
        )));
    }
    let mut words = arguments[1..].iter();
    let (mut host, mut port) = (None, "4433".to_owned());
    while let Some(word) = words.next() {
        let option = word.trim_start_matches('-').to_owned();
        let named = format!("-{option}");
        let mut value = || words.next().cloned().unwrap_or_default();
        match option.as_str() {
            "connect" => host = Some(value()),
            "host" => host = Some(value()),
            "port" => port = value(),
            "cert" => settings.certificate = Some((named, value())),
            "key" => settings.key = Some((named, value())),
            "cert_chain" | "CAstore" | "chainCAfile" | "verify" | "status_file" | "alpn" | "nextprotoneg"
            | "starttls" | "sess_out" | "sess_in" | "keylogfile" | "purpose" | "verify_depth"
            | "groups_tls13" => drop(value()),
            "certform" | "CAform" => {
                let kind = value();
                if kind.eq_ignore_ascii_case("der") {
                    settings.encoding = Encoding::Der;
                }
            }
            "pass" => {
                let text = value();
                settings.passphrase = text.strip_prefix("pass:").map(Secret::new);
            }
            "CAfile" | "CApath" => settings.trust.push((named, value())),
            "CRL" => settings.crls.push((named, value())),
            "servername" | "verify_hostname" | "verify_ip" => settings.server_name = Some(value()),
            "tls1_2" => (settings.least_version, settings.most_version) = (None, Some("1.2".to_owned())),
            "no_tls1_3" => settings.most_version = Some("1.2".to_owned()),
            "tls1_3" | "no_tls1_2" => settings.least_version = Some("1.3".to_owned()),
            "cipher" => settings.ciphers = Some(value()),
            "ciphersuites" => drop(value()),
            "groups" | "curves" => settings.curves = Some(value()),
            "sigalgs" => settings.sigalgs = Some(value()),
            "proxy" => settings.proxy = Some((named, value())),
            other if host.is_none() && !word.starts_with('-') => host = Some(other.to_owned()),
            // The others decide what is shown and how, not what is believed or sent.
            _ => {}
        }
    }
    let host = host.ok_or(CommandError::NoServer("openssl s_client -connect HOST:PORT"))?;
    settings.url = Some(if host_has_port(&host) { host } else { format!("{host}:{port}") });
    if !arguments.iter().any(|word| word.trim_start_matches('-') == "verify_return_error") {
        settings.unseen.push(
            "s_client goes on after a server's certificate that it does not believe; -verify_return_error makes it stop"
                .to_owned(),
        );
    }
    default_trust(&mut settings, around);
    Ok(settings)
}

fn host_has_port(host: &str) -> bool {
    host.rsplit_once(':').is_some_and(|(before, port)| {
        port.parse::<u16>().is_ok() && (!before.contains(':') || before.ends_with(']'))
    })
}

pub(super) fn wget(arguments: &[String], around: &Surroundings<'_>) -> Settings {
    let mut settings = Settings { program: Program::Wget, ..Settings::default() };
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        let (option, attached) = match word.split_once('=') {
            Some((option, value)) if option.starts_with("--") => (option, Some(value.to_owned())),
            _ => (word.as_str(), None),
        };
        let named = option.to_owned();
        let mut value = || attached.clone().or_else(|| words.next().cloned()).unwrap_or_default();
        match option {
            "--certificate" => settings.certificate = Some((named, value())),
            "--private-key" => settings.key = Some((named, value())),
            "--ca-certificate" | "--ca-directory" => settings.trust.push((named, value())),
            "--crl-file" => settings.crls.push((named, value())),
            "--certificate-type" => {
                let kind = value();
                if kind.eq_ignore_ascii_case("der") {
                    settings.encoding = Encoding::Der;
                }
            }
            "--no-check-certificate" => settings.insecure = true,
            "--header" => {
                let text = value();
                settings.header(&text);
            }
            "--no-proxy" => settings.no_proxy = Some("*".to_owned()),
            "-O" | "-o" | "-t" | "-T" | "-U" | "-P" | "-i" => drop(value()),
            _ if word.starts_with('-') => {}
            _ => settings.url = Some(word.clone()),
        }
    }
    default_trust(&mut settings, around);
    settings.environment_proxy(around);
    settings
}

/// `--option=value` and `--option value` alike: the option, and what is attached to it.
fn attached(word: &str) -> (&str, Option<String>) {
    match word.split_once('=') {
        Some((option, value)) if option.starts_with('-') => (option, Some(value.to_owned())),
        _ => (word, None),
    }
}

pub(super) fn gnutls(arguments: &[String]) -> Settings {
    let mut settings = Settings { program: Program::GnuTls, ..Settings::default() };
    let mut words = arguments.iter();
    let (mut host, mut port) = (None, None);
    while let Some(word) = words.next() {
        let (option, given) = attached(word);
        let named = option.to_owned();
        let mut value = || given.clone().or_else(|| words.next().cloned()).unwrap_or_default();
        match option {
            "--x509certfile" => settings.certificate = Some((named, value())),
            "--x509keyfile" => settings.key = Some((named, value())),
            "--x509cafile" | "--x509cadir" => settings.trust.push((named, value())),
            "--x509crlfile" => settings.crls.push((named, value())),
            "-p" | "--port" => port = Some(value()),
            "--sni-hostname" | "--verify-hostname" => settings.server_name = Some(value()),
            "--insecure" => settings.insecure = true,
            "--x509fmtder" => settings.encoding = Encoding::Der,
            "--priority" | "--alpn" | "--starttls-proto" | "--logfile" | "--save-cert" => drop(value()),
            _ if word.starts_with('-') => {}
            _ => host = Some(word.clone()),
        }
    }
    // gnutls-cli(1): port 443 where none is given.
    settings.url = host.map(|host| format!("{host}:{}", port.as_deref().unwrap_or("443")));
    settings
}

/// HTTPie: `https` stands for URLs that begin so.
pub(super) fn httpie(arguments: &[String], around: &Surroundings<'_>, is_https: bool) -> Settings {
    let mut settings = Settings { program: Program::Python, ..Settings::default() };
    let mut words = arguments.iter();
    let mut url: Option<String> = None;
    while let Some(word) = words.next() {
        let (option, given) = attached(word);
        let named = option.to_owned();
        let mut value = || given.clone().or_else(|| words.next().cloned()).unwrap_or_default();
        match option {
            "--cert" => settings.certificate = Some((named, value())),
            "--cert-key" => settings.key = Some((named, value())),
            "--cert-key-pass" => settings.passphrase = Some(Secret::new(value())),
            "--verify" => match value().to_ascii_lowercase().as_str() {
                "no" | "false" => settings.insecure = true,
                "yes" | "true" => {}
                _ => settings.trust.push((named, given.unwrap_or_else(|| word_after(arguments, "--verify")))),
            },
            "--ssl" => {
                let version = value();
                if version == "tls1.2" {
                    settings.most_version = Some("1.2".to_owned());
                }
            }
            "--ciphers" => settings.ciphers = Some(value()),
            "--proxy" => settings.proxy = value().split_once(':').map(|(_, url)| (named, url.to_owned())),
            _ if word.starts_with('-') => {}
            // A method stands before the URL, what is sent behind it.
            _ if word.chars().all(|c| c.is_ascii_uppercase()) => {}
            _ => drop(url.get_or_insert_with(|| word.clone())),
        }
    }
    let scheme = if is_https { "https" } else { "http" };
    settings.url = url.map(|url| match url.contains("://") {
        true => url,
        // `:8443/path` is localhost.
        false if url.starts_with(':') => format!("{scheme}://localhost{url}"),
        false => format!("{scheme}://{url}"),
    });
    settings.environment_proxy(around);
    settings
}

fn word_after(arguments: &[String], option: &str) -> String {
    let place = arguments.iter().position(|word| word == option);
    place.and_then(|place| arguments.get(place + 1)).cloned().unwrap_or_default()
}

/// grpcurl, a Go program: one dash or two, the address before the method.
pub(super) fn grpcurl(arguments: &[String], around: &Surroundings<'_>) -> Settings {
    let mut settings = Settings { program: Program::Go, ..Settings::default() };
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        let (option, given) = attached(word);
        let mut value = || given.clone().or_else(|| words.next().cloned()).unwrap_or_default();
        let bare = option.trim_start_matches('-');
        match bare {
            _ if !word.starts_with('-') => drop(settings.url.get_or_insert_with(|| word.clone())),
            "cacert" => settings.trust.push(("-cacert".to_owned(), value())),
            "cert" => settings.certificate = Some(("-cert".to_owned(), value())),
            "key" => settings.key = Some(("-key".to_owned(), value())),
            "servername" | "authority" => settings.server_name = Some(value()),
            "insecure" => settings.insecure = true,
            "d" | "H" | "rpc-header" | "reflect-header" | "proto" | "protoset" | "import-path"
            | "max-time" | "connect-timeout" | "format" | "user-agent" => drop(value()),
            _ => {}
        }
    }
    default_trust(&mut settings, around);
    settings.environment_proxy(around);
    settings
}
