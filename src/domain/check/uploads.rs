//! What is being sent, and what long reads keep.

use std::collections::BTreeMap;

use super::refs::Refs;
use super::{Report, parts};
use crate::domain::record::Record;
use crate::domain::rows::{ContentState, Pin, Upload};
use crate::domain::tables::{self, Ending, keys};
use crate::domain::terms::EXTENT_UNIT;
use crate::domain::{Fault, ReadStore, Table, UserId};

/// What a user's tree and uploads come to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sum {
    pub(super) bytes: u64,
    pub(super) files: u64,
    pub(super) uploads: u64,
}

pub(super) type Sums = BTreeMap<UserId, Sum>;

/// Who pays for what an account has.
pub(super) fn payer(store: &dyn ReadStore, owner: UserId) -> Result<UserId, Fault> {
    Ok(tables::removal(store, owner)?.map_or(owner, |removal| removal.heir))
}

/// Adds what uploads name and take.
pub(super) fn check(report: &mut Report<'_>, refs: &mut Refs, sums: &mut Sums) -> Result<(), Fault> {
    report.each(Table::Uploads, |report, store, key, value| {
        let (user, id) = keys::read_upload(key, Table::Uploads)?;
        let upload = Upload::from_bytes(value)?;
        refs.add(id, 1);
        let content = tables::content(store, id)?;
        let open = content.as_ref().is_some_and(|content| content.state == ContentState::Open);
        report.expect("uploads_have_open_contents", open, || format!("upload {id} of user {user}: {content:?}"));
        let size = match &upload.parts {
            Some(known) => parts::check_upload(report, store, id, known, content.as_ref())?,
            None => content.map_or(0, |content| content.size()),
        };
        let sum = sums.entry(payer(store, user)?).or_default();
        sum.bytes = sum.bytes.saturating_add(size);
        sum.uploads += 1;
        let left_over = (upload.tail.len() as u64) < EXTENT_UNIT;
        let within = upload.length.is_none_or(|length| size.saturating_add(upload.tail.len() as u64) <= length);
        report.expect("uploads_are_within_their_length", left_over && within, || format!("upload {id}: {size} bytes"));
        let ends = store.get(Table::Expiries, &keys::expiry(upload.expires_at, &Ending::Upload(user, id)))?.is_some();
        report.expect("uploads_end", ends, || format!("upload {id} of user {user}"));
        Ok(())
    })?;
    parts::check(report, refs)?;
    report.each(Table::Pins, |report, store, key, value| {
        let (id, user) = keys::read_pin(key, Table::Pins)?;
        let pin = Pin::from_bytes(value)?;
        let there = pin.user == user && tables::content(store, id)?.is_some();
        report.expect("pins_keep_contents", there, || format!("content {id} for user {user}"));
        let ends = store.get(Table::Expiries, &keys::expiry(pin.expires_at, &Ending::Pin(id, user)))?.is_some();
        report.expect("pins_end", ends, || format!("content {id} for user {user}"));
        Ok(())
    })
}
