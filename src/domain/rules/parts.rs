//! Which parts an upload may have, and which lists of them may be completed.

use crate::domain::rows::{Part, Parts, Upload};
use crate::domain::stop::{Stop, astray, reject, require};
use crate::domain::terms::{MAX_PARTS, Policy};
use crate::domain::{ContentId, ReadStore, RejectionKind, Sha256, UserId};

/// An upload in parts of this user that has neither come to its end nor been given up.
pub(crate) fn known_parts(store: &dyn ReadStore, user: UserId, id: ContentId) -> Result<(Upload, Parts), Stop> {
    let upload = super::known_upload(store, user, id)?;
    match upload.parts {
        Some(parts) => Ok((upload, parts)),
        None => {
            let detail = "this upload is not in parts: send it with PATCH, or begin one with POST /uploads/parts";
            Err(reject(RejectionKind::InvalidRequest, detail))
        }
    }
}

/// Whether a part of that number may come.
pub(crate) fn check_open_for(parts: &Parts, number: u32) -> Result<(), Stop> {
    check_part_number(number)?;
    let detail = "this upload is being completed and takes no more parts: begin a new one for what is to change";
    require(parts.completing.is_none(), RejectionKind::ChangeUnderWay, detail)
}

/// The refusal of a list of parts where there is another one.
pub(crate) fn other_list() -> Stop {
    let detail = "this upload is being completed with another list of parts: repeat that one, or begin a new upload";
    reject(RejectionKind::ChangeUnderWay, detail)
}

pub(crate) fn check_part_number(number: u32) -> Result<(), Stop> {
    let valid = (1..=MAX_PARTS).contains(&number);
    require(valid, RejectionKind::InvalidRequest, "a part's number is 1 to 10000: choose one of these")
}

/// What can be told of a list of parts without looking at any: their numbers and digests.
pub(crate) fn check_list(list: &[(u32, Sha256)]) -> Result<(), Stop> {
    let invalid = RejectionKind::InvalidRequest;
    require(!list.is_empty(), invalid, "the list of parts is empty: name those that the file is made of")?;
    require(list.len() <= MAX_PARTS as usize, invalid, "the list has more than 10000 parts: send larger ones")?;
    list.iter().try_for_each(|(number, _)| check_part_number(*number))?;
    let sorted = list.is_sorted_by(|a, b| a.0 < b.0);
    require(sorted, invalid, "the list of parts is out of order or names one twice: sort it by number, each once")
}

/// Whether a part is the one that a list names, and may stand where it does.
pub(crate) fn check_listed(
    policy: &Policy,
    (number, sha256): (u32, Sha256),
    part: Option<&Part>,
    (last, alone): (bool, bool),
) -> Result<(), Stop> {
    let refuse = |detail: String| Err(reject(RejectionKind::InvalidRequest, detail));
    let Some(part) = part else {
        return refuse(format!("there is no part {number}: send it, or leave it out of the list"));
    };
    if part.sha256 != sha256 {
        let known = part.sha256;
        return refuse(format!(
            "part {number} has the SHA-256 {known}, the list another one: send it again, or list this"
        ));
    }
    if part.size == 0 && !alone {
        return refuse(format!("part {number} is empty: leave it out of the list"));
    }
    let least = policy.part_min_bytes;
    if !last && part.size < least {
        let size = part.size;
        return refuse(format!(
            "part {number} has {size} bytes, and parts but the last have {least} at least: send it again with more"
        ));
    }
    Ok(())
}

/// What a list names has gone, though the upload has not changed since.
pub(crate) fn gone(number: u32) -> Stop {
    astray(format!("part {number} of an upload is to become a piece and is not there"))
}
