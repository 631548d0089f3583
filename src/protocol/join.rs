//! How a machine comes to be known: a join token, made by who has the cluster secret, for a key that never leaves the
//! machine.
//!
//! ```text
//! rm-join-BASE64URL( form 1 | authority 32 | token id 16 | end 8 | replaces 1 | UUID 16 | mac 32 )
//! ```
//!
//! The token names the cluster's authority, so that the machine believes nobody else from its first connection on.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use super::secret::ClusterSecret;
use crate::domain::{PublicKey, ServerUuid, TokenId};

/// The largest body of `POST /join`, in bytes.
pub const MAX_JOIN_BYTES: usize = 8 * 1024;

const START: &str = "rm-join-";
const LABEL: &str = "join token";
const FORM: u8 = 1;
const BODY_BYTES: usize = 1 + 32 + 16 + 8 + 1 + 16;
const MAC_BYTES: usize = 32;

/// What a join token says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JoinToken {
    /// The key of the cluster's authority.
    pub authority: PublicKey,
    pub id: TokenId,
    /// Milliseconds since the Unix epoch, by the time that the directory nodes agree on.
    pub ends_ms: u64,
    /// The file server that is to have another key.
    pub replaces: Option<ServerUuid>,
}

/// A join token as it is given to a machine. Only who has the cluster secret can tell whether it is good.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SignedToken(String);

/// Why a join token is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    #[error("this is no join token: make one with `ringmaster join-token` and put the whole of it into a file")]
    Malformed,
    #[error("the join token is not this cluster's: make one with the secret of this cluster (`ringmaster join-token`)")]
    Forged,
    #[error(
        "the join token has ended: make another one (`ringmaster join-token`); should a new one have ended as well, compare the clocks of the machines"
    )]
    Ended,
}

impl JoinToken {
    pub fn sign(&self, secret: &ClusterSecret) -> SignedToken {
        let mut form = Vec::with_capacity(BODY_BYTES + MAC_BYTES);
        form.push(FORM);
        form.extend(self.authority.0);
        form.extend(self.id.0.to_be_bytes());
        form.extend(self.ends_ms.to_be_bytes());
        form.push(u8::from(self.replaces.is_some()));
        form.extend(self.replaces.map_or(0, |uuid| uuid.0).to_be_bytes());
        let mac = secret.mac(LABEL, &[&form]);
        form.extend(mac);
        SignedToken(format!("{START}{}", URL_SAFE_NO_PAD.encode(form)))
    }

    fn read(form: &[u8]) -> Option<Self> {
        let (&form, rest) = form.split_first()?;
        let (authority, rest) = rest.split_first_chunk()?;
        let (id, rest) = rest.split_first_chunk()?;
        let (ends, rest) = rest.split_first_chunk()?;
        let (&replaces, uuid) = rest.split_first()?;
        let uuid = ServerUuid(u128::from_be_bytes(uuid.try_into().ok()?));
        let replaces = match replaces {
            0 if uuid.0 == 0 => None,
            1 => Some(uuid),
            _ => return None,
        };
        let token = Self {
            authority: PublicKey(*authority),
            id: TokenId(u128::from_be_bytes(*id)),
            ends_ms: u64::from_be_bytes(*ends),
            replaces,
        };
        (form == FORM).then_some(token)
    }
}

impl SignedToken {
    fn form(&self) -> Option<Vec<u8>> {
        let form = URL_SAFE_NO_PAD.decode(self.0.strip_prefix(START)?).ok()?;
        (form.len() == BODY_BYTES + MAC_BYTES).then_some(form)
    }

    /// What it says, whether it is good or not.
    ///
    /// # Errors
    /// [`TokenError::Malformed`].
    pub fn read(&self) -> Result<JoinToken, TokenError> {
        let form = self.form().ok_or(TokenError::Malformed)?;
        JoinToken::read(&form[..BODY_BYTES]).ok_or(TokenError::Malformed)
    }

    /// What it says, where it was signed with this secret and has not ended at `now_ms`.
    ///
    /// # Errors
    /// Why it is not good.
    pub fn verify(&self, secret: &ClusterSecret, now_ms: u64) -> Result<JoinToken, TokenError> {
        let form = self.form().ok_or(TokenError::Malformed)?;
        let (body, mac) = form.split_at(BODY_BYTES);
        if !secret.verify(LABEL, &[body], mac) {
            return Err(TokenError::Forged);
        }
        let token = JoinToken::read(body).ok_or(TokenError::Malformed)?;
        if token.ends_ms > now_ms { Ok(token) } else { Err(TokenError::Ended) }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for SignedToken {
    type Err = TokenError;

    fn from_str(text: &str) -> Result<Self, TokenError> {
        let token = Self(text.trim().to_owned());
        token.read().map(|_| token)
    }
}

impl fmt::Debug for SignedToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SignedToken(…)")
    }
}

/// Body of `POST /join`, the only call at the cluster's port for who has no certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JoinRequest {
    pub uuid: ServerUuid,
    pub key: PublicKey,
    /// For a server or a key that the cluster does not know yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<SignedToken>,
}

/// A certificate, which is no secret: it is worth something only to who has the key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinAnswer {
    /// Base64 of DER (X.509).
    pub certificate: String,
    /// The key by which capabilities of the directory are checked.
    pub capabilities: PublicKey,
    /// The time that the directory nodes agree on, in milliseconds since the Unix epoch.
    #[serde(default)]
    pub now_ms: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: JoinToken =
        JoinToken { authority: PublicKey([3; 32]), id: TokenId(9), ends_ms: 1000, replaces: Some(ServerUuid(0)) };

    fn secret(byte: u8) -> ClusterSecret {
        ClusterSecret::from_bytes([byte; 32])
    }

    #[test]
    fn a_token_is_what_was_signed_until_it_ends() {
        let signed = TOKEN.sign(&secret(1));
        assert_eq!(signed.as_str().parse(), Ok(signed.clone()));
        assert_eq!(signed.read(), Ok(TOKEN));
        assert_eq!(signed.verify(&secret(1), 999), Ok(TOKEN));
        assert_eq!(signed.verify(&secret(1), 1000), Err(TokenError::Ended));
        assert_eq!(signed.verify(&secret(2), 0), Err(TokenError::Forged));
        let plain = JoinToken { replaces: None, ..TOKEN }.sign(&secret(1));
        assert_eq!(plain.verify(&secret(1), 0).map(|token| token.replaces), Ok(None));
    }

    #[test]
    fn no_bit_of_it_can_be_turned() {
        let signed = TOKEN.sign(&secret(1));
        let form = signed.form().expect("well-formed");
        for at in 0..form.len() * 8 {
            let mut bent = form.clone();
            bent[at / 8] ^= 1 << (at % 8);
            let bent = SignedToken(format!("{START}{}", URL_SAFE_NO_PAD.encode(bent)));
            assert!(bent.verify(&secret(1), 0).is_err(), "bit {at}");
        }
        for text in ["", "rm-join-", "rm-join-AAAA", &signed.as_str()[1..], &format!("{}A", signed.as_str())] {
            assert_eq!(text.parse::<SignedToken>(), Err(TokenError::Malformed), "{text}");
        }
    }
}
