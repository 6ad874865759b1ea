//! The HTTP client against remotes that misbehave, over real sockets.

mod fake;

use std::time::Duration;

use connectors_transport::{
    ErrorKind, HeaderValue, HttpClient, HttpOptions, HttpRequest, Method, Redirects, TransportError, Trust,
    Url, origin,
};
use fake::{Authority, Fake, Reply};

fn client(options: HttpOptions) -> HttpClient {
    HttpClient::new(options).unwrap()
}

fn plain() -> HttpOptions {
    HttpOptions { trust: Trust::Nobody, timeout: Duration::from_secs(5), ..HttpOptions::default() }
}

fn get(url: &str) -> HttpRequest {
    HttpRequest::new(Method::GET, Url::parse(url).unwrap())
}

async fn failure(options: HttpOptions, url: &str) -> TransportError {
    client(options).send(get(url)).await.expect_err("the request fails")
}

#[tokio::test]
async fn sends_headers_and_body_and_reads_any_status() {
    let fake = Fake::start(|_, _| Reply::json(404, "nothing").header("x-answer", "1")).await;
    let mut options = plain();
    options.headers.insert("x-default", HeaderValue::from_static("ours"));
    options.headers.insert("x-both", HeaderValue::from_static("ours"));
    let mut request = HttpRequest {
        body: "hello".into(),
        ..HttpRequest::new(Method::POST, Url::parse(&format!("{}/a?b=c", fake.url())).unwrap())
    };
    request.headers.insert("x-both", HeaderValue::from_static("request's"));
    let answer = client(options).send(request).await.unwrap();

    assert_eq!((answer.status().as_u16(), &answer.body()[..]), (404, &b"nothing"[..]));
    assert_eq!(answer.headers()["x-answer"], "1");
    let seen = &fake.seen()[0];
    assert_eq!((seen.method.as_str(), seen.target.as_str(), seen.text()), ("POST", "/a?b=c", "hello"));
    assert_eq!((seen.header("x-default"), seen.header("x-both")), ("ours", "request's"));
    assert_eq!(seen.header("referer"), "");
}

#[tokio::test]
async fn says_when_nobody_listens_or_the_name_is_unknown() {
    let port = Fake::start(|_, _| Reply::Close).await.address.port();
    // The port of a fake that was stopped is free; binding and dropping a socket is the way to such a port.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    assert_ne!(port, free);
    let error = failure(plain(), &format!("http://127.0.0.1:{free}/secret-path?token=hunter2")).await;
    assert_eq!(error.kind(), ErrorKind::Refused);
    assert_eq!(error.origin(), Some(format!("http://127.0.0.1:{free}").as_str()));
    assert!(error.to_string().starts_with(&format!("http://127.0.0.1:{free}: the connection was refused")));
    assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");

    let error = failure(plain(), "http://no-such-host.invalid/").await;
    assert_eq!(error.kind(), ErrorKind::Dns, "{error}");
    assert!(error.kind().is_before_sending() && error.kind().is_transient());
    assert!(!error.detail().is_empty());
}

#[tokio::test]
async fn a_remote_that_hangs_is_a_timeout() {
    let fake = Fake::start(|_, _| Reply::Hang).await;
    let options = HttpOptions { timeout: Duration::from_millis(100), ..plain() };
    assert_eq!(failure(options, &fake.url()).await.kind(), ErrorKind::Timeout);

    let request = HttpRequest { timeout: Some(Duration::from_millis(100)), ..get(&fake.url()) };
    assert_eq!(client(plain()).send(request).await.unwrap_err().kind(), ErrorKind::Timeout);
}

#[tokio::test]
async fn a_cut_answer_is_never_taken_for_a_whole_one() {
    for reply in [Reply::CutBody(vec![b'x'; 1000]), Reply::CutChunks(vec![b'x'; 1000]), Reply::Close] {
        let shown = format!("{reply:?}");
        let fake = Fake::start(move |_, _| reply.clone()).await;
        let error = failure(plain(), &fake.url()).await;
        assert_eq!(error.kind(), ErrorKind::Closed, "{}: {error}", &shown[..9]);
        assert!(error.kind().is_transient() && !error.kind().is_before_sending());
    }
}

#[tokio::test]
async fn what_is_not_http_is_told_apart() {
    let fake = Fake::start(|_, _| Reply::Garbage).await;
    let error = failure(plain(), &fake.url()).await;
    assert_eq!(error.kind(), ErrorKind::Protocol, "{error}");
}

#[tokio::test]
async fn an_answer_larger_than_the_limit_is_refused_announced_or_not() {
    for reply in [Reply::json(200, "x".repeat(2000)), Reply::Chunks(vec![b'x'; 2000])] {
        let fake = Fake::start(move |_, _| reply.clone()).await;
        let error = failure(HttpOptions { max_response_bytes: 1999, ..plain() }, &fake.url()).await;
        assert_eq!(error.kind(), ErrorKind::TooLarge);
        assert!(error.to_string().contains("1999 bytes"), "{error}");
        let enough = client(HttpOptions { max_response_bytes: 2000, ..plain() });
        assert_eq!(enough.send(get(&fake.url())).await.unwrap().body().len(), 2000);
    }
}

#[tokio::test]
async fn redirects_are_followed_only_to_the_same_origin() {
    let elsewhere = Fake::start(|_, _| Reply::json(200, "stolen")).await;
    let target = elsewhere.url();
    let fake = Fake::start(move |_, seen| match seen.path() {
        "/away" => Reply::json(302, "").header("location", &target),
        "/loop" => Reply::json(302, "").header("location", "/loop"),
        "/near" => Reply::json(302, "").header("location", "/here"),
        _ => Reply::json(200, "here"),
    })
    .await;

    let mut options = HttpOptions { redirects: Redirects::SameOrigin, ..plain() };
    options.headers.insert("x-api-key", HeaderValue::from_static("hunter2"));
    let following = client(options);
    let answer = following.send(get(&format!("{}/near", fake.url()))).await.unwrap();
    assert_eq!(&answer.body()[..], b"here");
    for path in ["/away", "/loop"] {
        let error = following.send(get(&format!("{}{path}", fake.url()))).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Redirect, "{path}: {error}");
    }
    assert_eq!(failure(plain(), &format!("{}/near", fake.url())).await.kind(), ErrorKind::Redirect);
    assert_eq!(elsewhere.count(), 0, "the credentials went to another host");
}

#[tokio::test]
async fn a_private_authority_is_trusted_when_it_is_named() {
    let authority = Authority::new();
    let fake = Fake::start_tls(authority.server(&["localhost"]), |_, _| Reply::json(200, "safe")).await;
    let url = format!("https://localhost:{}", fake.address.port());
    let by_address = format!("https://127.0.0.1:{}", fake.address.port());

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ca.pem");
    std::fs::write(&file, &authority.pem).unwrap();
    for trust in [Trust::CaFile(file.clone()), Trust::CaPem(authority.pem.clone()), Trust::Anything] {
        let options = HttpOptions { trust, ..plain() };
        let answer = client(options).send(get(&url)).await.unwrap();
        assert_eq!(&answer.body()[..], b"safe");
    }
    let ours = |trust| HttpOptions { trust, ..plain() };
    for (trust, url) in [
        (Trust::System, &url),
        (Trust::Nobody, &url),
        (Trust::CaPem(Authority::new().pem), &url),
        // The name in the certificate counts, not only who signed it.
        (Trust::CaFile(file.clone()), &by_address),
    ] {
        let error = failure(ours(trust.clone()), url).await;
        assert_eq!(error.kind(), ErrorKind::Certificate, "{trust:?}: {error}");
        assert!(error.to_string().contains("certificate"), "{error}");
        assert!(!error.kind().is_transient());
    }

    let fake = Fake::start_tls(authority.expired_server("localhost"), |_, _| Reply::json(200, "old")).await;
    let error =
        failure(ours(Trust::CaFile(file)), &format!("https://localhost:{}", fake.address.port())).await;
    assert_eq!(error.kind(), ErrorKind::Certificate, "{error}");
    assert!(error.to_string().to_lowercase().contains("expired"), "{error}");
    assert_eq!(fake.count(), 0);
}

#[tokio::test]
async fn the_wrong_scheme_is_told_apart() {
    let plain_http = Fake::start(|_, _| Reply::json(200, "")).await;
    let options = HttpOptions { trust: Trust::Anything, ..plain() };
    let error = failure(options, &format!("https://{}", plain_http.address)).await;
    assert_eq!(error.kind(), ErrorKind::Tls, "{error}");

    let tls = Fake::start_tls(Authority::new().server(&["localhost"]), |_, _| Reply::json(200, "")).await;
    let error = failure(plain(), &format!("http://{}", tls.address)).await;
    assert!(matches!(error.kind(), ErrorKind::Protocol | ErrorKind::Closed), "{error}");
}

#[tokio::test]
async fn options_that_cannot_work_are_refused_when_the_client_is_built() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        Trust::CaFile(path)
    };
    let not_a_certificate = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    for (trust, expected) in [
        (Trust::CaFile(folder.path().join("missing.pem")), "missing.pem"),
        (file("empty.pem", ""), "empty.pem holds no PEM certificate"),
        (file("broken.pem", "-----BEGIN CERTIFICATE-----\n!!\n"), "broken.pem is not valid PEM"),
        (file("wrong.pem", not_a_certificate), "wrong.pem holds a certificate that cannot be used"),
        (Trust::CaPem(String::new()), "the CA certificates holds no PEM certificate"),
    ] {
        let error = HttpClient::new(HttpOptions { trust, ..plain() }).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidOptions);
        assert!(error.to_string().contains(expected), "{error}");
    }
}

#[tokio::test]
async fn credentials_in_a_url_are_refused_and_not_printed() {
    let error = failure(plain(), "http://me:hunter2@localhost:1/").await;
    assert_eq!(error.kind(), ErrorKind::InvalidRequest);
    assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
    assert_eq!(origin(&Url::parse("https://me:hunter2@h/p?q").unwrap()), "https://h:443");
    assert_eq!(origin(&Url::parse("data:text").unwrap()), "data://");
}
