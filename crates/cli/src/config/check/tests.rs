//! What a file means, and where its faults are pointed at.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
use super::*;

const GOOD: &str = r#"
admin = "127.0.0.1:9901"
log = "json"

[limits]
connections = 5000
handshake_timeout = "5s"
connection_age = "2h"

[revocation]
lists = ["partners.crl", "http://ca.test/issuing.crl"]
mode = "hard"
refresh = "10m"

[feed]
url = "https://ca.test"
cert = "gateway.pem"
key = "pkcs11:token=gateway;object=feed"
ca = "root.pem"
allow = true
max_age = "10m"
fallback = "lists"

[upstreams.api]
to = ["http://127.0.0.1:3000", "http://127.0.0.1:3001"]
headers = ["rfc9440", "envoy"]
health = { path = "/healthz", interval = "2s" }

[upstreams.old]
to = ["https://old.test:8443"]
tls = { ca = ["old-ca.pem"], cert = "us.pem", key = "us-key.pem", verify = ["dns old.test"] }

[[listeners]]
address = "0.0.0.0:8443"
certificates = [
  { cert = "api.pem", key = "api-key.pem" },
  { cert = "shop.pem", key = "shop-key.pem" },
]
client_ca = ["partners.pem"]
client_certificate = "optional"
without_certificate = "page"
allow = ["ou Partners"]
deny = ["cn mallory"]

[[listeners.routes]]
name = "public"
path = "/public"
dir = "public"
without_certificate = "allow"

[[listeners.routes]]
name = "pay"
host = "api.example.com"
path = "/pay"
upstream = "api"
rules = [{ allow = "uri spiffe://acme.test/**", methods = ["GET", "POST"] }, { deny = "ou Interns" }]
rate = "100/s burst 20"
concurrency = 10

[[listeners.routes]]
name = "rest"
upstream = "old"
"#;

fn check(contents: &str) -> Checked<Config> {
    read(Path::new("/etc/countersign/countersign.toml"), contents)
}

#[test]
fn everything_that_is_written_is_meant() {
    let config = check(GOOD).unwrap();
    assert_eq!((config.admin.unwrap().port(), config.log), (9901, LogFormat::Json));
    assert_eq!(config.limits.connections, 5000);
    assert_eq!(config.limits.connection_age, Some(Duration::from_secs(7200)));
    assert_eq!(config.revocation.files, [Path::new("/etc/countersign/partners.crl")]);
    assert_eq!(config.revocation.urls[0].to_string(), "http://ca.test/issuing.crl");
    assert_eq!(config.revocation.mode, RevocationMode::Required);
    let [listener] = &config.listeners[..] else { panic!() };
    assert!(matches!(&listener.certificates, Certificates::Files(pairs) if pairs.len() == 2));
    assert_eq!(listener.policy.texts().collect::<Vec<_>>(), ["deny-cn mallory", "allow-ou Partners"]);
    let [public, pay, rest] = &listener.routes[..] else { panic!() };
    assert_eq!(public.without_certificate, Some(WithoutCertificate::Allow));
    assert_eq!(
        pay.policy.as_ref().unwrap().texts().collect::<Vec<_>>(),
        ["allow-uri spiffe://acme.test/** (GET, POST)", "deny-ou Interns"]
    );
    assert_eq!(pay.limits.rate.unwrap().to_string(), "100/s burst 20");
    assert!(matches!(&pay.answer, Answer::Upstream(upstream) if upstream.headers.len() == 2));
    assert!(
        matches!(&rest.answer, Answer::Upstream(upstream) if upstream.tls.as_ref().unwrap().verify.len() == 1)
    );
    let feed = config.feed.as_ref().unwrap();
    assert_eq!(
        (feed.url.as_str(), feed.ca.as_path()),
        ("https://ca.test", Path::new("/etc/countersign/root.pem"))
    );
    assert_eq!(feed.fallback, Some((SignedDuration::from_mins(10), Fallback::Lists)));
    assert!(feed.rules);
    assert_eq!(config.files().len(), 12, "a key in a token is none of them");
}

/// What is wrong, with its line and column, after a change to the good configuration.
fn fault(from: &str, to: &str) -> String {
    assert!(GOOD.contains(from), "{from}");
    check(&GOOD.replacen(from, to, 1)).unwrap_err().to_string()
}

#[test]
fn each_fault_is_told_with_its_line_and_column() {
    let cases = [
        ("log = \"json\"", "logs = \"json\"", "line 3, column 1: unknown field `logs`"),
        ("log = \"json\"", "log = \"xml\"", "line 3, column 7: a log is text, json or off"),
        ("log = \"json\"", "log = json", "line 3, column 7"),
        ("connections = 5000", "connections = 0", "line 6, column 15: a limit of 0"),
        ("connections = 5000", "connections = \"many\"", "line 6, column 15: invalid type"),
        ("\"5s\"", "\"5 seconds\"", "line 7, column 21: '5 seconds' is no span of time"),
        (
            "http://ca.test",
            "https://ca.test",
            "line 11, column 26: revocation lists are fetched over http://",
        ),
        ("mode = \"hard\"", "mode = \"tough\"", "line 12, column 8: a mode is hard"),
        ("\"https://ca.test\"", "\"http://ca.test\"", "line 16, column 7: a feed is followed over https://"),
        ("cert = \"gateway.pem\"\n", "", "line 15, column 1: a feed needs url, cert and key"),
        ("allow = true", "allow = \"yes\"", "line 20, column 9: invalid type"),
        ("allow = true", "rules = true", "line 20, column 1: unknown field `rules`"),
        ("max_age = \"10m\"", "max_age = \"long\"", "line 21, column 11: 'long' is no span of time"),
        ("max_age = \"10m\"\n", "", "line 21, column 12: it never comes to that"),
        ("fallback = \"lists\"\n", "", "line 21, column 11: nothing says what vouches"),
        ("\"lists\"", "\"hope\"", "line 22, column 12: a fallback is lists, ocsp or refuse"),
        (
            "lists = [\"partners.crl\", \"http://ca.test/issuing.crl\"]",
            "",
            "line 22, column 12: nothing says where lists are",
        ),
        ("\"http://127.0.0.1:3001\"", "\"ftp://x\"", "line 25, column 32:"),
        ("\"envoy\"", "\"traefik\"", "line 26, column 23: 'traefik' is no set of identity headers"),
        ("\"/healthz\"", "\"healthz\"", "line 27, column 19: the path of a health check starts with /"),
        ("cert = \"us.pem\", ", "", "line 31, column 7: a certificate comes with its key"),
        ("0.0.0.0:8443", "0.0.0.0", "line 34, column 11: the address is none"),
        ("\"optional\"", "\"maybe\"", "line 40, column 22: client certificates are require"),
        ("\"ou Partners\"", "\"Partners\"", "line 42, column 10: write a kind and a value"),
        (
            "\"ou Partners\"",
            "\"email Partners\"",
            "line 42, column 10: 'Partners' is no rule of the kind email",
        ),
        ("\"/public\"", "\"public\"", "line 47, column 8: a path starts with /"),
        (
            "dir = \"public\"",
            "dir = \"public\"\nidentity = true",
            "line 45, column 1: a route has one answer",
        ),
        (
            "upstream = \"api\"",
            "upstream = \"apy\"",
            "line 55, column 12: no upstream is called apy; there are api, old",
        ),
        ("\"POST\"", "\"post\"", "line 56, column 67: a method is written in capitals"),
        ("100/s burst 20", "fast", "line 57, column 8: 'fast' is no rate"),
        ("name = \"rest\"", "name = \"pay\"", "line 61, column 8: another route is called pay"),
        ("client_certificate = \"optional\"", "", "line 41, column 23: without_certificate says something"),
    ];
    for (from, to, expected) in cases {
        let told = fault(from, to);
        assert!(told.contains(expected), "{from} -> {to}: {told}");
    }
}

#[test]
fn nobody_is_shut_out_by_forgetting_a_rule_without_being_told() {
    let without = |text: &str| {
        text.replacen("allow = [\"ou Partners\"]", "", 1).replacen("deny = [\"cn mallory\"]", "", 1)
    };
    // The rules that the feed brings are rules.
    check(&without(GOOD)).unwrap();
    let told = check(&without(GOOD).replacen("allow = true", "allow = false", 1)).unwrap_err().to_string();
    assert!(told.contains("no rule says who may pass here"), "{told}");
    assert!(check("").unwrap_err().to_string().contains("no listener"));
}

#[test]
fn lines_that_end_otherwise_and_files_that_are_cut_anywhere_are_told_of_too() {
    let told = |text: &str| check(text).map_or_else(|error| error.marked(), |_| String::new());
    let other = GOOD.replace('\n', "\r\n");
    assert_eq!(told(&other), "");
    for end in (0..other.len()).filter(|end| other.is_char_boundary(*end)) {
        let _ = told(&other[..end]);
    }
    // What is wrong stands behind the last character of its line.
    assert_eq!(told("\"\r\n!\n\"\"\""), "1 | \"\n  |  ^");
}

#[test]
fn the_place_is_marked_under_the_line() {
    let error = check("[[listeners]]\naddress = \"nowhere\"\n").unwrap_err();
    assert_eq!(error.marked(), "2 | address = \"nowhere\"\n  |           ^^^^^^^^^");
}

#[test]
fn many_rules_stand_in_a_file_of_their_own() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("partners"), "# partners\ncn a\n\nuri spiffe://b/**\n").unwrap();
    let contents = "[[listeners]]\naddress = \"127.0.0.1:1\"\nallow_file = \"partners\"\n\
                    [[listeners.routes]]\nidentity = true\n";
    let config = read(&folder.path().join("c.toml"), contents).unwrap();
    assert_eq!(config.listeners[0].policy.statements().len(), 2);
    assert!(config.files().contains(&folder.path().join("partners")));
    std::fs::write(folder.path().join("partners"), "cn a\nwho b\n").unwrap();
    let told = read(&folder.path().join("c.toml"), contents).unwrap_err().to_string();
    assert!(told.contains("partners, line 2: write a kind"), "{told}");
}

#[test]
fn ocsp_and_trusted_fronts_are_taken_and_half_of_them_is_told() {
    let read = |from: &str, to: &str| {
        let text = GOOD.replacen(from, to, 1);
        assert_ne!(text, GOOD, "{from} is not in the example");
        check(&text)
    };
    let listener = "[[listeners]]\n";
    let config =
        read(listener, "[[listeners]]\nidentity_from = [\"10.0.0.0/8\"]\nidentity_headers = \"envoy\"\n")
            .unwrap();
    let front = config.listeners[0].identity_front.clone().unwrap();
    assert_eq!((front.from.len(), front.dialect), (1, Dialect::Envoy));
    assert_eq!(front.address, AddressHeader::XForwardedFor);
    for alone in ["identity_headers = \"envoy\"", "identity_address = \"forwarded\""] {
        let told = read(listener, &format!("[[listeners]]\n{alone}\n")).unwrap_err().to_string();
        assert!(told.contains("identity_from"), "{told}");
    }
    for (written, header) in [("forwarded", AddressHeader::Forwarded), ("none", AddressHeader::Nothing)] {
        let front =
            format!("[[listeners]]\nidentity_from = [\"10.1.2.3\"]\nidentity_address = \"{written}\"\n");
        let config = read(listener, &front).unwrap();
        assert_eq!(config.listeners[0].identity_front.as_ref().unwrap().address, header);
    }
    for (written, mode) in [("soft", OnlineMode::Soft), ("hard", OnlineMode::Hard)] {
        let config =
            read("[revocation]\n", &format!("[revocation]\nocsp = \"{written}\"\nocsp_timeout = \"2s\"\n"))
                .unwrap();
        let ocsp = config.revocation.ocsp.unwrap();
        assert_eq!((ocsp.mode, ocsp.timeout), (mode, Duration::from_secs(2)));
    }
    for (written, why) in [
        ("ocsp = \"maybe\"", "off, soft or hard"),
        ("ocsp_responder = \"http://ocsp.test\"", "nobody is asked"),
        ("ocsp = \"hard\"\nocsp_responder = \"https://ocsp.test\"", "over http://"),
    ] {
        let told = read("[revocation]\n", &format!("[revocation]\n{written}\n")).unwrap_err().to_string();
        assert!(told.contains(why), "{written}: {told}");
    }
}
