//! Nothing that is printed or logged holds a credential, a body, or an echo of them.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use connectors_es_client::{Auth, BulkBody, BulkParams, EsClient, EsConfig, Method};
use serde_json::json;
use tracing_subscriber::fmt::MakeWriter;

use crate::fake::{Fake, Reply};
use crate::quick;

/// A log that is kept in memory.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[tokio::test]
async fn no_secret_is_printed_whatever_fails() {
    let log = Log::default();
    let subscriber =
        tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(log.clone()).finish();
    let _guard = tracing::subscriber::set_default(subscriber);

    // A server that echoes what it is sent, as some proxies' error pages do.
    let fake = Fake::start(|number, seen| {
        let echo = format!("{:?} {}", seen.headers, String::from_utf8_lossy(&seen.body));
        match number % 4 {
            0 => Reply::json(503, echo),
            1 => Reply::Close,
            2 => Reply::Garbage,
            _ => Reply::json(400, json!({"error": {"type": "echo", "reason": echo}})),
        }
    })
    .await;
    let basic = Auth::Basic { username: "elastic".into(), password: "hunter2".into() };
    let mut printed = Vec::new();
    for auth in [basic, Auth::ApiKey("keyid:hunter2".into()), Auth::Bearer("hunter2".into())] {
        let mut config = EsConfig { max_retries: 9, ..quick(&fake) }.with_auth(auth);
        config.headers.push(("x-proxy-key".into(), "hunter2-proxy".into()));
        let client = EsClient::new(config.clone()).unwrap();
        let error = client.request(Method::GET, "/x", &[("token", "hunter2")], None).await.unwrap_err();
        let mut body = BulkBody::new();
        body.index("1", &json!({"field": "a private document"})).unwrap();
        let bulk = client.bulk(&BulkParams::new("i"), &body.finish_request()).await.unwrap_err();
        printed.push(format!("{config:?} {client:?} {error} {error:?} {bulk:?}"));
    }
    let down = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let config = EsConfig {
        max_retries: 1,
        retry_interval: Duration::from_millis(1),
        ..EsConfig::new(format!("http://me:hunter2@{down}"))
    };
    let error = EsClient::new(config).unwrap().request(Method::GET, "/x", &[], None).await.unwrap_err();
    printed.push(format!("{error:?}"));
    let printed = printed.join("\n");

    let logged = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(logged.contains("will retry"), "nothing was logged: {logged}");
    assert!(printed.contains("[secret]"), "no echo was hidden: {printed}");
    // Base64 of "elastic:hunter2" and of "keyid:hunter2" as well.
    for secret in ["hunter2", "ZWxhc3RpYzpodW50ZXIy", "a2V5aWQ6aHVudGVyMg"] {
        assert!(!logged.contains(secret), "{secret} in the log: {logged}");
        assert!(!printed.contains(secret), "{secret} in a message: {printed}");
    }
}
