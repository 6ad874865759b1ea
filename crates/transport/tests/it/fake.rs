//! A remote that misbehaves on purpose: a small HTTP/1.1 server over a real socket whose every answer is scripted,
//! down to cutting the connection in the middle of one. Shared with the tests of the Elasticsearch client.

#![allow(dead_code, reason = "each of the two test programs uses its own part")]
#![allow(clippy::needless_pass_by_value, reason = "scripts read better without borrows of literals")]

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

/// A request as it arrived.
#[derive(Debug, Clone)]
pub struct Seen {
    pub method: String,
    /// Path and query.
    pub target: String,
    /// By lower-case name.
    pub headers: HashMap<String, String>,
    pub body: Vec<u8>,
}

impl Seen {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("the body is text")
    }
}

/// What the fake does with a request.
#[derive(Debug, Clone)]
pub enum Reply {
    /// Answers.
    Answer { status: u16, headers: Vec<(&'static str, String)>, body: Vec<u8> },
    /// Announces this body, sends half of it and closes the connection.
    CutBody(Vec<u8>),
    /// The same with a chunked body, whose end is only known by its last chunk.
    CutChunks(Vec<u8>),
    /// A chunked body that is sent to its end.
    Chunks(Vec<u8>),
    /// Closes the connection without a word.
    Close,
    /// Says something that is not HTTP.
    Garbage,
    /// Never answers.
    Hang,
}

impl Reply {
    pub fn json(status: u16, body: impl ToString) -> Self {
        Self::Answer {
            status,
            headers: vec![
                ("content-type", "application/json".to_owned()),
                ("x-elastic-product", "Elasticsearch".to_owned()),
            ],
            body: body.to_string().into_bytes(),
        }
    }

    pub fn header(mut self, name: &'static str, value: impl ToString) -> Self {
        if let Self::Answer { headers, .. } = &mut self {
            headers.retain(|(existing, _)| *existing != name);
            headers.push((name, value.to_string()));
        }
        self
    }

    pub fn without_header(mut self, name: &str) -> Self {
        if let Self::Answer { headers, .. } = &mut self {
            headers.retain(|(existing, _)| *existing != name);
        }
        self
    }
}

type Script = Arc<dyn Fn(usize, &Seen) -> Reply + Send + Sync>;

/// A running fake; stops accepting when the test's runtime ends.
pub struct Fake {
    pub address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Fake {
    /// Starts a fake; the script gets the number of the request (from 0) and the request.
    pub async fn start(script: impl Fn(usize, &Seen) -> Reply + Send + Sync + 'static) -> Self {
        Self::run(TcpListener::bind("127.0.0.1:0").await.unwrap(), None, Arc::new(script))
    }

    /// The same on a chosen port.
    pub async fn start_on(
        address: SocketAddr,
        script: impl Fn(usize, &Seen) -> Reply + Send + Sync + 'static,
    ) -> Self {
        Self::run(TcpListener::bind(address).await.unwrap(), None, Arc::new(script))
    }

    /// The same behind TLS.
    pub async fn start_tls(
        acceptor: TlsAcceptor,
        script: impl Fn(usize, &Seen) -> Reply + Send + Sync + 'static,
    ) -> Self {
        Self::run(TcpListener::bind("127.0.0.1:0").await.unwrap(), Some(acceptor), Arc::new(script))
    }

    fn run(listener: TcpListener, tls: Option<TlsAcceptor>, script: Script) -> Self {
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let recorded = Arc::clone(&seen);
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let (tls, script, seen) = (tls.clone(), Arc::clone(&script), Arc::clone(&seen));
                tokio::spawn(async move {
                    match tls {
                        // A client that does not like our certificate ends the handshake: nothing to serve then.
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(socket).await {
                                serve(stream, script, seen).await;
                            }
                        }
                        None => serve(socket, script, seen).await,
                    }
                });
            }
        });
        Self { address, seen: recorded }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    pub fn count(&self) -> usize {
        self.seen.lock().unwrap().len()
    }
}

/// Serves one connection until the client closes it or the script says to.
async fn serve<S: AsyncRead + AsyncWrite + Unpin>(stream: S, script: Script, seen: Arc<Mutex<Vec<Seen>>>) {
    let mut stream = BufReader::new(stream);
    while let Some(request) = read_request(&mut stream).await {
        let reply = {
            let mut seen = seen.lock().unwrap();
            seen.push(request.clone());
            script(seen.len() - 1, &request)
        };
        // A client that gave up closes its end, and writing fails: that is its right.
        let goes_on = match reply {
            Reply::Answer { status, headers, body } => {
                let mut head = vec![format!("HTTP/1.1 {status} Whatever")];
                head.push(format!("content-length: {}", body.len()));
                head.extend(headers.iter().map(|(name, value)| format!("{name}: {value}")));
                let head = head.join("\r\n");
                let body = if request.method == "HEAD" { &[][..] } else { &body };
                write(&mut stream, &[head.as_bytes(), b"\r\n\r\n", body]).await
            }
            Reply::CutBody(body) => {
                let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
                write(&mut stream, &[head.as_bytes(), &body[..body.len() / 2]]).await;
                false
            }
            Reply::CutChunks(body) => {
                let head =
                    format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n", body.len());
                write(&mut stream, &[head.as_bytes(), &body, b"\r\n"]).await;
                false
            }
            Reply::Chunks(body) => {
                let head =
                    format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n", body.len());
                write(&mut stream, &[head.as_bytes(), &body, b"\r\n0\r\n\r\n"]).await
            }
            Reply::Close => false,
            Reply::Garbage => {
                write(&mut stream, &[b"220 mail.example.org ESMTP\r\n"]).await;
                false
            }
            Reply::Hang => std::future::pending().await,
        };
        if !goes_on {
            // An orderly end, also of a TLS stream; the peer may be gone already.
            drop(stream.shutdown().await);
            return;
        }
    }
}

async fn write<S: AsyncWrite + Unpin>(stream: &mut S, parts: &[&[u8]]) -> bool {
    stream.write_all(&parts.concat()).await.is_ok() && stream.flush().await.is_ok()
}

async fn read_request<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S) -> Option<Seen> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
        if !head[0].is_ascii_uppercase() {
            // Not a method: say so, as web servers do when somebody speaks TLS to them.
            write(stream, &[b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n"]).await;
            return None;
        }
    }
    let head = String::from_utf8(head).ok()?;
    let mut lines = head.lines();
    let mut first = lines.next()?.split(' ');
    let (method, target) = (first.next()?.to_owned(), first.next()?.to_owned());
    let headers: HashMap<_, _> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
        .collect();
    let length = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    Some(Seen { method, target, headers, body })
}

/// A certificate authority made for the test.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    /// Its certificate.
    pub pem: String,
}

impl Authority {
    pub fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    /// A server with a certificate for these names.
    pub fn server(&self, names: &[&str]) -> TlsAcceptor {
        self.server_with(
            CertificateParams::new(names.iter().copied().map(str::to_owned).collect::<Vec<_>>()).unwrap(),
        )
    }

    /// A server whose certificate is long expired.
    pub fn expired_server(&self, name: &str) -> TlsAcceptor {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(2001, 1, 1);
        params.not_after = rcgen::date_time_ymd(2002, 1, 1);
        self.server_with(params)
    }

    fn server_with(&self, params: CertificateParams) -> TlsAcceptor {
        connectors_transport::install_crypto_provider();
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let config = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
        TlsAcceptor::from(Arc::new(config))
    }
}
