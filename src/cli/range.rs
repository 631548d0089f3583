//! Which bytes of a file, as HTTP writes it: `FIRST-LAST`, `FIRST-` or `-COUNT`.

use std::str::FromStr;

use crate::client::ReadOptions;

/// Both ends count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Range {
    From { first: u64, last: Option<u64> },
    Last(u64),
}

impl FromStr for Range {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || "write it as 0-499, 500- or -500, the first byte is 0".to_owned();
        // No signs, which parse() would take.
        let number = |text: &str| match text.bytes().all(|digit| digit.is_ascii_digit()) {
            true => text.parse::<u64>().map_err(|_| wrong()),
            false => Err(wrong()),
        };
        match text.split_once('-').ok_or_else(wrong)? {
            ("", count) => match number(count)? {
                0 => Err(wrong()),
                count => Ok(Self::Last(count)),
            },
            (first, "") => Ok(Self::From { first: number(first)?, last: None }),
            (first, last) => match (number(first)?, number(last)?) {
                (first, last) if first <= last && last < u64::MAX => Ok(Self::From { first, last: Some(last) }),
                _ => Err(wrong()),
            },
        }
    }
}

impl Range {
    /// What is asked of a file of that size and version.
    pub(super) fn of(self, size: u64, etag: Option<String>) -> ReadOptions {
        let (from, to) = match self {
            Self::From { first, last } => (first, last.map(|last| last + 1)),
            Self::Last(count) => (size.saturating_sub(count), None),
        };
        ReadOptions { from, to, if_match: etag, version: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_as_http_writes_them() {
        assert_eq!("0-499".parse(), Ok(Range::From { first: 0, last: Some(499) }));
        assert_eq!("500-".parse(), Ok(Range::From { first: 500, last: None }));
        assert_eq!("-500".parse(), Ok(Range::Last(500)));
        for text in ["", "-", "5", "5-4", "+1-2", "-0", "--5", "a-", "0-18446744073709551615"] {
            assert!(text.parse::<Range>().is_err(), "{text:?}");
        }
        let read = Range::Last(500).of(300, None);
        assert_eq!((read.from, read.to), (0, None), "all of a smaller file");
    }
}
