//! The configuration as it is written: what TOML says, and nothing of what it means. Unknown keys are refused here;
//! everything else is checked in `check`, which needs to know where each value stands.

use serde::Deserialize;
use toml::Spanned;

/// A text and where it stands.
pub(super) type Text = Spanned<String>;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawConfig {
    pub(super) admin: Option<Text>,
    pub(super) log: Option<Text>,
    pub(super) workers: Option<Spanned<u32>>,
    pub(super) passphrase_file: Option<String>,
    pub(super) limits: RawLimits,
    pub(super) revocation: RawRevocation,
    pub(super) feed: Option<Spanned<RawFeed>>,
    pub(super) upstreams: std::collections::BTreeMap<String, RawUpstream>,
    pub(super) listeners: Vec<RawListener>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawLimits {
    pub(super) connections: Option<Spanned<u32>>,
    pub(super) connections_per_address: Option<Spanned<u32>>,
    pub(super) handshake_timeout: Option<Text>,
    pub(super) header_timeout: Option<Text>,
    pub(super) header_bytes: Option<Spanned<u32>>,
    pub(super) chain_bytes: Option<Spanned<u32>>,
    pub(super) body_idle_timeout: Option<Text>,
    pub(super) streams: Option<Spanned<u32>>,
    pub(super) connection_age: Option<Text>,
    pub(super) drain_timeout: Option<Text>,
    pub(super) last_call: Option<Text>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawRevocation {
    pub(super) lists: Vec<Text>,
    pub(super) mode: Option<Text>,
    pub(super) refresh: Option<Text>,
    pub(super) cache: Option<String>,
    pub(super) ocsp: Option<Text>,
    pub(super) ocsp_responder: Option<Text>,
    pub(super) ocsp_timeout: Option<Text>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawFeed {
    pub(super) url: Option<Text>,
    pub(super) cert: Option<String>,
    pub(super) key: Option<String>,
    pub(super) ca: Option<String>,
    pub(super) allow: bool,
    pub(super) max_age: Option<Text>,
    pub(super) fallback: Option<Text>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawUpstream {
    pub(super) to: Option<Spanned<Vec<Text>>>,
    pub(super) headers: Option<Vec<Text>>,
    pub(super) answer_timeout: Option<Text>,
    pub(super) connect_timeout: Option<Text>,
    pub(super) health: Option<RawHealth>,
    pub(super) tls: Option<Spanned<RawUpstreamTls>>,
    pub(super) proxy_protocol: Option<Spanned<bool>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawHealth {
    pub(super) path: Option<Text>,
    pub(super) interval: Option<Text>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawUpstreamTls {
    pub(super) ca: Vec<String>,
    pub(super) cert: Option<String>,
    pub(super) key: Option<String>,
    pub(super) server_name: Option<Text>,
    pub(super) verify: Vec<Text>,
    pub(super) require_client_auth_request: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawListener {
    pub(super) address: Option<Text>,
    pub(super) certificates: Vec<RawCertificate>,
    pub(super) names: Option<Vec<Text>>,
    pub(super) client_ca: Vec<String>,
    pub(super) client_certificate: Option<Text>,
    pub(super) without_certificate: Option<Text>,
    pub(super) refused: Option<Text>,
    pub(super) tls: Option<Text>,
    pub(super) allow: Vec<Text>,
    pub(super) deny: Vec<Text>,
    pub(super) rules: Vec<Spanned<RawStatement>>,
    pub(super) allow_file: Option<Text>,
    pub(super) proxy_protocol_from: Vec<Text>,
    pub(super) identity_from: Vec<Text>,
    pub(super) identity_headers: Option<Text>,
    pub(super) identity_address: Option<Text>,
    pub(super) routes: Vec<Spanned<RawRoute>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawCertificate {
    pub(super) cert: String,
    pub(super) key: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawStatement {
    pub(super) allow: Option<Text>,
    pub(super) deny: Option<Text>,
    pub(super) methods: Vec<Text>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawRoute {
    pub(super) name: Option<Text>,
    pub(super) host: Option<Text>,
    pub(super) path: Option<Text>,
    pub(super) without_certificate: Option<Text>,
    pub(super) allow: Vec<Text>,
    pub(super) deny: Vec<Text>,
    pub(super) rules: Vec<Spanned<RawStatement>>,
    pub(super) allow_file: Option<Text>,
    pub(super) upstream: Option<Text>,
    pub(super) to: Option<Text>,
    pub(super) dir: Option<Text>,
    pub(super) identity: Option<Spanned<bool>>,
    pub(super) try_it: Option<Spanned<bool>>,
    pub(super) rate: Option<Text>,
    pub(super) concurrency: Option<Spanned<u32>>,
}
