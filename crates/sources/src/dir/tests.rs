//! The source through its public surface, on real directories.

mod changes;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use connectors_sdk::{
    Content, DataSource, Document, DownloadResult, ErrorKind, Limits, Message, SinkLimits, SourceContext,
    SourceError, channel,
};
use serde_json::{Map, Value, json};
use tempfile::TempDir;

use super::descriptor;

fn create(configuration: &Value, context: SourceContext) -> Result<Box<dyn DataSource>, SourceError> {
    let Value::Object(stored) = configuration.clone() else { unreachable!() };
    let source = descriptor();
    source.create(&source.configuration(&stored.into())?, context)
}

fn source(directory: &Path, pattern: &str) -> Box<dyn DataSource> {
    let directory = directory.to_str().unwrap();
    let configuration = json!({"directory": {"value": directory}, "pattern": {"value": pattern}});
    create(&configuration, SourceContext::default()).unwrap()
}

/// Everything the source sends, and how the listing ended.
async fn list(source: &dyn DataSource) -> (Vec<Document>, Result<(), SourceError>) {
    let (sink, mut inbox) = channel(SinkLimits::default());
    let receive = async {
        let mut documents = Vec::new();
        while let Some(envelope) = inbox.receive().await {
            for message in envelope.open() {
                let Message::Document(document) = message else { panic!("{message:?}") };
                documents.push(document);
            }
        }
        documents
    };
    let send = async {
        let result = source.documents(None, &sink).await;
        drop(sink);
        result
    };
    tokio::join!(receive, send)
}

/// File names (relative to the directory) of all documents, sorted.
async fn names(directory: &Path, pattern: &str) -> Vec<String> {
    let (documents, result) = list(source(directory, pattern).as_ref()).await;
    result.unwrap();
    let prefix = format!("{}/", directory.to_str().unwrap());
    let mut names: Vec<String> = documents
        .iter()
        .map(|document| document.fields["path"].as_str().unwrap().strip_prefix(&prefix).unwrap().to_owned())
        .collect();
    names.sort();
    names
}

fn directory(files: &[(&str, &[u8])]) -> TempDir {
    let directory = TempDir::new().unwrap();
    for (name, content) in files {
        let path = directory.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    directory
}

/// Content of the one file `name` with these bytes.
async fn content(name: &str, bytes: &[u8], context: SourceContext) -> DownloadResult {
    let directory = directory(&[(name, bytes)]);
    let configuration =
        json!({"directory": {"value": directory.path().to_str().unwrap()}, "pattern": {"value": "**"}});
    let source = create(&configuration, context).unwrap();
    let (mut documents, result) = list(source.as_ref()).await;
    result.unwrap();
    assert_eq!(documents.len(), 1);
    documents.remove(0).download.unwrap().run().await
}

/// Root reads everything, which makes tests of unreadable files meaningless.
fn permissions_apply(directory: &Path) -> bool {
    fs::read_dir(directory).is_err()
}

#[tokio::test]
async fn a_file_becomes_a_document() {
    let directory = directory(&[("sub/a.txt", b"hello")]);
    let path = directory.path().join("sub/a.txt");
    let time = std::time::UNIX_EPOCH + std::time::Duration::from_millis(1_700_000_000_250);
    fs::File::options().write(true).open(&path).unwrap().set_modified(time).unwrap();
    let (documents, result) = list(source(directory.path(), "**/*.*").as_ref()).await;
    result.unwrap();
    let [document] = &documents[..] else { panic!("{documents:?}") };
    assert_eq!(document.id.len(), 32);
    assert_eq!(document.timestamp.as_deref(), Some("2023-11-14T22:13:20.250000+00:00"));
    let fields: Vec<&str> = document.fields.keys().map(String::as_str).collect();
    assert_eq!(
        fields,
        [
            "path",
            "last_modified_time",
            "inode_protection_mode",
            "inode_number",
            "device_inode_reside",
            "number_of_links",
            "uid",
            "gid",
            "ctime",
            "last_access_time",
            "size"
        ]
    );
    assert_eq!(document.fields["path"], path.to_str().unwrap());
    assert_eq!(document.fields["last_modified_time"], "2023-11-14T22:13:20.250000+00:00");
    assert_eq!(document.fields["size"], 5);
    assert_eq!(document.fields["number_of_links"], 1);
    assert!(document.fields["ctime"].as_f64().unwrap() > 1e9);
    assert_eq!(document.download.as_ref().unwrap().size(), 5);
}

#[tokio::test]
async fn the_pattern_selects_files() {
    let directory = directory(&[
        ("a.txt", b""),
        (".hidden", b""),
        ("Makefile", b""),
        ("src/lib.rs", b""),
        ("src/deep/mod.rs", b""),
        ("target/x.rs", b""),
    ]);
    let root = directory.path();
    assert_eq!(
        names(root, "**/*.*").await,
        [".hidden", "a.txt", "src/deep/mod.rs", "src/lib.rs", "target/x.rs"]
    );
    assert_eq!(names(root, "*").await, [".hidden", "Makefile", "a.txt"]);
    assert_eq!(names(root, "src/**/*.rs").await, ["src/deep/mod.rs", "src/lib.rs"]);
    assert_eq!(names(root, "src/lib.rs").await, ["src/lib.rs"]);
    assert_eq!(names(root, "src/missing.rs").await, Vec::<String>::new());
    assert_eq!(names(root, "Makefile/*").await, Vec::<String>::new());
    assert_eq!(names(root, "**/deep/**/*.rs").await, ["src/deep/mod.rs"]);
}

#[tokio::test]
async fn more_files_than_one_batch_arrive_once_each() {
    let files: Vec<String> = (0..300).map(|index| format!("{}/f{index}.txt", index % 7)).collect();
    let contents: Vec<(&str, &[u8])> = files.iter().map(|name| (name.as_str(), b"x".as_slice())).collect();
    let directory = directory(&contents);
    let mut expected = files.clone();
    expected.sort();
    assert_eq!(names(directory.path(), "**/*").await, expected);
}

#[tokio::test]
async fn links_are_read_but_loops_end() {
    let directory = directory(&[("real/a.txt", b"a"), ("outside/b.txt", b"b")]);
    let root = directory.path();
    symlink("real/a.txt", root.join("link.txt")).unwrap();
    symlink("nowhere", root.join("dangling.txt")).unwrap();
    symlink("loop.txt", root.join("loop.txt")).unwrap();
    symlink("..", root.join("real/up")).unwrap();
    symlink("outside", root.join("folder_link")).unwrap();
    // `**` does not follow links to folders, a name does.
    assert_eq!(names(root, "**/*.txt").await, ["link.txt", "outside/b.txt", "real/a.txt"]);
    assert_eq!(names(root, "*/b.txt").await, ["folder_link/b.txt", "outside/b.txt"]);
    assert_eq!(names(root, "folder_link/*").await, ["folder_link/b.txt"]);
    assert_eq!(names(root, "real/up/link.txt").await, ["real/up/link.txt"]);
}

#[tokio::test]
async fn only_regular_files_are_documents() {
    let directory = directory(&[("a.txt", b"")]);
    let _socket = std::os::unix::net::UnixListener::bind(directory.path().join("s.sock")).unwrap();
    assert_eq!(names(directory.path(), "**/*").await, ["a.txt"]);
}

#[tokio::test]
async fn names_that_are_no_text_keep_their_identity() {
    let directory = TempDir::new().unwrap();
    let first = directory.path().join(OsStr::from_bytes(b"a\xff\\.txt"));
    if fs::write(&first, "x").is_err() {
        return; // The file system takes text names only.
    }
    fs::write(directory.path().join(OsStr::from_bytes(b"a\xfe\\.txt")), "y").unwrap();
    let (documents, result) = list(source(directory.path(), "a?*.txt").as_ref()).await;
    result.unwrap();
    let by_path: BTreeMap<&str, &Document> =
        documents.iter().map(|document| (document.fields["path"].as_str().unwrap(), document)).collect();
    let root = directory.path().to_str().unwrap();
    let paths: Vec<String> =
        [r"a\xfe\\.txt", r"a\xff\\.txt"].iter().map(|name| format!("{root}/{name}")).collect();
    assert_eq!(by_path.keys().copied().collect::<Vec<_>>(), paths);
    assert_ne!(documents[0].id, documents[1].id);
    assert!(documents.iter().all(|document| document.fields["path_escaped"] == true));
    for document in documents {
        assert!(document.download.unwrap().run().await.unwrap().is_some());
    }
}

#[tokio::test]
async fn an_unreadable_folder_makes_the_listing_incomplete() {
    let directory = directory(&[("open/a.txt", b"a"), ("locked/b.txt", b"b")]);
    let locked = directory.path().join("locked");
    fs::set_permissions(&locked, Permissions::from_mode(0o000)).unwrap();
    if !permissions_apply(&locked) {
        fs::set_permissions(&locked, Permissions::from_mode(0o700)).unwrap();
        return;
    }
    let (documents, result) = list(source(directory.path(), "**/*.txt").as_ref()).await;
    // The folder may be listed but not entered: its files exist and cannot be told.
    fs::set_permissions(&locked, Permissions::from_mode(0o400)).unwrap();
    let (_, listable) = list(source(directory.path(), "**/*.txt").as_ref()).await;
    // A folder that is only passed through need not be listed.
    fs::set_permissions(&locked, Permissions::from_mode(0o100)).unwrap();
    let passed = names(directory.path(), "locked/b.txt").await;
    let refused = source(&locked, "*").ping().await;
    fs::set_permissions(&locked, Permissions::from_mode(0o700)).unwrap();

    assert_eq!(documents.len(), 1, "what is readable is sent");
    for result in [result, listable] {
        let error = result.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Incomplete);
        assert!(error.to_string().contains("locked"), "{error}");
    }
    assert_eq!(passed, ["locked/b.txt"]);
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::PermissionDenied);
}

/// Folders deeper than a path may be long can be made, but not named: even root cannot list them.
#[tokio::test]
async fn a_folder_too_deep_to_name_makes_the_listing_incomplete() {
    let directory = directory(&[("a.txt", b"a"), ("lower/0/1.txt", b"b")]);
    let name = "d".repeat(250);
    let deep = |root: &Path, levels: usize| (0..levels).fold(root.to_owned(), |path, _| path.join(&name));
    let upper = deep(&directory.path().join("upper"), 15);
    fs::create_dir_all(&upper).unwrap();
    let lower = directory.path().join("lower");
    fs::create_dir_all(deep(&lower, 2)).unwrap();
    fs::write(deep(&lower, 2).join("unreachable.txt"), "c").unwrap();
    fs::rename(&lower, upper.join("lower")).unwrap();
    let (documents, result) = list(source(directory.path(), "**/*.txt").as_ref()).await;
    assert_eq!(documents.len(), 2);
    let error = result.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Incomplete);
    assert!(error.to_string().contains("nothing was deleted"), "{error}");
    // A fixed name that cannot be looked at is no better.
    let (_, result) = list(source(directory.path(), &"n".repeat(300)).as_ref()).await;
    assert_eq!(result.unwrap_err().kind(), ErrorKind::Incomplete);
}

#[test]
fn many_unreadable_places_are_counted() {
    let mut unreadable = super::error::Unreadable::default();
    for index in 0..7 {
        unreadable.add(Path::new(&format!("/p{index}")), std::io::Error::other("bad disk"));
    }
    let error = unreadable.into_error().unwrap_err().to_string();
    assert!(
        error.contains("/p0 (bad disk)") && error.contains("/p4") && error.contains("and 2 more"),
        "{error}"
    );
    assert!(!error.contains("/p5"), "{error}");
    assert!(super::error::Unreadable::default().into_error().is_ok());
}

#[tokio::test]
async fn a_directory_that_cannot_be_is_a_configuration_error() {
    let directory = directory(&[("file.txt", b"")]);
    for missing in ["missing", "file.txt"] {
        let source = source(&directory.path().join(missing), "*");
        for result in [source.validate().await, source.ping().await, list(source.as_ref()).await.1] {
            let error = result.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Config, "{error}");
            assert!(error.to_string().contains(missing), "{error}");
        }
    }
    source(directory.path(), "*").validate().await.unwrap();
    for (key, value) in [("directory", ""), ("pattern", "/abs/*"), ("pattern", "../x")] {
        let mut configuration = json!({"directory": {"value": "/"}, "pattern": {"value": "*"}});
        configuration[key]["value"] = json!(value);
        let Err(error) = create(&configuration, SourceContext::default()) else { panic!("{key} {value}") };
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(error.to_string().contains(key), "{error}");
    }
}

#[test]
fn other_root_errors_are_told_apart() {
    use std::io::{Error, ErrorKind as Io};
    let kind = |io| super::error::at_root(Path::new("/d"), Error::from(io)).kind();
    assert_eq!(kind(Io::PermissionDenied), ErrorKind::PermissionDenied);
    assert_eq!(kind(Io::Other), ErrorKind::Unavailable);
    let kind = |io| super::error::at_file(Path::new("/f"), Error::from(io)).kind();
    assert_eq!(kind(Io::NotFound), ErrorKind::NotFound);
    assert_eq!(kind(Io::PermissionDenied), ErrorKind::PermissionDenied);
    assert_eq!(kind(Io::TimedOut), ErrorKind::Unavailable);
}

#[tokio::test]
async fn relative_directories_start_at_the_working_directory() {
    let here = std::env::current_dir().unwrap();
    let (documents, result) = list(source(Path::new("./x/../src/dir/."), "mod.rs").as_ref()).await;
    result.unwrap();
    assert_eq!(documents[0].fields["path"], here.join("src/dir/mod.rs").to_str().unwrap());
}

#[tokio::test]
async fn text_of_any_extension_becomes_the_body() {
    for (name, bytes) in [
        ("a.txt", "hello"),
        ("b.rs", "fn é() {}\n"),
        ("none", "x"),
        ("empty.pdf", ""),
        ("bom.txt", "\u{feff}x"),
    ] {
        let content = content(name, bytes.as_bytes(), SourceContext::default()).await.unwrap();
        assert_eq!(content, Some(Content::Text(bytes.trim_start_matches('\u{feff}').to_owned())), "{name}");
    }
}

#[tokio::test]
async fn binary_content_is_attached_when_its_text_can_be_extracted() {
    let pdf = b"%PDF-1.7 \xff\xfe\x00".as_slice();
    let attached = content("a.PDF", pdf, SourceContext::default()).await.unwrap();
    assert_eq!(attached, Some(Content::Binary(pdf.to_vec().into())));
    assert_eq!(content("a.jpg", pdf, SourceContext::default()).await.unwrap(), None);
    let without = SourceContext { extract_binary_content: false, ..SourceContext::default() };
    assert_eq!(content("a.pdf", pdf, without.clone()).await.unwrap(), None);
    assert_eq!(content("a.txt", b"text", without).await.unwrap(), Some(Content::Text("text".to_owned())));
    // Text up to the 8 KiB looked at first, and no text behind them; a character cut in two there is no reason.
    let mut late = "é".repeat(5000).into_bytes();
    late.insert(0, b'x');
    assert!(matches!(
        content("late", &late, SourceContext::default()).await.unwrap(),
        Some(Content::Text(_))
    ));
    late.push(0xff);
    assert_eq!(content("late", &late, SourceContext::default()).await.unwrap(), None);
    late.push(0);
    assert_eq!(content("late", &late, SourceContext::default()).await.unwrap(), None);
}

#[tokio::test]
async fn content_above_the_limits_is_left_out() {
    let limits = Limits { max_file_size: 40_000, max_text_size: Some(20_000) };
    let context = SourceContext { limits, ..SourceContext::default() };
    // 16 KiB of the limit for text are kept free for the other fields.
    let long = "x".repeat(10_000);
    assert_eq!(content("a.rs", long.as_bytes(), context.clone()).await.unwrap(), None);
    let attached = content("a.txt", long.as_bytes(), context.clone()).await.unwrap();
    assert_eq!(attached, Some(Content::Binary(long.into_bytes().into())));
    let giant = "x".repeat(40_001);
    assert_eq!(content("a.txt", giant.as_bytes(), context.clone()).await.unwrap(), None);
    // Line ends and quotes take two bytes in a request, control characters six.
    assert_eq!(
        content("a.rs", "\n".repeat(1000).as_bytes(), context.clone()).await.unwrap().map(|_| ()),
        Some(())
    );
    assert_eq!(content("a.rs", "\n".repeat(3000).as_bytes(), context.clone()).await.unwrap(), None);
    assert_eq!(content("a.rs", "\u{1b}".repeat(700).as_bytes(), context).await.unwrap(), None);
    let unlimited = Limits { max_file_size: 40_000, max_text_size: None };
    let context = SourceContext { limits: unlimited, ..SourceContext::default() };
    let text = content("a.rs", "x".repeat(40_000).as_bytes(), context).await.unwrap();
    assert!(matches!(text, Some(Content::Text(_))));
}

#[tokio::test]
async fn a_file_that_vanished_is_not_found() {
    let directory = directory(&[("a.txt", b"a")]);
    let (mut documents, _) = list(source(directory.path(), "*").as_ref()).await;
    fs::remove_file(directory.path().join("a.txt")).unwrap();
    let error = documents.remove(0).download.unwrap().run().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn a_stopped_sync_stops_the_walk() {
    let files: Vec<String> = (0..400).map(|index| format!("f{index}.txt")).collect();
    let contents: Vec<(&str, &[u8])> = files.iter().map(|name| (name.as_str(), b"x".as_slice())).collect();
    let directory = directory(&contents);
    let context = SourceContext::default();
    let configuration =
        json!({"directory": {"value": directory.path().to_str().unwrap()}, "pattern": {"value": "*"}});
    let stopped = create(&configuration, context.clone()).unwrap();
    context.cancel.cancel();
    assert_eq!(list(stopped.as_ref()).await.1.unwrap_err().kind(), ErrorKind::Canceled);

    let (sink, inbox) = channel(SinkLimits::default());
    drop(inbox);
    // Also one that has nothing to send.
    for pattern in ["*", "*.none"] {
        let result = source(directory.path(), pattern).documents(None, &sink).await;
        assert_eq!(result.unwrap_err().kind(), ErrorKind::Canceled, "{pattern}");
    }
}

#[test]
fn the_form_offers_a_directory() {
    let defaults = descriptor().default_configuration();
    assert!(Path::new(defaults.0["directory"]["value"].as_str().unwrap()).is_absolute());
    assert_eq!(defaults.0["pattern"]["value"], "**/*.*");
    assert_eq!(descriptor().replaces, ["connectors.sources.directory:DirectoryDataSource"]);
    let empty: Map<String, Value> = Map::new();
    assert!(create(&Value::Object(empty), SourceContext::default()).is_ok(), "the defaults work as they are");
}
