//! A server that answers by a script: what a server in good order cannot be brought to say.
//!
//! It speaks as much of the wire protocol (OP_MSG, and OP_QUERY for the driver's first words) as the driver needs.

use std::sync::{Arc, Mutex};

use mongodb::bson::{Document, RawDocumentBuf, doc, serialize_to_raw_document_buf};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const OP_REPLY: i32 = 1;
const OP_QUERY: i32 = 2004;

/// The answer to a command, from its name and itself; none cuts the connection.
type Script = dyn Fn(&str, &Document) -> Option<Document> + Send + Sync;

pub(super) struct Server {
    /// For the field `host`.
    pub host: String,
    commands: Arc<Mutex<Vec<Document>>>,
}

impl Server {
    pub(super) async fn start(
        script: impl Fn(&str, &Document) -> Option<Document> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host = format!("mongodb://{}/?retryReads=false", listener.local_addr().unwrap());
        let script: Arc<Script> = Arc::new(script);
        let commands = Arc::new(Mutex::new(Vec::new()));
        let seen = commands.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, script.clone(), seen.clone()));
            }
        });
        Self { host, commands }
    }

    /// The commands of this name that were received.
    pub(super) fn received(&self, name: &str) -> Vec<Document> {
        let commands = self.commands.lock().unwrap();
        commands.iter().filter(|command| command.contains_key(name)).cloned().collect()
    }
}

/// Ends when the driver or the script cuts the connection.
async fn serve(mut stream: TcpStream, script: Arc<Script>, seen: Arc<Mutex<Vec<Document>>>) -> Option<()> {
    loop {
        let mut header = [0; 16];
        stream.read_exact(&mut header).await.ok()?;
        let number = |at: usize| i32::from_le_bytes(header[at..at + 4].try_into().unwrap());
        let (length, request, operation) = (number(0), number(4), number(12));
        let mut body = vec![0; usize::try_from(length).unwrap() - 16];
        stream.read_exact(&mut body).await.ok()?;
        let start = if operation == OP_QUERY {
            // Flags, the collection's name, and two numbers.
            4 + body[4..].iter().position(|byte| *byte == 0).unwrap() + 1 + 8
        } else {
            5
        };
        let size = i32::from_le_bytes(body[start..start + 4].try_into().unwrap());
        let bytes = body[start..start + usize::try_from(size).unwrap()].to_vec();
        let command = Document::try_from(RawDocumentBuf::from_bytes(bytes).unwrap()).unwrap();
        let name = command.keys().next().unwrap().clone();
        let answer = match name.as_str() {
            "hello" | "isMaster" | "ismaster" => hello(),
            "endSessions" | "killCursors" => doc! {"ok": 1},
            name => {
                seen.lock().unwrap().push(command.clone());
                script(name, &command)?
            }
        };
        let answer = serialize_to_raw_document_buf(&answer).unwrap().into_bytes();
        let (code, prefix): (i32, Vec<u8>) = if operation == OP_QUERY {
            // Flags, cursor, where it starts, and that there is one document.
            (OP_REPLY, [vec![0; 16], 1_i32.to_le_bytes().to_vec()].concat())
        } else {
            (operation, vec![0; 5])
        };
        let length = i32::try_from(16 + prefix.len() + answer.len()).unwrap();
        let mut message = Vec::with_capacity(answer.len() + 64);
        for number in [length, 0, request, code] {
            message.extend(number.to_le_bytes());
        }
        message.extend(prefix);
        message.extend(answer);
        stream.write_all(&message).await.ok()?;
    }
}

fn hello() -> Document {
    doc! {
        "ok": 1, "ismaster": true, "isWritablePrimary": true, "maxBsonObjectSize": 16 << 20, "maxMessageSizeBytes": 48_000_000,
        "maxWriteBatchSize": 100_000, "minWireVersion": 0, "maxWireVersion": 21, "logicalSessionTimeoutMinutes": 30, "readOnly": false,
    }
}

/// An answer with documents; a cursor of id 0 is at its end.
pub(super) fn batch(name: &str, id: i64, documents: Vec<Document>) -> Document {
    doc! {"ok": 1, "cursor": {"id": id, "ns": "shop.orders", name: documents}}
}

/// An answer that says no.
pub(super) fn refusal(code: i32, message: &str) -> Document {
    doc! {"ok": 0, "code": code, "codeName": "X", "errmsg": message}
}
