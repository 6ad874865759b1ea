//! Searches kept open: points in time and scrolls. Each holds the views it started on, and with them their files,
//! until it is closed or not used for its time to live.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use axum::http::StatusCode;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;

use super::collect::After;
use super::execute::{self, Continuation, Target};
use super::request::SearchRequest;
use super::response::{SearchResponse, Total};
use super::shard_failure;
use crate::error::{ApiError, Result};

/// Longest time to live (`search.max_keep_alive`).
const MAX_KEEP_ALIVE: Duration = Duration::from_hours(24);

/// Most scrolls open at once (`search.max_open_scroll_context`).
const MAX_SCROLLS: usize = 500;

/// How often expired contexts are let go.
const REAP_EVERY: Duration = Duration::from_secs(5);

/// Starts of the ids, so that one kind is never taken for the other.
const PIT_MARK: &[u8; 4] = b"pit1";
const SCROLL_MARK: &[u8; 4] = b"scr1";

/// All searches kept open by one node.
#[derive(Debug, Default)]
pub struct Contexts {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    open: HashMap<u128, Context>,
    reaping: bool,
}

#[derive(Debug, Clone)]
struct Context {
    expires: Instant,
    keep_alive: Duration,
    kind: Kind,
}

impl Context {
    /// Whether an index it searches was deleted. A page in the making is left alone.
    fn is_orphaned(&self) -> bool {
        match &self.kind {
            Kind::Pit(targets) => targets.iter().any(Target::is_deleted),
            Kind::Scroll(scroll) => {
                scroll.try_lock().is_ok_and(|scroll| scroll.targets.iter().any(Target::is_deleted))
            }
        }
    }
}

#[derive(Debug, Clone)]
enum Kind {
    Pit(Arc<Vec<Target>>),
    Scroll(Arc<Mutex<Scroll>>),
}

#[derive(Debug)]
struct Scroll {
    targets: Vec<Target>,
    request: SearchRequest,
    after: Option<After>,
    first: (Option<Total>, Option<f32>),
    done: bool,
}

impl Contexts {
    /// Opens a point in time on `targets`; the answer is its id.
    pub fn open_pit(self: &Arc<Self>, targets: Vec<Target>, keep_alive: Duration) -> Result<String> {
        check_keep_alive(keep_alive, &targets)?;
        Ok(encode(*PIT_MARK, self.insert(Kind::Pit(Arc::new(targets)), keep_alive)))
    }

    /// The indices of a point in time, whose life is prolonged.
    pub fn pit(&self, id: &str, keep_alive: Option<Duration>) -> Result<Arc<Vec<Target>>> {
        let key =
            decode(*PIT_MARK, id).ok_or_else(|| ApiError::illegal_argument(format!("invalid id: [{id}]")))?;
        if let Some(keep_alive) = keep_alive {
            check_keep_alive(keep_alive, &[])?;
        }
        match self.touch(key, keep_alive) {
            Some(Kind::Pit(targets)) => Ok(targets),
            _ => Err(missing(key)),
        }
    }

    /// Closes a point in time; whether it was open.
    pub fn close_pit(&self, id: &str) -> Result<bool> {
        let key =
            decode(*PIT_MARK, id).ok_or_else(|| ApiError::illegal_argument(format!("invalid id: [{id}]")))?;
        Ok(self.remove(key))
    }

    /// Answers the first page of a scroll. Blocking.
    pub fn open_scroll(
        self: &Arc<Self>,
        targets: Vec<Target>,
        request: SearchRequest,
        keep_alive: Duration,
    ) -> Result<SearchResponse> {
        check_keep_alive(keep_alive, &targets)?;
        self.check_scrolls()?;
        let request = SearchRequest { track_total_hits: Some(super::request::TrackTotal::Exact), ..request };
        let continuation = Continuation { scroll: true, ..Continuation::default() };
        let (mut response, after) = execute::page(&targets, &request, &continuation)?;
        let scroll = Scroll {
            done: after.is_none(),
            after,
            first: (response.total, response.max_score),
            targets,
            request,
        };
        let key = self.insert(Kind::Scroll(Arc::new(Mutex::new(scroll))), keep_alive);
        response.scroll_id = Some(encode(*SCROLL_MARK, key));
        Ok(response)
    }

    /// Answers the next page of a scroll. Blocking.
    pub fn next_page(&self, id: &str, keep_alive: Option<Duration>) -> Result<SearchResponse> {
        let key = decode_scroll(id)?;
        if let Some(keep_alive) = keep_alive {
            check_keep_alive(keep_alive, &[])?;
        }
        let Some(Kind::Scroll(scroll)) = self.touch(key, keep_alive) else {
            let mut error = missing(key);
            // A scroll's lost context is reported with the cause beside the shard.
            if let Some(cause) = error.extra.get("root_cause").and_then(|root| root.get(0)).cloned() {
                error = error.with("caused_by", cause);
            }
            return Err(error);
        };
        let mut scroll = scroll.lock().unwrap_or_else(PoisonError::into_inner);
        let mut response = if scroll.done {
            SearchResponse {
                shards: scroll.targets.len(),
                total: scroll.first.0,
                max_score: scroll.first.1,
                ..SearchResponse::default()
            }
        } else {
            let continuation =
                Continuation { scroll: true, after: scroll.after.take(), first: Some(scroll.first) };
            let page = execute::page(&scroll.targets, &scroll.request, &continuation);
            let (response, after) = match page {
                Ok(page) => page,
                Err(error) => {
                    // The page can be asked for again.
                    scroll.after = continuation.after;
                    return Err(error);
                }
            };
            scroll.done = after.is_none();
            scroll.after = after;
            response
        };
        response.scroll_id = Some(id.to_owned());
        Ok(response)
    }

    /// Closes scrolls by id; how many were open.
    pub fn close_scrolls<'a>(&self, ids: impl IntoIterator<Item = &'a str>) -> Result<usize> {
        let keys = ids.into_iter().map(decode_scroll).collect::<Result<Vec<_>>>()?;
        Ok(keys.into_iter().filter(|key| self.remove(*key)).count())
    }

    /// Closes every scroll (`_all`) and, as Elasticsearch, every point in time; how many were open.
    pub fn close_all(&self) -> usize {
        let mut state = self.lock();
        let count = state.open.len();
        state.open.clear();
        count
    }

    /// Number of open scrolls and points in time.
    pub fn open_count(&self) -> usize {
        self.lock().open.len()
    }

    /// Lets go of what expired, or lost an index.
    pub fn reap(&self) {
        let now = Instant::now();
        self.lock().open.retain(|_, context| context.expires > now && !context.is_orphaned());
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn check_scrolls(&self) -> Result<()> {
        self.reap();
        let scrolls =
            self.lock().open.values().filter(|context| matches!(context.kind, Kind::Scroll(_))).count();
        if scrolls >= MAX_SCROLLS {
            return Err(ApiError::new(
                StatusCode::TOO_MANY_REQUESTS,
                "too_many_scroll_contexts_exception",
                format!(
                    "Trying to create too many scroll contexts. Must be less than or equal to: [{MAX_SCROLLS}]. This \
                     limit can be set by changing the [search.max_open_scroll_context] setting."
                ),
            ));
        }
        Ok(())
    }

    fn insert(self: &Arc<Self>, kind: Kind, keep_alive: Duration) -> u128 {
        let key = uuid::Uuid::new_v4().as_u128();
        let mut state = self.lock();
        state.open.insert(key, Context { expires: Instant::now() + keep_alive, keep_alive, kind });
        // One task lets go of what expires, for as long as anything is open.
        if !state.reaping
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            state.reaping = true;
            runtime.spawn(reap_until_empty(Arc::downgrade(self)));
        }
        key
    }

    fn touch(&self, key: u128, keep_alive: Option<Duration>) -> Option<Kind> {
        let now = Instant::now();
        let mut state = self.lock();
        let context = state.open.get_mut(&key)?;
        if context.expires <= now || context.is_orphaned() {
            state.open.remove(&key);
            return None;
        }
        if let Some(keep_alive) = keep_alive {
            context.keep_alive = keep_alive;
        }
        context.expires = now + context.keep_alive;
        Some(context.kind.clone())
    }

    fn remove(&self, key: u128) -> bool {
        let removed = self.lock().open.remove(&key);
        removed.is_some_and(|context| context.expires > Instant::now())
    }
}

async fn reap_until_empty(contexts: Weak<Contexts>) {
    loop {
        tokio::time::sleep(REAP_EVERY).await;
        let Some(contexts) = contexts.upgrade() else { return };
        contexts.reap();
        let mut state = contexts.lock();
        if state.open.is_empty() {
            state.reaping = false;
            return;
        }
    }
}

fn check_keep_alive(keep_alive: Duration, targets: &[Target]) -> Result<()> {
    if keep_alive <= MAX_KEEP_ALIVE {
        return Ok(());
    }
    let index = targets.first().map_or("", |target| &target.view.name);
    let shown = if keep_alive == Duration::MAX {
        "-1".to_owned()
    } else if keep_alive.as_secs().is_multiple_of(86_400) {
        format!("{}d", keep_alive.as_secs() / 86_400)
    } else {
        format!("{}h", keep_alive.as_secs_f64() / 3600.0)
    };
    Err(shard_failure(
        index,
        ApiError::illegal_argument(format!(
            "Keep alive for request ({shown}) is too large. It must be less than (1d). This limit can be set by \
             changing the [search.max_keep_alive] cluster level setting."
        )),
    ))
}

fn encode(mark: [u8; 4], key: u128) -> String {
    let mut bytes = mark.to_vec();
    bytes.extend_from_slice(&key.to_be_bytes());
    URL_SAFE_NO_PAD.encode(bytes)
}

fn decode(mark: [u8; 4], id: &str) -> Option<u128> {
    let bytes = URL_SAFE_NO_PAD.decode(id.trim_end_matches('=')).ok()?;
    let key = bytes.strip_prefix(&mark)?;
    Some(u128::from_be_bytes(key.try_into().ok()?))
}

fn decode_scroll(id: &str) -> Result<u128> {
    decode(*SCROLL_MARK, id).ok_or_else(|| ApiError::illegal_argument("Cannot parse scroll id"))
}

fn missing(key: u128) -> ApiError {
    let reason = format!("No search context found for id [{key}]");
    let cause = json!({ "type": "search_context_missing_exception", "reason": reason });
    ApiError::new(StatusCode::NOT_FOUND, "search_phase_execution_exception", "all shards failed")
        .with("root_cause", json!([cause]))
        .with("phase", "query".into())
        .with("grouped", true.into())
        .with("failed_shards", json!([{ "shard": -1, "index": null, "reason": cause }]))
}
