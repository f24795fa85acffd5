//! The subcommands, one file each, all with the same signature: `run(self, &Context) -> Outcome`.

mod acme;
mod agent;
mod audit;
mod ca;
mod clients;
mod completions;
mod config;
mod connect;
mod crl;
mod demo;
mod doctor;
mod document;
mod ends;
mod explain;
mod fetch;
pub(crate) mod init;
mod inspect;
mod invite;
mod invites;
pub(crate) mod issue;
pub(crate) mod join;
mod key;
mod list;
mod man;
mod migrate;
mod partner;
mod policy;
mod renew;
mod revoke;
mod serve;
mod show;
mod sign;
mod store;
mod tls_arguments;
mod trust;
mod verify;

use clap::Subcommand;

use crate::context::Context;
use crate::failure::Outcome;

/// What `countersign --help` starts with.
pub(crate) const TOP_EXAMPLES: &str = "\
Examples:
  countersign demo                                 see mutual TLS at work, in three seconds
  countersign init                                 make your own certificate authority
  countersign issue server localhost               a certificate for a server
  countersign issue client alice                   a certificate for a client
  countersign serve --to http://127.0.0.1:3000 --allow-cn alice
  countersign fetch --cert alice.pem --key alice-key.pem --cacert rootCA.pem https://localhost:8443/
  countersign explain https://localhost:8443       your own handshake, byte by byte
  countersign inspect https://localhost:8443       what is served, and what is asked of clients
  countersign doctor https://localhost:8443        which side says no, why, and what mends it";

/// Everything countersign can do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// See mutual TLS at work: an authority, a server, its visitors, and why each was let in or not
    Demo(demo::Demo),
    /// Make a certificate authority: a root, and an issuing intermediate
    Init(init::Init),
    /// Make a key and a certificate for a server or a client
    #[command(subcommand)]
    Issue(issue::Issue),
    /// Sign a certificate signing request made elsewhere
    Sign(sign::Sign),
    /// Replace a certificate by one with the same names and a later end
    Renew(renew::Renew),
    /// Take a certificate back before its end
    Revoke(revoke::Revoke),
    /// Take a certificate off hold
    Release(revoke::Release),
    /// List the certificates of the authority
    List(list::List),
    /// Show everything the authority knows of one certificate
    Show(show::Show),
    /// Write the certificate revocation list
    Crl(crl::Crl),
    /// Say what certificates, requests, keys, lists and live servers are
    Inspect(inspect::Inspect),
    /// Explain a TLS connection, message by message and byte by byte: live, from a capture, or through a tap
    Explain(Box<explain::Explain>),
    /// Judge a certificate: the path found, or each reason against it
    Verify(verify::Verify),
    /// Make this machine's programs believe the authority, or stop
    #[command(subcommand)]
    Trust(trust::Trust),
    /// Invite somebody to a certificate: a link that is good once
    Invite(invite::Invite),
    /// List invites, approve what waits, take one back
    #[command(subcommand)]
    Invites(invites::Invites),
    /// Obtain the certificate that you were invited to
    Join(join::Join),
    /// Private keys: convert, encrypt, decrypt, compare, and show the public half
    #[command(subcommand)]
    Key(key::Key),
    /// Partners: whom several identities belong to, and how many certificates they may have
    #[command(subcommand)]
    Partner(partner::Partner),
    /// Identities: what is known of a name beside its certificates, its role among it
    #[command(subcommand)]
    Identity(partner::Identity),
    /// The audit trail: who did what, when, from where and why
    #[command(subcommand)]
    Audit(audit::Audit),
    /// Back up the authority's memory, put it back, or move it into another database
    #[command(subcommand)]
    Store(store::Store),
    /// Run the authority as a service
    #[command(subcommand)]
    Ca(ca::Ca),
    /// Come from somewhere else to an authority of your own
    #[command(subcommand)]
    Migrate(migrate::Migrate),
    /// Administer the authority's ACME: external account keys
    #[command(subcommand)]
    Acme(acme::Acme),
    /// Keep certificates fresh, from a list: joined, by ACME or by EST
    Agent(agent::Agent),
    /// Put mutual TLS in front of a service, a directory, or a page that says who you are
    Serve(Box<serve::Serve>),
    /// List the clients that a running server has seen, the one whose certificate ends first before the others
    Clients(clients::Clients),
    /// Check and show the configuration file of `serve`
    #[command(subcommand)]
    Config(config::Config),
    /// Say what the rules of a configuration would do
    #[command(subcommand)]
    Policy(policy::Policy),
    /// Give a program that cannot do mutual TLS a plain local port that does it for it
    Connect(connect::Connect),
    /// Fetch a URL as curl does, and wait for the server's verdict on the client's certificate
    Fetch(fetch::Fetch),
    /// Say which side refuses the other, why, and the one command that mends it
    Doctor(Box<doctor::Doctor>),
    /// Sign documents, and verify what others signed
    #[command(subcommand)]
    Document(Box<document::Document>),
    /// Print the completion script of a shell
    Completions(completions::Completions),
    /// Write the manual pages
    Man(man::Man),
}

impl Command {
    /// Runs it.
    pub(crate) fn run(self, context: &Context) -> Outcome {
        match self {
            Command::Demo(command) => command.run(context),
            Command::Init(command) => command.run(context),
            Command::Issue(command) => command.run(context),
            Command::Sign(command) => command.run(context),
            Command::Renew(command) => command.run(context),
            Command::Revoke(command) => command.run(context),
            Command::Release(command) => command.run(context),
            Command::List(command) => command.run(context),
            Command::Show(command) => command.run(context),
            Command::Crl(command) => command.run(context),
            Command::Inspect(command) => command.run(context),
            Command::Explain(command) => command.run(context),
            Command::Verify(command) => command.run(context),
            Command::Trust(command) => command.run(context),
            Command::Invite(command) => command.run(context),
            Command::Invites(command) => command.run(context),
            Command::Join(command) => command.run(context),
            Command::Key(command) => command.run(context),
            Command::Partner(command) => command.run(context),
            Command::Identity(command) => command.run(context),
            Command::Audit(command) => command.run(context),
            Command::Store(command) => command.run(context),
            Command::Ca(command) => command.run(context),
            Command::Migrate(command) => command.run(context),
            Command::Acme(command) => command.run(context),
            Command::Agent(command) => command.run(context),
            Command::Serve(command) => command.run(context),
            Command::Clients(command) => command.run(context),
            Command::Config(command) => command.run(context),
            Command::Policy(command) => command.run(context),
            Command::Connect(command) => command.run(context),
            Command::Fetch(command) => command.run(context),
            Command::Doctor(command) => command.run(context),
            Command::Document(command) => command.run(context),
            Command::Completions(command) => command.run(context),
            Command::Man(command) => command.run(context),
        }
    }
}
