//! A TCP proxy that cuts connections.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Passes connections on to a server. After a number of bytes from the server all connections are cut, each time anew for as often
/// as was asked.
pub(super) struct Proxy {
    pub port: u16,
    pub cuts: Arc<AtomicUsize>,
}

impl Proxy {
    pub(super) async fn new(server: u16, bytes: u64, cuts: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let cuts = Arc::new(AtomicUsize::new(cuts));
        let left = cuts.clone();
        tokio::spawn(async move {
            let passed = Arc::new(AtomicU64::new(0));
            loop {
                let (client, _) = listener.accept().await.unwrap();
                let server = TcpStream::connect(("127.0.0.1", server)).await.unwrap();
                tokio::spawn(pass(client, server, passed.clone(), bytes, left.clone()));
            }
        });
        Self { port, cuts }
    }
}

async fn pass(
    client: TcpStream,
    server: TcpStream,
    passed: Arc<AtomicU64>,
    bytes: u64,
    cuts: Arc<AtomicUsize>,
) {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let up = tokio::spawn(async move {
        let _ = tokio::io::copy(&mut from_client, &mut to_server).await;
    });
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(read) = from_server.read(&mut buffer).await {
        if read == 0 || to_client.write_all(&buffer[..read]).await.is_err() {
            break;
        }
        if passed.fetch_add(read as u64, Ordering::Relaxed) > bytes && cuts.load(Ordering::Relaxed) > 0 {
            cuts.fetch_sub(1, Ordering::Relaxed);
            passed.store(0, Ordering::Relaxed);
            break;
        }
    }
    up.abort();
}
