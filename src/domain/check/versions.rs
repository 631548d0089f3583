//! What names contents: versions, old and current. And whose they are.

use super::refs::Refs;
use super::uploads::{Sum, Sums, payer};
use super::{Report, uploads};
use crate::domain::record::Record;
use crate::domain::rows::{BIN, Entry, FileVersion, OldVersion, Trashed, Usage};
use crate::domain::tables::{self, Ending, keys};
use crate::domain::{Fault, FileId, ReadStore, Table, UserId, Version};

/// Answers with how often contents are named.
pub(super) fn check(report: &mut Report<'_>) -> Result<Refs, Fault> {
    let (mut refs, mut sums) = (Refs::default(), Sums::new());
    report.each(Table::Entries, |report, store, _, value| {
        let entry = Entry::from_bytes(value)?;
        let Some(file) = entry.file() else { return Ok(()) };
        version(report, store, entry.file_id, &file.current)?;
        refs.add(file.current.content_id, 1);
        let sum = sums.entry(payer(store, entry.owner)?).or_default();
        sum.bytes = sum.bytes.saturating_add(file.current.size);
        sum.files += 1;
        let (mut kept, mut below) = (0, file.current.version);
        loop {
            let page = tables::versions_below(store, entry.file_id, below, 64)?;
            let Some(last) = page.last() else { break };
            (kept, below) = (kept + page.len() as u64, last.file.version);
        }
        let oldest = if kept == 0 { Version(0) } else { below };
        let counted = kept == file.kept && (file.oldest <= oldest) && (kept > 0) == (file.oldest != Version(0));
        report.expect("old_versions_are_counted", counted, || {
            format!("file {} keeps {} from {}, and has {kept} from {oldest}", entry.file_id, file.kept, file.oldest)
        });
        Ok(())
    })?;
    report.each(Table::Versions, |report, store, key, value| {
        let (id, number) = keys::read_version(key)?;
        let old = OldVersion::from_bytes(value)?;
        refs.add(old.file.content_id, 1);
        version(report, store, id, &old.file)?;
        let entry = tables::entry(store, id)?;
        let older = entry.as_ref().and_then(Entry::file).is_some_and(|file| number < file.current.version);
        report.expect("old_versions_are_older", older && old.file.version == number, || {
            format!("version {number} of file {id}: {old:?}")
        });
        if let Some(entry) = entry {
            let sum = sums.entry(payer(store, entry.owner)?).or_default();
            sum.bytes = sum.bytes.saturating_add(old.file.size);
        }
        let ends = store.get(Table::Expiries, &keys::expiry(old.until, &Ending::Version(id, number)))?.is_some();
        report.expect("old_versions_end", ends, || format!("version {number} of file {id}"));
        Ok(())
    })?;
    trash(report)?;
    uploads::check(report, &mut refs, &mut sums)?;
    report.each(Table::Usage, |report, _, key, value| {
        let user = UserId(keys::read_u64(key, Table::Usage)?);
        let usage = Usage::from_bytes(value)?;
        let sum = sums.remove(&user).unwrap_or_default();
        let holds = Sum { bytes: usage.bytes, files: usage.files, uploads: usage.uploads } == sum;
        report.expect("usage_adds_up", holds, || format!("user {user} is said to have {usage:?}, and has {sum:?}"));
        Ok(())
    })?;
    // An empty file of no bytes is a file.
    let uncounted: Vec<_> = sums.keys().collect();
    report.expect("usage_adds_up", uncounted.is_empty(), || format!("what users {uncounted:?} have is not counted"));
    Ok(refs)
}

fn version(report: &mut Report<'_>, store: &dyn ReadStore, id: FileId, file: &FileVersion) -> Result<(), Fault> {
    report.expect("versions_start_at_one", file.version.0 >= 1, || format!("file {id} is at {}", file.version));
    let content = tables::content(store, file.content_id)?;
    let holds = content
        .as_ref()
        .is_some_and(|content| !content.is_dead() && (content.size(), content.sha256()) == (file.size, file.sha256));
    report.expect("versions_name_live_contents", holds, || format!("file {id}: {file:?}, {content:?}"));
    Ok(())
}

fn trash(report: &mut Report<'_>) -> Result<(), Fault> {
    report.each(Table::Trash, |report, store, key, value| {
        let (owner, deleted_at, id) = keys::read_trashed(key)?;
        let row = Trashed::from_bytes(value)?;
        let name = keys::binned_name(deleted_at, id);
        let entry = tables::entry(store, id)?;
        let holds = entry.is_some_and(|entry| entry.parent == BIN && entry.owner == owner && entry.name == name);
        report.expect("the_trash_lists_what_is_in_the_bin", holds, || format!("entry {id} of user {owner}"));
        let ending = Ending::Trash(owner, deleted_at, id);
        let ends = store.get(Table::Expiries, &keys::expiry(row.until, &ending))?.is_some();
        report.expect("the_trash_ends", ends, || format!("entry {id} of user {owner}"));
        Ok(())
    })
}
