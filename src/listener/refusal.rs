//! What a head that cannot be read is answered with.
//!
//! Hyper answers it by itself, with a status and no body, and lets nobody say more. So its answer is recognized on its way
//! out, and a problem document is sent in its place: it is the only one that is written while no request is in hand, and
//! ours have a body.

use bytes::Bytes;

use super::gate::Lease;
use crate::protocol::api::REQUEST_ID;
use crate::protocol::problem::{Code, MEDIA_TYPE, Problem};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    Unreadable,
    TooLong,
    /// Of a connection that begins without TLS where there is TLS.
    Plain,
}

impl Refusal {
    /// Whether bytes on their way out are hyper's own answer.
    pub(super) fn of(bytes: &[u8]) -> Option<Self> {
        let has = |text: &[u8]| bytes.windows(text.len()).any(|part| part.eq_ignore_ascii_case(text));
        let refusal = match bytes.strip_prefix(b"HTTP/1.1 ")?.get(..4)? {
            b"400 " => Self::Unreadable,
            b"414 " | b"431 " => Self::TooLong,
            _ => return None,
        };
        (bytes.ends_with(b"\r\n\r\n") && has(b"\r\ncontent-length: 0\r\n")).then_some(refusal)
    }

    /// The answer in its place, head and body.
    pub(super) fn page(self, lease: &Lease) -> Bytes {
        let (code, detail) = match self {
            Self::Unreadable => (
                Code::InvalidRequest,
                "the request cannot be read as HTTP: percent-encode what is not plain in its url (a quote is %22), and send \
                 each header on a line of its own",
            ),
            Self::TooLong => (
                Code::HeadTooLarge,
                "the request's line and headers are longer than is taken: send fewer or shorter headers, and a shorter url",
            ),
            Self::Plain => (Code::InvalidRequest, "this port speaks TLS: write https:// in place of http://"),
        };
        // The request was never read, so that it has no id of its own; the log has the same one.
        let id = format!("{}-{}", lease.listener(), lease.number());
        tracing::debug!(request_id = id, from = %lease.from(), code = code.as_str(), "a head could not be read");
        let problem = Problem::new(code, detail, &id);
        let body = serde_json::to_string(&problem).unwrap_or_default();
        let reason = match self {
            Self::Unreadable | Self::Plain => "Bad Request",
            Self::TooLong => "Request Header Fields Too Large",
        };
        Bytes::from(format!(
            "HTTP/1.1 {} {reason}\r\ncontent-type: {MEDIA_TYPE}\r\nx-content-type-options: nosniff\r\n{REQUEST_ID}: {id}\r\nconnection: close\r\n\
             content-length: {}\r\n\r\n{body}",
            problem.status,
            body.len()
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_of_hypers_own_is_told_from_ours() {
        let own = b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\ndate: x\r\n\r\n";
        assert_eq!(Refusal::of(own), Some(Refusal::Unreadable));
        assert_eq!(Refusal::of(b"HTTP/1.1 431 X\r\ncontent-length: 0\r\n\r\n"), Some(Refusal::TooLong));
        for ours in [
            &b"HTTP/1.1 400 Bad Request\r\ncontent-length: 7\r\n\r\nproblem"[..],
            b"HTTP/1.1 204 No Content\r\ncontent-length: 0\r\n\r\n",
            b"HTTP/1.1 40",
            b"",
        ] {
            assert_eq!(Refusal::of(ours), None);
        }
    }
}
