//! Protobuf's wire format, written in one way and read strictly.
//!
//! The format has many spellings of one message: fields in any order or twice, numbers with leading zeros, defaults
//! written out, fields that nobody knows. Here each message has exactly one, and every other one is a fault: equal values
//! have equal bytes, and what a newer program wrote is never read as something else by an older one. A general library
//! reads leniently by design, which is right between programs of several makers and wrong between replicas; so only the
//! primitives are one's.

use std::cell::Cell;

use prost::encoding;

use super::{Schema, bad};
use crate::domain::Fault;

/// How a value lies on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wire {
    Varint = 0,
    /// A length and as many bytes.
    Bytes = 2,
}

/// A message that is being written.
#[derive(Debug)]
pub(crate) struct Writer {
    bytes: Vec<u8>,
    needs: Schema,
}

impl Writer {
    /// One that begins with these bytes.
    pub(crate) fn new(bytes: Vec<u8>) -> Self {
        Self { bytes, needs: Schema::FIRST }
    }

    /// The bytes, and the schema of the youngest command or field among them.
    pub(crate) fn finish(self) -> (Vec<u8>, Schema) {
        (self.bytes, self.needs)
    }

    pub(crate) fn needs(&mut self, schema: Schema) {
        self.needs = self.needs.max(schema);
    }

    pub(crate) fn varint(&mut self, value: u64) {
        push_varint(&mut self.bytes, value);
    }

    pub(crate) fn key(&mut self, tag: u32, wire: Wire) {
        self.varint(u64::from(tag) << 3 | wire as u64);
    }

    /// A length and the bytes.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.varint(bytes.len() as u64);
        self.bytes.extend_from_slice(bytes);
    }

    /// A length and what `write` writes. Most have fewer than 128 bytes, so that the guess of one byte is right; a longer
    /// one is moved by a byte or two.
    pub(crate) fn nested(&mut self, write: impl FnOnce(&mut Self)) {
        let at = self.bytes.len();
        self.bytes.push(0);
        write(self);
        let length = self.bytes.len() - at - 1;
        match u8::try_from(length) {
            Ok(length) if length < 0x80 => self.bytes[at] = length,
            _ => {
                let mut varint = Vec::with_capacity(5);
                push_varint(&mut varint, length as u64);
                self.bytes.splice(at..=at, varint);
            }
        }
    }
}

/// Takes a number from the front.
///
/// # Errors
/// When the bytes end in it, or spell it longer than need be.
pub(crate) fn take_varint(bytes: &mut &[u8]) -> Result<u64, Fault> {
    let before = bytes.len();
    let value = encoding::decode_varint(bytes).map_err(|_| bad("number"))?;
    if before - bytes.len() == encoding::encoded_len_varint(value) { Ok(value) } else { Err(bad("number")) }
}

/// Appends a number.
pub(crate) fn push_varint(bytes: &mut Vec<u8>, value: u64) {
    encoding::encode_varint(value, bytes);
}

/// What a field holds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Payload<'a> {
    kind: Kind<'a>,
    needs: &'a Cell<Schema>,
}

#[derive(Clone, Copy, Debug)]
enum Kind<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

impl<'a> Payload<'a> {
    pub(crate) fn needs(&self, schema: Schema) {
        self.needs.set(self.needs.get().max(schema));
    }

    pub(crate) fn number(&self) -> Result<u64, Fault> {
        match self.kind {
            Kind::Number(number) => Ok(number),
            Kind::Bytes(_) => Err(bad("number")),
        }
    }

    pub(crate) fn bytes(&self) -> Result<&'a [u8], Fault> {
        match self.kind {
            Kind::Bytes(bytes) => Ok(bytes),
            Kind::Number(_) => Err(bad("bytes")),
        }
    }

    /// The message that the bytes are.
    pub(crate) fn message<T>(
        &self,
        name: &'static str,
        read: impl FnOnce(&mut Fields<'a>) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let mut fields = Fields::new(self.bytes()?, name, self.needs)?;
        let value = read(&mut fields)?;
        fields.finish()?;
        Ok(value)
    }

    /// The numbers that the bytes are, one after the other.
    pub(crate) fn packed(&self) -> Result<Vec<Payload<'a>>, Fault> {
        let mut bytes = self.bytes()?;
        let mut numbers = Vec::new();
        while !bytes.is_empty() {
            numbers.push(Payload { kind: Kind::Number(take_varint(&mut bytes)?), needs: self.needs });
        }
        Ok(numbers)
    }
}

/// The fields of a message that is being read, in the order of their tags.
#[derive(Debug)]
pub(crate) struct Fields<'a> {
    rest: &'a [u8],
    next: Option<(u32, Payload<'a>)>,
    name: &'static str,
    needs: &'a Cell<Schema>,
}

impl<'a> Fields<'a> {
    /// `needs` is raised to the schema of the youngest command or field that is met.
    pub(crate) fn new(bytes: &'a [u8], name: &'static str, needs: &'a Cell<Schema>) -> Result<Self, Fault> {
        let mut fields = Self { rest: bytes, next: None, name, needs };
        fields.advance()?;
        Ok(fields)
    }

    pub(crate) fn needs(&self, schema: Schema) {
        self.needs.set(self.needs.get().max(schema));
    }

    /// The tag of the next field.
    pub(crate) fn peek(&self) -> Option<u32> {
        self.next.as_ref().map(|(tag, _)| *tag)
    }

    /// The next field, if it has this tag. Fields are asked for in the order of their tags, so one that is passed by is
    /// one that nobody knows.
    pub(crate) fn take(&mut self, tag: u32) -> Result<Option<Payload<'a>>, Fault> {
        match self.next {
            Some((next, payload)) if next == tag => {
                self.advance()?;
                Ok(Some(payload))
            }
            Some((next, _)) if next < tag => Err(self.unknown(next)),
            _ => Ok(None),
        }
    }

    pub(crate) fn finish(&self) -> Result<(), Fault> {
        self.peek().map_or(Ok(()), |tag| Err(self.unknown(tag)))
    }

    pub(crate) fn missing(&self, tag: u32) -> Fault {
        Fault(format!("a {} has no field {tag}: it is damaged", self.name))
    }

    /// The fault for a field that must not be there.
    pub(crate) fn unknown(&self, tag: u32) -> Fault {
        Fault(format!(
            "a {} has a field {tag} that this program does not know there: run the version that wrote it, or a newer one",
            self.name
        ))
    }

    fn advance(&mut self) -> Result<(), Fault> {
        self.next = None;
        if self.rest.is_empty() {
            return Ok(());
        }
        let key = take_varint(&mut self.rest)?;
        let tag = u32::try_from(key >> 3).map_err(|_| bad("tag"))?;
        let kind = match key & 7 {
            0 => Kind::Number(take_varint(&mut self.rest)?),
            2 => {
                let length = take_varint(&mut self.rest)?;
                let length = usize::try_from(length).map_err(|_| bad("length"))?;
                let (bytes, rest) = self.rest.split_at_checked(length).ok_or_else(|| bad("length"))?;
                self.rest = rest;
                Kind::Bytes(bytes)
            }
            _ => return Err(self.unknown(tag)),
        };
        self.next = Some((tag, Payload { kind, needs: self.needs }));
        Ok(())
    }
}
