//! TLS to the database, in the strengths that `sslmode` has.

use std::sync::Arc;

use persistence_writer::projector::{PostgresSettings, PostgresStore, StoreError};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

use crate::cluster::Cluster;
use crate::journal::Journal;
use crate::session::Session;

fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// A server's certificate for these names, and its key, both PEM.
fn certificate(authority: &CertifiedIssuer<'static, KeyPair>, names: &[&str]) -> (String, String) {
    let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(names)
        .unwrap()
        .signed_by(&key, authority)
        .unwrap();
    (certificate.pem(), key.serialize_pem())
}

#[test]
fn every_sslmode_proves_what_it_says() {
    let (ours, others) = (authority(), authority());
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str, authority: &CertifiedIssuer<'static, KeyPair>| {
        let path = directory.path().join(name);
        std::fs::write(&path, authority.pem()).unwrap();
        path.display().to_string()
    };
    let (ca, other_ca) = (file("ca.pem", &ours), file("other.pem", &others));
    let journal = Journal::of(1, &Session::new(61).commands);

    let check = |cluster: &Arc<Cluster>, query: &str, expected: Result<(), &str>| {
        let database = cluster.database();
        let url = format!("{}?{query}", database.url());
        let done = journal.project(PostgresStore::new(PostgresSettings::parse(&url).unwrap()));
        match (done, expected) {
            (Ok(()), Ok(())) => {}
            (Err(StoreError::Unavailable(why)), Err(word)) => assert!(why.contains(word), "{query}: {why}"),
            (done, expected) => panic!("{query}: {done:?}, not {expected:?}"),
        }
    };

    let (chain, key) = certificate(&ours, &["127.0.0.1"]);
    let cluster = Arc::new(Cluster::start_with_tls(&chain, &key));
    for query in ["sslmode=disable", "sslmode=prefer", "sslmode=require"] {
        check(&cluster, query, Ok(()));
    }
    for mode in ["require", "verify-ca", "verify-full"] {
        check(&cluster, &format!("sslmode={mode}&sslrootcert={ca}"), Ok(()));
        let other = format!("sslmode={mode}&sslrootcert={other_ca}");
        check(&cluster, &other, Err("certificate"));
    }
    check(
        &cluster,
        "sslmode=verify-full&sslrootcert=/none.pem",
        Err("/none.pem"),
    );

    let (chain, key) = certificate(&ours, &["db.example"]);
    let misnamed = Arc::new(Cluster::start_with_tls(&chain, &key));
    check(&misnamed, &format!("sslmode=verify-ca&sslrootcert={ca}"), Ok(()));
    check(
        &misnamed,
        &format!("sslmode=verify-full&sslrootcert={ca}"),
        Err("certificate"),
    );

    let plain = Cluster::shared();
    check(&plain, "sslmode=prefer", Ok(()));
    check(&plain, "sslmode=require", Err("TLS"));
}
