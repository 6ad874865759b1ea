//! An HTTP proxy on loopback that answers some requests itself: a cluster with what the embedded node does not have.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use serde_json::Value;

use super::door::login_and_address;

/// A request that came to the gate.
#[derive(Debug, Clone)]
pub struct Asked {
    pub method: String,
    pub path: String,
    pub authorization: String,
    pub body: Value,
}

type Answers = dyn Fn(&Asked) -> Option<(u16, Value)> + Send + Sync;

/// Listens until the process ends.
pub struct Gate {
    address: SocketAddr,
    login: String,
    answered: Arc<Mutex<Vec<Asked>>>,
}

impl Gate {
    /// A gate before the server at `url` (`http://[user:password@]host:port`); what `answers` does not answer goes on to that.
    pub fn before(
        url: &str,
        answers: impl Fn(&Asked) -> Option<(u16, Value)> + Send + Sync + 'static,
    ) -> Self {
        let (login, target) = login_and_address(url);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let gate = Self { address: listener.local_addr().unwrap(), login, answered: Arc::default() };
        let (answered, answers): (_, Arc<Answers>) = (Arc::clone(&gate.answered), Arc::new(answers));
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let (answered, answers) = (Arc::clone(&answered), Arc::clone(&answers));
                let client = client.unwrap();
                // A client that goes away in the middle of a request is no concern of the gate's.
                std::thread::spawn(move || drop(serve(client, target, &answered, answers.as_ref())));
            }
        });
        gate
    }

    pub fn url(&self) -> String {
        format!("http://{}{}", self.login, self.address)
    }

    /// The requests that were answered here.
    pub fn answered(&self) -> Vec<Asked> {
        self.answered.lock().unwrap().clone()
    }
}

/// One request; then the connection is closed.
fn serve(
    client: TcpStream,
    target: SocketAddr,
    answered: &Mutex<Vec<Asked>>,
    answers: &Answers,
) -> std::io::Result<()> {
    let mut reader = BufReader::new(client);
    let (mut head, mut length, mut authorization) = (String::new(), 0, String::new());
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 || line == "\r\n" {
            break;
        }
        let lower = line.to_ascii_lowercase();
        if let Some(value) = lower.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        if lower.starts_with("authorization:") {
            line["authorization:".len()..].trim().clone_into(&mut authorization);
        }
        if !lower.starts_with("connection:") {
            head.push_str(&line);
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let mut words = head.split(' ');
    let asked = Asked {
        method: words.next().unwrap_or_default().to_owned(),
        path: words.next().unwrap_or_default().to_owned(),
        authorization,
        body: serde_json::from_slice(&body).unwrap_or_default(),
    };
    let mut client = reader.into_inner();
    if let Some((status, answer)) = answers(&asked) {
        answered.lock().unwrap().push(asked);
        let answer = answer.to_string();
        write!(
            client,
            "HTTP/1.1 {status} Gate\r\ncontent-type: application/json\r\nx-elastic-product: Elasticsearch\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{answer}",
            answer.len()
        )?;
        return client.flush();
    }
    let mut server = TcpStream::connect(target)?;
    write!(server, "{head}connection: close\r\n\r\n")?;
    server.write_all(&body)?;
    server.flush()?;
    // Not every server says that it closes the connection; a client that is not told would use it again.
    let mut answer = Vec::new();
    server.read_to_end(&mut answer)?;
    let status = answer.iter().position(|byte| *byte == b'\n').map_or(answer.len(), |end| end + 1);
    client.write_all(&answer[..status])?;
    client.write_all(b"connection: close\r\n")?;
    client.write_all(&answer[status..])?;
    client.flush()
}
