//! The cluster secret: what directory nodes, file servers and the lock service know one another by, and what
//! capabilities, tickets and lock tokens are signed with.

use std::fmt;
use std::path::Path;

use anyhow::{Context, bail};
use hmac::{Hmac, KeyInit, Mac};
use ring::hkdf::{HKDF_SHA256, Salt};
use subtle::ConstantTimeEq;

use crate::local;

/// 256 bits, written as 64 hexadecimal digits in a file.
#[derive(Clone)]
pub struct ClusterSecret([u8; 32]);

impl ClusterSecret {
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// # Errors
    /// When the text is not 64 hexadecimal digits (white space around them is passed over).
    pub fn parse(text: &str) -> anyhow::Result<Self> {
        let mut bytes = [0; 32];
        if hex::decode_to_slice(text.trim(), &mut bytes).is_err() {
            bail!("a cluster secret is 64 hexadecimal digits: make one with `openssl rand -hex 32`");
        }
        Ok(Self(bytes))
    }

    /// # Errors
    /// When the file cannot be read or holds no secret.
    pub fn read(file: &Path) -> anyhow::Result<Self> {
        let text = local::read_secret(file).with_context(|| {
            format!(
                "cannot read the cluster secret {}: copy it from another node, or make one with `openssl rand -hex 32`",
                file.display()
            )
        })?;
        Self::parse(&text).with_context(|| format!("the cluster secret {} is not valid", file.display()))
    }

    /// A key for one purpose (HKDF-SHA-256, RFC 5869). Who has it knows nothing of the others.
    ///
    /// # Panics
    /// Never: HKDF gives up to 8,160 bytes.
    pub fn derive(&self, purpose: &str) -> [u8; 32] {
        let mut key = [0; 32];
        Salt::new(HKDF_SHA256, b"ringmaster")
            .extract(&self.0)
            .expand(&[purpose.as_bytes()], HKDF_SHA256)
            .and_then(|expanded| expanded.fill(&mut key))
            .expect("HKDF gives 32 bytes");
        key
    }

    /// HMAC-SHA-256 over `label` and `parts`. The label keeps the uses of the secret apart, and every part goes in
    /// with its length, so that no two lists of parts give the same input.
    pub fn mac(&self, label: &str, parts: &[&[u8]]) -> [u8; 32] {
        let mut mac = Hmac::<sha2::Sha256>::new_from_slice(&self.0).expect("HMAC takes a key of any length");
        for part in std::iter::once(label.as_bytes()).chain(parts.iter().copied()) {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        mac.finalize().into_bytes().into()
    }

    /// Whether `mac` is the one of `label` and `parts`, in constant time.
    pub fn verify(&self, label: &str, parts: &[&[u8]], mac: &[u8]) -> bool {
        self.mac(label, parts).ct_eq(mac).into()
    }
}

impl fmt::Debug for ClusterSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClusterSecret(…)")
    }
}
