//! The `Range` header (RFC 9110, section 14).

use std::ops::Range;

/// What of a representation is to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// All of it, with 200.
    Whole,
    /// These bytes, with 206. Never empty.
    Part(Range<u64>),
    /// None of the bytes asked for is there: 416 with `Content-Range: bytes */size`.
    Unsatisfiable,
}

/// Reads a `Range` header against the `size` of the file in bytes.
///
/// A header that is not valid, that counts in another unit than bytes, or that asks for several ranges is passed over,
/// which RFC 9110 allows: the answer is the whole file. Several ranges are not worth their multipart answer here;
/// whoever wants to resume or to read in parallel sends one range at a time.
pub fn wanted(header: &str, size: u64) -> Wanted {
    match single(header) {
        None => Wanted::Whole,
        Some(Spec::Suffix(0)) => Wanted::Unsatisfiable,
        Some(Spec::Suffix(_)) if size == 0 => Wanted::Whole,
        Some(Spec::Suffix(length)) => Wanted::Part(size.saturating_sub(length)..size),
        Some(Spec::From(first, _)) if first >= size => Wanted::Unsatisfiable,
        Some(Spec::From(first, last)) => {
            let end = last.map_or(size, |last| last.saturating_add(1).min(size));
            Wanted::Part(first..end)
        }
    }
}

enum Spec {
    /// First byte, and the last one where it is given.
    From(u64, Option<u64>),
    /// The last so many bytes.
    Suffix(u64),
}

fn single(header: &str) -> Option<Spec> {
    let (unit, set) = header.split_once('=')?;
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return None;
    }
    // An empty list element is allowed and means nothing.
    let mut ranges = set.split(',').map(|part| part.trim_matches([' ', '\t'])).filter(|part| !part.is_empty());
    let (first, last) = ranges.next()?.split_once('-')?;
    if ranges.next().is_some() {
        return None;
    }
    match (first, last) {
        ("", length) => Some(Spec::Suffix(number(length)?)),
        (first, "") => Some(Spec::From(number(first)?, None)),
        (first, last) => {
            let (first, last) = (number(first)?, number(last)?);
            (first <= last).then_some(Spec::From(first, Some(last)))
        }
    }
}

/// Digits only. A number too large to hold is as good as the largest one: no file is that long.
fn number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().unwrap_or(u64::MAX))
}

/// The value of `Content-Range` for a 206.
pub fn content_range(part: &Range<u64>, size: u64) -> String {
    format!("bytes {}-{}/{size}", part.start, part.end.saturating_sub(1))
}

/// The value of `Content-Range` for a 416.
pub fn unsatisfied_range(size: u64) -> String {
    format!("bytes */{size}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_range_is_served() {
        for (header, part) in [
            ("bytes=0-0", 0..1),
            ("bytes=0-99", 0..100),
            ("bytes=0-100", 0..100),
            ("bytes=99-", 99..100),
            ("bytes=10-19", 10..20),
            ("Bytes=10-19", 10..20),
            ("bytes= 10-19 , ", 10..20),
            ("bytes=,10-19", 10..20),
            ("bytes=-1", 99..100),
            ("bytes=-100", 0..100),
            ("bytes=-101", 0..100),
            ("bytes=5-99999999999999999999999999", 5..100),
            ("bytes=-99999999999999999999999999", 0..100),
            ("bytes=18446744073709551615-", 0..0),
        ] {
            let expected = if part.is_empty() { Wanted::Unsatisfiable } else { Wanted::Part(part) };
            assert_eq!(wanted(header, 100), expected, "{header}");
        }
    }

    #[test]
    fn a_range_outside_the_file_is_not_satisfiable() {
        for (header, size) in
            [("bytes=100-", 100), ("bytes=100-200", 100), ("bytes=-0", 100), ("bytes=0-", 0), ("bytes=0-0", 0)]
        {
            assert_eq!(wanted(header, size), Wanted::Unsatisfiable, "{header}");
        }
    }

    #[test]
    fn what_is_not_one_valid_range_gives_the_whole_file() {
        for header in [
            "",
            "bytes",
            "bytes=",
            "bytes=,",
            "bytes=-",
            "bytes=a-b",
            "bytes=5-4",
            "bytes=+1-2",
            "bytes=1 - 2",
            "bytes=0-1,5-6",
            "lines=0-1",
            "bytes=--5",
            "bytes=1-2-3",
            "bytes=0x1-2",
            "0-5",
        ] {
            assert_eq!(wanted(header, 100), Wanted::Whole, "{header}");
        }
        assert_eq!(wanted("bytes=-5", 0), Wanted::Whole, "the last five bytes of nothing are nothing");
    }

    #[test]
    fn the_answer_names_the_part() {
        assert_eq!(content_range(&(10..20), 100), "bytes 10-19/100");
        assert_eq!(unsatisfied_range(100), "bytes */100");
    }
}
