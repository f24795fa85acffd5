//! Programs that run other people's programs: of Node.js, Python and Java the options and the environment are read, and
//! a script's text for the names of its files. What a script computes is not seen, and that is said.

use super::{Secret, Settings, Surroundings};
use crate::doctor::{Encoding, Program};

/// The furthest that a value stands behind its name in a script.
const NEAR: usize = 160;

pub(super) fn node(arguments: &[String], around: &Surroundings<'_>) -> Settings {
    let mut settings = Settings { program: Program::Node, ..Settings::default() };
    let from_environment = (around.variable)("NODE_OPTIONS").unwrap_or_default();
    let options = from_environment.split_whitespace().map(str::to_owned);
    let words: Vec<String> = options.chain(arguments.iter().cloned()).collect();
    let mut reads_openssl_trust = false;
    for word in &words {
        match word.as_str() {
            "--tls-min-v1.3" => settings.least_version = Some("1.3".to_owned()),
            "--tls-max-v1.2" => settings.most_version = Some("1.2".to_owned()),
            "--use-openssl-ca" | "--use-system-ca" => reads_openssl_trust = true,
            _ => {
                if let Some(list) = word.strip_prefix("--tls-cipher-list=") {
                    settings.ciphers = Some(list.to_owned());
                }
            }
        }
    }
    settings.url = url_among(&words);
    let is_script =
        |word: &&String| [".js", ".mjs", ".cjs", ".ts"].iter().any(|ending| word.ends_with(ending));
    let inline = after(&words, &["-e", "--eval", "-p"]);
    let named = words.iter().find(is_script);
    let text = inline.clone().or_else(|| named.and_then(|name| (around.script)(name)));
    let name = named.filter(|_| inline.is_none()).map_or("the script", String::as_str);
    if let Some(text) = text {
        let file = |member: &str| value_of(&text, &[member], &[':'], &["readFile", "createReadStream"]);
        let option = |member: &str| format!("{member}: in {name}");
        settings.certificate = file("cert").map(|path| (option("cert"), path));
        settings.key = file("key").map(|path| (option("key"), path));
        if let Some(path) = file("pfx") {
            settings.certificate = Some((option("pfx"), path));
            settings.encoding = Encoding::Pkcs12;
        }
        settings.trust.extend(file("ca").map(|path| (option("ca"), path)));
        settings.passphrase = value_of(&text, &["passphrase"], &[':'], &[]).map(Secret::new);
        settings.server_name = value_of(&text, &["servername"], &[':'], &[]);
        settings.insecure = says(&text, "rejectUnauthorized", "false");
        if value_of(&text, &["maxVersion"], &[':'], &[]).as_deref() == Some("TLSv1.2") {
            settings.most_version = Some("1.2".to_owned());
        }
        if value_of(&text, &["minVersion"], &[':'], &[]).as_deref() == Some("TLSv1.3") {
            settings.least_version = Some("1.3".to_owned());
        }
        let host = value_of(&text, &["hostname", "host"], &[':'], &[]);
        let by_parts = host.map(|host| {
            let port = number_of(&text, "port").unwrap_or_else(|| "443".to_owned());
            format!("https://{host}:{port}")
        });
        settings.url = settings.url.or_else(|| url_in(&text)).or(by_parts);
    }
    told(&mut settings, name);
    environment_of_node(&mut settings, around);
    if reads_openssl_trust {
        super::default_trust(&mut settings, around);
    }
    settings
}

/// NODE_EXTRA_CA_CERTS and NODE_TLS_REJECT_UNAUTHORIZED.
pub fn environment_of_node(settings: &mut Settings, around: &Surroundings<'_>) {
    if let Some(path) = (around.variable)("NODE_EXTRA_CA_CERTS").filter(|path| !path.is_empty()) {
        settings.extra_trust.push(("NODE_EXTRA_CA_CERTS".to_owned(), path));
    }
    if (around.variable)("NODE_TLS_REJECT_UNAUTHORIZED").as_deref() == Some("0") {
        settings.insecure = true;
    }
}

/// Python: requests, httpx and the ssl module by the words of their arguments.
pub(super) fn python(arguments: &[String], around: &Surroundings<'_>) -> Settings {
    let mut settings = Settings { program: Program::Python, ..Settings::default() };
    settings.url = url_among(arguments);
    let inline = after(arguments, &["-c"]);
    let named = arguments.iter().find(|word| word.ends_with(".py"));
    let text = inline.clone().or_else(|| named.and_then(|name| (around.script)(name)));
    let name = named.filter(|_| inline.is_none()).map_or("the script", String::as_str);
    if let Some(text) = text {
        let value = |names: &[&str]| value_of(&text, names, &['='], &[]);
        let option = |word: &str| format!("{word}= in {name}");
        match two_after(&text, "cert") {
            Some((certificate, key)) => {
                settings.certificate = Some((option("cert"), certificate));
                settings.key = Some((option("cert"), key));
            }
            None => {
                settings.certificate = value(&["certfile", "cert"]).map(|path| (option("cert"), path));
                settings.key = value(&["keyfile"]).map(|path| (option("keyfile"), path));
            }
        }
        settings.trust.extend(value(&["cafile", "verify"]).map(|path| (option("verify"), path)));
        settings.trust.extend(value(&["capath"]).map(|path| (option("capath"), path)));
        settings.passphrase = value(&["password"]).map(Secret::new);
        settings.insecure = says(&text, "verify", "False") || text.contains("CERT_NONE");
        settings.url = settings.url.or_else(|| url_in(&text));
    }
    told(&mut settings, name);
    // requests: REQUESTS_CA_BUNDLE and CURL_CA_BUNDLE; the ssl module: SSL_CERT_FILE.
    if settings.trust.is_empty() {
        let path = ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"].iter().find_map(|name| {
            Some(((*name).to_owned(), (around.variable)(name).filter(|path| !path.is_empty())?))
        });
        settings.trust.extend(path);
    }
    super::default_trust(&mut settings, around);
    settings.environment_proxy(around);
    settings
}

/// Java: JSSE's system properties.
pub(super) fn java(arguments: &[String]) -> Settings {
    let mut settings = Settings { program: Program::Java, ..Settings::default() };
    settings.url = url_among(arguments);
    for word in arguments {
        let Some((property, value)) = word.strip_prefix("-D").and_then(|word| word.split_once('=')) else {
            continue;
        };
        match property {
            "javax.net.ssl.keyStore" => {
                settings.certificate = Some((format!("-D{property}"), value.to_owned()));
                settings.encoding = Encoding::Pkcs12;
            }
            "javax.net.ssl.keyStorePassword" => settings.passphrase = Some(Secret::new(value)),
            "javax.net.ssl.keyStoreType" if !value.eq_ignore_ascii_case("pkcs12") => {
                settings
                    .unseen
                    .push(format!("a key store of the type {value}: it is not read here, PKCS#12 is"));
            }
            "javax.net.ssl.trustStore" => settings.trust.push((format!("-D{property}"), value.to_owned())),
            "javax.net.ssl.trustStorePassword" => settings.trust_passphrase = Some(Secret::new(value)),
            "jdk.tls.client.protocols" if value == "TLSv1.2" => {
                settings.most_version = Some("1.2".to_owned())
            }
            "jdk.tls.client.protocols" if value == "TLSv1.3" => {
                settings.least_version = Some("1.3".to_owned())
            }
            "https.proxyHost" => settings.proxy = Some((format!("-D{property}"), value.to_owned())),
            _ => {}
        }
    }
    settings
        .unseen
        .push("what the program itself sets in its code: of Java only -D options are read".to_owned());
    settings
}

/// Says what was taken from a script, and that the rest is not seen.
fn told(settings: &mut Settings, name: &str) {
    let files = settings.certificate.iter().chain(&settings.key).chain(&settings.trust);
    let files: Vec<&str> = files.map(|(_, path)| path.as_str()).collect();
    let read = if files.is_empty() { "no file's name was found in it".to_owned() } else { files.join(", ") };
    settings
        .unseen
        .push(format!("what {name} computes: its text was read for names of files alone ({read})"));
}

fn url_among(words: &[String]) -> Option<String> {
    words.iter().find(|word| word.starts_with("https://") || word.starts_with("http://")).cloned()
}

fn after(words: &[String], options: &[&str]) -> Option<String> {
    let place = words.iter().position(|word| options.contains(&word.as_str()))?;
    words.get(place + 1).cloned()
}

/// The first URL in quotation marks that begins with https.
fn url_in(text: &str) -> Option<String> {
    let start = text.find("https://")?;
    let quote = text[..start].chars().next_back().filter(|c| "'\"`".contains(*c))?;
    text[start..].split(quote).next().map(str::to_owned)
}

/// Where one of these names stands as a word, with one of `signs` behind it: what follows, as far as a value may stand.
fn places<'t>(text: &'t str, name: &'t str, signs: &'t [char]) -> impl Iterator<Item = &'t str> {
    text.match_indices(name).filter_map(move |(start, _)| {
        let is_word = |c: char| c.is_alphanumeric() || c == '_' || c == '.';
        if text[..start].chars().next_back().is_some_and(is_word) {
            return None;
        }
        let rest = text[start + name.len()..].trim_start_matches(['\'', '"']).trim_start();
        let value = rest.strip_prefix(signs)?;
        let end = (NEAR.min(value.len())..=value.len()).find(|end| value.is_char_boundary(*end))?;
        Some(&value[..end])
    })
}

/// The first text in quotation marks behind one of these names. Where `calls` are given, one of them stands between.
fn value_of(text: &str, names: &[&str], signs: &[char], calls: &[&str]) -> Option<String> {
    names.iter().find_map(|name| {
        places(text, name, signs).find_map(|value| {
            let (before, literal) = quoted(value)?;
            let has_call = calls.is_empty() || calls.iter().any(|call| before.contains(call));
            // Without a call nothing but white space and a bracket stands between a name and its value.
            let is_near = !calls.is_empty() || before.trim().trim_matches(['[', '(']).is_empty();
            (has_call && is_near && !before.contains([',', '}', ';'])).then(|| literal.to_owned())
        })
    })
}

/// What stands before the first quotation mark, and the text within.
fn quoted(text: &str) -> Option<(&str, &str)> {
    let start = text.find(['\'', '"', '`'])?;
    let quote = text[start..].chars().next()?;
    let literal = text[start + 1..].split(quote).next()?;
    Some((&text[..start], literal))
}

/// requests' `cert=('c.pem', 'c.key')`.
fn two_after(text: &str, name: &str) -> Option<(String, String)> {
    places(text, name, &['=']).find_map(|value| {
        let inner = value.trim_start().strip_prefix(['(', '['])?;
        let (_, first) = quoted(inner)?;
        let behind = inner.find(first)? + first.len() + 1;
        let (between, second) = quoted(inner.get(behind..)?)?;
        (between.trim() == ",").then(|| (first.to_owned(), second.to_owned()))
    })
}

fn number_of(text: &str, name: &str) -> Option<String> {
    places(text, name, &[':']).find_map(|value| {
        let digits: String = value.trim_start().chars().take_while(char::is_ascii_digit).collect();
        (!digits.is_empty()).then_some(digits)
    })
}

fn says(text: &str, name: &str, value: &str) -> bool {
    places(text, name, &[':', '=']).any(|rest| rest.trim_start().starts_with(value))
}
