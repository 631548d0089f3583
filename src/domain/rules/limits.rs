//! The bounds of what a command may bring. A restore is held to them like everybody else.

use std::collections::BTreeSet;

use crate::domain::stop::{Stop, require};
use crate::domain::tables::MAX_COPIES;
use crate::domain::terms::{EXTENT_UNIT, MAX_COPIES_LISTED, NewContent, NewExtent, Policy, Receipt};
use crate::domain::{CopyAt, RejectionKind};

const MAX_USERNAME_BYTES: usize = 64;
/// An argon2id hash in PHC form has about a hundred bytes.
const MAX_PASSWORD_HASH_BYTES: usize = 512;
/// Sessions of one user: the one that was idle for longest gives way to a new one.
pub(crate) const MAX_SESSIONS: usize = 64;
/// Locks that one user may hold at once.
pub(crate) const MAX_LOCKS: usize = 1000;
/// Grants that one user may have been given, all givers together.
pub(crate) const MAX_GRANTS: usize = 1000;
const MAX_FROM_BYTES: usize = 64;
const MAX_AGENT_BYTES: usize = 128;
const MAX_AUDIT_BYTES: u64 = 16 << 30;
const MAX_VERSIONS: u32 = 100_000;
const MAX_CONTENT_TYPE_BYTES: usize = 255;
/// 256 TiB. Far above what a node admits; it keeps the sums in the servers' rows far from overflow.
const MAX_FILE_BYTES: u64 = 1 << 48;
const MIN_EXTENT_BYTES: u64 = 4 << 20;
const MAX_EXTENT_BYTES: u64 = 1 << 30;
/// The longest time that a policy may name: ten years. It keeps sums of times far from overflow.
const MAX_POLICY_MS: u64 = 10 * 365 * 24 * 60 * 60 * 1000;

pub(crate) fn check_username(username: &str) -> Result<(), Stop> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = username.as_bytes();
    let valid = bytes.len() <= MAX_USERNAME_BYTES
        && bytes.first().is_some_and(|first| plain(*first))
        && bytes.iter().all(|byte| plain(*byte) || b"._-".contains(byte));
    require(
        valid,
        RejectionKind::InvalidRequest,
        "a username is 1 to 64 of a-z, 0-9, dot, dash and underscore, and starts with a letter or a digit",
    )
}

pub(crate) fn check_password_hash(hash: &str) -> Result<(), Stop> {
    require(
        (1..=MAX_PASSWORD_HASH_BYTES).contains(&hash.len()),
        RejectionKind::InvalidRequest,
        "the password's hash is empty or too long: choose another password",
    )
}

/// For how long a one-time code holds.
pub(crate) fn check_code_ttl(ttl_ms: u64) -> Result<(), Stop> {
    let bounded = (60_000..=30 * 24 * 60 * 60 * 1000).contains(&ttl_ms);
    require(bounded, RejectionKind::InvalidRequest, "a one-time code holds from one minute to 30 days")
}

/// Where a session was opened from, and by what.
pub(crate) fn check_origin(from: &str, agent: &str) -> Result<(), Stop> {
    let plain = |text: &str, most: usize| text.len() <= most && !text.chars().any(char::is_control);
    let detail = "a session's address or agent is too long, or has control characters";
    require(plain(from, MAX_FROM_BYTES) && plain(agent, MAX_AGENT_BYTES), RejectionKind::InvalidRequest, detail)
}

pub(crate) fn check_policy(policy: &Policy) -> Result<(), Stop> {
    let invalid = RejectionKind::InvalidRequest;
    require((1..=u32::from(MAX_COPIES)).contains(&policy.copies), invalid, "copies is 1 to 5")?;
    let bounded = [policy.garbage_linger_ms, policy.garbage_grace_ms].iter().all(|ms| *ms <= MAX_POLICY_MS);
    require(bounded, invalid, "garbage linger and grace are at most ten years")?;
    // A policy from before there were extents has none.
    let sized = policy.extent_bytes == 0 || (MIN_EXTENT_BYTES..=MAX_EXTENT_BYTES).contains(&policy.extent_bytes);
    let even = policy.extent_bytes.is_multiple_of(EXTENT_UNIT);
    require(sized && even, invalid, "extent_bytes is 4 MiB to 1 GiB, and a multiple of 64; 0 for 64 MiB")?;
    let part = policy.part_min_bytes <= MAX_EXTENT_BYTES;
    require(part, invalid, "part_min_bytes is 1 byte to 1 GiB; 0 for 5 MiB")?;
    let audited = policy.kept_audit_ms() <= MAX_POLICY_MS && policy.kept_audit_bytes() <= MAX_AUDIT_BYTES;
    require(audited, invalid, "audit_ms is at most ten years, and audit_bytes at most 16 GiB")?;
    check_kept(policy.versions_keep, policy.versions_ms, policy.trash_ms)?;
    let lasting = [policy.operation_ttl_ms, policy.session_ttl_ms, policy.receipt_ttl_ms];
    let bounded = lasting.iter().all(|ms| (1000..=MAX_POLICY_MS).contains(ms));
    require(policy.rebalance_percent <= 1000, invalid, "rebalance_percent is 0, for never, to 1000")?;
    require(bounded, invalid, "operations, sessions and receipts hold from one second to ten years")
}

/// How much may be kept, and for how long.
pub(super) fn check_kept(versions: u32, versions_ms: u64, trash_ms: u64) -> Result<(), Stop> {
    let invalid = RejectionKind::InvalidRequest;
    require(versions <= MAX_VERSIONS, invalid, "versions_keep is 0, for none, to 100000: choose a number between")?;
    let bounded = [versions_ms, trash_ms].iter().all(|ms| *ms <= MAX_POLICY_MS);
    require(bounded, invalid, "versions_ms and trash_ms are 0, for not at all, to ten years: choose a time between")
}

/// What no receipt can mend.
pub(crate) fn check_content(new: &NewContent) -> Result<(), Stop> {
    check_content_type(&new.content_type)?;
    check_size(new.size)?;
    check_receipts(&new.receipts)
}

pub(crate) fn check_size(size: u64) -> Result<(), Stop> {
    require(
        size <= MAX_FILE_BYTES,
        RejectionKind::InvalidRequest,
        "the file is too large: store at most 256 TiB in one",
    )
}

/// A state of SHA-256 has eight words, a count, and a block that is not full.
pub(crate) fn check_hash_state(state: &[u8]) -> Result<(), Stop> {
    require((1..=256).contains(&state.len()), RejectionKind::InvalidRequest, "the hash has no state to go on from")
}

/// The shape of an extent that an upload adds. An empty one is a file without bytes.
pub(crate) fn check_extent(new: &NewExtent) -> Result<(), Stop> {
    let invalid = RejectionKind::InvalidRequest;
    require(new.size <= MAX_EXTENT_BYTES, invalid, "an extent has at most 1 GiB")?;
    check_receipts(&new.receipts)
}

fn check_receipts(receipts: &[Receipt]) -> Result<(), Stop> {
    let servers: BTreeSet<_> = receipts.iter().map(|receipt| receipt.server_id).collect();
    let counted = (1..=usize::from(MAX_COPIES)).contains(&receipts.len());
    require(
        counted && servers.len() == receipts.len(),
        RejectionKind::InvalidRequest,
        "a commit names 1 to 5 copies, each on another file server",
    )
}

pub(crate) fn check_content_type(content_type: &str) -> Result<(), Stop> {
    let plain = content_type.len() <= MAX_CONTENT_TYPE_BYTES && !content_type.chars().any(char::is_control);
    require(
        plain,
        RejectionKind::InvalidRequest,
        "the content type is too long or has control characters: use at most 255 bytes",
    )
}

pub(crate) fn check_copies(copies: &[CopyAt]) -> Result<(), Stop> {
    let bounded = (1..=MAX_COPIES_LISTED).contains(&copies.len());
    require(bounded, RejectionKind::InvalidRequest, "one command names 1 to 250 copies")
}
