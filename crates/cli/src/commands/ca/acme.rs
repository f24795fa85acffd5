//! The flags of `countersign ca serve` that concern ACME.

use std::net::{IpAddr, SocketAddr};

use clap::{Args, ValueEnum};
use pki::Profile;
use pki::name::IpRange;
use service::acme::{Settings, resolvers_of};

use crate::context::Context;
use crate::failure::Failure;

/// The flags.
#[derive(Debug, Args)]
#[command(next_help_heading = "ACME")]
pub(crate) struct AcmeArguments {
    /// Addresses that validation may connect to though they are not public: 10.0.0.0/8, ::1; may be repeated
    #[arg(long = "acme-permit", value_name = "CIDR", value_parser = range)]
    permit: Vec<IpRange>,

    /// Look names up with this resolver, ADDRESS or ADDRESS:PORT [default: those of /etc/resolv.conf]
    #[arg(long, value_name = "ADDRESS", value_parser = resolver)]
    dns_resolver: Vec<SocketAddr>,

    /// Only accounts with an external key (countersign acme eab add) may order these; 'client' always needs one
    #[arg(long, value_enum, value_name = "PROFILE")]
    acme_require_eab: Vec<Bound>,

    /// The terms of service that an account has to agree to
    #[arg(long, value_name = "URL")]
    acme_terms: Option<String>,

    /// What CAA records call this authority; without it they are not looked at
    #[arg(long = "acme-caa", value_name = "DOMAIN")]
    caa: Vec<String>,

    /// The most orders of one account in an hour
    #[arg(long, value_name = "N", default_value_t = 300)]
    acme_orders_per_hour: usize,

    /// The most accounts that one address makes in an hour
    #[arg(long, value_name = "N", default_value_t = 50)]
    acme_accounts_per_hour: usize,

    /// For tests: http-01 connects here in place of port 80
    #[arg(long, value_name = "PORT", default_value_t = 80)]
    acme_http_port: u16,

    /// For tests: tls-alpn-01, and redirections to HTTPS, connect here in place of port 443
    #[arg(long, value_name = "PORT", default_value_t = 443)]
    acme_https_port: u16,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Bound {
    Server,
}

fn range(text: &str) -> Result<IpRange, String> {
    text.parse()
}

/// An address with a port, or on port 53.
fn resolver(text: &str) -> Result<SocketAddr, String> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    if let Ok(address) = bare.parse::<IpAddr>() {
        return Ok(SocketAddr::new(address, 53));
    }
    text.parse().map_err(|_| format!("'{text}' is no address; write 192.0.2.53 or [2001:db8::53]:5353"))
}

impl AcmeArguments {
    /// What they say; `shared` where replicas use the same memory.
    pub(crate) fn settings(&self, context: &Context, shared: bool) -> Result<Settings, Failure> {
        let mut resolvers = self.dns_resolver.clone();
        if resolvers.is_empty() {
            resolvers = resolvers_of(&std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default());
        }
        if (self.acme_http_port, self.acme_https_port) != (80, 443) {
            context.warn(format!(
                "ACME validates on the ports {} and {} in place of 80 and 443: whoever may listen there on a host can \
                 have certificates for it; this is for tests",
                self.acme_http_port, self.acme_https_port
            ));
        }
        if let Some(terms) = self
            .acme_terms
            .as_deref()
            .filter(|url| !url.starts_with("https://") && !url.starts_with("http://"))
        {
            return Err(Failure::usage(format!("--acme-terms {terms}: it is no URL")));
        }
        Ok(Settings {
            permits: self.permit.clone(),
            resolvers,
            http_port: self.acme_http_port,
            https_port: self.acme_https_port,
            tls_alpn_port: self.acme_https_port,
            external_account_required: self.acme_require_eab.iter().map(|_| Profile::Server).collect(),
            terms_of_service: self.acme_terms.clone(),
            caa_identities: self.caa.clone(),
            orders_per_hour: self.acme_orders_per_hour,
            accounts_per_hour: self.acme_accounts_per_hour,
            shared,
            ..Settings::default()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resolver_has_a_port_or_gets_one() {
        assert_eq!(resolver("10.0.0.53"), Ok(([10, 0, 0, 53], 53).into()));
        assert_eq!(resolver("127.0.0.1:8053"), Ok(([127, 0, 0, 1], 8053).into()));
        assert_eq!(resolver("[::1]").map(|address| address.to_string()).as_deref(), Ok("[::1]:53"));
        assert!(resolver("localhost").is_err());
    }
}
