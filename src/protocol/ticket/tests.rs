use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

const NOW: u64 = 1_790_000_000_000;

fn secret() -> ClusterSecret {
    ClusterSecret::from_bytes([7; 32])
}

fn holder() -> TicketHolder {
    TicketHolder { user_id: UserId(42), session: [9; 16], session_ends_ms: NOW + 3_600_000 }
}

fn scope() -> TicketScope<'static> {
    TicketScope {
        method: "PUT",
        path: "/update",
        query: "path=%2Fa%2Fb&owner=eve",
        content_length: Some(12),
        idempotency_key: vec![b"op-1"],
        lock_token: vec![b"9.abc"],
        if_match: vec![b"\"5-1\""],
        if_none_match: vec![],
    }
}

fn minted() -> Ticket {
    Ticket::mint(&secret(), holder(), &scope(), NOW).expect("an upload")
}

fn verify(text: &str, scope: &TicketScope<'_>, now: u64) -> Result<UserId, TicketError> {
    let holder = Ticket::verify(&secret(), text, scope, now)?;
    assert_eq!(holder.session, [9; 16]);
    Ok(holder.user_id)
}

#[test]
fn a_ticket_names_its_user_and_may_be_used_again() {
    let ticket = minted();
    for now in [NOW, NOW + 1, NOW + LIFETIME_MS - 1] {
        assert_eq!(verify(ticket.as_str(), &scope(), now), Ok(UserId(42)));
    }
}

#[test]
fn a_ticket_ends_after_thirty_seconds_or_with_its_session() {
    assert_eq!(verify(minted().as_str(), &scope(), NOW + LIFETIME_MS + CLOCK_SKEW_MS), Err(TicketError::Expired));

    let short = TicketHolder { session_ends_ms: NOW + 10, ..holder() };
    let ticket = Ticket::mint(&secret(), short, &scope(), NOW).expect("an upload");
    assert_eq!(verify(ticket.as_str(), &scope(), NOW + 9), Ok(UserId(42)));
    assert_eq!(verify(ticket.as_str(), &scope(), NOW + 10 + CLOCK_SKEW_MS), Err(TicketError::Expired));
}

#[test]
fn a_ticket_from_a_clock_far_ahead_is_refused() {
    for now in [NOW - CLOCK_SKEW_MS, NOW + CLOCK_SKEW_MS] {
        assert_eq!(verify(minted().as_str(), &scope(), now), Ok(UserId(42)), "minutes are borne either way");
    }
    let ticket = Ticket::mint(&secret(), holder(), &scope(), NOW + CLOCK_SKEW_MS + 1).expect("an upload");
    assert_eq!(verify(ticket.as_str(), &scope(), NOW), Err(TicketError::Expired));
}

#[test]
fn tickets_are_for_uploads_only() {
    for (method, path) in [("GET", "/write"), ("PUT", "/delete"), ("POST", "/write/"), ("DELETE", "/update")] {
        let other = TicketScope { method, path, ..scope() };
        assert_eq!(Ticket::mint(&secret(), holder(), &other, NOW), Err(TicketError::NotAllowed));
        assert_eq!(verify(minted().as_str(), &other, NOW), Err(TicketError::NotAllowed));
    }
}

#[test]
fn the_query_may_be_spelled_anew_but_not_changed() {
    let ticket = minted();
    let spelled = TicketScope { query: "path=/a/%62&owner=ev%65", ..scope() };
    assert_eq!(verify(ticket.as_str(), &spelled, NOW), Ok(UserId(42)));
    for query in ["owner=eve&path=/a/b", "path=/a/b", "path=/a/b&owner=eve&x=", "path=/a/bo&wner=eve", ""] {
        let changed = TicketScope { query, ..scope() };
        assert_eq!(verify(ticket.as_str(), &changed, NOW), Err(TicketError::Mismatch), "{query}");
    }
}

#[test]
fn the_location_carries_the_ticket_and_verifies() {
    let ticket = minted();
    for before in ["path=%2Fa%2Fb&owner=eve", "path=%2Fa%2Fb&ticket=old&owner=eve", "&path=%2Fa%2Fb&&owner=eve&"] {
        let query = ticket.append_to(before);
        assert_eq!(query, format!("path=%2Fa%2Fb&owner=eve&ticket={}", ticket.as_str()));
        assert_eq!(Ticket::find_in(&query), Some(ticket.as_str()));
        let at_the_leader = TicketScope { query: &query, ..scope() };
        assert_eq!(verify(ticket.as_str(), &at_the_leader, NOW), Ok(UserId(42)));
    }
    assert_eq!(ticket.append_to(""), format!("ticket={}", ticket.as_str()));
    assert_eq!(Ticket::find_in("path=ticket&tickets=1"), None);
}

#[test]
fn a_value_cannot_move_from_one_header_to_another() {
    let ticket = minted();
    let moved = [
        TicketScope { idempotency_key: vec![b"op-1", b"9.abc"], lock_token: vec![], ..scope() },
        TicketScope { if_match: vec![], if_none_match: vec![b"\"5-1\""], ..scope() },
        TicketScope { lock_token: vec![b"9.", b"abc"], ..scope() },
        TicketScope { lock_token: vec![], ..scope() },
        TicketScope { content_length: None, ..scope() },
        TicketScope { content_length: Some(13), ..scope() },
        TicketScope { method: "POST", ..scope() },
        TicketScope { path: "/write", ..scope() },
    ];
    for scope in moved {
        assert_eq!(verify(ticket.as_str(), &scope, NOW), Err(TicketError::Mismatch), "{scope:?}");
    }
}

#[test]
fn nothing_of_a_ticket_is_shown() {
    assert_eq!(format!("{:?}", minted()), "Ticket(…)");
}

/// A scope that owns its parts, so that each can be drawn at random.
#[derive(Clone, Debug, PartialEq)]
struct Drawn {
    method: &'static str,
    path: &'static str,
    pairs: Vec<(String, String)>,
    length: Option<u64>,
    headers: [Vec<Vec<u8>>; 4],
}

impl Drawn {
    fn query(&self) -> String {
        url::form_urlencoded::Serializer::new(String::new()).extend_pairs(&self.pairs).finish()
    }

    fn with<T>(&self, run: impl FnOnce(&TicketScope<'_>) -> T) -> T {
        let [a, b, c, d] = self.headers.each_ref().map(|list| list.iter().map(Vec::as_slice).collect());
        run(&TicketScope {
            method: self.method,
            path: self.path,
            query: &self.query(),
            content_length: self.length,
            idempotency_key: a,
            lock_token: b,
            if_match: c,
            if_none_match: d,
        })
    }
}

fn drawn() -> impl Strategy<Value = Drawn> {
    let header = || vec(vec(any::<u8>(), 0..4), 0..3);
    (
        prop::sample::select(vec!["PUT", "POST"]),
        prop::sample::select(vec!["/write", "/update"]),
        vec(("[a-c]{0,2}", "[a-c&=%+/ü]{0,3}"), 0..3),
        prop::option::of(0_u64..3),
        [header(), header(), header(), header()],
    )
        .prop_map(|(method, path, pairs, length, headers)| Drawn { method, path, pairs, length, headers })
}

proptest! {
    #[test]
    fn a_ticket_holds_for_its_scope_and_for_no_other(mine in drawn(), other in drawn(), user: u64) {
        let holder = TicketHolder { user_id: UserId(user), ..holder() };
        let ticket = mine.with(|scope| Ticket::mint(&secret(), holder, scope, NOW)).expect("an upload");
        prop_assert_eq!(mine.with(|scope| verify(ticket.as_str(), scope, NOW)), Ok(UserId(user)));
        let expected = if mine == other { Ok(UserId(user)) } else { Err(TicketError::Mismatch) };
        prop_assert_eq!(other.with(|scope| verify(ticket.as_str(), scope, NOW)), expected);
    }

    #[test]
    fn no_altered_ticket_is_taken(at in 0..LENGTH, flip in 1_u8..=255) {
        let mut bytes = URL_SAFE_NO_PAD.decode(minted().as_str()).expect("base64url");
        bytes[at] ^= flip;
        prop_assert!(verify(&URL_SAFE_NO_PAD.encode(&bytes), &scope(), NOW).is_err());
        bytes.truncate(at);
        prop_assert!(verify(&URL_SAFE_NO_PAD.encode(&bytes), &scope(), NOW).is_err());
    }

    #[test]
    fn no_other_text_is_taken(text in "\\PC{0,90}") {
        prop_assert!(verify(&text, &scope(), NOW).is_err());
    }

    #[test]
    fn no_other_secret_takes_it(key: [u8; 32]) {
        let other = ClusterSecret::from_bytes(key);
        prop_assume!(key != [7; 32]);
        prop_assert_eq!(Ticket::verify(&other, minted().as_str(), &scope(), NOW), Err(TicketError::Mismatch));
    }
}
