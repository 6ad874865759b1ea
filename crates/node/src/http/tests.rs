//! The server through real sockets, with a few routes of its own.

use std::io::Write as _;
use std::sync::Arc;

use axum::http::{HeaderName, HeaderValue, StatusCode};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::*;
use crate::error::Result;

async fn echo(_state: Arc<()>, mut request: Request) -> Result<Response> {
    let flag = request.params.bool("flag", false)?;
    let body = request.json()?;
    request.finish()?;
    Ok(Response::ok(json!({ "index": request.segment("index"), "flag": flag, "body": body })))
}

async fn plain(_state: Arc<()>, request: Request) -> Result<Response> {
    request.finish()?;
    if request.wants_json()? { Ok(Response::ok(json!([{ "a": "b" }]))) } else { Ok(Response::text("a b\n")) }
}

async fn length(_state: Arc<()>, request: Request) -> Result<Response> {
    let length = request.body().len();
    request.finish()?;
    Ok(Response::raw_json(StatusCode::OK, format!("{{\"length\":{length},\"more\":[1,2]}}")))
}

async fn panics(_state: Arc<()>, request: Request) -> Result<Response> {
    request.finish()?;
    assert!(request.segment("index").is_some(), "wanted by the test");
    Ok(Response::acknowledged())
}

async fn forgets(_state: Arc<()>, _request: Request) -> Result<Response> {
    Ok(Response::acknowledged())
}

async fn slow(_state: Arc<()>, request: Request) -> Result<Response> {
    request.finish()?;
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    Ok(Response::acknowledged()
        .with_warning("be \"patient\"")
        .with_header(HeaderName::from_static("x-test"), HeaderValue::from_static("yes")))
}

fn routes() -> Vec<Route<()>> {
    vec![
        Route::get("/", plain),
        Route::head("/", plain),
        Route::get("/_search", echo),
        Route::post("/_search", echo),
        Route::put("/{index}", echo),
        Route::get("/{index}/_doc/{id}", echo),
        Route::delete("/{index}/_doc/{id}", echo),
        Route::post("/_bulk", length),
        Route::get("/_panic", panics),
        Route::get("/_forgets", forgets),
        Route::get("/_slow", slow),
    ]
}

fn options() -> ServerOptions {
    ServerOptions { bind: ([127, 0, 0, 1], 0).into(), credentials: Vec::new(), tls: None }
}

async fn start() -> ServerHandle {
    bind(options()).await.unwrap().serve(Router::new(routes()), Arc::new(()))
}

fn client() -> reqwest::Client {
    // Another test may have been first; both install the same one.
    drop(rustls::crypto::ring::default_provider().install_default());
    reqwest::Client::builder().no_proxy().build().unwrap()
}

async fn get(server: &ServerHandle, path: &str) -> (u16, Value) {
    read(client().get(format!("{}{path}", server.url())).send().await.unwrap()).await
}

async fn read(response: reqwest::Response) -> (u16, Value) {
    let status = response.status().as_u16();
    let bytes = response.bytes().await.unwrap();
    (
        status,
        serde_json::from_slice(&bytes)
            .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&bytes).into())),
    )
}

/// Sends bytes as they are and reads to the end of the connection.
async fn raw(server: &ServerHandle, request: &str) -> String {
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn routes_by_method_and_path() {
    let server = start().await;
    assert_eq!(get(&server, "/_search/").await, (200, json!({ "index": null, "flag": false, "body": null })));
    assert_eq!(get(&server, "/a%2Fb%20c/_doc/x?flag").await.1["index"], "a/b c");
    assert_eq!(
        get(&server, "/a/b/c/d?x").await,
        (400, json!({ "error": "no handler found for uri [/a/b/c/d?x] and method [GET]" }))
    );
    let answer = client().put(format!("{}/_search", server.url())).send().await.unwrap();
    assert_eq!(answer.headers()["allow"], "GET,POST");
    assert_eq!(
        read(answer).await,
        (
            405,
            json!({ "error": "Incorrect HTTP method for uri [/_search] and method [PUT], allowed: [GET, POST]", "status": 405 })
        )
    );
    let answer = client()
        .request(reqwest::Method::OPTIONS, format!("{}/i/_doc/1", server.url()))
        .send()
        .await
        .unwrap();
    assert_eq!((answer.status().as_u16(), answer.headers()["allow"].to_str().unwrap()), (200, "GET,DELETE"));
    // An escaped letter makes no literal.
    assert_eq!(get(&server, "/%5fsearch").await.0, 405);
    let (status, body) = get(&server, "/a%zz/_doc/1").await;
    assert_eq!(status, 400);
    assert_eq!(body["error"]["reason"], "invalid escape sequence `%zz' at index 2 of: /a%zz/_doc/1");
}

#[tokio::test]
async fn unknown_parameters_and_unwanted_bodies_are_refused() {
    let server = start().await;
    let (status, body) = get(&server, "/_search?flg=true").await;
    assert_eq!(status, 400);
    assert_eq!(
        body["error"]["root_cause"][0]["reason"],
        "request [/_search] contains unrecognized parameter: [flg] -> did you mean [flag]?"
    );
    let answer = client()
        .get(server.url())
        .header("content-type", "application/json")
        .body("{}")
        .send()
        .await
        .unwrap();
    let (status, body) = read(answer).await;
    assert_eq!(
        (status, body["error"]["reason"].as_str()),
        (400, Some("request [GET /] does not support having a body"))
    );
    let (status, body) = get(&server, "/_forgets").await;
    assert_eq!(status, 500);
    assert!(body["error"]["reason"].as_str().unwrap().contains("did not call Request::finish"));
    let (status, body) =
        get(&server, "/_search?source=%7B%22a%22%3A1%7D&source_content_type=application/json").await;
    assert_eq!((status, &body["body"]), (200, &json!({ "a": 1 })));
    assert_eq!(get(&server, "/_search?source=%7B%7D").await.0, 400);
}

#[tokio::test]
async fn every_answer_names_the_product_and_the_clients_media_type() {
    let server = start().await;
    let search = || client().post(format!("{}/_search", server.url())).body("{}");
    let v8 = "application/vnd.elasticsearch+json; compatible-with=8";
    let answer = search()
        .header("content-type", v8)
        .header("accept", v8)
        .header("x-opaque-id", "id-1")
        .send()
        .await
        .unwrap();
    assert_eq!(answer.headers()["content-type"], "application/vnd.elasticsearch+json;compatible-with=8");
    assert_eq!(answer.headers()["x-elastic-product"], "Elasticsearch");
    assert_eq!(answer.headers()["x-opaque-id"], "id-1");
    assert_eq!(answer.status(), 200);
    let answer = client().get(format!("{}/nope/x/y", server.url())).send().await.unwrap();
    assert_eq!(answer.headers()["x-elastic-product"], "Elasticsearch");
    assert_eq!(answer.headers()["content-type"], "application/json");

    for (content_type, accept, status) in [
        (Some("application/json"), "*/*", 200),
        (Some("application/json; charset=utf-8"), "application/xml", 200),
        (Some("application/x-ndjson"), "application/json", 200),
        (None, "application/json", 406),
        (Some("text/plain"), "application/json", 406),
        (Some("application/x-www-form-urlencoded"), "application/json", 406),
        (Some("garbage"), "application/json", 400),
        (Some(v8), "application/json", 400),
        (Some(v8), "application/vnd.elasticsearch+json; compatible-with=9", 400),
    ] {
        let mut request = search().header("accept", accept);
        if let Some(content_type) = content_type {
            request = request.header("content-type", content_type);
        }
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status().as_u16(), status, "{content_type:?} {accept}");
    }
    let twice =
        search().header("content-type", "application/json").header("content-type", "application/json");
    let (status, body) = read(twice.send().await.unwrap()).await;
    assert_eq!(status, 400);
    assert_eq!(
        body["error"]["caused_by"]["reason"],
        "Incorrect header [Content-Type]. Only one value should be provided"
    );
    let old = client()
        .get(server.url())
        .header("accept", "application/vnd.elasticsearch+json; compatible-with=7")
        .send()
        .await
        .unwrap();
    let (status, body) = read(old).await;
    assert_eq!((status, body["error"]["type"].as_str()), (400, Some("media_type_header_exception")));
    assert!(
        body["error"]["caused_by"]["reason"].as_str().unwrap().starts_with("Accept version must be either")
    );
    let (status, body) = read(search().header("content-type", "text/plain").send().await.unwrap()).await;
    assert_eq!(
        (status, body),
        (406, json!({ "error": "Content-Type header [text/plain] is not supported", "status": 406 }))
    );
}

#[tokio::test]
async fn tables_are_text_unless_json_is_asked_for() {
    let server = start().await;
    let with = async |accept: &str, query: &str| {
        let answer =
            client().get(format!("{}/{query}", server.url())).header("accept", accept).send().await.unwrap();
        (answer.status().as_u16(), answer.headers()["content-type"].to_str().unwrap().to_owned())
    };
    let text = (200, "text/plain; charset=UTF-8".to_owned());
    let json = (200, "application/json".to_owned());
    assert_eq!(with("*/*", "").await, text);
    assert_eq!(with("text/plain,application/json", "").await, text);
    assert_eq!(with("application/json", "").await, json);
    assert_eq!(with("*/*", "?format=json").await, json);
    assert_eq!(with("application/json", "?format=text").await, text);
    assert_eq!(with("*/*", "?format=yaml").await.0, 400);
}

#[tokio::test]
async fn answers_are_shaped_by_the_query() {
    let server = start().await;
    let text = async |query: &str| {
        let url = format!("{}/_bulk{query}", server.url());
        client()
            .post(url)
            .header("content-type", "application/x-ndjson")
            .body("{}\n")
            .send()
            .await
            .unwrap()
            .text()
            .await
            .unwrap()
    };
    assert_eq!(text("").await, r#"{"length":3,"more":[1,2]}"#);
    assert_eq!(text("?pretty").await, "{\n  \"length\" : 3,\n  \"more\" : [\n    1,\n    2\n  ]\n}\n");
    assert_eq!(text("?filter_path=length").await, r#"{"length":3}"#);
    assert_eq!(text("?filter_path=nope&error_trace=false&human=true").await, "{}");
    assert!(text("?pretty=maybe").await.contains("only [true] or [false]"));
    assert!(text("?filter_path=nope&unknown=1").await.contains("unrecognized parameter: [unknown]"));
    assert!(get(&server, "/a/b/c/d?filter_path=nope").await.1["error"].is_string());
    let head = format!(
        "HEAD / HTTP/1.1\r\nHost: {}\r\nAccept-Encoding: gzip\r\nConnection: close\r\n\r\n",
        server.address()
    );
    let head = raw(&server, &head).await;
    assert!(head.starts_with("HTTP/1.1 200") && head.ends_with("\r\n\r\n"), "{head}");
    assert!(head.contains("content-length: 4\r\n") && !head.contains("content-encoding"), "{head}");
}

#[tokio::test]
async fn gzip_works_both_ways() {
    let server = start().await;
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(br#"{"a":1}"#).unwrap();
    let packed = packed.finish().unwrap();
    let post = |coding: &'static str, body: Vec<u8>| {
        client()
            .post(format!("{}/_search", server.url()))
            .header("content-type", "application/json")
            .header("content-encoding", coding)
            .header("accept-encoding", "gzip")
            .body(body)
            .send()
    };
    let answer = post("gzip", packed.clone()).await.unwrap();
    assert_eq!(answer.headers()["content-encoding"], "gzip");
    let bytes = answer.bytes().await.unwrap();
    let mut text = String::new();
    std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(bytes.as_ref()), &mut text).unwrap();
    assert_eq!(text, r#"{"index":null,"flag":false,"body":{"a":1}}"#);
    assert_eq!(post("gzip", b"plain".to_vec()).await.unwrap().status(), 400);
    assert_eq!(post("br", packed).await.unwrap().status(), 415);
    // Unpacked too large: 100 KB that become more than 100 MB.
    let mut bomb = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    for _ in 0..=100 {
        bomb.write_all(&vec![b' '; 1024 * 1024]).unwrap();
    }
    assert_eq!(post("gzip", bomb.finish().unwrap()).await.unwrap().status(), 413);
}

#[tokio::test]
async fn bodies_past_the_limit_are_refused_before_they_are_read() {
    let server = start().await;
    let head = format!(
        "POST /_bulk HTTP/1.1\r\nHost: {}\r\nContent-Type: application/x-ndjson\r\nContent-Length: {}\r\n\r\n",
        server.address(),
        MAX_BODY_BYTES + 1
    );
    let answer = raw(&server, &head).await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    assert!(answer.contains("[104857600] bytes"), "{answer}");
}

#[tokio::test]
async fn bodies_in_many_pieces_arrive_whole() {
    let server = start().await;
    let pieces: Vec<Result<Vec<u8>, std::io::Error>> = (0..50).map(|_| Ok(vec![b' '; 10_000])).collect();
    let body = reqwest::Body::wrap_stream(futures_util::stream::iter(pieces));
    let url = format!("{}/_bulk", server.url());
    let answer =
        client().post(url).header("content-type", "application/x-ndjson").body(body).send().await.unwrap();
    assert_eq!(read(answer).await.1["length"], 500_000);
}

#[tokio::test]
async fn a_panic_stays_in_its_request() {
    let server = start().await;
    let (status, body) = get(&server, "/_panic").await;
    assert_eq!((status, body["error"]["type"].as_str()), (500, Some("exception")));
    assert_eq!(get(&server, "/_search").await.0, 200);
}

#[tokio::test]
async fn stopping_finishes_what_is_in_progress() {
    let server = start().await;
    let url = format!("{}/_slow", server.url());
    let running = tokio::spawn(async move { client().get(url).send().await.unwrap() });
    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    let address = server.address();
    server.shutdown().await;
    let answer = running.await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["warning"], "299 Elasticsearch-9.5.3 \"be  patient \"");
    assert_eq!(answer.headers()["x-test"], "yes");
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn foreign_hosts_are_forbidden() {
    let server = start().await;
    let answer = client().get(server.url()).header("host", "evil.example").send().await.unwrap();
    let (status, body) = read(answer).await;
    assert_eq!((status, body["error"]["type"].as_str()), (403, Some("security_exception")));
    let answer = client().get(server.url()).header("origin", "https://evil.example").send().await.unwrap();
    assert_eq!(answer.status(), 403);
}

fn credentials() -> Vec<Credential> {
    vec![
        Credential::Basic { username: "elastic".into(), password: "pass:word".into() },
        Credential::ApiKey { id: "key-1".into(), secret: "s3cret".into() },
    ]
}

#[tokio::test]
async fn credentials_are_demanded_of_everyone() {
    let options = ServerOptions { credentials: credentials(), ..options() };
    assert!(!format!("{options:?}").contains("s3cret"));
    let server = bind(options).await.unwrap().serve(Router::new(routes()), Arc::new(()));
    let request = || client().get(format!("{}/_search", server.url()));
    let answer = request().send().await.unwrap();
    let schemes: Vec<_> = answer.headers().get_all("www-authenticate").iter().collect();
    assert_eq!(schemes, ["Basic realm=\"security\", charset=\"UTF-8\"", "ApiKey"]);
    let (status, body) = read(answer).await;
    assert_eq!(status, 401);
    assert_eq!(body["error"]["reason"], "missing authentication credentials for REST request [/_search]");
    let basic = |password: &str| request().basic_auth("elastic", Some(password));
    assert_eq!(basic("pass:word").send().await.unwrap().status(), 200);
    let (status, body) = read(basic("wrong").send().await.unwrap()).await;
    assert_eq!(status, 401);
    assert_eq!(body["error"]["reason"], "unable to authenticate user [elastic] for REST request [/_search]");
    let key = |text: &str| {
        use base64::Engine;
        let token = base64::engine::general_purpose::STANDARD.encode(text);
        request().header("authorization", format!("ApiKey {token}")).send()
    };
    assert_eq!(key("key-1:s3cret").await.unwrap().status(), 200);
    assert_eq!(key("key-1:other").await.unwrap().status(), 401);
    assert_eq!(key("elastic:pass:word").await.unwrap().status(), 401);
    let answer = request().header("authorization", "Bearer !!").send().await.unwrap();
    assert_eq!(answer.status(), 401);
}

#[tokio::test]
async fn other_addresses_need_credentials_and_tls() {
    let any = ([0, 0, 0, 0], 0).into();
    for (credentials, missing) in [(Vec::new(), "credentials and TLS are not"), (credentials(), "TLS is not")]
    {
        let options = ServerOptions { bind: any, credentials, tls: None };
        let error = bind(options).await.unwrap_err().to_string();
        assert!(error.contains(missing) && error.contains("bind to 127.0.0.1"), "{error}");
    }
}

#[tokio::test]
async fn tls_serves_and_bad_files_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let files = TlsFiles { certificate: folder.path().join("c.pem"), key: folder.path().join("k.pem") };
    let with_tls = || ServerOptions {
        bind: ([0, 0, 0, 0], 0).into(),
        credentials: credentials(),
        tls: Some(files.clone()),
    };
    let error = bind(with_tls()).await.unwrap_err().to_string();
    assert!(error.contains("c.pem"), "{error}");
    let certified = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    std::fs::write(&files.certificate, certified.cert.pem()).unwrap();
    std::fs::write(&files.key, "no key").unwrap();
    let error = bind(with_tls()).await.unwrap_err().to_string();
    assert!(error.contains("k.pem"), "{error}");
    std::fs::write(&files.key, certified.signing_key.serialize_pem()).unwrap();

    let server = bind(with_tls()).await.unwrap().serve(Router::new(routes()), Arc::new(()));
    assert!(server.url().starts_with("https://"));
    // Connects, says nothing: others are still served.
    let _silent = TcpStream::connect(("127.0.0.1", server.address().port())).await.unwrap();
    drop(rustls::crypto::ring::default_provider().install_default());
    let client = reqwest::Client::builder()
        .no_proxy()
        .tls_certs_only([reqwest::Certificate::from_pem(certified.cert.pem().as_bytes()).unwrap()])
        .build()
        .unwrap();
    let url = format!("https://localhost:{}/_search", server.address().port());
    let answer = client.get(url).basic_auth("elastic", Some("pass:word")).send().await.unwrap();
    assert_eq!(answer.status(), 200);
}

#[tokio::test]
async fn a_taken_address_is_named() {
    let server = start().await;
    let options = ServerOptions { bind: server.address(), ..options() };
    let error = bind(options).await.unwrap_err().to_string();
    assert!(error.contains(&server.address().to_string()), "{error}");
}
