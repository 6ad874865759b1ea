//! Incremental syncs and access control through the public surface, on real directories.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use connectors_sdk::{
    Content, DataSource, ErrorKind, Inbox, Message, SinkLimits, SourceContext, SourceError, channel,
};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::super::descriptor;

/// A folder with files, and one for the source's state.
struct Place {
    files: TempDir,
    state: TempDir,
}

impl Place {
    fn new(files: &[&str]) -> Self {
        let place = Self { files: TempDir::new().unwrap(), state: TempDir::new().unwrap() };
        for name in files {
            place.write(name, "text");
        }
        place.mode(".", 0o755);
        place
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.files.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::create_dir_all(self.path(name).parent().unwrap()).unwrap();
        fs::write(self.path(name), text).unwrap();
    }

    fn mode(&self, name: &str, mode: u32) {
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(mode)).unwrap();
    }

    fn source(&self, pattern: &str, restricted: bool) -> Box<dyn DataSource> {
        let configuration = json!({
            "directory": {"value": self.files.path().to_str().unwrap()},
            "pattern": {"value": pattern},
            "use_document_level_security": {"value": restricted},
        });
        let Value::Object(stored) = configuration else { unreachable!() };
        let context = SourceContext {
            document_level_security: true,
            state_folder: Some(self.state.path().join("connector")),
            ..SourceContext::default()
        };
        let source = descriptor();
        source.create(&source.configuration(&stored.into()).unwrap(), context).unwrap()
    }

    fn listings(&self) -> usize {
        fs::read_dir(self.state.path().join("connector")).unwrap().count()
    }
}

/// What a sync sent.
#[derive(Debug, Default)]
struct Sent {
    /// File name and who may see it.
    documents: Vec<(String, Value)>,
    ids: Vec<String>,
    deleted: Vec<String>,
    cursor: Option<Value>,
    result: Option<Result<(), SourceError>>,
}

impl Sent {
    fn names(&self) -> Vec<&str> {
        let mut names: Vec<_> = self.documents.iter().map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        names
    }

    fn access(&self, name: &str) -> Value {
        self.documents
            .iter()
            .find(|(found, _)| found == name)
            .unwrap_or_else(|| panic!("{name} in {self:?}"))
            .1
            .clone()
    }
}

async fn full(source: &dyn DataSource) -> Sent {
    let (sink, inbox) = channel(SinkLimits::default());
    let send = async {
        let result = source.documents(None, &sink).await;
        drop(sink);
        result
    };
    let (sent, result) = tokio::join!(received(inbox), send);
    Sent { result: Some(result), ..sent }
}

async fn changes(source: &dyn DataSource, since: Option<&Value>) -> Sent {
    let (sink, inbox) = channel(SinkLimits::default());
    let send = async {
        let result = source.changes(since, None, &sink).await;
        drop(sink);
        result
    };
    let (sent, result) = tokio::join!(received(inbox), send);
    Sent { result: Some(result), ..sent }
}

async fn received(mut inbox: Inbox) -> Sent {
    let mut sent = Sent::default();
    while let Some(envelope) = inbox.receive().await {
        for message in envelope.open() {
            match message {
                Message::Document(document) => {
                    let path = document.fields["path"].as_str().unwrap();
                    let access = document.fields.get("_allow_access_control").cloned().unwrap_or_default();
                    sent.documents.push((path.rsplit('/').next().unwrap().to_owned(), access));
                    sent.ids.push(document.id);
                }
                Message::Delete(id) => sent.deleted.push(id),
                Message::Checkpoint(cursor) => sent.cursor = Some(cursor),
                other => panic!("{other:?}"),
            }
        }
    }
    sent
}

#[tokio::test]
async fn changes_are_what_differs_from_the_last_listing() {
    let place = Place::new(&["a.txt", "b.txt", "sub/c.txt"]);
    let source = place.source("**/*", false);
    let full = full(source.as_ref()).await;
    full.result.as_ref().unwrap().as_ref().unwrap();
    let cursor = full.cursor.unwrap();
    assert!(cursor["cursor_timestamp"].is_string(), "{cursor}");

    let nothing = changes(source.as_ref(), Some(&cursor)).await;
    assert!(nothing.documents.is_empty() && nothing.deleted.is_empty(), "{nothing:?}");

    place.write("a.txt", "other text");
    place.write("new.txt", "new");
    fs::rename(place.path("sub/c.txt"), place.path("sub/d.txt")).unwrap();
    // Its modification time is put back: the change is seen all the same.
    let before = fs::metadata(place.path("b.txt")).unwrap().modified().unwrap();
    place.write("b.txt", "back");
    fs::File::options().write(true).open(place.path("b.txt")).unwrap().set_modified(before).unwrap();
    let changed = changes(source.as_ref(), nothing.cursor.as_ref()).await;
    assert_eq!(changed.names(), ["a.txt", "b.txt", "d.txt", "new.txt"]);
    let c = full.documents.iter().position(|(name, _)| name == "c.txt").unwrap();
    assert_eq!(changed.deleted, [full.ids[c].clone()]);

    // From the first cursor again, as after a job that failed.
    let again = changes(source.as_ref(), Some(&cursor)).await;
    assert_eq!((again.names(), &again.deleted), (changed.names(), &changed.deleted));
    assert_eq!(place.listings(), 4, "the last three, and the one that the cursor named");
}

#[tokio::test]
async fn without_the_listing_everything_is_sent_and_nothing_deleted() {
    let place = Place::new(&["a.txt", "b.txt"]);
    let source = place.source("**/*", false);
    let cursor = full(source.as_ref()).await.cursor.unwrap();
    fs::remove_file(place.path("b.txt")).unwrap();
    let foreign =
        [json!({"listing": "../../etc/passwd"}), json!({"listing": "listing-/etc"}), json!("x"), json!({})];
    for cursor in foreign.iter().map(Some).chain([None]) {
        let sent = changes(source.as_ref(), cursor).await;
        assert_eq!((sent.names(), sent.deleted.len()), (vec!["a.txt"], 0), "{cursor:?}");
    }
    // A listing made with other settings says nothing about these.
    let other = place.source("*.txt", false);
    let sent = changes(other.as_ref(), Some(&cursor)).await;
    assert_eq!((sent.names(), sent.deleted.len()), (vec!["a.txt"], 0));
    // One that was cut off.
    let listing =
        place.state.path().join("connector").join(sent.cursor.as_ref().unwrap()["listing"].as_str().unwrap());
    let bytes = fs::read(&listing).unwrap();
    fs::write(&listing, &bytes[..bytes.len() - 1]).unwrap();
    let sent = changes(other.as_ref(), sent.cursor.as_ref()).await;
    assert_eq!((sent.names(), sent.deleted.len()), (vec!["a.txt"], 0));
}

#[tokio::test]
async fn a_place_that_cannot_keep_a_listing_costs_a_warning_and_no_sync() {
    let place = Place::new(&["a.txt"]);
    fs::write(place.state.path().join("connector"), "not a folder").unwrap();
    let sent = full(place.source("**/*", false).as_ref()).await;
    sent.result.as_ref().unwrap().as_ref().unwrap();
    assert_eq!((sent.names(), &sent.cursor), (vec!["a.txt"], &None));
}

/// Identities as they are when the folders above the directory are open to all; skipped where they are not.
fn open_to_all(directory: &Path) -> bool {
    directory
        .ancestors()
        .skip(1)
        .all(|folder| fs::metadata(folder).unwrap().permissions().mode() & 0o11 == 0o11)
}

#[tokio::test]
async fn documents_name_those_who_may_read_the_file() {
    use std::os::unix::fs::MetadataExt;
    let place = Place::new(&["all.txt", "group.txt", "owner.txt", "none.txt", "private/in.txt"]);
    assert!(open_to_all(place.files.path()), "the folder for temporary files is closed to others");
    for (name, mode) in [("all.txt", 0o644), ("group.txt", 0o640), ("owner.txt", 0o600), ("none.txt", 0)] {
        place.mode(name, mode);
    }
    place.mode("private/in.txt", 0o644);
    place.mode("private", 0o700);
    // Links lead to a file, into the closed folder, and to it.
    symlink("all.txt", place.path("link-all.txt")).unwrap();
    symlink("private/in.txt", place.path("link-in.txt")).unwrap();
    symlink("private", place.path("link")).unwrap();
    let metadata = fs::metadata(place.path("all.txt")).unwrap();
    let (owner, group) = (format!("user:{}", metadata.uid()), format!("group:{}", metadata.gid()));
    let with_root = |mut identities: Vec<String>| {
        if owner != "user:0" || !identities.contains(&owner) {
            identities.insert(0, "user:0".to_owned());
        }
        json!(identities)
    };

    let source = place.source("*", true);
    assert!(source.restricts_access());
    let sent = full(source.as_ref()).await;
    assert_eq!(sent.access("all.txt"), json!(["everyone"]));
    assert_eq!(sent.access("link-all.txt"), json!(["everyone"]));
    assert_eq!(sent.access("group.txt"), with_root(vec![owner.clone(), group]));
    assert_eq!(sent.access("owner.txt"), with_root(vec![owner.clone()]));
    assert_eq!(sent.access("link-in.txt"), with_root(vec![owner.clone()]), "the way to it is closed");
    assert_eq!(sent.access("none.txt"), json!(["user:0"]));
    let inside = full(place.source("*/*.txt", true).as_ref()).await;
    assert_eq!(inside.names(), ["in.txt", "in.txt"], "once through the folder, once through the link");
    for (_, access) in &inside.documents {
        assert_eq!(access, &with_root(vec![owner.clone()]));
    }

    // A change of the mode alone is a change, of the file and of a folder on the way.
    place.mode("all.txt", 0o600);
    let changed = changes(source.as_ref(), sent.cursor.as_ref()).await;
    assert_eq!(changed.names(), ["all.txt", "link-all.txt"]);
    place.mode("private", 0o755);
    let changed = changes(source.as_ref(), changed.cursor.as_ref()).await;
    assert_eq!((changed.names(), changed.access("link-in.txt")), (vec!["link-in.txt"], json!(["everyone"])));

    let open = place.source("*", false);
    assert!(!open.restricts_access());
    assert_eq!(full(open.as_ref()).await.access("all.txt"), Value::Null);
}

#[tokio::test]
async fn identities_are_the_users_of_the_machine() {
    let place = Place::new(&[]);
    let (sink, mut inbox) = channel(SinkLimits::default());
    place.source("*", true).access_control(&sink).await.unwrap();
    drop(sink);
    let mut root = None;
    while let Some(envelope) = inbox.receive().await {
        for message in envelope.open() {
            let Message::Document(document) = message else { panic!("{message:?}") };
            if document.id == "root" {
                root = Some(document.fields);
            }
        }
    }
    let root = root.unwrap();
    assert_eq!(
        (&root["identity"]["username"], &root["identity"]["user"]),
        (&json!("root"), &json!("user:0"))
    );
    let identities = root["query"]["template"]["params"]["access_control"].as_array().unwrap();
    for identity in ["user:0", "group:0", "everyone"] {
        assert!(identities.contains(&json!(identity)), "{identities:?}");
    }
}

#[tokio::test]
async fn a_file_that_is_another_one_by_the_time_it_is_read_is_not_sent() {
    let place = Place::new(&["a.txt", "b.txt"]);
    let (sink, mut inbox) = channel(SinkLimits::default());
    place.source("*.txt", true).documents(None, &sink).await.unwrap();
    drop(sink);
    // Somebody puts a file in the place of his own that he could not read himself.
    place.write("secret", "secret");
    fs::rename(place.path("secret"), place.path("a.txt")).unwrap();
    let mut contents = Vec::new();
    while let Some(envelope) = inbox.receive().await {
        for message in envelope.open() {
            let Message::Document(document) = message else { continue };
            let name = document.fields["path"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
            contents.push((name, document.download.unwrap().run().await.map_err(|error| error.kind())));
        }
    }
    contents.sort_by(|one, other| one.0.cmp(&other.0));
    assert_eq!(contents[0], ("a.txt".to_owned(), Err(ErrorKind::NotFound)));
    assert_eq!(contents[1].1, Ok(Some(Content::Text("text".to_owned()))));
}

#[test]
fn restrictions_that_the_connector_cannot_keep_are_refused() {
    let Value::Object(stored) = json!({"use_document_level_security": {"value": true}}) else {
        unreachable!()
    };
    let source = descriptor();
    let configuration = source.configuration(&stored.into()).unwrap();
    let refused = source.create(&configuration, SourceContext::default()).err().unwrap();
    assert!(
        refused.kind() == ErrorKind::Config && refused.to_string().contains("document_level_security"),
        "{refused}"
    );
}
