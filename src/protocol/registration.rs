//! How a file server comes into the cluster and stays there.
//!
//! It calls `POST /register` at any directory node with the cluster secret. Before it is admitted the directory calls
//! `POST {url}/challenge` back: whoever answers at that address must know the secret too and must be the very server
//! that asked, or bytes would be sent to a stranger. Neither call shows the secret to whoever is at the address.

use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;

use super::api::ServerState;
use super::secret::ClusterSecret;
use crate::domain::{ClusterId, Epoch, Incarnation, ServerId, ServerUuid};

const CALL_LABEL: &str = "challenge-call";
const ANSWER_LABEL: &str = "challenge-answer";

/// Body of `POST /register`, with the cluster secret as bearer token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegisterRequest {
    pub uuid: ServerUuid,
    /// Where directory nodes and other file servers reach it, such as `http://10.0.0.7:3031`.
    pub url: String,
    pub zone: String,
    /// Bytes that it can hold in all.
    pub capacity: u64,
    /// What the data directory is bound to since its first admission.
    #[serde(default)]
    pub server_id: Option<ServerId>,
    /// The cluster that the data directory belongs to; nothing where it was never admitted.
    #[serde(default)]
    pub cluster_id: Option<ClusterId>,
    /// The incarnation that was admitted last; nothing before the first admission.
    #[serde(default)]
    pub last: Option<Incarnation>,
    /// The incarnation to be admitted. A request that is repeated has the same.
    #[serde(default)]
    pub next: Option<Incarnation>,
}

/// How often a server reports its whole inventory where the directory does not say, in milliseconds.
pub const DEFAULT_INVENTORY_MS: u64 = 30 * 60 * 1000;

const fn default_inventory_ms() -> u64 {
    DEFAULT_INVENTORY_MS
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegisterAnswer {
    pub cluster_id: ClusterId,
    pub server_id: ServerId,
    pub epoch: Epoch,
    /// How often the server is to send a heartbeat to every directory node.
    pub heartbeat_ms: u64,
    /// How often the server is to report its whole inventory.
    #[serde(default = "default_inventory_ms")]
    pub inventory_ms: u64,
    /// The URLs of all directory nodes.
    pub directory: Vec<String>,
    pub servers: Vec<ServerEntry>,
    /// The time that the directory nodes agree on, in milliseconds since the Unix epoch. A node that has
    /// asked none of the others yet, or is of a release from before, says nothing of it.
    #[serde(default)]
    pub now_ms: Option<u64>,
}

/// Where a file server is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerEntry {
    pub server_id: ServerId,
    pub url: String,
    pub epoch: Epoch,
}

/// Body of `POST /heartbeat`, with the cluster secret as bearer token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeartbeatRequest {
    pub uuid: ServerUuid,
    pub server_id: ServerId,
    pub epoch: Epoch,
    /// Bytes that it can hold in all.
    pub capacity: u64,
    /// Bytes that it can still take.
    pub free: u64,
    /// Bytes of its blobs. It grows to the true value while a server that has just started counts them.
    pub used: u64,
    pub blobs: u64,
    /// How many damaged copies it met since it started.
    pub errors: u64,
    /// Why its disk takes no writes, where it takes none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refusal: Option<String>,
    /// How far the check of everything is that somebody asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scrub: Option<ScrubPass>,
}

/// What a check of everything has seen so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScrubPass {
    pub copies: u64,
    pub damaged: u64,
}

/// A server that is answered `known: false`, another epoch, or that it is down registers again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeartbeatAnswer {
    pub known: bool,
    /// The server's epoch as the answering node knows it; 0 where it is not known.
    pub epoch: Epoch,
    pub state: ServerState,
    pub directory: Vec<String>,
    pub servers: Vec<ServerEntry>,
    /// The time that the directory nodes agree on, in milliseconds since the Unix epoch. A node that has
    /// asked none of the others yet, or is of a release from before, says nothing of it.
    #[serde(default)]
    pub now_ms: Option<u64>,
}

/// Body of `POST {url}/challenge`, with [`ChallengeCall::bearer`] as bearer token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChallengeRequest {
    /// 64 hexadecimal digits, fresh for each call.
    pub nonce: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChallengeAnswer {
    pub uuid: ServerUuid,
    /// Hexadecimal.
    pub proof: String,
}

/// The directory's side of one challenge.
#[derive(Clone, Debug)]
pub struct ChallengeCall {
    secret: ClusterSecret,
    nonce: String,
}

impl ChallengeCall {
    /// `nonce` is random and fresh.
    pub fn new(secret: &ClusterSecret, nonce: [u8; 32]) -> Self {
        Self { secret: secret.clone(), nonce: hex::encode(nonce) }
    }

    /// The body to send.
    pub fn request(&self) -> ChallengeRequest {
        ChallengeRequest { nonce: self.nonce.clone() }
    }

    /// The bearer token to send, which shows that the caller knows the secret without showing the secret.
    pub fn bearer(&self) -> String {
        hex::encode(self.secret.mac(CALL_LABEL, &[self.nonce.as_bytes()]))
    }

    /// Whether the answer comes from the server `uuid` that calls `url` its own, and that knows the secret.
    pub fn verify_answer(&self, answer: &ChallengeAnswer, uuid: ServerUuid, url: &str) -> bool {
        answer.uuid == uuid
            && hex::decode(&answer.proof)
                .is_ok_and(|proof| proof_mac(&self.secret, &self.nonce, uuid, url).ct_eq(&proof).into())
    }
}

impl ChallengeRequest {
    /// The file server's side: the answer, or nothing where the caller does not know the secret.
    pub fn answer(&self, secret: &ClusterSecret, bearer: &str, uuid: ServerUuid, url: &str) -> Option<ChallengeAnswer> {
        let mac = hex::decode(bearer).ok()?;
        secret
            .verify(CALL_LABEL, &[self.nonce.as_bytes()], &mac)
            .then(|| ChallengeAnswer { uuid, proof: hex::encode(proof_mac(secret, &self.nonce, uuid, url)) })
    }
}

fn proof_mac(secret: &ClusterSecret, nonce: &str, uuid: ServerUuid, url: &str) -> [u8; 32] {
    secret.mac(ANSWER_LABEL, &[nonce.as_bytes(), uuid.to_string().as_bytes(), url.as_bytes()])
}

#[cfg(test)]
mod tests {
    use super::*;

    const UUID: ServerUuid = ServerUuid(5);
    const URL: &str = "http://127.0.0.1:3031";

    fn secret() -> ClusterSecret {
        ClusterSecret::from_bytes([1; 32])
    }

    #[test]
    fn a_challenge_is_answered_by_the_right_server_only() {
        let call = ChallengeCall::new(&secret(), [9; 32]);
        let answer = call.request().answer(&secret(), &call.bearer(), UUID, URL).expect("the caller knows the secret");
        assert!(call.verify_answer(&answer, UUID, URL));
        assert!(!call.verify_answer(&answer, ServerUuid(6), URL));
        assert!(!call.verify_answer(&answer, UUID, "http://127.0.0.1:3032"));
        assert!(
            !ChallengeCall::new(&secret(), [8; 32]).verify_answer(&answer, UUID, URL),
            "an answer is for one nonce"
        );
        let renamed = ChallengeAnswer { uuid: ServerUuid(6), ..answer.clone() };
        assert!(!call.verify_answer(&renamed, ServerUuid(6), URL));
        let empty = ChallengeAnswer { proof: String::new(), ..answer };
        assert!(!call.verify_answer(&empty, UUID, URL));
    }

    #[test]
    fn a_stranger_is_told_nothing_and_believed_nothing() {
        let stranger = ClusterSecret::from_bytes([2; 32]);
        let call = ChallengeCall::new(&stranger, [9; 32]);
        assert_eq!(call.request().answer(&secret(), &call.bearer(), UUID, URL), None);
        assert_eq!(call.request().answer(&secret(), "", UUID, URL), None);
        let honest = ChallengeCall::new(&secret(), [9; 32]);
        let forged = call.request().answer(&stranger, &call.bearer(), UUID, URL).expect("its own secret");
        assert!(!honest.verify_answer(&forged, UUID, URL));
        assert_ne!(honest.bearer(), forged.proof, "the call's token is no answer");
    }
}
