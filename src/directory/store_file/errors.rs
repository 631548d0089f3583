//! Why bytes were not stored, for the client.

use crate::client::blobs::BlobError;
use crate::directory::error::ApiError;
use crate::directory::transfer::upload::UploadError;
use crate::protocol::capability::CapabilityError;
use crate::protocol::problem::Code;

pub(super) fn servers_changed() -> ApiError {
    ApiError::new(
        Code::NoFileServer,
        "the file servers kept changing during the request, and nothing was stored: send it again",
    )
}

pub(crate) fn too_large(max_bytes: u64) -> ApiError {
    ApiError::new(
        Code::TooLarge,
        format!(
            "the file is larger than this cluster takes ({max_bytes} bytes): split it, or have limits.max_file_bytes raised"
        ),
    )
}

/// A body that did not say how long it is was longer than there is room for.
pub(crate) fn over_quota(room: u64) -> ApiError {
    ApiError::new(
        Code::QuotaExceeded,
        format!(
            "the quota of this tree's owner has room for {room} bytes more, and nothing was stored: delete something for \
             good (old versions and the trash count), or ask the admin for more"
        ),
    )
}

pub(crate) fn upload_error(error: UploadError, max_bytes: u64) -> ApiError {
    match error {
        UploadError::ClientBroke(cause) => ApiError::invalid(
            "the body broke off or has another length than announced, and nothing was stored: send it again",
        )
        .because(cause),
        UploadError::TooLarge => too_large(max_bytes),
        UploadError::ChecksumMismatch => ApiError::new(
            Code::ChecksumMismatch,
            "the bytes that came do not have the digest that was announced, and nothing was stored: send them again",
        ),
        UploadError::Full => ApiError::new(Code::StorageFull, "the file servers have no room for the file: free some"),
        UploadError::NoServerLeft(causes) => {
            let expired = CapabilityError::Expired.to_string();
            let clock = |cause: &BlobError| matches!(cause, BlobError::Refused { cause, .. } if *cause == expired);
            let detail = if causes.iter().any(clock) {
                "the clocks of this node and of the file servers are too far apart, and nothing was stored: have them set (`ringmaster cluster status` and the logs name the wrong one), then send it again"
            } else if causes.iter().any(|cause| matches!(cause, BlobError::Unwritable { .. })) {
                "the disk of a file server that was to take the file takes no writes, and nothing was stored: send it again, and have the server looked at (`ringmaster ring status` says why)"
            } else {
                "every file server that was to take the file went away, and nothing was stored: send it again"
            };
            let causes: Vec<String> = causes.iter().map(ToString::to_string).collect();
            ApiError::new(Code::NoFileServer, detail).because(causes.join("; "))
        }
        UploadError::Disagree(cause) => ApiError::internal(cause),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ServerId;

    #[test]
    fn an_upload_that_fails_by_the_clocks_says_so() {
        let failed = |cause: String| {
            let causes = vec![BlobError::Refused { server_id: ServerId(1), cause }];
            upload_error(UploadError::NoServerLeft(causes), 1).detail
        };
        assert!(failed(CapabilityError::Expired.to_string()).contains("clocks"));
        assert!(!failed(CapabilityError::WrongEpoch.to_string()).contains("clocks"));
    }
}
