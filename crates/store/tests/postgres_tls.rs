//! PostgreSQL over TLS: encrypted when asked, and never with a stranger when the certificate is to be checked.

#[expect(dead_code, reason = "this test program uses a part of it")]
mod support;

use std::path::Path;

use keyholt_rig::postgres::Server;
use keyholt_store::{Postgres, Store, StoreError};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use support::world::Seeded;
use tokio::task::spawn_blocking;

/// A server with a certificate for this name, and the authority beside it in `ca.pem`.
async fn server_for(name: &'static str) -> (Server, tempfile::TempDir) {
    let outside = tempfile::tempdir().unwrap();
    let authority = outside.path().join("ca.pem");
    let server = spawn_blocking(move || {
        Server::start_with(|home| {
            certify(home, &authority, name);
            vec![
                "ssl=on".to_owned(),
                format!("ssl_cert_file={}", home.join("server.pem").display()),
                format!("ssl_key_file={}", home.join("server.key").display()),
            ]
        })
    })
    .await
    .unwrap();
    (server, outside)
}

fn certify(home: &Path, authority: &Path, name: &str) {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    std::fs::write(authority, params.self_signed(&key).unwrap().pem()).unwrap();
    let issuer = Issuer::new(params, key);
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec![name.to_owned()])
        .unwrap()
        .signed_by(&key, &issuer)
        .unwrap();
    std::fs::write(home.join("server.pem"), certificate.pem()).unwrap();
    let secret = home.join("server.key");
    std::fs::write(&secret, key.serialize_pem()).unwrap();
    std::fs::set_permissions(&secret, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
}

async fn connect(url: &str) -> Result<Postgres, StoreError> {
    Postgres::connect(url, &mut Seeded::new(1)).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_checked_certificate_must_be_signed_for_this_host_by_the_named_authority() {
    let (server, outside) = server_for("127.0.0.1").await;
    let authority = outside.path().join("ca.pem");
    let url = server.url();
    for query in [
        format!("sslmode=verify-full&sslrootcert={}", authority.display()),
        format!("sslmode=require&sslrootcert={}", authority.display()),
        "sslmode=require".to_owned(),
    ] {
        let store = connect(&format!("{url}?{query}")).await.unwrap();
        store.ping().await.unwrap();
        assert_eq!(encrypted(&server).await, CONNECTIONS, "{query}");
        store.close().await;
    }
    // The system's authorities know nothing of it.
    assert!(connect(&format!("{url}?sslmode=verify-full")).await.is_err());
    let (_, stranger) = server_for("127.0.0.1").await;
    let stranger = stranger.path().join("ca.pem");
    for mode in ["verify-full", "require"] {
        let refused = connect(&format!("{url}?sslmode={mode}&sslrootcert={}", stranger.display())).await;
        assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_for_another_host_is_refused() {
    let (server, outside) = server_for("db.example.org").await;
    let authority = outside.path().join("ca.pem");
    let url = server.url();
    let refused = connect(&format!(
        "{url}?sslmode=verify-full&sslrootcert={}",
        authority.display()
    ))
    .await;
    assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
    connect(&format!("{url}?sslmode=require")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn encryption_that_is_demanded_is_not_done_without() {
    let server = spawn_blocking(Server::start).await.unwrap();
    let url = server.url();
    let refused = connect(&format!("{url}?sslmode=require")).await;
    assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
    connect(&format!("{url}?sslmode=prefer")).await.unwrap();
    connect(&format!("{url}?sslmode=disable")).await.unwrap();
}

/// The connections of one store.
const CONNECTIONS: i64 = 5;

async fn encrypted(server: &Server) -> i64 {
    let (client, connection) = tokio_postgres::connect(&server.url(), tokio_postgres::NoTls)
        .await
        .unwrap();
    tokio::spawn(connection);
    let counted = "SELECT count(*) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) \
                   WHERE ssl AND application_name = 'keyholt'";
    client.query_one(counted, &[]).await.unwrap().get(0)
}
