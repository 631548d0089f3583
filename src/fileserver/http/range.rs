//! `Range` headers (RFC 9110, section 14), of which one part of bytes is served.

use std::ops::Range;

use axum::http::{HeaderMap, header};

/// What a request asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// No range, or one that RFC 9110 allows to be ignored: another unit, several parts, or nonsense.
    Whole,
    /// From this byte to that, inclusive, or to the end.
    From(u64, Option<u64>),
    /// As many bytes from the end.
    Last(u64),
}

/// The range lies outside the blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Outside {
    pub(super) size: u64,
}

impl Wanted {
    pub(super) fn parse(headers: &HeaderMap) -> Self {
        let parsed = || {
            let text = headers.get(header::RANGE)?.to_str().ok()?.strip_prefix("bytes=")?;
            let (first, last) = text.split_once('-')?;
            match (first, last) {
                ("", last) => Some(Self::Last(number(last)?)),
                (first, "") => Some(Self::From(number(first)?, None)),
                (first, last) => {
                    let (first, last) = (number(first)?, number(last)?);
                    (first <= last).then_some(Self::From(first, Some(last)))
                }
            }
        };
        parsed().unwrap_or(Self::Whole)
    }

    /// The bytes of a blob of `size` bytes that are asked for.
    pub(super) fn within(&self, size: u64) -> Result<Range<u64>, Outside> {
        match *self {
            Self::Whole => Ok(0..size),
            Self::Last(bytes) if bytes > 0 && size > 0 => Ok(size.saturating_sub(bytes)..size),
            Self::From(first, last) if first < size => {
                Ok(first..last.map_or(size, |last| last.saturating_add(1).min(size)))
            }
            _ => Err(Outside { size }),
        }
    }
}

fn number(text: &str) -> Option<u64> {
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Wanted {
        let mut headers = HeaderMap::new();
        headers.insert(header::RANGE, text.parse().expect("a header value"));
        Wanted::parse(&headers)
    }

    #[test]
    fn one_part_is_understood_and_the_rest_ignored() {
        assert_eq!(parse("bytes=0-0").within(10), Ok(0..1));
        assert_eq!(parse("bytes=3-").within(10), Ok(3..10));
        assert_eq!(parse("bytes=3-99").within(10), Ok(3..10));
        assert_eq!(parse("bytes=-4").within(10), Ok(6..10));
        assert_eq!(parse("bytes=-40").within(10), Ok(0..10));
        assert_eq!(parse("bytes=10-").within(10), Err(Outside { size: 10 }));
        assert_eq!(parse("bytes=-0").within(10), Err(Outside { size: 10 }));
        assert_eq!(parse("bytes=0-").within(0), Err(Outside { size: 0 }));
        assert_eq!(parse("bytes=0-18446744073709551615").within(10), Ok(0..10));
        for ignored in ["bytes=5-4", "bytes=1-2,4-5", "lines=1-2", "bytes=", "bytes=-", "bytes=+1-2", "bytes=a-b"] {
            assert_eq!(parse(ignored), Wanted::Whole, "{ignored}");
        }
    }
}
