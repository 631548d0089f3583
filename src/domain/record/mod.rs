//! Bytes of what is stored and of what goes through the log.

use super::command::{Proposal, Stamped};
use super::{Answer, Fault};

impl Stamped {
    pub fn encode(&self) -> Vec<u8> {
        Vec::new()
    }

    /// # Errors
    /// When the bytes are none of ours, or hold a command that this program does not know: a node must stop there.
    pub fn decode(_bytes: &[u8]) -> Result<Self, Fault> {
        Err(Fault("not built yet".to_owned()))
    }
}

impl Proposal {
    pub fn encode(&self) -> Vec<u8> {
        Vec::new()
    }

    /// # Errors
    /// As for `Stamped::decode`.
    pub fn decode(_bytes: &[u8]) -> Result<Self, Fault> {
        Err(Fault("not built yet".to_owned()))
    }
}

pub fn encode_answer(_answer: &Answer) -> Vec<u8> {
    Vec::new()
}

/// # Errors
/// When the bytes are none of ours.
pub fn decode_answer(_bytes: &[u8]) -> Result<Answer, Fault> {
    Err(Fault("not built yet".to_owned()))
}
