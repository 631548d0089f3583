//! Capabilities: short-lived, signed permissions for one call to one file server.
//!
//! A directory node mints them, because it alone knows who may do what; a file server only checks them. Sent as
//! `Authorization: Bearer`. The form is fixed-width binary under base64url, so that one capability has one spelling:
//!
//! ```text
//! version 1 | method 1 | cluster_id 16 | server_id 8 | present 1 | epoch 8 | blob_id 16 | max_bytes 8 | expires 8 | signature 64
//! ```
//!
//! A directory node that calls itself has shown by its certificate who it is, and leaves the signature out: what it asks for
//! is what it may. What it gives to another file server, which is to fetch a copy, it signs. File servers can check that
//! and never make it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::signature::{SIGNATURE_BYTES, SigningKey, verify};
use crate::domain::{BlobId, ClusterId, Epoch, PublicKey, ServerId};

/// How far the clocks of two machines may be apart before their capabilities are refused.
pub const CLOCK_TOLERANCE_MS: u64 = 5 * 60 * 1000;

/// What is signed begins with it, so that a signature for anything else is none for a capability.
const LABEL: &[u8] = b"ringmaster capability\0";
const FORM: u8 = 2;
const BODY_BYTES: usize = 67;
const HAS_EPOCH: u8 = 1;
const HAS_BLOB: u8 = 2;

/// What a capability allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Method {
    Put,
    Get,
    Head,
    Delete,
    Copy,
    Inventory,
    /// Reads a copy on the server's own disk and, like `Head`, gives a receipt.
    Verify,
    /// Has everything read and checked.
    Scrub,
}

impl Method {
    pub const ALL: [Self; 8] =
        [Self::Put, Self::Get, Self::Head, Self::Delete, Self::Copy, Self::Inventory, Self::Verify, Self::Scrub];

    /// Whether it is about one blob, which its capability then names.
    pub const fn names_blob(self) -> bool {
        !matches!(self, Self::Inventory | Self::Scrub)
    }

    /// Whether it changes what the server holds. Such a capability must name the server's current epoch.
    pub const fn writes(self) -> bool {
        matches!(self, Self::Put | Self::Delete | Self::Copy)
    }

    const fn number(self) -> u8 {
        match self {
            Self::Put => 1,
            Self::Get => 2,
            Self::Head => 3,
            Self::Delete => 4,
            Self::Copy => 5,
            Self::Inventory => 6,
            Self::Verify => 7,
            Self::Scrub => 8,
        }
    }
}

/// One permission.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capability {
    pub method: Method,
    pub cluster_id: ClusterId,
    pub server_id: ServerId,
    /// Always given where the method writes.
    pub epoch: Option<Epoch>,
    /// Given where the method names a blob.
    pub blob_id: Option<BlobId>,
    /// The largest body that may be stored.
    pub max_bytes: u64,
    /// Milliseconds since the Unix epoch by the minting node's wall clock.
    pub expires_at_wall_ms: u64,
}

/// The call that a capability must be for.
#[derive(Clone, Copy, Debug)]
pub struct Demand {
    pub method: Method,
    pub cluster_id: ClusterId,
    pub server_id: ServerId,
    /// The server's current epoch; nothing while it is not registered.
    pub epoch: Option<Epoch>,
    pub blob_id: Option<BlobId>,
}

/// Who comes with a capability.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bearer {
    /// A directory node, which has shown that it is one.
    Directory,
    /// Any other member. A directory node must have signed for it, which this key tells.
    Other(PublicKey),
}

/// Why a call is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CapabilityError {
    #[error("the capability is malformed")]
    Malformed,
    #[error("the capability is not signed by this cluster's directory")]
    Forged,
    #[error(
        "the capability has expired by the clock of this file server: compare the clocks of the two machines, best have NTP set both"
    )]
    Expired,
    #[error("the capability is for another method")]
    WrongMethod,
    #[error("the capability is for another cluster")]
    WrongCluster,
    #[error("the capability is for another file server")]
    WrongServer,
    #[error("the capability is for another epoch of this file server")]
    WrongEpoch,
    #[error("the capability is for another blob")]
    WrongBlob,
}

impl CapabilityError {
    /// Whether the caller has not shown who it is, as opposed to asking for what it may not do.
    pub const fn is_unauthenticated(self) -> bool {
        matches!(self, Self::Malformed | Self::Forged | Self::Expired)
    }
}

impl Capability {
    /// The text for a call that a directory node makes itself.
    pub fn mint(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.form())
    }

    /// The text for a call that another member makes.
    pub fn sign(&self, key: &SigningKey) -> String {
        let mut form = self.form();
        let signature = key.sign(&[LABEL, &form].concat());
        form.extend(signature);
        URL_SAFE_NO_PAD.encode(form)
    }

    fn form(&self) -> Vec<u8> {
        let mut form = Vec::with_capacity(BODY_BYTES + SIGNATURE_BYTES);
        form.extend([FORM, self.method.number()]);
        form.extend(self.cluster_id.0.to_be_bytes());
        form.extend(self.server_id.0.to_be_bytes());
        let present =
            if self.epoch.is_some() { HAS_EPOCH } else { 0 } | if self.blob_id.is_some() { HAS_BLOB } else { 0 };
        form.push(present);
        form.extend(self.epoch.map_or(0, |epoch| epoch.0).to_be_bytes());
        form.extend(self.blob_id.map_or(0, |blob| blob.0).to_be_bytes());
        form.extend(self.max_bytes.to_be_bytes());
        form.extend(self.expires_at_wall_ms.to_be_bytes());
        form
    }

    /// Reads a text and checks its signature and its expiry, but not what it is for: see [`Self::check`]. `bearer` is who
    /// came with it.
    ///
    /// # Errors
    /// `Malformed`, `Forged` or `Expired`.
    pub fn verify(bearer: Bearer, text: &str, now_wall_ms: u64) -> Result<Self, CapabilityError> {
        let form = URL_SAFE_NO_PAD.decode(text).map_err(|_| CapabilityError::Malformed)?;
        let (body, signature) = form.split_at_checked(BODY_BYTES).ok_or(CapabilityError::Malformed)?;
        match bearer {
            Bearer::Directory if signature.is_empty() => {}
            Bearer::Directory => return Err(CapabilityError::Malformed),
            Bearer::Other(_) if signature.len() != SIGNATURE_BYTES => return Err(CapabilityError::Malformed),
            Bearer::Other(key) => {
                if !verify(key, &[LABEL, body].concat(), signature) {
                    return Err(CapabilityError::Forged);
                }
            }
        }
        let capability = Self::read(body).ok_or(CapabilityError::Malformed)?;
        if now_wall_ms > capability.expires_at_wall_ms.saturating_add(CLOCK_TOLERANCE_MS) {
            return Err(CapabilityError::Expired);
        }
        Ok(capability)
    }

    /// Whether it is for this very call.
    ///
    /// # Errors
    /// One of the `Wrong…` errors.
    pub fn check(&self, demand: &Demand) -> Result<(), CapabilityError> {
        if self.method != demand.method {
            return Err(CapabilityError::WrongMethod);
        }
        if self.cluster_id != demand.cluster_id {
            return Err(CapabilityError::WrongCluster);
        }
        if self.server_id != demand.server_id {
            return Err(CapabilityError::WrongServer);
        }
        let epoch_fits = match self.epoch {
            Some(epoch) => demand.epoch == Some(epoch),
            None => !self.method.writes(),
        };
        if !epoch_fits {
            return Err(CapabilityError::WrongEpoch);
        }
        if self.blob_id != demand.blob_id {
            return Err(CapabilityError::WrongBlob);
        }
        Ok(())
    }

    fn read(body: &[u8]) -> Option<Self> {
        let (&form, rest) = body.split_first()?;
        let (&method, rest) = rest.split_first()?;
        let (cluster_id, rest) = rest.split_first_chunk()?;
        let (server_id, rest) = rest.split_first_chunk()?;
        let (&present, rest) = rest.split_first()?;
        let (epoch, rest) = rest.split_first_chunk()?;
        let (blob_id, rest) = rest.split_first_chunk()?;
        let (max_bytes, rest) = rest.split_first_chunk()?;
        let expires = rest.try_into().ok()?;
        if form != FORM || present & !(HAS_EPOCH | HAS_BLOB) != 0 {
            return None;
        }
        Some(Self {
            method: Method::ALL.into_iter().find(|known| known.number() == method)?,
            cluster_id: ClusterId(u128::from_be_bytes(*cluster_id)),
            server_id: ServerId(u64::from_be_bytes(*server_id)),
            epoch: (present & HAS_EPOCH != 0).then(|| Epoch(u64::from_be_bytes(*epoch))),
            blob_id: (present & HAS_BLOB != 0).then(|| BlobId(u128::from_be_bytes(*blob_id))),
            max_bytes: u64::from_be_bytes(*max_bytes),
            expires_at_wall_ms: u64::from_be_bytes(expires),
        })
    }
}

#[cfg(test)]
mod tests;
