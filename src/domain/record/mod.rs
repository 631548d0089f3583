//! The bytes of what is stored and of what goes through the log.
//!
//! Each type is declared once, with its tags, by a macro of `declare`, and has both directions from there: protobuf's
//! wire format behind one byte that names the version of the envelope. So a field can be added without touching what is
//! stored, and the day on which tagged fields no longer do, the byte says so. A tag is never reused. The golden fixtures
//! in `tests/golden/records.txt` hold all that.
//!
//! What cannot be read is a `Fault`, never a default: a node that guesses parts from the others. See `wire` for how strict
//! that is, and `Schema` for how a form can change all the same.

pub(crate) mod declare;
mod schema;
#[cfg(test)]
mod tests;
mod value;
pub(crate) mod wire;

use std::cell::Cell;

pub use schema::Schema;
pub(crate) use value::{Field, Value, write_present};
pub(crate) use wire::{Fields, Payload, Wire, Writer};

use super::Fault;

/// The version of the envelope that this program writes, and the only one that it reads.
const ENVELOPE: u8 = 1;

pub(crate) fn bad(what: &str) -> Fault {
    Fault(format!("a record holds no valid {what}: it was written by a newer program, or is damaged"))
}

/// What consists of tagged fields. Declared by `record!` or `choice!`.
pub(crate) trait Message: Sized {
    /// For faults.
    const NAME: &'static str;

    fn write_fields(&self, out: &mut Writer);

    /// # Errors
    /// When a field is missing, unknown or out of bounds.
    fn read_fields(fields: &mut Fields<'_>) -> Result<Self, Fault>;
}

/// What is one field of several. Declared by `choice!`, and by the list of all commands.
pub(crate) trait Choice: Sized {
    /// The least of its tags.
    const FIRST: u32;

    fn write_choice(&self, out: &mut Writer);

    /// # Errors
    /// When the next field is none of its own.
    fn read_choice(fields: &mut Fields<'_>) -> Result<Self, Fault>;
}

/// A value with bytes: a message in its envelope.
pub(crate) trait Record: Message {
    /// What comes before the message.
    fn envelope() -> Vec<u8> {
        vec![ENVELOPE]
    }

    fn to_bytes(&self) -> Vec<u8> {
        let mut out = Writer::new(Self::envelope());
        self.write_fields(&mut out);
        out.finish().0
    }

    /// # Errors
    /// When the bytes are no such record.
    fn from_bytes(bytes: &[u8]) -> Result<Self, Fault> {
        read(Self::message_of(bytes)?).map(|(value, _)| value)
    }

    /// What is in the envelope.
    ///
    /// # Errors
    /// When it is another version's.
    fn message_of(bytes: &[u8]) -> Result<&[u8], Fault> {
        let name = Self::NAME;
        match bytes.split_first() {
            Some((&ENVELOPE, fields)) => Ok(fields),
            Some((version, _)) => Err(Fault(format!(
                "a stored {name} has envelope version {version}, this program reads {ENVELOPE}: run a newer one"
            ))),
            None => Err(Fault(format!("a stored {name} is empty"))),
        }
    }
}

impl<M: Message> Record for M {}

/// Reads a message, and says which schema it needs.
pub(crate) fn read<M: Message>(bytes: &[u8]) -> Result<(M, Schema), Fault> {
    let needs = Cell::new(Schema::FIRST);
    let mut fields = Fields::new(bytes, M::NAME, &needs)?;
    let value = M::read_fields(&mut fields)?;
    fields.finish()?;
    Ok((value, needs.get()))
}

/// An answer is a rejection, which is field 1, or an outcome.
impl<O: Choice, R: Value> Message for Result<O, R> {
    const NAME: &'static str = "answer";

    fn write_fields(&self, out: &mut Writer) {
        match self {
            Err(rejection) => write_present(rejection, 1, out),
            Ok(outcome) => outcome.write_choice(out),
        }
    }

    fn read_fields(fields: &mut Fields<'_>) -> Result<Self, Fault> {
        match fields.take(1)? {
            Some(payload) => Ok(Err(R::take(payload)?)),
            None => O::read_choice(fields).map(Ok),
        }
    }
}

impl<O: Choice, R: Value> Value for Result<O, R> {
    const WIRE: Wire = Wire::Bytes;

    fn put(&self, out: &mut Writer) {
        out.nested(|out| self.write_fields(out));
    }

    fn take(payload: Payload<'_>) -> Result<Self, Fault> {
        payload.message(Self::NAME, Self::read_fields)
    }
}
