//! An authority for tests: a root and an issuing CA made by `pki::issuer` itself, at [`crate::now`].

use std::sync::atomic::{AtomicU64, Ordering};

use jiff::Timestamp;
use pki::crl::{CertificateRevocationList, RevocationReason, RevokedEntry};
use pki::extension::NameConstraints;
use pki::issuer::{Issuer, Order, prepare_root};
use pki::key::SigningKey;
use pki::name::{GeneralName, SubjectNames};
use pki::verify::TrustBundle;
use pki::{Certificate, Profile};

use crate::{KeyKind, TestIdentity, TestKey, days_from_now};

/// A serial number of 16 octets that no other certificate of this process has.
fn next_serial() -> Vec<u8> {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let mut serial = b"\x4cTESTKIT".to_vec();
    serial.extend_from_slice(&NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes());
    serial
}

/// A root and an issuing CA under it, with their keys.
#[derive(Debug, Clone)]
pub struct TestCa {
    name: String,
    kind: KeyKind,
    constraints: NameConstraints,
    root: TestIdentity,
    issuing: TestIdentity,
}

/// A certificate that a test wants of a [`TestCa`].
#[derive(Debug, Clone)]
pub struct TestOrder {
    /// Server or client.
    pub profile: Profile,
    /// Its names.
    pub names: SubjectNames,
    /// The first second of its validity: a day ago unless said otherwise.
    pub not_before: Timestamp,
    /// The last second of its validity: in thirty days unless said otherwise.
    pub not_after: Timestamp,
    /// Its serial number's octets; 16 that are unique in the process unless said otherwise.
    pub serial: Vec<u8>,
    /// Its key: a new P-256 one unless said otherwise.
    pub key: TestKey,
}

impl TestOrder {
    fn of(profile: Profile, names: SubjectNames) -> Self {
        TestOrder {
            profile,
            names,
            not_before: days_from_now(-1),
            not_after: days_from_now(30),
            serial: next_serial(),
            key: TestKey::p256(),
        }
    }

    /// A server's certificate for these DNS names and addresses.
    ///
    /// # Panics
    /// Where one is neither.
    #[must_use]
    pub fn server(names: &[&str]) -> Self {
        Self::of(Profile::Server, SubjectNames::for_server(names).unwrap())
    }

    /// A client's certificate for this name, as `issue client` reads it.
    ///
    /// # Panics
    /// Where the name cannot be certified.
    #[must_use]
    pub fn client(name: &str) -> Self {
        Self::of(Profile::Client, SubjectNames::for_client(name).unwrap())
    }

    /// Adds a subjectAltName entry.
    #[must_use]
    pub fn name(mut self, name: GeneralName) -> Self {
        self.names.add(name);
        self
    }

    /// Adds an organizational unit.
    #[must_use]
    pub fn unit(mut self, unit: &str) -> Self {
        self.names.organizational_units.push(unit.to_owned());
        self
    }

    /// Sets the validity.
    #[must_use]
    pub fn valid(mut self, not_before: Timestamp, not_after: Timestamp) -> Self {
        (self.not_before, self.not_after) = (not_before, not_after);
        self
    }

    /// A validity that ended yesterday.
    #[must_use]
    pub fn expired(self) -> Self {
        self.valid(days_from_now(-31), days_from_now(-1))
    }

    /// A validity that starts tomorrow.
    #[must_use]
    pub fn not_yet_valid(self) -> Self {
        self.valid(days_from_now(1), days_from_now(31))
    }

    /// Sets the serial number: 16 to 20 octets, the first from 0x01 to 0x7f.
    #[must_use]
    pub fn serial(mut self, serial: &[u8]) -> Self {
        self.serial = serial.to_vec();
        self
    }

    /// A new key of this kind.
    #[must_use]
    pub fn key_kind(self, kind: KeyKind) -> Self {
        self.key(TestKey::generate(kind))
    }

    /// This key.
    #[must_use]
    pub fn key(mut self, key: TestKey) -> Self {
        self.key = key;
        self
    }

    /// The same as `pki::issuer` takes it.
    #[must_use]
    pub fn order(&self) -> Order {
        Order {
            profile: self.profile,
            names: self.names.clone(),
            public_key: self.key.public_key().clone(),
            serial: self.serial.clone(),
            not_before: self.not_before,
            not_after: self.not_after,
            constraints: NameConstraints::default(),
            publication: pki::extension::Publication::default(),
        }
    }
}

impl Default for TestCa {
    fn default() -> Self {
        Self::new()
    }
}

impl TestCa {
    /// A root and an issuing CA with P-256 keys and without constraints.
    #[must_use]
    pub fn new() -> Self {
        Self::make("Test", KeyKind::P256, NameConstraints::default())
    }

    /// The same made again with these constraints, critical in root and issuing CA.
    #[must_use]
    pub fn with_constraints(self, constraints: NameConstraints) -> Self {
        Self::make(&self.name, self.kind, constraints)
    }

    /// The same made again with keys of this kind.
    #[must_use]
    pub fn with_keys(self, kind: KeyKind) -> Self {
        Self::make(&self.name, kind, self.constraints)
    }

    /// The same made again as `NAME Root CA` and `NAME Issuing CA`; new keys also where the name stays.
    #[must_use]
    pub fn named(self, name: &str) -> Self {
        Self::make(name, self.kind, self.constraints)
    }

    fn make(name: &str, kind: KeyKind, constraints: NameConstraints) -> Self {
        let (root_key, issuing_key) = (TestKey::generate(kind), TestKey::generate(kind));
        let order = |profile, role: &str, key: &TestKey| Order {
            profile,
            names: SubjectNames { common_name: Some(format!("{name} {role} CA")), ..SubjectNames::default() },
            public_key: key.public_key().clone(),
            serial: next_serial(),
            not_before: days_from_now(-365),
            not_after: days_from_now(3285),
            constraints: constraints.clone(),
            publication: pki::extension::Publication::default(),
        };
        let root = prepare_root(&order(Profile::Root, "Root", &root_key)).unwrap().sign(&root_key).unwrap();
        let issuing = Issuer::new(root.clone(), Vec::new())
            .unwrap()
            .prepare(&order(Profile::Issuing, "Issuing", &issuing_key))
            .unwrap()
            .sign(&root_key)
            .unwrap();
        TestCa {
            name: name.to_owned(),
            kind,
            constraints,
            root: TestIdentity { certificate: root, chain: Vec::new(), key: root_key },
            issuing: TestIdentity { certificate: issuing, chain: Vec::new(), key: issuing_key },
        }
    }

    /// The root with its key.
    #[must_use]
    pub fn root(&self) -> &TestIdentity {
        &self.root
    }

    /// The issuing CA with its key.
    #[must_use]
    pub fn issuing(&self) -> &TestIdentity {
        &self.issuing
    }

    /// The issuing CA as `pki::issuer` knows it.
    ///
    /// # Panics
    /// Never: it was made as a CA.
    #[must_use]
    pub fn issuer(&self) -> Issuer {
        Issuer::new(self.issuing.certificate.clone(), vec![self.root.certificate.clone()]).unwrap()
    }

    /// What a peer of this authority believes: its root.
    #[must_use]
    pub fn anchors(&self) -> TrustBundle {
        TrustBundle::new(vec![self.root.certificate.clone()])
    }

    /// Issues an order.
    ///
    /// # Panics
    /// Where the issuer refuses it.
    #[must_use]
    pub fn issue(&self, order: TestOrder) -> TestIdentity {
        let certificate = self.issuer().prepare(&order.order()).unwrap().sign(&self.issuing.key).unwrap();
        TestIdentity { certificate, chain: vec![self.issuing.certificate.clone()], key: order.key }
    }

    /// A server's certificate for these DNS names and addresses.
    #[must_use]
    pub fn issue_server(&self, names: &[&str]) -> TestIdentity {
        self.issue(TestOrder::server(names))
    }

    /// A client's certificate for this name.
    #[must_use]
    pub fn issue_client(&self, name: &str) -> TestIdentity {
        self.issue(TestOrder::client(name))
    }

    /// The issuing CA's list: these serial numbers, revoked at `this_update` for a compromised key.
    #[must_use]
    pub fn crl(
        &self,
        serials: &[&[u8]],
        this_update: Timestamp,
        next_update: Timestamp,
    ) -> CertificateRevocationList {
        list(&self.issuer(), &self.issuing.key, serials, this_update, next_update)
    }

    /// The root's list, which can revoke the issuing CA.
    ///
    /// # Panics
    /// Never: the root was made as a CA.
    #[must_use]
    pub fn root_crl(
        &self,
        serials: &[&[u8]],
        this_update: Timestamp,
        next_update: Timestamp,
    ) -> CertificateRevocationList {
        let issuer = Issuer::new(self.root.certificate.clone(), Vec::new()).unwrap();
        list(&issuer, &self.root.key, serials, this_update, next_update)
    }

    /// A list that is current at [`crate::now`] and revokes these certificates.
    #[must_use]
    pub fn current_crl(&self, revoked: &[&Certificate]) -> CertificateRevocationList {
        let serials: Vec<&[u8]> = revoked.iter().map(|certificate| certificate.serial()).collect();
        self.crl(&serials, days_from_now(-1), days_from_now(6))
    }
}

fn list(
    issuer: &Issuer,
    key: &TestKey,
    serials: &[&[u8]],
    this_update: Timestamp,
    next_update: Timestamp,
) -> CertificateRevocationList {
    let entries: Vec<RevokedEntry> = serials
        .iter()
        .map(|serial| RevokedEntry {
            serial: serial.to_vec(),
            revoked_at: this_update,
            reason: RevocationReason::KeyCompromise,
        })
        .collect();
    let number = u64::try_from(this_update.as_second()).unwrap();
    let der = issuer.prepare_crl(number, this_update, next_update, &entries).unwrap().sign(key).unwrap();
    CertificateRevocationList::from_der(&der).unwrap()
}
