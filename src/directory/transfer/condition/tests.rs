use http::HeaderValue;

use super::*;

const CURRENT: ETag = ETag { file_id: FileId(5), version: Version(3) };

fn conditions(lines: &[(HeaderName, &str)]) -> Result<Conditions, BadCondition> {
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        headers.append(name, HeaderValue::from_str(value).expect("a header value"));
    }
    Conditions::of(&headers)
}

fn one_of(tags: &[(u64, u64)]) -> Option<Precondition> {
    let etag = |(file, version): &(u64, u64)| Etag { file_id: FileId(*file), version: Version(*version) };
    Some(Precondition { exists: false, one_of: tags.iter().map(etag).collect() })
}

fn if_match(value: &str) -> Conditions {
    conditions(&[(IF_MATCH, value)]).expect(value)
}

fn if_none_match(value: &str) -> Conditions {
    conditions(&[(IF_NONE_MATCH, value)]).expect(value)
}

#[test]
fn a_tag_names_file_and_version() {
    assert_eq!(CURRENT.to_string(), "\"5-3\"");
}

#[test]
fn if_match_compares_strongly() {
    for value in ["\"5-3\"", "\"5-2\", \"5-3\"", " \"x\" ,, \"5-3\" ,", "*", "\"a,b\",\"5-3\""] {
        assert_eq!(if_match(value).verdict(Some(CURRENT), false), Verdict::Proceed, "{value}");
        assert_eq!(if_match(value).verdict(Some(CURRENT), true), Verdict::Proceed, "{value}");
        assert_eq!(if_match(value).verdict(None, false), Verdict::Failed, "{value}");
    }
    for value in ["W/\"5-3\"", "\"5-2\"", "\"4-3\"", "\"\"", "\"05-3\"", "\"+5-3\"", "\"5-3-\"", "\"5-3,\""] {
        assert_eq!(if_match(value).verdict(Some(CURRENT), false), Verdict::Failed, "{value}");
        assert_eq!(if_match(value).verdict(Some(CURRENT), true), Verdict::Failed, "{value}");
    }
}

#[test]
fn if_none_match_compares_weakly() {
    for value in ["\"5-3\"", "W/\"5-3\"", "*", "\"1-1\", W/\"5-3\""] {
        assert_eq!(if_none_match(value).verdict(Some(CURRENT), true), Verdict::NotModified, "{value}");
        assert_eq!(if_none_match(value).verdict(Some(CURRENT), false), Verdict::Failed, "{value}");
        assert_eq!(if_none_match(value).verdict(None, false), Verdict::Proceed, "{value}");
    }
    assert_eq!(if_none_match("\"5-2\"").verdict(Some(CURRENT), true), Verdict::Proceed);
}

#[test]
fn if_match_is_decided_first() {
    let both = conditions(&[(IF_MATCH, "\"5-2\""), (IF_NONE_MATCH, "\"5-3\"")]).expect("valid");
    assert_eq!(both.verdict(Some(CURRENT), true), Verdict::Failed);
}

#[test]
fn several_lines_are_one_list() {
    let two = conditions(&[(IF_MATCH, "\"5-2\""), (IF_MATCH, "\"5-3\"")]).expect("valid");
    assert_eq!(two.verdict(Some(CURRENT), false), Verdict::Proceed);
    assert_eq!(two.precondition(), one_of(&[(5, 2), (5, 3)]));
}

#[test]
fn a_command_carries_if_match() {
    assert_eq!(Conditions::default().precondition(), None);
    assert_eq!(if_match("*").precondition(), Some(Precondition { exists: true, one_of: Vec::new() }));
    assert_eq!(if_match("\"abc\", W/\"5-3\"").precondition(), one_of(&[]));
}

#[test]
fn what_cannot_be_understood_is_refused() {
    for value in ["", "5-3", "\"5-3", "\"5-3\" \"5-4\"", "w/\"5-3\"", "*, \"5-3\"", "'5-3'", "\"a b\"", ","] {
        assert_eq!(conditions(&[(IF_MATCH, value)]), Err(BadCondition("If-Match")), "{value}");
        assert_eq!(conditions(&[(IF_NONE_MATCH, value)]), Err(BadCondition("If-None-Match")), "{value}");
    }
    let many = vec!["\"1-1\""; MAX_TAGS + 1].join(",");
    assert!(conditions(&[(IF_MATCH, &many)]).is_err());
    assert!(conditions(&[(IF_MATCH, &many[6..])]).is_ok());
}

#[test]
fn if_range_takes_the_present_tag_only() {
    let mut headers = HeaderMap::new();
    assert!(range_applies(&headers, CURRENT));
    for (value, applies) in [
        ("\"5-3\"", true),
        ("W/\"5-3\"", false),
        ("\"5-2\"", false),
        ("*", false),
        ("Wed, 21 Oct 2015 07:28:00 GMT", false),
    ] {
        headers.insert(IF_RANGE, HeaderValue::from_static(value));
        assert_eq!(range_applies(&headers, CURRENT), applies, "{value}");
    }
}
