//! One owner per data folder, and how others find it.
//!
//! The owner holds an operating system lock on `node.lock` for as long as it lives; a killed process loses it at once.
//! Where the owner listens stands in `node.json`, which means something only while the lock is held.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Held exclusively by the owner.
const LOCK_FILE: &str = "node.lock";
/// Address of the owner.
const ADDRESS_FILE: &str = "node.json";
/// A discovery holds the lock shared for an instant; an owner to be tries again for this long.
const RETRY_FOR: Duration = Duration::from_millis(500);
const RETRY_EVERY: Duration = Duration::from_millis(20);
/// Longest time for one question to a node.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// Where a running node is reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunningNode {
    /// Base URL, `http://127.0.0.1:9200`.
    pub url: String,
    /// Process id of the owner, for messages.
    pub pid: u32,
}

/// Why a data folder cannot be owned.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process owns it.
    #[error("the data folder {path} is in use by another node{}", owner(running.as_ref()))]
    Held {
        /// The folder.
        path: PathBuf,
        /// What the owner wrote about itself.
        running: Option<RunningNode>,
    },
    /// The folder cannot be read or written.
    #[error("data folder {path}: {source}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

fn owner(running: Option<&RunningNode>) -> String {
    running.map(|node| format!(" (process {} at {})", node.pid, node.url)).unwrap_or_default()
}

/// Ownership of a data folder, until dropped.
#[derive(Debug)]
pub struct FolderLock {
    folder: PathBuf,
    _file: File,
}

impl FolderLock {
    /// Takes a folder, making it if it does not exist.
    ///
    /// # Errors
    /// [`LockError::Held`] when another process has it, [`LockError::Io`].
    pub fn acquire(folder: &Path) -> Result<Self, LockError> {
        std::fs::create_dir_all(folder).map_err(|source| io_error(folder, source))?;
        let path = folder.join(LOCK_FILE);
        let file = open(&path).map_err(|source| io_error(&path, source))?;
        let start = Instant::now();
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if start.elapsed() < RETRY_FOR => {
                    std::thread::sleep(RETRY_EVERY);
                }
                Err(TryLockError::WouldBlock) => {
                    return Err(LockError::Held { path: folder.to_owned(), running: read_address(folder)? });
                }
                Err(TryLockError::Error(source)) => return Err(io_error(&path, source)),
            }
        }
        let lock = Self { folder: folder.to_owned(), _file: file };
        // What a killed owner left would send others to whoever has its port now.
        lock.forget_address()?;
        Ok(lock)
    }

    /// Tells others where the owner listens. Called once it answers.
    ///
    /// # Errors
    /// [`LockError::Io`].
    pub fn publish(&self, url: &str) -> Result<(), LockError> {
        let path = self.folder.join(ADDRESS_FILE);
        let temporary = self.folder.join(format!("{ADDRESS_FILE}.new"));
        let node = RunningNode { url: url.to_owned(), pid: std::process::id() };
        let write = || -> io::Result<()> {
            let mut file = File::create(&temporary)?;
            file.write_all(serde_json::to_string(&node)?.as_bytes())?;
            // Readers see the old file or the whole new one.
            std::fs::rename(&temporary, &path)
        };
        write().map_err(|source| io_error(&path, source))
    }

    fn forget_address(&self) -> Result<(), LockError> {
        let path = self.folder.join(ADDRESS_FILE);
        match std::fs::remove_file(&path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => Err(io_error(&path, source)),
            _ => Ok(()),
        }
    }
}

impl Drop for FolderLock {
    fn drop(&mut self) {
        if let Err(error) = self.forget_address() {
            tracing::warn!(%error, "the address file stays behind");
        }
    }
}

/// Finds the node that owns `folder`, if one does and answers. Nothing is found while a node starts or stops; whoever then
/// cannot own the folder either tries again.
pub async fn discover(folder: &Path) -> Option<RunningNode> {
    let held = is_held(folder).and_then(|held| if held { read_address(folder) } else { Ok(None) });
    match held {
        Ok(Some(node)) => answers(&node.url).await.then_some(node),
        Ok(None) => None,
        Err(error) => {
            tracing::warn!(%error, "cannot look for a running node");
            None
        }
    }
}

fn is_held(folder: &Path) -> Result<bool, LockError> {
    let path = folder.join(LOCK_FILE);
    let file = match OpenOptions::new().read(true).open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(source) => return Err(io_error(&path, source)),
    };
    // Shared, so that two of these do not take each other for the owner.
    match file.try_lock_shared() {
        Ok(()) => Ok(false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(source)) => Err(io_error(&path, source)),
    }
}

/// An address file that is missing or not readable yet is none.
fn read_address(folder: &Path) -> Result<Option<RunningNode>, LockError> {
    let path = folder.join(ADDRESS_FILE);
    match std::fs::read(&path) {
        Ok(bytes) => Ok(serde_json::from_slice(&bytes).ok()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(io_error(&path, source)),
    }
}

/// Whether an Elasticsearch-compatible node answers. Over TLS an open port must do: the certificate is the client's affair.
async fn answers(url: &str) -> bool {
    let ask = async {
        let (scheme, authority) = url.split_once("://")?;
        let mut stream = TcpStream::connect(authority).await.ok()?;
        if scheme == "https" {
            return Some(());
        }
        let request = format!("HEAD / HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.ok()?;
        let mut answer = Vec::new();
        stream.take(16 * 1024).read_to_end(&mut answer).await.ok()?;
        let head = String::from_utf8_lossy(&answer).to_ascii_lowercase();
        // 200, or 401 where credentials are needed: the node is there.
        head.contains("x-elastic-product: elasticsearch").then_some(())
    };
    matches!(tokio::time::timeout(ANSWER_WITHIN, ask).await, Ok(Some(())))
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)
}

fn io_error(path: &Path, source: io::Error) -> LockError {
    LockError::Io { path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::http::{Request, Response, Route, Router, ServerHandle, ServerOptions, bind};

    async fn root(_state: Arc<()>, request: Request) -> crate::error::Result<Response> {
        request.finish()?;
        Ok(Response::text(""))
    }

    async fn server() -> ServerHandle {
        let options = ServerOptions { bind: ([127, 0, 0, 1], 0).into(), credentials: Vec::new(), tls: None };
        bind(options).await.unwrap().serve(Router::new([Route::head("/", root)]), Arc::new(()))
    }

    #[tokio::test]
    async fn a_folder_has_one_owner_which_others_find() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/data");
        assert_eq!(discover(&path).await, None);
        let lock = FolderLock::acquire(&path).unwrap();
        let server = server().await;
        assert_eq!(discover(&path).await, None);
        lock.publish(server.url()).unwrap();

        let found = discover(&path).await.unwrap();
        assert_eq!((found.url.as_str(), found.pid), (server.url(), std::process::id()));
        let second = FolderLock::acquire(&path).unwrap_err();
        assert!(matches!(&second, LockError::Held { running: Some(node), .. } if *node == found), "{second}");
        assert!(second.to_string().contains(server.url()), "{second}");

        server.shutdown().await;
        assert_eq!(discover(&path).await, None);
        drop(lock);
        assert!(!path.join(ADDRESS_FILE).exists());
        FolderLock::acquire(&path).unwrap();
    }

    #[tokio::test]
    async fn what_a_killed_owner_left_is_ignored() {
        let folder = tempfile::tempdir().unwrap();
        let server = server().await;
        // A killed owner leaves both files, unlocked; its port may be someone else's.
        std::fs::write(folder.path().join(LOCK_FILE), "").unwrap();
        let left = format!("{{\"url\":\"{}\",\"pid\":1}}", server.url());
        std::fs::write(folder.path().join(ADDRESS_FILE), left).unwrap();
        assert_eq!(discover(folder.path()).await, None);
        let _lock = FolderLock::acquire(folder.path()).unwrap();
        assert!(!folder.path().join(ADDRESS_FILE).exists());
    }

    #[tokio::test]
    async fn an_address_where_something_else_answers_is_no_node() {
        let folder = tempfile::tempdir().unwrap();
        let lock = FolderLock::acquire(folder.path()).unwrap();
        let other = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        lock.publish(&format!("http://{}", other.local_addr().unwrap())).unwrap();
        let answer = tokio::spawn(async move {
            let (mut stream, _) = other.accept().await.unwrap();
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.unwrap();
        });
        assert_eq!(discover(folder.path()).await, None);
        answer.await.unwrap();
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, "").unwrap();
        let error = FolderLock::acquire(&file.join("data")).unwrap_err().to_string();
        assert!(error.contains("file"), "{error}");
    }
}
