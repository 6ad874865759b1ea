//! A node of its own for a test, and requests to it.

use connectors_node::{Node, NodeHandle, NodeOptions};
use serde_json::Value;
use tempfile::TempDir;

/// A node in a temporary folder.
pub struct TestNode {
    handle: Option<NodeHandle>,
    folder: TempDir,
    client: reqwest::Client,
}

impl TestNode {
    pub async fn start() -> Self {
        // Only the first installation counts; all tests want the same.
        drop(rustls::crypto::ring::default_provider().install_default());
        let folder = tempfile::tempdir().expect("a folder");
        let handle = Node::start(NodeOptions::local(folder.path(), 0)).await.expect("a node");
        Self { handle: Some(handle), folder, client: reqwest::Client::new() }
    }

    /// Stops cleanly.
    pub async fn stop(&mut self) {
        self.handle.take().expect("running").shutdown().await;
    }

    /// Starts on the same folder.
    pub async fn start_again(&mut self) {
        let options = NodeOptions::local(self.folder.path(), 0);
        self.handle = Some(Node::start(options).await.expect("a node"));
    }

    /// Stops cleanly and starts again.
    pub async fn restart(&mut self) {
        self.stop().await;
        self.start_again().await;
    }

    pub fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    pub fn url(&self) -> &str {
        self.handle.as_ref().expect("running").url()
    }

    /// Status and body.
    pub async fn call(&self, method: &str, path: &str, body: Option<Value>) -> (u16, Value) {
        let text = body.map(|body| body.to_string()).unwrap_or_default();
        self.raw(method, path, text).await
    }

    /// As [`Self::call`], with the body's text.
    pub async fn raw(&self, method: &str, path: &str, body: String) -> (u16, Value) {
        let method = reqwest::Method::from_bytes(method.as_bytes()).expect("a method");
        let mut request = self.client.request(method, format!("{}{path}", self.url()));
        if !body.is_empty() {
            request = request.header("content-type", "application/json").body(body);
        }
        let response = request.send().await.expect("an answer");
        let status = response.status().as_u16();
        let text = response.text().await.expect("a body");
        (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }

    pub async fn get(&self, path: &str) -> (u16, Value) {
        self.call("GET", path, None).await
    }

    pub async fn put(&self, path: &str, body: Value) -> (u16, Value) {
        self.call("PUT", path, Some(body)).await
    }

    pub async fn post(&self, path: &str, body: Value) -> (u16, Value) {
        self.call("POST", path, Some(body)).await
    }

    /// Sends lines to `_bulk`.
    pub async fn bulk(&self, path: &str, lines: &[Value]) -> Value {
        let mut body = String::new();
        for line in lines {
            body.push_str(&line.to_string());
            body.push('\n');
        }
        let (status, answer) = self.raw("POST", path, body).await;
        assert_eq!(status, 200, "{answer}");
        answer
    }
}
