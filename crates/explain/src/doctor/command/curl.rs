//! curl's command line: combined short options, the last of several that counts, the environment's trust files.

use super::{Settings, Surroundings};
use crate::doctor::Program;

/// curl's long options that take a value, without those that are handled by name.
const CURL_VALUES: &[&str] = &[
    "request",
    "data",
    "data-raw",
    "data-binary",
    "data-urlencode",
    "form",
    "output",
    "user",
    "user-agent",
    "referer",
    "cookie",
    "cookie-jar",
    "max-time",
    "connect-timeout",
    "write-out",
    "upload-file",
    "range",
    "config",
    "dump-header",
    "interface",
    "retry",
    "retry-delay",
    "retry-max-time",
    "limit-rate",
    "proxy-user",
    "proxy-header",
    "oauth2-bearer",
    "json",
    "url-query",
    "max-redirs",
    "keepalive-time",
    "local-port",
    "trace",
    "trace-ascii",
    "stderr",
    "engine",
    "pinnedpubkey",
    "proxy-cacert",
    "proxy-cert",
    "proxy-key",
    "happy-eyeballs-timeout-ms",
    "dns-servers",
    "doh-url",
    "aws-sigv4",
    "output-dir",
    "variable",
    "unix-socket",
    "key-type",
    "tls13-ciphers",
    "proto",
    "netrc-file",
];

pub(super) fn curl(arguments: &[String], around: &Surroundings<'_>, is_windows: bool) -> Settings {
    let mut settings = Settings {
        program: if is_windows { Program::CurlSchannel } else { Program::Curl },
        ..Settings::default()
    };
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        if let Some(long) = word.strip_prefix("--") {
            let value = |words: &mut std::slice::Iter<'_, String>| words.next().cloned().unwrap_or_default();
            match long {
                "cert" => settings.curl_certificate(&value(&mut words), around),
                "url" => settings.url = Some(value(&mut words)),
                "insecure" => settings.insecure = true,
                "header" => settings.header(&value(&mut words)),
                "proxy" | "preproxy" => settings.proxy = Some((format!("--{long}"), value(&mut words))),
                "noproxy" => settings.no_proxy = Some(value(&mut words)),
                "tlsv1.2" => settings.least_version = Some("1.2".to_owned()),
                "tlsv1.3" => settings.least_version = Some("1.3".to_owned()),
                _ if settings.curl_long(long, &mut words) => {}
                _ if CURL_VALUES.contains(&long) => drop(words.next()),
                "" => settings.url = words.next().cloned().or(settings.url),
                _ => {}
            }
        } else if let Some(short) = word.strip_prefix('-').filter(|short| !short.is_empty()) {
            for (index, letter) in short.char_indices() {
                if !"AbcCdDeEFhHKmoPQrtTuUwxXyYz".contains(letter) {
                    settings.insecure |= letter == 'k';
                    continue;
                }
                let attached = &short[index + letter.len_utf8()..];
                let value = if attached.is_empty() {
                    words.next().cloned().unwrap_or_default()
                } else {
                    attached.to_owned()
                };
                match letter {
                    'E' => settings.curl_certificate(&value, around),
                    'H' => settings.header(&value),
                    'x' => settings.proxy = Some(("-x".to_owned(), value)),
                    _ => {}
                }
                break;
            }
        } else {
            settings.url = Some(word.clone());
        }
    }
    if settings.trust.is_empty() {
        // curl(1): CURL_CA_BUNDLE, SSL_CERT_DIR, SSL_CERT_FILE, where no option says otherwise.
        for name in ["CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR"] {
            if let Some(path) = (around.variable)(name).filter(|path| !path.is_empty()) {
                settings.trust.push((name.to_owned(), path));
                break;
            }
        }
    }
    settings.environment_proxy(around);
    settings
}
