//! A cache of one access token.

use std::future::Future;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use tokio::sync::Mutex;
use tokio::time::Instant;

/// No token is kept longer, whatever its server says: a nonsense lifetime must not overflow the clock.
const LONGEST: Duration = Duration::from_hours(24);

/// An access token as an authorization server gives it out.
#[derive(Debug, Clone)]
pub struct Token {
    /// The token; never printed.
    pub value: SecretString,
    /// How long it is valid from now on.
    pub lifetime: Duration,
}

/// Keeps an access token until shortly before it expires. However many requests ask at once, one fetch is made.
#[derive(Debug, Default)]
pub struct TokenCache {
    /// Held across a fetch: that makes the others wait for its result.
    held: Mutex<Option<Held>>,
}

#[derive(Debug)]
struct Held {
    value: SecretString,
    renew_at: Instant,
}

impl TokenCache {
    /// An empty cache.
    pub fn new() -> Self {
        Self::default()
    }

    /// The cached token, or the one that `fetch` gets. A failed fetch caches nothing, and the next caller tries again.
    pub async fn get<E, Fut>(&self, fetch: impl FnOnce() -> Fut) -> Result<SecretString, E>
    where
        Fut: Future<Output = Result<Token, E>>,
    {
        let mut held = self.held.lock().await;
        if let Some(token) = held.as_ref().filter(|token| Instant::now() < token.renew_at) {
            return Ok(token.value.clone());
        }
        let asked_at = Instant::now();
        let token = fetch().await?;
        // A token that expires on its way to the remote is useless: it is renewed a minute before its end, or after
        // nine tenths of a short life.
        let lifetime = token.lifetime.min(LONGEST);
        let margin = Duration::from_mins(1).min(lifetime / 10);
        *held =
            Some(Held { value: token.value.clone(), renew_at: asked_at + lifetime.saturating_sub(margin) });
        Ok(token.value)
    }

    /// Forgets `refused` after a remote answered 401 to it. A token that another caller fetched since stays.
    pub async fn invalidate(&self, refused: &SecretString) {
        let mut held = self.held.lock().await;
        if held.as_ref().is_some_and(|token| token.value.expose_secret() == refused.expose_secret()) {
            *held = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[derive(Default)]
    struct Server {
        fetches: AtomicU32,
    }

    impl Server {
        async fn fetch(&self, lifetime: u64) -> Result<Token, Infallible> {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let number = self.fetches.fetch_add(1, Ordering::Relaxed) + 1;
            Ok(Token { value: format!("token-{number}").into(), lifetime: Duration::from_secs(lifetime) })
        }
    }

    async fn get(cache: &TokenCache, server: &Server, lifetime: u64) -> String {
        let Ok(token) = cache.get(|| server.fetch(lifetime)).await;
        token.expose_secret().to_owned()
    }

    #[tokio::test(start_paused = true)]
    async fn many_callers_make_one_fetch() {
        let (cache, server) = (TokenCache::new(), Server::default());
        let (a, b, c) =
            tokio::join!(get(&cache, &server, 3600), get(&cache, &server, 3600), get(&cache, &server, 3600));
        assert_eq!([a, b, c], ["token-1", "token-1", "token-1"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_token_is_renewed_before_it_expires() {
        let (cache, server) = (TokenCache::new(), Server::default());
        assert_eq!(get(&cache, &server, 3600).await, "token-1");
        tokio::time::advance(Duration::from_secs(3530)).await;
        assert_eq!(get(&cache, &server, 20).await, "token-1");
        tokio::time::advance(Duration::from_secs(15)).await;
        assert_eq!(get(&cache, &server, 20).await, "token-2");
        tokio::time::advance(Duration::from_secs(18)).await;
        assert_eq!(get(&cache, &server, 20).await, "token-3");
    }

    #[tokio::test(start_paused = true)]
    async fn only_the_refused_token_is_forgotten() {
        let (cache, server) = (TokenCache::new(), Server::default());
        assert_eq!(get(&cache, &server, 3600).await, "token-1");
        cache.invalidate(&"token-0".into()).await;
        assert_eq!(get(&cache, &server, 3600).await, "token-1");
        cache.invalidate(&"token-1".into()).await;
        assert_eq!(get(&cache, &server, 3600).await, "token-2");
    }

    #[tokio::test]
    async fn a_failure_is_not_cached_and_nothing_prints_the_token() {
        let cache = TokenCache::new();
        assert_eq!(cache.get(|| async { Err::<Token, _>("down") }).await.unwrap_err(), "down");
        let token = Token { value: "s3cret".into(), lifetime: Duration::from_mins(1) };
        let Ok(_) = cache.get(|| async { Ok::<_, Infallible>(token.clone()) }).await;
        assert!(!format!("{token:?} {cache:?}").contains("s3cret"));
    }
}
