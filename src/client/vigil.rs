//! Whether a node that owes an answer is still there, and still in a position to give one.
//!
//! A process that is frozen, and a machine that is cut off, accept a request and never answer. Its own deadline has to
//! be long, because an honest answer may take long: a commit waits for an election, a large body for its disks. So the
//! node is asked something that takes no time at all, and when it does not answer that either, twice, the request goes
//! to another node under the same key. A node that answers and says, twice, that it is not ready is left as well where
//! another one says that it is: it may be on the wrong side of a cut between the nodes. If the verdict was wrong, the
//! request was sent twice and took effect once.

use std::time::Duration;

use futures_util::future::select_ok;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use url::Url;

use super::attempt::Wire;
use super::retry::Failure;

/// How long a request may take before anybody wonders. Most are answered by then.
const FIRST_DOUBT: Duration = Duration::from_millis(300);
/// How long the node has for a word: a frozen leader is left after 800 ms, when the others have elected another one. For
/// a large body that is under way longer, since to send it again is dear.
const FOR_A_WORD: Duration = Duration::from_millis(250);
const FOR_A_WORD_WITH_A_LARGE_BODY: Duration = Duration::from_millis(700);
/// One that says that it is not ready is soon asked again: an election does not last longer.
const AFTER_NOT_READY: Duration = Duration::from_millis(125);
const MISSES: u32 = 2;

/// Why a request does better at another node.
enum Elsewhere {
    Silent,
    NotReady,
}

/// What a node says when it is asked how it is.
enum Word {
    Ready,
    NotReady,
    Nothing,
}

impl Wire {
    /// The result of an exchange, or `Unknown` once the request does better elsewhere. With one node only there is nobody
    /// else to go to, and the exchange has the time that it has. `large_body` says that one is under way: it is
    /// not sent again for a node's mere not being ready.
    pub(super) async fn while_it_lives<T>(
        &self,
        url: &Url,
        large_body: bool,
        exchange: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        if !self.nodes.are_several() {
            return exchange.await;
        }
        tokio::select! {
            biased;
            result = exchange => result,
            why = self.better_elsewhere(url, large_body) => {
                let (why, silent) = match why {
                    Elsewhere::Silent => ("does not answer at all", true),
                    Elsewhere::NotReady => ("is not ready, and another node is", false),
                };
                Err(Failure::Unknown { cause: format!("{} {why}", url.origin().ascii_serialization()), silent })
            }
        }
    }

    /// Ends when a node says nothing any more, or when it cannot serve and another one can. Never for one that is as
    /// ready as the others.
    async fn better_elsewhere(&self, url: &Url, large_body: bool) -> Elsewhere {
        let (path, patience) =
            if large_body { ("/healthz", FOR_A_WORD_WITH_A_LARGE_BODY) } else { ("/readyz", FOR_A_WORD) };
        let (mut silent, mut unready) = (0, 0);
        sleep(FIRST_DOUBT).await;
        loop {
            let asked = Instant::now();
            (silent, unready) = match self.word_of(url, path, patience).await {
                Word::Ready => (0, 0),
                Word::NotReady => (0, unready + 1),
                // Also where it is refused at once: the exchange itself ends by that as well, where it was with the same
                // process.
                Word::Nothing => (silent + 1, unready),
            };
            if silent >= MISSES {
                return Elsewhere::Silent;
            }
            if unready >= MISSES && !large_body && self.finds_a_ready_one(url, patience).await {
                return Elsewhere::NotReady;
            }
            sleep_until(asked + if unready > 0 { AFTER_NOT_READY } else { patience }).await;
        }
    }

    async fn word_of(&self, url: &Url, path: &str, patience: Duration) -> Word {
        let mut at = url.clone();
        at.set_path(path);
        at.set_query(None);
        match timeout(patience, self.http.get(at).send()).await {
            Ok(Ok(answer)) if answer.status().is_success() => Word::Ready,
            Ok(Ok(_)) => Word::NotReady,
            Ok(Err(_)) | Err(_) => Word::Nothing,
        }
    }

    /// Looks for another node that says it is ready. The next calls go there.
    async fn finds_a_ready_one(&self, url: &Url, patience: Duration) -> bool {
        let asked = self.nodes.others(url).into_iter().map(|other| {
            Box::pin(async move {
                match self.word_of(&other, "/readyz", patience).await {
                    Word::Ready => Ok(other),
                    Word::NotReady | Word::Nothing => Err(()),
                }
            })
        });
        let asked: Vec<_> = asked.collect();
        if asked.is_empty() {
            return false;
        }
        match select_ok(asked).await {
            Ok((ready, _)) => {
                self.nodes.turn_to(&ready);
                true
            }
            Err(()) => false,
        }
    }
}
