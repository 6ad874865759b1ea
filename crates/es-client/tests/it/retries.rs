//! Which failures are tried again, how often and when.

use std::time::{Duration, Instant};

use connectors_es_client::{
    BulkBody, BulkParams, BulkRequest, CancellationToken, EsClient, EsConfig, EsErrorKind, EsRequest, Method,
    Repeat,
};
use connectors_transport::ErrorKind;
use serde_json::json;

use crate::fake::{Fake, Reply};
use crate::{client, quick};

fn failure(status: u16) -> Reply {
    Reply::json(status, json!({"error": {"type": "test_exception", "reason": "because"}, "status": status}))
}

/// A fake that fails `times` times and then succeeds.
async fn failing(times: usize, reply: Reply) -> Fake {
    Fake::start(move |number, seen| {
        if number < times {
            return reply.clone();
        }
        let items: Vec<_> =
            seen.text().lines().map(|_| json!({"delete": {"_id": "a", "status": 200}})).collect();
        Reply::json(200, json!({"errors": false, "items": items}))
    })
    .await
}

fn deletion() -> BulkRequest {
    let mut body = BulkBody::new();
    body.delete("a");
    body.finish_request()
}

#[tokio::test]
async fn what_is_harmless_is_repeated_until_it_succeeds() {
    for reply in [
        failure(429),
        failure(500),
        failure(502),
        failure(503),
        failure(504),
        Reply::Close,
        Reply::CutBody(b"{\"took\": 1}".to_vec()),
        Reply::Garbage,
    ] {
        let shown = format!("{reply:?}");
        let fake = failing(2, reply).await;
        let answer = client(&fake).request(Method::GET, "/x", &[], None).await;
        assert!(answer.is_ok(), "{shown}: {answer:?}");
        assert_eq!(fake.count(), 3, "{shown}");
    }
}

#[tokio::test]
async fn what_cannot_succeed_is_not_repeated() {
    for status in [400, 401, 403, 404, 405, 409, 413, 501] {
        let fake = failing(1, failure(status)).await;
        let error = client(&fake).request(Method::GET, "/x", &[], None).await.unwrap_err();
        assert_eq!((error.status_code(), fake.count()), (Some(status), 1));
        assert!(!error.is_retryable());
    }
}

#[tokio::test]
async fn retries_end_and_the_error_counts_them() {
    let fake = failing(99, failure(503)).await;
    let client = EsClient::new(EsConfig { max_retries: 3, ..quick(&fake) }).unwrap();
    let error = client.request(Method::GET, "/x", &[], None).await.unwrap_err();
    assert_eq!((error.attempts(), fake.count()), (4, 4));
    assert!(error.to_string().contains("failed 4 times: 503 test_exception: because"), "{error}");
    assert!(error.is_retryable());
}

#[tokio::test]
async fn the_server_says_how_long_to_wait() {
    let fake = failing(1, failure(429).header("retry-after", "1")).await;
    let started = Instant::now();
    client(&fake).request(Method::GET, "/x", &[], None).await.unwrap();
    assert!(started.elapsed() >= Duration::from_secs(1), "{:?}", started.elapsed());
    assert_eq!(fake.count(), 2);

    // A lock-out is reported rather than waited for.
    let fake = failing(1, failure(429).header("retry-after", "86400")).await;
    let error = client(&fake).request(Method::GET, "/x", &[], None).await.unwrap_err();
    assert_eq!((error.status_code(), fake.count()), (Some(429), 1));
    assert!(error.to_string().contains("overloaded"), "{error}");
}

#[tokio::test]
async fn a_bulk_is_repeated_as_a_whole_but_not_after_a_500() {
    for reply in
        [failure(429), failure(502), failure(503), failure(504), Reply::Close, Reply::CutBody(vec![b' '; 10])]
    {
        let shown = format!("{reply:?}");
        let fake = failing(1, reply).await;
        let answer = client(&fake).bulk(&BulkParams::new("i"), &deletion()).await;
        assert!(answer.is_ok(), "{shown}: {answer:?}");
        let seen = fake.seen();
        assert_eq!((seen.len(), seen[0].body == seen[1].body), (2, true), "{shown}");
    }
    for status in [500, 400, 413] {
        let fake = failing(1, failure(status)).await;
        let error = client(&fake).bulk(&BulkParams::new("i"), &deletion()).await.unwrap_err();
        assert_eq!((error.status_code(), fake.count()), (Some(status), 1));
    }
}

#[tokio::test]
async fn a_post_that_creates_is_repeated_only_when_it_surely_did_not_run() {
    for (reply, repeated) in [
        (failure(429), true),
        (failure(503), true),
        (failure(500), false),
        (failure(502), false),
        (failure(504), false),
        (Reply::Close, false),
        (Reply::CutBody(vec![b' '; 10]), false),
    ] {
        let shown = format!("{reply:?}");
        let fake = failing(1, reply).await;
        let answer =
            client(&fake).request(Method::POST, "/_connector/_sync_job", &[], Some(&json!({}))).await;
        assert_eq!((answer.is_ok(), fake.count()), (repeated, 1 + usize::from(repeated)), "{shown}");
    }
}

#[tokio::test]
async fn timeouts_are_repeated_as_configured() {
    for (retry_on_timeout, attempts) in [(true, 3), (false, 1)] {
        let fake = Fake::start(|_, _| Reply::Hang).await;
        let config = EsConfig {
            retry_on_timeout,
            max_retries: 2,
            request_timeout: Duration::from_millis(50),
            ..quick(&fake)
        };
        let error = EsClient::new(config).unwrap().request(Method::GET, "/x", &[], None).await.unwrap_err();
        assert_eq!(error.kind(), EsErrorKind::Transport(ErrorKind::Timeout));
        assert_eq!((error.attempts(), fake.count()), (attempts, attempts as usize));
    }
}

#[tokio::test]
async fn a_probe_is_sent_once() {
    let fake = failing(1, failure(503)).await;
    let probe = EsRequest::new(Method::GET, "/x").repeat(Repeat::Never);
    assert!(client(&fake).send(probe).await.is_err());
    assert_eq!(fake.count(), 1);
}

#[tokio::test]
async fn a_host_that_is_down_is_left_for_the_next_one() {
    let down = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let up = failing(0, Reply::Close).await;
    let config = EsConfig { hosts: vec![format!("http://{down}"), up.url()], ..quick(&up) };
    let client = EsClient::new(config).unwrap();
    for _ in 0..3 {
        client.request(Method::GET, "/x", &[], None).await.unwrap();
    }
    assert_eq!((up.count(), client.address()), (3, up.url()));
}

#[tokio::test]
async fn nobody_there_says_where_and_what_to_check() {
    let down = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let config = EsConfig {
        max_retries: 1,
        retry_interval: Duration::from_millis(1),
        ..EsConfig::new(format!("http://{down}"))
    };
    let error = EsClient::new(config).unwrap().request(Method::GET, "/x", &[], None).await.unwrap_err();
    let text = error.to_string();
    assert!(
        text.starts_with(&format!("GET /x failed 2 times: http://{down}: the connection was refused")),
        "{text}"
    );
    assert!(text.contains("check that Elasticsearch is running"), "{text}");
}

#[tokio::test]
async fn cancelling_ends_a_wait_and_a_running_request() {
    let fake = Fake::start(|_, seen| if seen.path() == "/hang" { Reply::Hang } else { failure(503) }).await;
    let patient = EsClient::new(EsConfig { retry_interval: Duration::from_mins(1), ..quick(&fake) }).unwrap();
    for path in ["/hang", "/busy"] {
        let cancel = CancellationToken::new();
        let client = patient.with_cancellation(cancel.clone());
        let request = client.request(Method::GET, path, &[], None);
        let canceling = async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            cancel.cancel();
        };
        let started = Instant::now();
        let (answer, ()) = tokio::join!(request, canceling);
        assert!(answer.unwrap_err().is_canceled());
        assert!(started.elapsed() < Duration::from_secs(5));
    }
    assert_eq!(fake.count(), 2);
}
