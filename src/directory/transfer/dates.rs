//! When a file was changed, as HTTP tells and asks for it (RFC 9110, sections 8.8.2 and 13.1.3): whole seconds, and so
//! weaker than the ETag, which goes first wherever both are sent.

use axum::http::{HeaderMap, header};

use super::condition::Verdict;
use crate::domain::WallTime;

/// The value of `Last-Modified`.
pub(crate) fn http_date(at: WallTime) -> String {
    let seconds = i64::try_from(at.0 / 1000).unwrap_or(i64::MAX);
    let stamp = jiff::Timestamp::from_second(seconds).unwrap_or(jiff::Timestamp::MAX);
    stamp.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

/// What the conditions of a read come to, where those by tag come to `by_tag`. A date that cannot be read is passed over,
/// as the RFC has it.
pub(crate) fn verdict(headers: &HeaderMap, by_tag: Verdict, modified_at: WallTime) -> Verdict {
    let date = |name| headers.get(name).and_then(|value| parse(value.to_str().ok()?));
    let changed_since = |seconds: i64| i64::try_from(modified_at.0 / 1000).unwrap_or(i64::MAX) > seconds;
    if by_tag != Verdict::Proceed {
        return by_tag;
    }
    if !headers.contains_key(header::IF_MATCH) && date(header::IF_UNMODIFIED_SINCE).is_some_and(changed_since) {
        return Verdict::Failed;
    }
    let unchanged = date(header::IF_MODIFIED_SINCE).is_some_and(|seconds| !changed_since(seconds));
    if !headers.contains_key(header::IF_NONE_MATCH) && unchanged { Verdict::NotModified } else { Verdict::Proceed }
}

/// Seconds since the Unix epoch. The two obsolete forms are not read: nobody has sent them for decades, and a date that is
/// passed over does no harm.
fn parse(text: &str) -> Option<i64> {
    let date = jiff::civil::DateTime::strptime("%a, %d %b %Y %H:%M:%S GMT", text.trim()).ok()?;
    Some(date.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_second())
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderName;

    use super::*;

    const AT: WallTime = WallTime(784_111_777_999);
    const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";

    fn of(pairs: &[(HeaderName, &str)], by_tag: Verdict) -> Verdict {
        let pairs = pairs.iter().map(|(name, value)| (name.clone(), value.parse().expect("a value")));
        verdict(&pairs.collect(), by_tag, AT)
    }

    #[test]
    fn a_date_is_told_and_read_in_whole_seconds() {
        assert_eq!(http_date(AT), DATE);
        assert_eq!(parse(DATE), Some(784_111_777));
        assert_eq!(parse("Sunday, 06-Nov-94 08:49:37 GMT"), None);
    }

    #[test]
    fn conditions_by_date_give_way_to_those_by_tag() {
        use header::{IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_UNMODIFIED_SINCE};
        let before = "Sun, 06 Nov 1994 08:49:36 GMT";
        assert_eq!(of(&[], Verdict::Proceed), Verdict::Proceed);
        assert_eq!(of(&[(IF_MODIFIED_SINCE, DATE)], Verdict::Proceed), Verdict::NotModified);
        assert_eq!(of(&[(IF_MODIFIED_SINCE, before)], Verdict::Proceed), Verdict::Proceed);
        assert_eq!(of(&[(IF_MODIFIED_SINCE, "yesterday")], Verdict::Proceed), Verdict::Proceed);
        assert_eq!(of(&[(IF_MODIFIED_SINCE, DATE), (IF_NONE_MATCH, "\"1-1\"")], Verdict::Proceed), Verdict::Proceed);
        assert_eq!(of(&[(IF_UNMODIFIED_SINCE, before)], Verdict::Proceed), Verdict::Failed);
        assert_eq!(of(&[(IF_UNMODIFIED_SINCE, DATE)], Verdict::Proceed), Verdict::Proceed);
        assert_eq!(of(&[(IF_UNMODIFIED_SINCE, before), (IF_MATCH, "*")], Verdict::Proceed), Verdict::Proceed);
        assert_eq!(of(&[(IF_MODIFIED_SINCE, before)], Verdict::NotModified), Verdict::NotModified);
    }
}
