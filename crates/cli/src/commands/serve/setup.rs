//! What `serve` runs on: its certificate, whose clients it believes, and the lists it checks, from files or from the
//! local authority.

use std::path::PathBuf;
use std::sync::Arc;

use ca::{IssueRequest, Store as _};
use clap::{Args, ValueEnum};
use jiff::{SignedDuration, Timestamp};
use keys::PrivateKey;
use net::serve::{Handler, Route};
use net::snapshot::{ClientAuth, Snapshot};
use net::tls::Credentials;
use pki::crl::CertificateRevocationList;
use pki::key::{KeyAlgorithm, SigningKey as _};
use pki::name::SubjectNames;
use pki::policy::Policy;
use pki::verify::{RevocationMode, TrustBundle};
use pki::{Certificate, Profile};

use crate::commands::issue::{full_chain, requester};
use crate::context::Context;
use crate::failure::{Failure, OrFail as _};
use crate::home::{Authority, Home};
use crate::input;

/// How long a certificate that serve gets for itself lives. It is renewed at two thirds.
const OWN_LIFETIME: SignedDuration = SignedDuration::from_hours(7 * 24);

/// How long a revocation list that serve makes for itself is good. It is made again each day.
const OWN_LIST_LIFETIME: SignedDuration = SignedDuration::from_hours(7 * 24);

/// The flags.
#[derive(Debug, Clone, Args)]
pub(crate) struct SetupArguments {
    /// The server's certificate with its chain [default: one from the local authority, for --name]
    #[arg(long, value_name = "FILE", requires = "key")]
    cert: Option<PathBuf>,

    /// The server's private key
    #[arg(long, value_name = "FILE", requires = "cert")]
    key: Option<PathBuf>,

    /// The names of the certificate that the local authority makes
    #[arg(long, value_name = "NAME", conflicts_with = "cert", default_values = ["localhost", "127.0.0.1", "::1"])]
    name: Vec<String>,

    /// The passphrase of --key or of the authority's keys, in the first line of this file
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,

    /// The anchors that clients' certificates must lead to [default: that of the local authority]
    #[arg(long, value_name = "FILE")]
    client_ca: Vec<PathBuf>,

    /// Revocation lists [default: the local authority's own, as it changes]
    #[arg(long, value_name = "FILE")]
    crl: Vec<PathBuf>,

    /// Refuse clients whose issuer has no list
    #[arg(long)]
    crl_required: bool,

    /// Whether clients need a certificate
    #[arg(long, value_enum, default_value_t = ClientAuthFlag::Require)]
    client_auth: ClientAuthFlag,

    /// With --client-auth optional: let those through who have no certificate
    #[arg(long)]
    allow_anonymous: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ClientAuthFlag {
    /// No connection without one
    Require,
    /// Asked for; without one, requests are denied unless --allow-anonymous
    Optional,
    /// Not asked for: everyone is let through
    Off,
}

impl SetupArguments {
    /// Whether a rule must say who passes.
    pub(crate) fn needs_policy(&self) -> bool {
        match self.client_auth {
            ClientAuthFlag::Require => true,
            ClientAuthFlag::Optional => !self.allow_anonymous,
            ClientAuthFlag::Off => false,
        }
    }

    fn client_auth(&self) -> ClientAuth {
        match self.client_auth {
            ClientAuthFlag::Require => ClientAuth::Require,
            ClientAuthFlag::Optional => ClientAuth::Optional { allow_anonymous: self.allow_anonymous },
            ClientAuthFlag::Off => ClientAuth::Off,
        }
    }
}

/// What a snapshot is loaded from.
pub(crate) struct Setup {
    arguments: SetupArguments,
    policy: Policy,
    handler: Arc<Handler>,
    local: Option<Local>,
}

/// The local authority, and the certificate it made for this process; its key never leaves the memory.
struct Local {
    authority: Authority,
    own: std::sync::Mutex<Option<(Vec<Certificate>, PrivateKey)>>,
    list: std::sync::Mutex<Option<(u64, Timestamp, CertificateRevocationList)>>,
}

impl Setup {
    pub(crate) fn new(
        context: &Context,
        arguments: &SetupArguments,
        policy: Policy,
        handler: Arc<Handler>,
    ) -> Result<Self, Failure> {
        let needs_authority = arguments.cert.is_none() || arguments.client_ca.is_empty();
        let local = if needs_authority {
            let home = Home::of(context)?;
            let authority = home.open(context, arguments.passphrase_file.as_deref()).map_err(|failure| {
                failure.hint("or name the files: --cert FILE --key FILE --client-ca FILE")
            })?;
            Some(Local { authority, own: None.into(), list: None.into() })
        } else {
            None
        };
        Ok(Setup { arguments: arguments.clone(), policy, handler, local })
    }

    /// Reads everything anew.
    pub(crate) fn load(&self, context: &Context) -> Result<Snapshot, Failure> {
        let arguments = &self.arguments;
        let now = context.now();
        let (chain, key) = match (&arguments.cert, &arguments.key) {
            (Some(cert), Some(key)) => {
                let passphrase = input::passphrase(context, arguments.passphrase_file.as_deref())?;
                input::credentials(context, cert, key, passphrase.as_ref())?
            }
            _ => self.local()?.own_certificate(&arguments.name, now)?,
        };
        let credentials = Credentials::new(chain, key.to_pkcs8_der()).or_usage()?;
        let trust = match arguments.client_ca.as_slice() {
            [] => self.local()?.authority.anchors().clone(),
            files => {
                let mut anchors = Vec::new();
                for file in files {
                    anchors.extend(input::certificates(file)?);
                }
                TrustBundle::new(anchors)
            }
        };
        let mut snapshot = Snapshot::new(credentials, trust);
        for file in &arguments.crl {
            snapshot.crls.extend(input::revocation_lists(file)?);
        }
        if arguments.client_ca.is_empty() {
            snapshot.crls.push(self.local()?.own_list(now)?);
        }
        if arguments.crl_required {
            snapshot.revocation = RevocationMode::Required;
        }
        snapshot.client_auth = arguments.client_auth();
        snapshot.policy = self.policy.clone();
        snapshot.routes = vec![Route::everything(Arc::clone(&self.handler))];
        Ok(snapshot)
    }

    /// What tells that [`Setup::load`] would now give something else: the files' identities, and the authority's
    /// memory.
    pub(crate) fn fingerprint(&self, now: Timestamp) -> Vec<u64> {
        use std::os::unix::fs::MetadataExt as _;
        let arguments = &self.arguments;
        let files =
            arguments.cert.iter().chain(&arguments.key).chain(&arguments.client_ca).chain(&arguments.crl);
        let mut print = Vec::new();
        for file in files {
            if let Ok(metadata) = std::fs::metadata(file) {
                let seconds = u64::try_from(metadata.mtime()).unwrap_or(0);
                let nanoseconds = u64::try_from(metadata.mtime_nsec()).unwrap_or(0);
                print.extend([metadata.ino(), metadata.len(), seconds, nanoseconds]);
            }
        }
        if let Some(local) = &self.local {
            print.push(local.authority.store().revocation_version().unwrap_or(0));
            // A new list each day, and a new certificate before the old one ends.
            print.push(u64::try_from(now.as_second() / 86_400).unwrap_or(0));
        }
        print
    }

    fn local(&self) -> Result<&Local, Failure> {
        // `new` opened it wherever a default refers to it.
        self.local.as_ref().ok_or_else(|| Failure::usage("there is no local authority to take this from"))
    }

    /// What a person wants to know at the start.
    pub(crate) fn describe(&self) -> Vec<String> {
        let mut lines = Vec::new();
        if self.arguments.cert.is_none() {
            lines.push(format!(
                "certificate for {}, from the local authority",
                self.arguments.name.join(", ")
            ));
        }
        match self.arguments.client_auth {
            ClientAuthFlag::Off => lines.push("asks no client for a certificate".to_owned()),
            ClientAuthFlag::Optional if self.arguments.allow_anonymous => {
                lines.push("asks clients for a certificate, and lets those through who have none".to_owned());
            }
            ClientAuthFlag::Optional => {
                lines.push("asks clients for a certificate, and answers 403 without one".to_owned());
            }
            ClientAuthFlag::Require => lines.push("requires a client certificate".to_owned()),
        }
        let rules: Vec<&str> = self.policy.texts().collect();
        if !rules.is_empty() {
            lines.push(format!("admits: {}", rules.join(", ")));
        }
        lines
    }
}

impl Local {
    fn own_certificate(
        &self,
        names: &[String],
        now: Timestamp,
    ) -> Result<(Vec<Certificate>, PrivateKey), Failure> {
        let mut own = self.own.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some((chain, key)) = own.as_ref() {
            let end = chain[0].not_after();
            if end.duration_since(now) > OWN_LIFETIME / 3 {
                return Ok((chain.clone(), key.clone()));
            }
        }
        let names = SubjectNames::for_server(names).or_usage()?;
        let key = PrivateKey::generate(KeyAlgorithm::P256).or_usage()?;
        let issued = self
            .authority
            .issue(
                IssueRequest {
                    profile: Profile::Server,
                    label: names.common_name.clone().unwrap_or_default(),
                    names,
                    public_key: key.public_key().clone(),
                    lifetime: Some(OWN_LIFETIME),
                    requested_by: format!("serve, {}", requester()),
                    origin: String::new(),
                    replaces: None,
                    location: None,
                },
                now,
            )
            .or_refuse()?;
        let chain = full_chain(&issued);
        *own = Some((chain.clone(), key.clone()));
        Ok((chain, key))
    }

    fn own_list(&self, now: Timestamp) -> Result<CertificateRevocationList, Failure> {
        let version = self.authority.store().revocation_version().or_usage()?;
        let mut list = self.list.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some((of_version, made_at, list)) = list.as_ref()
            && *of_version == version
            && now.duration_since(*made_at) < SignedDuration::from_hours(24)
        {
            return Ok(list.clone());
        }
        let der = self.authority.crl(now, OWN_LIST_LIFETIME).or_refuse()?;
        let made = CertificateRevocationList::from_der(&der).or_refuse()?;
        *list = Some((version, now, made.clone()));
        Ok(made)
    }
}
