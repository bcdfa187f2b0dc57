//! TLS: protocols by ALPN, a certificate exchanged while running, and wrong languages on either port.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Empty};
use hyper_util::rt::{TokioExecutor, TokioIo};
use keyholt_server::config::TlsFiles;
use keyholt_server::listen::{Handle, Limits, Transport};
use keyholt_server::tls::{Tls, TlsError};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::stage::{End, GENEROUS, GIVE_UP, GOOD, Raw, start_with};

struct Folder {
    folder: tempfile::TempDir,
}

impl Folder {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    fn files(&self) -> TlsFiles {
        let path = |name| self.folder.path().join(name);
        TlsFiles {
            certificate: path("c.pem"),
            key: path("k.pem"),
        }
    }

    /// Writes a new certificate and key, and says what the certificate is.
    fn renew(&self) -> CertificateDer<'static> {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let TlsFiles { certificate, key } = self.files();
        fs::write(certificate, made.cert.pem()).unwrap();
        fs::write(key, made.signing_key.serialize_pem()).unwrap();
        made.cert.der().clone()
    }
}

fn begin(limits: Limits) -> (Folder, CertificateDer<'static>, Arc<Tls>, Handle) {
    let folder = Folder::new();
    let certificate = folder.renew();
    let tls = Arc::new(Tls::load(folder.files()).unwrap());
    let handle = start_with(limits, &Transport::Tls(Arc::clone(&tls)), 2);
    (folder, certificate, tls, handle)
}

async fn connect(
    handle: &Handle,
    trusted: &CertificateDer<'static>,
    protocols: &[&str],
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.clone()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|p| p.as_bytes().to_vec()).collect();
    let stream = TcpStream::connect(handle.local_addr()).await?;
    let name = ServerName::try_from("localhost").unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, stream).await
}

async fn ask(stream: TlsStream<TcpStream>) -> String {
    let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    let io = TokioIo::new(stream);
    let request = http::Request::get("https://localhost/who").header("host", "localhost");
    let body = Empty::<bytes::Bytes>::new();
    let answer = if is_http2 {
        let (mut sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), io)
            .await
            .unwrap();
        tokio::spawn(connection);
        sender.send_request(request.body(body).unwrap()).await
    } else {
        let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.unwrap();
        tokio::spawn(connection);
        sender.send_request(request.uri("/who").body(body).unwrap()).await
    };
    let answer = answer.unwrap();
    let version = answer.version();
    let bytes = answer.into_body().collect().await.unwrap().to_bytes();
    format!("{version:?} {}", String::from_utf8_lossy(&bytes))
}

#[tokio::test]
async fn the_protocol_is_chosen_by_alpn_and_the_service_knows_that_it_is_encrypted() {
    let (_folder, certificate, _tls, handle) = begin(GENEROUS);
    for (offered, version) in [
        (&["h2", "http/1.1"][..], "HTTP/2.0"),
        (&["http/1.1"], "HTTP/1.1"),
        (&[], "HTTP/1.1"),
    ] {
        let answer = ask(connect(&handle, &certificate, offered).await.unwrap()).await;
        assert!(
            answer.starts_with(version) && answer.contains("encryption: Tls"),
            "{answer}"
        );
    }
}

#[tokio::test]
async fn a_renewed_certificate_is_shown_to_new_connections_and_open_ones_go_on() {
    let (folder, old, tls, handle) = begin(GENEROUS);
    let open = connect(&handle, &old, &[]).await.unwrap();
    let new = folder.renew();
    tls.reload().unwrap();
    assert!(ask(connect(&handle, &new, &[]).await.unwrap()).await.contains("Tls"));
    connect(&handle, &old, &[])
        .await
        .expect_err("the old certificate is no longer shown");
    assert!(ask(open).await.contains("Tls"));
}

#[tokio::test]
async fn a_change_of_the_files_is_noticed_without_being_told() {
    let (folder, _old, tls, handle) = begin(GENEROUS);
    let watching = tokio::spawn({
        let tls = Arc::clone(&tls);
        async move { tls.watch(Duration::from_millis(10)).await }
    });
    let new = folder.renew();
    tokio::time::timeout(GIVE_UP, async {
        while connect(&handle, &new, &[]).await.is_err() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await
    .expect("the new certificate is shown");
    watching.abort();
}

#[tokio::test]
async fn a_broken_new_certificate_leaves_the_old_one_in_place() {
    let (folder, old, tls, handle) = begin(GENEROUS);
    let files = folder.files();
    let (certificate, key) = (fs::read(&files.certificate).unwrap(), fs::read(&files.key).unwrap());
    let other = Folder::new();
    other.renew();
    let stranger = fs::read(other.files().key).unwrap();
    for (what, in_certificate, in_key) in [
        ("garbage", Some(&b"no PEM"[..]), Some(&key[..])),
        ("half of it", Some(&certificate[..100]), Some(&key)),
        ("no certificate", None, Some(&key)),
        ("no key", Some(&certificate), None),
        ("a stranger's key", Some(&certificate), Some(&stranger)),
    ] {
        for (path, bytes) in [(&files.certificate, in_certificate), (&files.key, in_key)] {
            match bytes {
                Some(bytes) => fs::write(path, bytes).unwrap(),
                None => fs::remove_file(path).unwrap(),
            }
        }
        tls.reload().expect_err(what);
        tls.reload_if_changed();
        let answer = ask(connect(&handle, &old, &[]).await.unwrap()).await;
        assert!(answer.contains("Tls"), "{what}: {answer}");
        fs::write(&files.certificate, &certificate).unwrap();
        fs::write(&files.key, &key).unwrap();
    }
    tls.reload().unwrap();
}

#[test]
fn what_is_wrong_with_the_files_is_said_with_their_names() {
    let folder = Folder::new();
    let missing = Tls::load(folder.files()).unwrap_err();
    assert!(matches!(&missing, TlsError::Unreadable { .. }) && missing.to_string().contains("c.pem"));
    folder.renew();
    fs::write(folder.files().key, "").unwrap();
    let empty = Tls::load(folder.files()).unwrap_err();
    assert!(
        matches!(&empty, TlsError::NotPem { .. }) && empty.to_string().contains("k.pem"),
        "{empty}"
    );
    let other = Folder::new();
    other.renew();
    fs::copy(other.files().key, folder.files().key).unwrap();
    let mismatch = Tls::load(folder.files()).unwrap_err();
    assert!(matches!(mismatch, TlsError::Mismatch { .. }), "{mismatch}");
}

#[test]
fn plain_http_on_the_tls_port_is_told_so_and_not_redirected() {
    let (_folder, _certificate, _tls, handle) = begin(GENEROUS);
    let heard = Raw::open(handle.local_addr()).say(GOOD).hear(GIVE_UP);
    assert_eq!((heard.statuses(), heard.end), (vec![400], End::Closed));
    assert!(
        heard.text.contains("tls_required") && !heard.text.contains("location"),
        "{}",
        heard.text
    );
}

#[test]
fn a_handshake_that_does_not_go_on_is_closed() {
    let (_folder, _certificate, _tls, handle) = begin(Limits {
        header_timeout: Duration::from_millis(300),
        ..GENEROUS
    });
    for beginning in [&b""[..], b"\x16", b"\x16\x03\x01\x02\x00\x01\x00"] {
        let heard = Raw::open(handle.local_addr()).say(beginning).hear(GIVE_UP);
        assert_ne!(heard.end, End::StillOpen);
        assert!(heard.took >= Duration::from_millis(300), "{:?}", heard.took);
    }
}
