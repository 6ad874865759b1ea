//! The deployment: connection, queries and raw answers. It knows nothing of documents of an index.

use std::io::Write;
use std::pin::Pin;
use std::time::Duration;

use connectors_sdk::{ErrorKind, SourceError};
use futures_util::{Stream, StreamExt};
use mongodb::bson::{Bson, Document, RawArray, RawDocument, Timestamp, doc};
use mongodb::error::Error;
use mongodb::options::{
    AggregateOptions, ClientOptions, FindOptions, ReadConcern, Tls as DriverTls, TlsOptions,
};
use mongodb::raw_batch_cursor::{RawBatch, SessionRawBatchCursor};
use mongodb::{Client, ClientSession, Collection, Database};
use secrecy::ExposeSecret;
use tempfile::NamedTempFile;
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use super::config::Settings;
use super::error::{Advisor, Moment};

/// How long a server is looked for. The driver's 30 seconds are long for somebody who waits for the result of a check.
const SERVER_SELECTION: Duration = Duration::from_secs(15);
/// Batches of a cursor that wait while one is worked on: the next is on its way meanwhile, and not more memory is taken.
const AHEAD: usize = 1;
/// Documents in an answer of the server, which itself allows 16 MiB. It would send up to that, which takes memory and long to begin.
const BATCH_SIZE: u32 = 2000;
/// How long a server waits for a change before it says that there is none.
const AWAIT_CHANGE: Duration = Duration::from_millis(250);

/// What kind of thing the configured collection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CollectionKind {
    /// One with documents of its own, whose changes can be watched.
    Plain,
    /// A view or a time series collection.
    Derived,
    /// There is none of this name.
    Missing,
}

/// A connection to the deployment, for one collection.
pub(super) struct Connection {
    client: Client,
    database: Database,
    collection: Collection<Document>,
    advisor: Advisor,
    /// The driver reads the file for each server it finds.
    _ca: Option<NamedTempFile>,
}

impl Connection {
    /// Prepares a connection; only a name with SRV records is looked up at once.
    pub(super) async fn open(settings: &Settings) -> Result<Self, SourceError> {
        const OPERATION: &str = "connect to MongoDB";
        let advisor = Advisor {
            secrets: settings.secrets.clone(),
            database: settings.database.clone(),
            has_login: settings.has_login,
            has_tls: settings.tls.is_some(),
            is_srv: settings.is_srv,
        };
        let failed = |error: &Error| advisor.explain(OPERATION, Moment::Opening, error);
        let mut options =
            ClientOptions::parse(settings.uri.expose_secret()).await.map_err(|error| failed(&error))?;
        options.app_name.get_or_insert_with(|| "connectors".to_owned());
        options.server_selection_timeout.get_or_insert(SERVER_SELECTION);
        if settings.direct {
            options.direct_connection = Some(true);
        }
        let mut ca = None;
        options.tls = Some(match &settings.tls {
            None => DriverTls::Disabled,
            Some(tls) => {
                let mut driver = match options.tls.take() {
                    Some(DriverTls::Enabled(options)) => options,
                    _ => TlsOptions::default(),
                };
                if let Some(pem) = &tls.ca {
                    let file = write_file(pem).map_err(|error| {
                        SourceError::new(
                            ErrorKind::Unexpected,
                            OPERATION,
                            "a file for `ssl_ca` cannot be written",
                        )
                        .with_source(error)
                        .with_hint("Check the folder for temporary files of this machine.")
                    })?;
                    driver.ca_file_path = Some(file.path().to_owned());
                    ca = Some(file);
                }
                if tls.insecure {
                    driver.allow_invalid_certificates = Some(true);
                }
                DriverTls::Enabled(driver)
            }
        });
        let client = Client::with_options(options).map_err(|error| failed(&error))?;
        let database = client.database(&settings.database);
        let collection = database.collection(&settings.collection);
        Ok(Self { client, database, collection, advisor, _ca: ca })
    }

    /// An error of the driver, explained.
    pub(super) fn explain(&self, operation: &'static str, moment: Moment, error: &Error) -> SourceError {
        self.advisor.explain(operation, moment, error)
    }

    /// A text of the driver without secrets.
    pub(super) fn without_secrets(&self, error: &Error) -> String {
        self.advisor.secrets.remove(&error.kind.to_string())
    }

    /// Whether a server answers, and takes the login.
    pub(super) async fn ping(&self) -> Result<(), Error> {
        self.client.database("admin").run_command(doc! {"ping": 1}).await.map(|_| ())
    }

    /// What the configured collection is. Needs no more than any privilege on it.
    pub(super) async fn kind(&self) -> Result<CollectionKind, Error> {
        let found = self.list_collections(doc! {"name": self.collection.name()}).await?;
        Ok(match found.first().map(|collection| collection.get_str("type").unwrap_or("collection")) {
            None => CollectionKind::Missing,
            Some("collection") => CollectionKind::Plain,
            Some(_) => CollectionKind::Derived,
        })
    }

    /// Names of the collections of the database that the account may see.
    pub(super) async fn collection_names(&self) -> Result<Vec<String>, Error> {
        let collections = self.list_collections(doc! {}).await?;
        Ok(collections.iter().filter_map(|one| one.get_str("name").ok().map(str::to_owned)).collect())
    }

    async fn list_collections(&self, filter: Document) -> Result<Vec<Document>, Error> {
        let command =
            doc! {"listCollections": 1, "filter": filter, "nameOnly": true, "authorizedCollections": true};
        let mut run = self.database.run_command(command);
        if let Some(criteria) = self.database.selection_criteria() {
            run = run.selection_criteria(criteria.clone());
        }
        let answer = run.await?;
        // More than one batch of names is of no use to anybody.
        let batch = answer.get_document("cursor").and_then(|cursor| cursor.get_array("firstBatch"));
        let entries = batch.map(Vec::as_slice).unwrap_or_default();
        Ok(entries.iter().filter_map(|entry| entry.as_document().cloned()).collect())
    }

    /// Names of the databases that the account may see.
    pub(super) async fn database_names(&self) -> Result<Vec<String>, Error> {
        self.client.list_database_names().authorized_databases(true).await
    }

    /// Whether the collection may be read at all. An id is looked for that no document has: every collection has an index for
    /// that, and some servers read all documents to find any.
    pub(super) async fn probe(&self) -> Result<(), Error> {
        self.collection.find_one(doc! {"_id": Bson::MinKey}).projection(doc! {"_id": 1}).await.map(|_| ())
    }

    /// A session in which whatever is read is not older than what was read before, whichever member of the replica set answers.
    pub(super) async fn session(&self) -> Result<ClientSession, Error> {
        self.client.start_session().causal_consistency(true).await
    }

    /// Starts to read the documents of a query.
    pub(super) async fn find(
        &self,
        filter: Document,
        mut options: FindOptions,
        session: Option<ClientSession>,
    ) -> Result<Batches, Error> {
        options.batch_size.get_or_insert(BATCH_SIZE);
        if session.is_some() {
            options.read_concern = self.read_concern();
        }
        let find = self.collection.find(filter).with_options(options);
        Ok(match session {
            None => Batches::read(find.batch().await?),
            Some(mut session) => {
                let mut cursor = find.session(&mut session).batch().await?;
                Batches::new(|sender| async move { forward(cursor.stream(&mut session), sender).await })
            }
        })
    }

    /// Starts to read the documents of an aggregation.
    pub(super) async fn aggregate(
        &self,
        pipeline: Vec<Document>,
        mut options: AggregateOptions,
        session: Option<ClientSession>,
    ) -> Result<Batches, Error> {
        options.batch_size.get_or_insert(BATCH_SIZE);
        if session.is_some() {
            options.read_concern = self.read_concern();
        }
        let aggregate = self.collection.aggregate(pipeline).with_options(options);
        Ok(match session {
            None => Batches::read(aggregate.batch().await?),
            Some(mut session) => {
                let mut cursor = aggregate.session(&mut session).batch().await?;
                Batches::new(|sender| async move { forward(cursor.stream(&mut session), sender).await })
            }
        })
    }

    /// Starts to look up documents in a session.
    pub(super) async fn look_up(
        &self,
        filter: Document,
        mut options: FindOptions,
        session: &mut ClientSession,
    ) -> Result<SessionRawBatchCursor, Error> {
        options.read_concern = self.read_concern();
        self.collection.find(filter).with_options(options).session(session).batch().await
    }

    /// Watches the collection from a token on, or from now. Events name documents, and do not have them: an event with a large
    /// document in it could be too large for an answer.
    pub(super) async fn watch(
        &self,
        token: Option<Document>,
        session: &mut ClientSession,
    ) -> Result<SessionRawBatchCursor, Error> {
        let mut start = Document::new();
        if let Some(token) = token {
            start.insert("resumeAfter", token);
        }
        let pipeline = [
            doc! {"$changeStream": start},
            doc! {"$project": {"operationType": 1, "documentKey._id": 1, "clusterTime": 1}},
        ];
        let watch = self.collection.aggregate(pipeline).max_await_time(AWAIT_CHANGE);
        watch.session(session).batch().await
    }

    /// Only what a majority has, which is what change streams report and what no change of the primary takes back; unless the
    /// connection string says otherwise.
    fn read_concern(&self) -> Option<ReadConcern> {
        self.collection.read_concern().cloned().or_else(|| Some(ReadConcern::majority()))
    }
}

fn write_file(text: &str) -> std::io::Result<NamedTempFile> {
    let mut file = NamedTempFile::new()?;
    file.write_all(text.as_bytes())?;
    file.flush()?;
    Ok(file)
}

/// Answers of a cursor, read by a task of its own while others are worked on.
pub(super) struct Batches {
    receiver: mpsc::Receiver<Result<RawBatch, Error>>,
    task: AbortOnDropHandle<()>,
    /// The server said that there are no more.
    complete: bool,
}

impl Batches {
    fn read(stream: impl Stream<Item = Result<RawBatch, Error>> + Send + Unpin + 'static) -> Self {
        Self::new(|sender| forward(stream, sender))
    }

    fn new<F>(read: impl FnOnce(mpsc::Sender<Result<RawBatch, Error>>) -> F) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (sender, receiver) = mpsc::channel(AHEAD);
        let task = AbortOnDropHandle::new(tokio::spawn(read(sender)));
        Self { receiver, task, complete: false }
    }

    /// The next answer; none only after the server said that there are no more.
    pub(super) async fn next(&mut self) -> Option<Result<RawBatch, BatchError>> {
        match self.receiver.recv().await {
            Some(Ok(batch)) => {
                self.complete = is_last(batch.as_raw_document());
                Some(Ok(batch))
            }
            Some(Err(error)) => Some(Err(BatchError::Driver(error))),
            None if self.complete => None,
            None => {
                let panic = Pin::new(&mut self.task).await.err();
                let reason =
                    panic.map_or_else(|| "no more answers came".to_owned(), |panic| panic.to_string());
                Some(Err(BatchError::Stopped(reason)))
            }
        }
    }
}

/// Why answers ended before their end.
pub(super) enum BatchError {
    /// The driver says so.
    Driver(Error),
    /// They just stopped.
    Stopped(String),
}

async fn forward(
    mut stream: impl Stream<Item = Result<RawBatch, Error>> + Unpin,
    sender: mpsc::Sender<Result<RawBatch, Error>>,
) {
    while let Some(batch) = stream.next().await {
        let failed = batch.is_err();
        // Nobody receives any more: the sync was stopped.
        if sender.send(batch).await.is_err() || failed {
            return;
        }
    }
}

fn cursor(answer: &RawDocument) -> Option<&RawDocument> {
    answer.get_document("cursor").ok()
}

/// Whether the server says that there are no more answers: the cursor's id is 0.
pub(super) fn is_last(answer: &RawDocument) -> bool {
    cursor(answer).and_then(|cursor| cursor.get_i64("id").ok()) == Some(0)
}

/// Whether an answer has no documents.
pub(super) fn is_empty(answer: &RawDocument) -> bool {
    let batch = |name| cursor(answer).and_then(|cursor| cursor.get_array(name).ok());
    ["firstBatch", "nextBatch"].into_iter().filter_map(batch).all(RawArray::is_empty)
}

/// Whether a sharded cluster left documents out, because a shard did not answer.
pub(super) fn is_partial(answer: &RawDocument) -> bool {
    cursor(answer).and_then(|cursor| cursor.get_bool("partialResultsReturned").ok()).unwrap_or(false)
}

/// The point of the change stream after an answer.
pub(super) fn resume_token(answer: &RawDocument) -> Option<&RawDocument> {
    cursor(answer)?.get_document("postBatchResumeToken").ok()
}

/// The time of the last operation that the server knew of.
pub(super) fn operation_time(answer: &RawDocument) -> Option<Timestamp> {
    answer.get_timestamp("operationTime").ok()
}
