//! Who takes part: the authority, the server, and the visitors with their certificates.

use std::path::{Path, PathBuf};

use ca::{CreateAuthority, IssueRequest, Selector};
use jiff::{SignedDuration, Timestamp};
use keys::PrivateKey;
use keys::file::{Replace, write_public};
use pki::crl::RevocationReason;
use pki::key::{KeyAlgorithm, SigningKey as _};
use pki::name::SubjectNames;
use pki::{Certificate, Profile};

use super::peers::{NODE_CLIENT, NODE_SERVER};
use crate::commands::init::{constraints, create};
use crate::commands::issue::full_chain;
use crate::failure::{Failure, OrFail as _};
use crate::home::{Authority, Home};
use crate::key::OwnKey;
use crate::material::{Believed, Files};

/// A certificate with its chain and key.
pub(super) struct Person {
    pub(super) chain: Vec<Certificate>,
    pub(super) key: PrivateKey,
}

/// Everybody.
pub(super) struct Cast {
    pub(super) directory: PathBuf,
    pub(super) authority: Authority,
    pub(super) server: Person,
    pub(super) alice: Person,
    pub(super) yesterday: Person,
    pub(super) revoked: Person,
    pub(super) stranger: Person,
}

impl Cast {
    /// Makes two authorities and six certificates, and writes the files that other programs are shown.
    pub(super) fn assemble(stage: &Path, now: Timestamp) -> Result<Self, Failure> {
        // The authority is two days old, so that it could issue a certificate that ended yesterday.
        let founded = now - SignedDuration::from_hours(48);
        let authority = found(&stage.join("home"), "countersign demo", founded)?;
        let elsewhere = found(&stage.join("elsewhere"), "Somebody Else", founded)?;

        let server = issue(&authority, Profile::Server, "localhost", None, now)?;
        let alice = issue(&authority, Profile::Client, "alice", None, now)?;
        let one_hour = Some(SignedDuration::from_hours(1));
        let yesterday =
            issue(&authority, Profile::Client, "alice", one_hour, now - SignedDuration::from_hours(25))?;
        let revoked = issue(&authority, Profile::Client, "alice", None, now)?;
        let stranger = issue(&elsewhere, Profile::Client, "alice", None, now)?;
        let lost = Selector::Serial(revoked.chain[0].serial().to_vec());
        ca::revoke(authority.store(), &lost, RevocationReason::KeyCompromise, "demo", now).or_refuse()?;

        let directory = stage.join("certificates");
        std::fs::create_dir(&directory)
            .map_err(|error| Failure::usage(format!("cannot make {}: {error}", directory.display())))?;
        for (name, person) in [("localhost", &server), ("alice", &alice)] {
            let believed = Believed::of(&authority);
            let key = OwnKey::File(person.key.clone());
            Files::of(&directory, name).write(&key, &person.chain, &believed, Replace::No)?;
        }
        for (name, text) in [("node-server.mjs", NODE_SERVER), ("node-client.mjs", NODE_CLIENT)] {
            write_public(&directory.join(name), text.as_bytes(), Replace::No).or_usage()?;
        }
        Ok(Cast { directory, authority, server, alice, yesterday, revoked, stranger })
    }

    /// The authority's list, with the one that was taken back.
    pub(super) fn revocation_list(&self) -> Result<Vec<u8>, Failure> {
        self.authority.crl(Timestamp::now(), SignedDuration::from_hours(24)).or_refuse()
    }
}

fn found(home: &Path, name: &str, now: Timestamp) -> Result<Authority, Failure> {
    let wish = CreateAuthority {
        name: name.to_owned(),
        root_lifetime: SignedDuration::from_hours(24 * 365),
        constraints: constraints(&[], false)?,
        requested_by: "demo".to_owned(),
    };
    create(&Home::at(home), &wish, KeyAlgorithm::P256, None, now)
}

fn issue(
    authority: &Authority,
    profile: Profile,
    name: &str,
    lifetime: Option<SignedDuration>,
    now: Timestamp,
) -> Result<Person, Failure> {
    let key = PrivateKey::generate(KeyAlgorithm::P256).or_usage()?;
    let names = match profile {
        Profile::Server => SubjectNames::for_server(&[name, "127.0.0.1", "::1"]),
        _ => SubjectNames::for_client(name),
    };
    let request = IssueRequest {
        profile,
        label: name.to_owned(),
        names: names.or_usage()?,
        public_key: key.public_key().clone(),
        lifetime,
        requested_by: "demo".to_owned(),
        origin: String::new(),
        replaces: None,
        location: None,
    };
    let issued = authority.issue(request, now).or_refuse()?;
    Ok(Person { chain: full_chain(&issued), key })
}
