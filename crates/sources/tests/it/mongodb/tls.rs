//! Encrypted connections. The server's side of TLS is a proxy here: MongoDB's protocol begins inside of it.

use std::sync::Arc;

use connectors_sdk::{ErrorKind, SourceContext};
use rustls::ServerConfig;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::fixture::{Shop, server};
use super::{list, source_with};
use crate::certificates::Certificates;

/// The port of a proxy that takes encrypted connections and leads to the server.
async fn encrypted(certificates: &Certificates) -> u16 {
    let key = PrivateKeyDer::from_pem_slice(certificates.key.as_bytes()).unwrap();
    let certificate = CertificateDer::from_pem_slice(certificates.server.as_bytes()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let to = server().trim_start_matches("mongodb://").to_owned();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let (acceptor, to) = (acceptor.clone(), to.clone());
            tokio::spawn(async move {
                // Clients that do not trust the certificate go away.
                let Ok(mut client) = acceptor.accept(client).await else { return };
                let mut server = TcpStream::connect(to).await.unwrap();
                _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
            });
        }
    });
    port
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs tests/backends/secantusdb"]
async fn the_certificate_and_the_name_are_checked() {
    let (certificates, others) = (Certificates::new(), Certificates::new());
    let port = encrypted(&certificates).await;
    let shop = Shop::open().await;
    shop.fill(3).await;
    let source = |host: &str, authority: &str, insecure: bool| {
        let values = json!({"host": format!("mongodb://{host}:{port}/?serverSelectionTimeoutMS=2000"), "direct_connection": true,
            "database": shop.name(), "collection": "orders", "ssl_enabled": true, "ssl_ca": authority, "tls_insecure": insecure});
        source_with(values, SourceContext::default())
    };
    let one_line = certificates.authority.replace('\n', " ");
    for (host, authority, insecure) in [
        ("localhost", certificates.authority.as_str(), false),
        ("localhost", one_line.as_str(), false),
        ("127.0.0.1", "", true),
    ] {
        let source = source(host, authority, insecure);
        source.validate().await.unwrap();
        assert_eq!(list(source.as_ref(), None).await.documents.len(), 3);
    }
    for (what, host, authority) in [
        ("another authority", "localhost", others.authority.as_str()),
        ("the public authorities", "localhost", ""),
        ("another name", "127.0.0.1", certificates.authority.as_str()),
    ] {
        let error = source(host, authority, false).ping().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config, "{what}: {error}");
        assert!(error.to_string().contains("`ssl_ca`"), "{what}: {error}");
    }
    shop.close().await;
}
