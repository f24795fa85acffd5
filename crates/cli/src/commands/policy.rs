//! `countersign policy`.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use http::Method;
use net::serve::{HostPattern, WithoutCertificate};
use net::snapshot::ClientAuth;
use pki::identity::VerifiedPeer;
use pki::verify::{Purpose, Rules, TrustBundle, verify};
use serde_json::json;

use crate::api::{Api, ApiArguments};
use crate::config::{Config, Listener, Route};
use crate::context::{BAD, Context, GOOD};
use crate::failure::{Exit, Failure, Outcome};
use crate::input;

/// Say what the rules of a configuration would do
#[derive(Debug, Subcommand)]
#[command(before_help = "\
Examples:
  countersign policy check --cert alice.pem GET /pay
  countersign policy check --config countersign.toml --cert alice.pem \\
      --host api.example.com DELETE /pay/7
  countersign policy check GET /public          a visitor without a certificate")]
pub(crate) enum Policy {
    /// Say whether a request would be let in, by which route and which rule
    Check(Check),
    /// Publish rules to the gateways that follow the authority's feed
    Publish(Publish),
    /// Show the rules that are published
    Published(Published),
}

/// Publish rules to the gateways that follow the authority's feed
#[derive(Debug, Args)]
#[command(before_help = "\
Examples:
  countersign policy publish rules.txt
      # cn alice / dns *.acme.test for GET HEAD / deny ou Interns: one a line
  countersign policy publish rules.txt --ca https://ca.acme.test:8444
      # gateways take it up that run with serve --feed … --allow-feed")]
pub(crate) struct Publish {
    /// The rules, one a line; - for standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,

    #[command(flatten)]
    api: ApiArguments,
}

/// Show the rules that are published
#[derive(Debug, Args)]
#[command(before_help = "\
Examples:
  countersign policy published
  countersign policy published --ca https://ca.acme.test:8444")]
pub(crate) struct Published {
    #[command(flatten)]
    api: ApiArguments,
}

impl Publish {
    fn run(self, context: &Context) -> Outcome {
        let contents = input::bytes(&self.file)?;
        let rules = String::from_utf8(contents)
            .map_err(|_| Failure::usage(format!("{} is no text", self.file.display())))?;
        // Before anything is sent: the place of a fault is one in this file.
        pki::policy::read(&rules)
            .map_err(|error| Failure::usage(format!("{}, {error}", self.file.display())))?;
        let api = Api::open(context, &self.api)?;
        let published = api.call(Method::PUT, "/api/v1/rules", Some(&json!({ "rules": rules })))?;
        let count = published["statements"].as_array().map_or(0, Vec::len);
        context.say(format!("Published {count} rule(s); gateways with --allow-feed take them up at once"));
        Ok(Exit::Done)
    }
}

impl Published {
    fn run(self, context: &Context) -> Outcome {
        let published = Api::open(context, &self.api)?.get("/api/v1/rules")?;
        match published["rules"].as_str() {
            Some(rules) => context.data(rules),
            None => context.say("No rules were published."),
        }
        Ok(Exit::Done)
    }
}

#[derive(Debug, Args)]
pub(crate) struct Check {
    /// The request's method
    #[arg(value_name = "METHOD")]
    method: String,

    /// The request's path
    #[arg(value_name = "PATH")]
    path: String,

    /// The client's certificate, with the intermediates that it sends [default: none]
    #[arg(long, value_name = "FILE")]
    cert: Option<PathBuf>,

    /// The configuration of serve
    #[arg(long, value_name = "FILE", default_value = "countersign.toml")]
    config: PathBuf,

    /// The host that the request is for
    #[arg(long, value_name = "NAME", default_value = "localhost")]
    host: String,

    /// The listener, where there are several [default: the first]
    #[arg(long, value_name = "ADDRESS")]
    listener: Option<SocketAddr>,

    /// Print the facts as JSON
    #[arg(long)]
    json: bool,
}

/// What would happen.
struct Judged {
    allowed: bool,
    route: Option<String>,
    rule: Option<String>,
    why: String,
}

impl Policy {
    pub(crate) fn run(self, context: &Context) -> Outcome {
        let check = match self {
            Policy::Check(check) => check,
            Policy::Publish(publish) => return publish.run(context),
            Policy::Published(published) => return published.run(context),
        };
        let config = Config::read(&check.config)?;
        let judged = check.judge(context, &config)?;
        if check.json {
            context.json(&json!({
                "allowed": judged.allowed,
                "route": judged.route,
                "rule": judged.rule,
                "message": judged.why,
            }));
        } else {
            let (style, word) = if judged.allowed { (GOOD, "allowed") } else { (BAD, "denied") };
            let route = judged.route.as_deref().map_or_else(String::new, |name| format!("  route {name}"));
            context.data(format!("{style}{word}{style:#}{route}: {}\n", judged.why));
        }
        Ok(if judged.allowed { Exit::Done } else { Exit::Refused })
    }
}

impl Check {
    fn judge(&self, context: &Context, config: &Config) -> Result<Judged, Failure> {
        let listener = match self.listener {
            None => config.listeners.first(),
            Some(address) => config.listeners.iter().find(|listener| listener.address == address),
        };
        let listener = listener.ok_or_else(|| {
            let known: Vec<String> = config.listeners.iter().map(|l| l.address.to_string()).collect();
            Failure::usage(format!("no such listener; there are {}", known.join(", ")))
        })?;
        let denied = |route: Option<&Route>, why: String| Judged {
            allowed: false,
            route: route.map(|route| route.name.clone()),
            rule: None,
            why,
        };
        // The handshake comes before the route.
        let peer = match &self.cert {
            Some(cert) if listener.client_auth != ClientAuth::Off => {
                match self.peer(context, config, listener, cert)? {
                    Ok(peer) => Some(peer),
                    Err(why) => return Ok(denied(None, why)),
                }
            }
            _ => None,
        };
        if peer.is_none() && listener.client_auth == ClientAuth::Require {
            return Ok(denied(None, "no_client_certificate: the handshake requires one".to_owned()));
        }
        let host = self.host.to_ascii_lowercase();
        let path = self.path.split('?').next().unwrap_or_default();
        if !path.starts_with('/') {
            return Err(Failure::usage(format!(
                "'{}' is no path of a request: one starts with /",
                self.path
            ))
            .hint(format!("countersign policy check … {} /{}", self.method, self.path)));
        }
        let Some(route) = best_route(listener, &host, path) else {
            return Ok(denied(None, format!("no route is for {host}{path}; it is answered with 404")));
        };
        let policy = route.policy.as_ref().unwrap_or(&listener.policy);
        let Some(peer) = peer else {
            let anonymous = match (listener.client_auth, route.without_certificate) {
                (ClientAuth::Off, _) | (_, Some(WithoutCertificate::Allow)) => true,
                (ClientAuth::Optional { allow_anonymous }, None) => allow_anonymous,
                _ => false,
            };
            return Ok(if anonymous {
                let why = "a certificate is not needed here".to_owned();
                Judged { allowed: true, route: Some(route.name.clone()), rule: None, why }
            } else {
                denied(Some(route), "no_client_certificate: this route needs one".to_owned())
            });
        };
        Ok(match policy.evaluate_for(&peer, Some(&self.method)) {
            Ok(permit) => Judged {
                allowed: true,
                route: Some(route.name.clone()),
                rule: Some(permit.rule().to_owned()),
                why: format!("the rule {} admits it", permit.rule()),
            },
            Err(denial) => Judged {
                rule: denial.forbidden_by().map(str::to_owned),
                ..denied(Some(route), format!("not_allowed_by_policy: {denial}"))
            },
        })
    }

    /// The client, or why its certificate would not get through the handshake.
    fn peer(
        &self,
        context: &Context,
        config: &Config,
        listener: &Listener,
        cert: &std::path::Path,
    ) -> Result<Result<VerifiedPeer, String>, Failure> {
        let presented = input::certificates(cert)?;
        let mut files = listener.client_ca.clone();
        if files.is_empty() {
            files.push(context.home()?.join(crate::material::ANCHOR_FILE));
        }
        let mut anchors = Vec::new();
        for file in &files {
            anchors.extend(input::certificates(file)?);
        }
        let anchors = TrustBundle::new(anchors);
        let mut crls = Vec::new();
        for file in &config.revocation.files {
            crls.extend(input::revocation_lists(file)?);
        }
        if !config.revocation.urls.is_empty() {
            context.warn("lists from URLs are not asked for here");
        }
        let rules = Rules {
            crls: &crls,
            revocation: config.revocation.mode,
            ..Rules::new(&anchors, Purpose::Client, context.now())
        };
        Ok(verify(&presented[0], &presented[1..], &rules)
            .map(VerifiedPeer::new)
            .map_err(|refused| format!("{}: {refused}", refused.first().code)))
    }
}

/// The route that says most among those that take the request, as `net::snapshot` chooses it.
fn best_route<'a>(listener: &'a Listener, host: &str, path: &str) -> Option<&'a Route> {
    let takes = |route: &&Route| {
        let prefix = route.path.strip_suffix('/').unwrap_or(&route.path);
        route.host.as_ref().is_none_or(|pattern| pattern.matches(host))
            && path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    listener.routes.iter().filter(takes).max_by_key(|route| {
        let host = match &route.host {
            None => 0,
            Some(HostPattern::Below(_)) => 1,
            Some(HostPattern::Exact(_)) => 2,
        };
        (host, route.path.len())
    })
}
