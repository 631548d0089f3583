//! The bytes of what is stored and of what goes through the log.
//!
//! One leading byte names the version of the envelope; tagged fields (protobuf, by `prost`'s derive) follow. So a
//! field can be added without touching what is stored, and the day on which tagged fields no longer do, the byte says
//! so. The messages are private and apart from the types that the rules use: tags are a promise to old disks, the
//! rich types are not. A tag is never reused. The golden fixtures in `tests/golden/records.txt` hold all that.
//!
//! What cannot be read is a `Fault`, never a default: a node that guesses parts from the others.

mod answer;
mod command;
mod rows;
mod scalar;
#[cfg(test)]
mod tests;

pub(crate) use rows::{Mark, Nothing, Number, RingOrder};

use prost::Message;

use super::command::{Proposal, Stamped};
use super::{Answer, Fault};

/// The version of the envelope that this program writes, and the only one that it reads.
const ENVELOPE: u8 = 1;

/// A value with bytes.
pub(crate) trait Record: Sized {
    /// The tagged fields.
    type Wire: Message + Default;
    /// For faults.
    const NAME: &'static str;

    fn to_wire(&self) -> Self::Wire;
    fn from_wire(wire: Self::Wire) -> Result<Self, Fault>;

    fn to_bytes(&self) -> Vec<u8> {
        let wire = self.to_wire();
        let mut bytes = Vec::with_capacity(1 + wire.encoded_len());
        bytes.push(ENVELOPE);
        wire.encode(&mut bytes).expect("a vector grows as needed");
        bytes
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self, Fault> {
        let name = Self::NAME;
        match bytes.split_first() {
            Some((&ENVELOPE, fields)) => {
                let wire =
                    Self::Wire::decode(fields).map_err(|e| Fault(format!("the stored {name} is damaged: {e}")))?;
                Self::from_wire(wire)
            }
            Some((version, _)) => Err(Fault(format!(
                "a stored {name} has envelope version {version}, this program reads {ENVELOPE}: run a newer one"
            ))),
            None => Err(Fault(format!("a stored {name} is empty"))),
        }
    }
}

impl Stamped {
    /// The bytes of a log entry.
    pub fn encode(&self) -> Vec<u8> {
        self.to_bytes()
    }

    /// # Errors
    /// When the bytes are none of ours, or hold a command that this program does not know: a node must stop there.
    pub fn decode(bytes: &[u8]) -> Result<Self, Fault> {
        Self::from_bytes(bytes)
    }
}

impl Proposal {
    /// The bytes in which a follower forwards a proposal to the leader.
    pub fn encode(&self) -> Vec<u8> {
        self.to_bytes()
    }

    /// # Errors
    /// As for `Stamped::decode`.
    pub fn decode(bytes: &[u8]) -> Result<Self, Fault> {
        Self::from_bytes(bytes)
    }
}

/// The bytes in which a leader sends an answer to the follower that forwarded the proposal.
pub fn encode_answer(answer: &Answer) -> Vec<u8> {
    answer.to_bytes()
}

/// # Errors
/// When the bytes are none of ours.
pub fn decode_answer(bytes: &[u8]) -> Result<Answer, Fault> {
    Answer::from_bytes(bytes)
}
