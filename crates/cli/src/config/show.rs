//! The configuration as it is meant, as JSON: with every default filled in, and with no secret, since it holds none.

use net::revocation::OnlineMode;
use net::snapshot::{ClientAuth, RefusedClients};
use net::tls::TlsVersions;
use pki::verify::RevocationMode;
use serde_json::{Value, json};

use super::{Answer, Certificates, Config, Fallback, Listener, LogFormat, Route};

/// The configuration with the names of the file's keys.
pub(crate) fn json(config: &Config) -> Value {
    let limits = &config.limits;
    json!({
        "file": config.file,
        "admin": config.admin.map(|address| address.to_string()),
        "log": match config.log {
            LogFormat::Text => "text",
            LogFormat::Json => "json",
            LogFormat::Off => "off",
        },
        "workers": config.workers,
        "limits": {
            "connections": limits.connections,
            "connections_per_address": limits.connections_per_address,
            "handshake_timeout_seconds": limits.handshake_timeout.as_secs_f64(),
            "header_timeout_seconds": limits.header_timeout.as_secs_f64(),
            "header_bytes": limits.header_bytes,
            "chain_bytes": limits.chain_bytes,
            "body_idle_timeout_seconds": limits.body_idle_timeout.as_secs_f64(),
            "streams": limits.streams,
            "connection_age_seconds": limits.connection_age.map(|age| age.as_secs_f64()),
            "drain_timeout_seconds": limits.drain_timeout.as_secs_f64(),
            "last_call_seconds": limits.last_call.as_secs_f64(),
        },
        "revocation": {
            "lists": config.revocation.files.iter().map(|file| file.display().to_string())
                .chain(config.revocation.urls.iter().map(ToString::to_string)).collect::<Vec<_>>(),
            "mode": match config.revocation.mode {
                RevocationMode::Required => "hard",
                RevocationMode::WhereKnown => "where-known",
                RevocationMode::BestEffort => "soft",
            },
            "refresh_seconds": config.revocation.refresh.as_secs(),
            "ocsp": config.revocation.ocsp.as_ref().map(|ocsp| json!({
                "mode": match ocsp.mode {
                    OnlineMode::Soft => "soft",
                    OnlineMode::Hard => "hard",
                },
                "responder": ocsp.responder.as_ref().map(ToString::to_string),
                "timeout_seconds": ocsp.timeout.as_secs_f64(),
            })),
        },
        "feed": config.feed.as_ref().map(|feed| json!({
            "url": feed.url,
            "cert": feed.cert,
            "ca": feed.ca,
            "allow": feed.rules,
            "max_age_seconds": feed.fallback.map(|(longest, _)| longest.as_secs()),
            "fallback": feed.fallback.map(|(_, fallback)| match fallback {
                Fallback::Lists => "lists",
                Fallback::Ocsp => "ocsp",
                Fallback::Refuse => "refuse",
            }),
        })),
        "listeners": config.listeners.iter().map(listener).collect::<Vec<_>>(),
    })
}

fn listener(listener: &Listener) -> Value {
    json!({
        "address": listener.address.to_string(),
        "certificates": match &listener.certificates {
            Certificates::Files(pairs) => {
                pairs.iter().map(|(cert, key)| json!({ "cert": cert, "key": key })).collect::<Vec<_>>()
            }
            Certificates::Local(names) => vec![json!({ "local_authority_for": names })],
        },
        "client_ca": listener.client_ca,
        "client_certificate": match listener.client_auth {
            ClientAuth::Require => "require",
            ClientAuth::Optional { .. } => "optional",
            ClientAuth::Off => "off",
        },
        "refused": match listener.refused {
            RefusedClients::Abort => "abort",
            RefusedClients::Page => "page",
        },
        "tls": match listener.versions {
            TlsVersions::Both => "1.2 and 1.3",
            TlsVersions::Only(net::tls::TlsVersion::Tls12) => "1.2",
            TlsVersions::Only(net::tls::TlsVersion::Tls13) => "1.3",
        },
        "rules": listener.policy.texts().collect::<Vec<_>>(),
        "proxy_protocol_from": listener.proxy_protocol_from.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "identity_from": listener.identity_front.iter().flat_map(|front| &front.from).map(ToString::to_string)
            .collect::<Vec<_>>(),
        "identity_address": listener.identity_front.as_ref().map(|front| front.address.name()),
        "identity_headers": listener.identity_front.as_ref().map(|front| format!("{:?}", front.dialect).to_lowercase()),
        "routes": listener.routes.iter().map(route).collect::<Vec<_>>(),
    })
}

fn route(route: &Route) -> Value {
    let answer = match &route.answer {
        Answer::Identity => json!({ "identity": true }),
        Answer::TryIt => json!({ "try_it": true }),
        Answer::Directory(dir) => json!({ "dir": dir }),
        Answer::Upstream(upstream) => json!({
            "to": upstream.to,
            "headers": upstream.headers.iter().map(|dialect| format!("{dialect:?}").to_lowercase()).collect::<Vec<_>>(),
            "proxy_protocol": upstream.proxy_protocol,
            "tls": upstream.tls.as_ref().map(|tls| json!({
                "ca": tls.ca,
                "cert": tls.credentials.as_ref().map(|(cert, _)| cert),
                "server_name": tls.server_name.as_ref().map(ToString::to_string),
                "verify": tls.verify.iter().map(ToString::to_string).collect::<Vec<_>>(),
            })),
        }),
    };
    json!({
        "name": route.name,
        "host": route.host.as_ref().map(ToString::to_string),
        "path": route.path,
        "without_certificate": route.without_certificate.map(|what| format!("{what:?}").to_lowercase()),
        "rules": route.policy.as_ref().map(|policy| policy.texts().collect::<Vec<_>>()),
        "rate": route.limits.rate.map(|rate| rate.to_string()),
        "concurrency": route.limits.concurrency,
        "answer": answer,
    })
}
