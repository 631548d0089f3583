//! What directory nodes ask of one another beyond consensus: the leader for places, all for what they can reach.
//!
//! One envelope carries all of it, in MessagePack behind a byte with the version. A variant's meaning never changes; a
//! new one is added. A node that does not know a call yet refuses it, and the caller takes that as no answer.

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::error::{ApiError, ApiResult};
use super::lookout::{ReachCall, ReachReply};
use super::placer::message::{PlacerCall, PlacerReply};
use super::progress::JobStatus;
use crate::consensus::{AskError, Handle};
use crate::domain::NodeId;

/// The largest message, in bytes.
const MAX_BYTES: usize = 64 * 1024;
/// Raised when the envelope itself changes. Nodes of two versions refuse one another's calls.
const VERSION: u8 = 1;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum PeerCall {
    /// To the leader.
    Placer(PlacerCall),
    Reach(ReachCall),
    /// To the leader: how its replication job gets on.
    JobStatus,
    /// What its wall clock says.
    Time,
    /// From which state of the directory the oldest of its running reads is.
    OldestRead,
    /// To the leader: a file was refused for want of room.
    RoomWanted,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum PeerReply {
    Placer(PlacerReply),
    Reach(ReachReply),
    JobStatus(JobStatus),
    Time {
        wall_ms: u64,
    },
    OldestRead {
        /// Cluster time; nothing where none runs.
        seen_at: Option<u64>,
    },
    Noted,
}

/// The bytes are no such message.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MessageError {
    #[error("a message of {0} bytes is too large")]
    TooLarge(usize),
    #[error("the other node speaks another version: bring both to the same release")]
    Version,
    #[error("not a message, or of a newer release: {0}")]
    Malformed(#[from] rmp_serde::decode::Error),
}

pub(crate) fn encode(message: &impl Serialize) -> Bytes {
    let mut bytes = vec![VERSION];
    rmp_serde::encode::write_named(&mut bytes, message).expect("numbers and strings have a form in MessagePack");
    Bytes::from(bytes)
}

/// # Errors
/// When the bytes are too many, of another version, or no such message.
pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, MessageError> {
    if bytes.len() > MAX_BYTES {
        return Err(MessageError::TooLarge(bytes.len()));
    }
    let (version, message) = bytes.split_first().ok_or(MessageError::Version)?;
    if *version != VERSION {
        return Err(MessageError::Version);
    }
    Ok(rmp_serde::from_slice(message)?)
}

/// Has a node answer.
///
/// # Errors
/// When it was not reached, or refuses.
pub(crate) async fn ask(handle: &Handle, node: NodeId, call: &PeerCall) -> Result<PeerReply, AskError> {
    let reply = handle.ask(node, encode(call)).await?;
    decode(&reply).map_err(|error| AskError::Refused { node, cause: error.to_string() })
}

/// Has the leader answer.
///
/// # Errors
/// When there is none, or what it says is not understood.
pub(crate) async fn ask_leader(handle: &Handle, call: &PeerCall) -> ApiResult<PeerReply> {
    let reply = handle.ask_leader(encode(call)).await?;
    decode(&reply).map_err(ApiError::internal)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::blobs::ServerAddress;
    use crate::directory::placer::Wish;
    use crate::directory::placer::message::{PlacementAnswer, PlacementRequest, Release, Renew, Target};
    use crate::domain::{BlobId, ClusterTime, Epoch, ServerId, ServerUuid};

    #[test]
    fn messages_come_back_as_they_went() {
        let wish = Wish { blob_id: BlobId(u128::MAX), size_hint: 7, excluded: [ServerId(3)].into() };
        for call in [
            PeerCall::Placer(PlacerCall::Place(PlacementRequest::from(wish.clone()))),
            PeerCall::Placer(PlacerCall::Renew(Renew { blob_id: BlobId(1) })),
            PeerCall::Placer(PlacerCall::Release(Release { blob_id: BlobId(2) })),
            PeerCall::Reach(ReachCall { server_id: ServerId(1), epoch: Epoch(2) }),
            PeerCall::Time,
            PeerCall::OldestRead,
            PeerCall::RoomWanted,
        ] {
            assert_eq!(decode::<PeerCall>(&encode(&call)).expect("a call"), call);
        }
        assert_eq!(Wish::from(PlacementRequest::from(wish.clone())), wish);

        let at =
            ServerAddress { server_id: ServerId(1), epoch: Epoch(2), uuid: ServerUuid(3), url: "https://a".to_owned() };
        assert_eq!(ServerAddress::from(Target::from(&at)), at);
        for reply in [
            PeerReply::Placer(PlacerReply::Placement(PlacementAnswer::placed(&[at], ClusterTime(9)))),
            PeerReply::Placer(PlacerReply::Placement(PlacementAnswer::Full)),
            PeerReply::Placer(PlacerReply::Known(true)),
            PeerReply::Placer(PlacerReply::NotLeader),
            PeerReply::Reach(ReachReply::Reached),
            PeerReply::Reach(ReachReply::NotReached { cause: "refused".to_owned() }),
            PeerReply::Reach(ReachReply::CannotTell),
            PeerReply::Time { wall_ms: u64::MAX },
            PeerReply::OldestRead { seen_at: None },
            PeerReply::OldestRead { seen_at: Some(7) },
            PeerReply::Noted,
        ] {
            assert_eq!(decode::<PeerReply>(&encode(&reply)).expect("a reply"), reply);
        }
    }

    #[test]
    fn what_is_no_message_is_refused() {
        let call = encode(&PeerCall::Reach(ReachCall { server_id: ServerId(1), epoch: Epoch(2) }));
        let mut newer = call.to_vec();
        newer[0] = VERSION + 1;
        assert!(matches!(decode::<PeerCall>(&newer), Err(MessageError::Version)));
        assert!(matches!(decode::<PeerCall>(b""), Err(MessageError::Version)));
        assert!(matches!(decode::<PeerCall>(&call[..call.len() - 1]), Err(MessageError::Malformed(_))));
        assert!(matches!(decode::<PeerCall>(&vec![VERSION; MAX_BYTES + 1]), Err(MessageError::TooLarge(_))));
    }
}
