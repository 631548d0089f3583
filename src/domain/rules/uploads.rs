//! Which upload a user may go on with.

use crate::domain::rows::Upload;
use crate::domain::stop::{Stop, reject, require};
use crate::domain::{ContentId, ReadStore, RejectionKind, UserId, tables};

/// An upload of this user that has neither come to its end nor been given up.
pub(crate) fn known_upload(store: &dyn ReadStore, user: UserId, id: ContentId) -> Result<Upload, Stop> {
    tables::upload(store, user, id)?.ok_or_else(|| {
        let detail = "there is no such upload of yours, it has come to its end or was given up: begin a new one";
        reject(RejectionKind::NotFound, detail)
    })
}

/// The same of one whose bytes come in order.
pub(crate) fn known_stream(store: &dyn ReadStore, user: UserId, id: ContentId) -> Result<Upload, Stop> {
    let upload = known_upload(store, user, id)?;
    let detail = "this upload is in parts: send each with PUT /uploads/parts, and complete it with the list of them";
    require(upload.parts.is_none(), RejectionKind::InvalidRequest, detail)?;
    Ok(upload)
}
