//! A TCP proxy on loopback that a test can slow down and close: a network, and an Elasticsearch that is gone.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

struct Shared {
    target: SocketAddr,
    closed: AtomicBool,
    /// Milliseconds for each 16 KiB sent to the server.
    slowness: AtomicU64,
    streams: Mutex<Vec<TcpStream>>,
}

/// The login in a server's URL (`user:password@`, or nothing), and where the server listens.
pub fn login_and_address(url: &str) -> (String, SocketAddr) {
    let host = url.trim_start_matches("http://").trim_end_matches('/').replace("localhost", "127.0.0.1");
    let at = host.rfind('@').map_or(0, |at| at + 1);
    (host[..at].to_owned(), host[at..].parse().unwrap())
}

/// Listens until the process ends.
#[derive(Clone)]
pub struct Door {
    shared: Arc<Shared>,
    address: SocketAddr,
    login: String,
}

impl Door {
    /// A door to the server at `url` (`http://[user:password@]host:port`).
    pub fn before(url: &str) -> Self {
        let (login, target) = login_and_address(url);
        let shared = Arc::new(Shared {
            target,
            closed: AtomicBool::new(false),
            slowness: AtomicU64::new(0),
            streams: Mutex::new(Vec::new()),
        });
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let door = Self { shared: Arc::clone(&shared), address, login };
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let client = client.unwrap();
                if shared.closed.load(Ordering::SeqCst) {
                    continue; // dropped: the client sees a reset or an early end
                }
                let Ok(server) = TcpStream::connect(shared.target) else { continue };
                let both = [client.try_clone().unwrap(), server.try_clone().unwrap()];
                shared.streams.lock().unwrap().extend(both);
                let back = (server.try_clone().unwrap(), client.try_clone().unwrap());
                let there = Arc::clone(&shared);
                std::thread::spawn(move || pump(client, server, Some(&there)));
                std::thread::spawn(move || pump(back.0, back.1, None));
            }
        });
        door
    }

    pub fn url(&self) -> String {
        format!("http://{}{}", self.login, self.address)
    }

    /// Milliseconds for each 16 KiB on their way to the server.
    pub fn slow(&self, milliseconds: u64) {
        self.shared.slowness.store(milliseconds, Ordering::SeqCst);
    }

    /// Cuts every connection and refuses new ones.
    pub fn close(&self) {
        self.shared.closed.store(true, Ordering::SeqCst);
        for stream in self.shared.streams.lock().unwrap().drain(..) {
            // The other side may have ended it already.
            let _already_closed = stream.shutdown(Shutdown::Both);
        }
    }

    pub fn open(&self) {
        self.shared.closed.store(false, Ordering::SeqCst);
    }
}

fn pump(mut from: TcpStream, mut to: TcpStream, slow: Option<&Shared>) {
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        let wait = slow.map_or(0, |shared| shared.slowness.load(Ordering::SeqCst));
        if wait > 0 {
            std::thread::sleep(Duration::from_millis(wait * count as u64 / (16 * 1024)));
        }
        if to.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    // Either side may be gone already.
    let _gone = to.shutdown(Shutdown::Write);
}
