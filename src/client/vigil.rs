//! Whether a node that owes an answer is still there.
//!
//! A process that is frozen, and a machine that is cut off, accept a request and never answer. Its own deadline has to
//! be long, because an honest answer may take long: a commit waits for an election, a large body for its disks. So the
//! node is asked something that takes no time at all, and when it does not answer that either, twice, the request goes
//! to another node under the same key. If the verdict was wrong, the request was sent twice and took effect once.

use std::time::Duration;

use url::Url;

use super::attempt::Wire;
use super::retry::Failure;

/// How long a request may take before anybody wonders. Most are answered by then.
const FIRST_DOUBT: Duration = Duration::from_millis(300);
/// How long the node has for a word: a frozen leader is left after 800 ms, when the others have elected another one. For
/// a large body that is under way longer, since to send it again is dear.
const FOR_A_WORD: Duration = Duration::from_millis(250);
const FOR_A_WORD_WITH_A_LARGE_BODY: Duration = Duration::from_millis(700);
const MISSES: u32 = 2;

impl Wire {
    /// The result of an exchange, or `Unknown` once the node is silent altogether. With one node only there is nobody
    /// else to go to, and the exchange has the time that it has.
    pub(super) async fn while_it_lives<T>(
        &self,
        url: &Url,
        large_body: bool,
        exchange: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        if self.nodes.count() == 1 {
            return exchange.await;
        }
        tokio::select! {
            biased;
            result = exchange => result,
            () = self.silence(url, if large_body { FOR_A_WORD_WITH_A_LARGE_BODY } else { FOR_A_WORD }) => {
                Err(Failure::Unknown { cause: format!("{} does not answer at all", url.origin().ascii_serialization()) })
            }
        }
    }

    /// Ends when a node says nothing any more. Never for one that lives.
    async fn silence(&self, url: &Url, for_a_word: Duration) {
        let mut word = url.clone();
        word.set_path("/healthz");
        word.set_query(None);
        let mut missed = 0;
        while missed < MISSES {
            if missed == 0 {
                tokio::time::sleep(FIRST_DOUBT).await;
            }
            match tokio::time::timeout(for_a_word, self.http.get(word.clone()).send()).await {
                Ok(Ok(_)) => missed = 0,
                // Refused at once: the exchange itself ends by that as well, where it was with the same process.
                Ok(Err(_)) => {
                    missed += 1;
                    tokio::time::sleep(for_a_word).await;
                }
                Err(_) => missed += 1,
            }
        }
    }
}
