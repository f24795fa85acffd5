//! TLS to PostgreSQL, with the distribution's server: who it is is verified, and it verifies who we are.

use ca::{Store as _, StoreError};
use rustls::pki_types::PrivateKeyDer;
use store::PostgresStore;
use store::tls::{ClientKey, TlsMaterial, read_address};
use testkit::{TestCa, TestIdentity, TestOrder};

use crate::postgres::Cluster;

fn material(roots: &TestCa, client: Option<&TestIdentity>) -> Option<TlsMaterial> {
    Some(TlsMaterial {
        roots: vec![roots.root().certificate.der().to_vec()],
        client: client
            .map(|identity| (identity.chain_der(), ClientKey::Pkcs8(identity.key.pkcs8_der().to_vec()))),
    })
}

/// The same, with a key of which only the signatures are given.
fn material_elsewhere(roots: &TestCa, client: &TestIdentity) -> Option<TlsMaterial> {
    let key = PrivateKeyDer::Pkcs8(client.key.pkcs8_der().to_vec().into());
    let key = rustls::crypto::aws_lc_rs::sign::any_supported_type(&key).unwrap();
    let client = Some((client.chain_der(), ClientKey::Elsewhere(key)));
    material(roots, None).map(|material| TlsMaterial { client, ..material })
}

/// One that is valid by the clock of the server, which is the real one.
fn lasting(order: TestOrder) -> TestOrder {
    order.valid(testkit::now(), testkit::days_from_now(3000))
}

#[test]
fn a_database_over_tls_is_used_by_those_it_knows_and_only_where_it_is_who_it_should_be() {
    let ca = TestCa::new();
    let server = ca.issue(lasting(TestOrder::server(&["localhost"])));
    let Some(cluster) = Cluster::start_with_tls(&server, ca.root().certificate.to_pem()) else { return };
    let url = cluster.tls_database();
    let client = ca.issue(lasting(TestOrder::client("countersign")));
    let open = |material| PostgresStore::open_with(&url, material).map(drop);

    let store = PostgresStore::open_with(&url, material(&ca, Some(&client))).unwrap();
    assert_eq!(store.audit_length().unwrap(), 0);
    assert!(cluster.every_connection_is_encrypted(), "pg_stat_ssl");
    let elsewhere = PostgresStore::open_with(&url, material_elsewhere(&ca, &client)).unwrap();
    assert_eq!(elsewhere.audit_length().unwrap(), 0);

    // Without a certificate the server does not let us in; nor does it as somebody else.
    assert!(open(material(&ca, None)).is_err());
    assert!(open(material(&ca, Some(&ca.issue(lasting(TestOrder::client("mallory")))))).is_err());
    // Another root: this is not the server that was meant.
    let stranger = TestCa::new();
    let error = open(material(&stranger, Some(&client))).unwrap_err();
    assert!(matches!(error, StoreError::Untrusted { .. }), "{error}");
    // The right root, and another name.
    let by_address = url.replace("localhost", "127.0.0.1");
    let error = PostgresStore::open_with(&by_address, material(&ca, Some(&client))).err().unwrap();
    assert!(matches!(error, StoreError::Untrusted { .. }), "{error}");
    // In the clear the server answers nobody.
    assert!(open(None).is_err());
    let (_, wish) = read_address(&format!("{url}?sslmode=verify-full&sslrootcert=root.pem")).unwrap();
    assert!(wish.is_some());
}

#[test]
fn a_server_without_tls_is_refused_where_tls_was_asked_for() {
    let Some(cluster) = Cluster::start_on_tcp() else { return };
    let ca = TestCa::new();
    let error = PostgresStore::open_with(&cluster.tls_database(), material(&ca, None)).err().unwrap();
    assert!(matches!(error, StoreError::Unreachable(_) | StoreError::Untrusted { .. }), "{error}");
}
