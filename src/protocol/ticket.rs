//! The ticket that a follower puts into the `Location` of a 307, so that the leader takes the redirected upload
//! without the `Authorization` header: curl, reqwest, python-requests and browsers all drop it when host or port
//! changes.
//!
//! A ticket lets its bearer send one kind of request for thirty seconds (and for as long as the clocks of the two nodes may
//! be apart, because nobody knows by how much they are): this method, path, query, length and these
//! headers, as this user. It may be used more than once within that time; the operation id sees to it that nothing
//! happens twice.
//!
//! Its text is base64url (no padding) of
//!
//! | bytes | holds |
//! |---|---|
//! | 1 | layout, 2 |
//! | 8 | user id, big-endian |
//! | 16 | what the session is called that it was made from |
//! | 8 | when the user's session ends, milliseconds since the Unix epoch, big-endian |
//! | 8 | when the ticket ends, likewise |
//! | 32 | HMAC-SHA-256 of all of these and of the scope |
//!
//! The query goes into the mac as the list of its decoded pairs, in the order sent, and not as raw text: an HTTP client
//! may spell the `Location` anew (`%7E` as `~`), and what the leader acts upon is the decoded pairs. The header values
//! go in as themselves; only the mac of them is in the ticket.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::secret::ClusterSecret;
use crate::domain::UserId;

/// For how long a ticket holds, in milliseconds.
pub const LIFETIME_MS: u64 = 30_000;
/// By how much the clocks of the node that made a ticket and of the one that reads it may be apart, either way. A ticket
/// that ends later than this allows is refused: no node made it.
const CLOCK_SKEW_MS: u64 = super::capability::CLOCK_TOLERANCE_MS;
/// The query parameter that carries it.
pub const PARAMETER: &str = "ticket";

const LABEL: &str = "ticket";
const LAYOUT: u8 = 2;
/// How a session is called.
const MARK: usize = 16;
const CLEAR: usize = 1 + 8 + MARK + 2 * 8;
const LENGTH: usize = CLEAR + 32;

/// What a ticket holds for. Every header value is there as sent, one item for each header line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TicketScope<'a> {
    pub method: &'a str,
    pub path: &'a str,
    /// The query as sent. A `ticket` parameter in it is passed over.
    pub query: &'a str,
    /// Nothing for a chunked body.
    pub content_length: Option<u64>,
    pub idempotency_key: Vec<&'a [u8]>,
    pub lock_token: Vec<&'a [u8]>,
    pub if_match: Vec<&'a [u8]>,
    pub if_none_match: Vec<&'a [u8]>,
}

/// Who the bearer of a ticket is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TicketHolder {
    pub user_id: UserId,
    /// The session that the ticket was made from: whoever redeems the ticket asks whether it still holds.
    pub session: [u8; MARK],
    /// When the session ends that the ticket was made from, in milliseconds since the Unix epoch. The ticket does not
    /// outlive it.
    pub session_ends_ms: u64,
}

/// Why a ticket is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TicketError {
    #[error("there are no tickets for this request: log in and send it with an Authorization header")]
    NotAllowed,
    #[error("the ticket is not valid: send the request to the first address again")]
    Malformed,
    #[error(
        "the ticket has expired, or the clocks of the two nodes are far apart: send the request to the first address again, and should that not help have the clocks compared (`ringmaster cluster status`)"
    )]
    Expired,
    #[error("the ticket is for another request: send this one with an Authorization header")]
    Mismatch,
}

/// A ticket's text. `Debug` does not show it, since a ticket never reaches a log.
#[derive(Clone, PartialEq, Eq)]
pub struct Ticket(String);

impl Ticket {
    /// A ticket for `holder` to send what `scope` says within the next thirty seconds. `now_ms` is the time that the nodes agree on.
    ///
    /// # Errors
    /// When there are no tickets for such requests.
    pub fn mint(
        secret: &ClusterSecret,
        holder: TicketHolder,
        scope: &TicketScope<'_>,
        now_ms: u64,
    ) -> Result<Self, TicketError> {
        scope.check()?;
        let ends = now_ms.saturating_add(LIFETIME_MS).min(holder.session_ends_ms);
        let mut bytes = Vec::with_capacity(LENGTH);
        bytes.push(LAYOUT);
        bytes.extend_from_slice(&holder.user_id.0.to_be_bytes());
        bytes.extend_from_slice(&holder.session);
        for number in [holder.session_ends_ms, ends] {
            bytes.extend_from_slice(&number.to_be_bytes());
        }
        let mac = scope.with_parts(&bytes, |parts| secret.mac(LABEL, parts));
        bytes.extend_from_slice(&mac);
        Ok(Self(URL_SAFE_NO_PAD.encode(bytes)))
    }

    /// Whose request this is. `now_ms` is the time that the nodes agree on.
    ///
    /// # Errors
    /// When the ticket is none, has expired, or was made for another request.
    pub fn verify(
        secret: &ClusterSecret,
        text: &str,
        scope: &TicketScope<'_>,
        now_ms: u64,
    ) -> Result<TicketHolder, TicketError> {
        scope.check()?;
        if text.len() > LENGTH * 2 {
            return Err(TicketError::Malformed);
        }
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| TicketError::Malformed)?;
        if bytes.len() != LENGTH || bytes[0] != LAYOUT {
            return Err(TicketError::Malformed);
        }
        let (clear, mac) = bytes.split_at(CLEAR);
        if !scope.with_parts(clear, |parts| secret.verify(LABEL, parts, mac)) {
            return Err(TicketError::Mismatch);
        }
        let number = |at: usize| u64::from_be_bytes(clear[at..at + 8].try_into().expect("eight bytes were sliced out"));
        let (user_id, session_ends_ms, ends) = (UserId(number(1)), number(9 + MARK), number(17 + MARK));
        let session = clear[9..9 + MARK].try_into().expect("as many bytes were sliced out");
        let latest = now_ms.saturating_add(LIFETIME_MS + CLOCK_SKEW_MS);
        if now_ms >= ends.min(session_ends_ms).saturating_add(CLOCK_SKEW_MS) || ends > latest {
            return Err(TicketError::Expired);
        }
        Ok(TicketHolder { user_id, session, session_ends_ms })
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// `query` with this ticket at its end, for the `Location`. A `ticket` that was in it is taken out.
    pub fn append_to(&self, query: &str) -> String {
        let mut out: String =
            query.split('&').filter(|pair| !pair.is_empty() && !is_ticket(pair)).flat_map(|pair| [pair, "&"]).collect();
        out.push_str(PARAMETER);
        out.push('=');
        out.push_str(&self.0);
        out
    }

    /// The text of the ticket in a query as sent, not yet verified.
    pub fn find_in(query: &str) -> Option<&str> {
        query.split('&').find(|pair| is_ticket(pair)).map(|pair| pair.split_once('=').map_or("", |(_, text)| text))
    }
}

impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ticket(…)")
    }
}

fn is_ticket(pair: &str) -> bool {
    pair.split('=').next() == Some(PARAMETER)
}

impl TicketScope<'_> {
    /// Tickets are for uploads only: whatever else a stolen one could do, it can do nothing with another method or path.
    fn check(&self) -> Result<(), TicketError> {
        let upload = matches!(self.method, "PUT" | "POST") && matches!(self.path, "/write" | "/update");
        if upload { Ok(()) } else { Err(TicketError::NotAllowed) }
    }

    /// Calls `run` with the parts of the mac. Each list goes in behind its length, so that a value cannot pass from one
    /// list into the next.
    fn with_parts<T>(&self, clear: &[u8], run: impl FnOnce(&[&[u8]]) -> T) -> T {
        let pairs: Vec<_> =
            url::form_urlencoded::parse(self.query.as_bytes()).filter(|(name, _)| name != PARAMETER).collect();
        let pairs: Vec<&[u8]> = pairs.iter().flat_map(|(name, value)| [name.as_bytes(), value.as_bytes()]).collect();
        let length = self.content_length.map(u64::to_be_bytes);
        let length: &[u8] = length.as_ref().map_or(&[], |bytes| bytes.as_slice());

        let lists = [&pairs, &self.idempotency_key, &self.lock_token, &self.if_match, &self.if_none_match];
        let counts = lists.map(|list| (list.len() as u64).to_be_bytes());
        let mut parts: Vec<&[u8]> = vec![clear, self.method.as_bytes(), self.path.as_bytes(), length];
        for (list, count) in lists.into_iter().zip(&counts) {
            parts.push(count);
            parts.extend_from_slice(list);
        }
        run(&parts)
    }
}

#[cfg(test)]
mod tests;
