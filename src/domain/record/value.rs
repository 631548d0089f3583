//! How each kind of value fills a field. A type that is declared by one of the macros of `declare` needs nothing here.

use super::bad;
use super::wire::{Fields, Payload, Wire, Writer};
use crate::domain::Fault;

/// What fills one field.
pub(crate) trait Value: Sized {
    const WIRE: Wire;

    /// Without the field's key.
    fn put(&self, out: &mut Writer);

    /// # Errors
    /// When the field holds no such value.
    fn take(payload: Payload<'_>) -> Result<Self, Fault>;

    /// What a field that is not there stands for; nothing where it has to be there.
    fn implied() -> Option<Self> {
        None
    }

    /// Whether it is what an absent field stands for: then it is never written.
    fn is_implied(&self) -> bool {
        false
    }
}

/// A field as a type declares it: a value, one that may be missing, or any number of them.
pub(crate) trait Field: Sized {
    fn write(&self, tag: u32, out: &mut Writer);

    /// # Errors
    /// When it is not there and has to be, or holds no such value.
    fn read(tag: u32, fields: &mut Fields<'_>) -> Result<Self, Fault>;

    /// Whether nothing is written for it.
    fn is_absent(&self) -> bool;
}

impl<V: Value> Field for V {
    fn write(&self, tag: u32, out: &mut Writer) {
        if !self.is_absent() {
            write_present(self, tag, out);
        }
    }

    fn read(tag: u32, fields: &mut Fields<'_>) -> Result<Self, Fault> {
        match fields.take(tag)? {
            Some(payload) => {
                let value = V::take(payload)?;
                if value.is_implied() { Err(bad("default, which is left out")) } else { Ok(value) }
            }
            None => V::implied().ok_or_else(|| fields.missing(tag)),
        }
    }

    fn is_absent(&self) -> bool {
        self.is_implied()
    }
}

impl<V: Value> Field for Option<V> {
    fn write(&self, tag: u32, out: &mut Writer) {
        if let Some(value) = self {
            write_present(value, tag, out);
        }
    }

    fn read(tag: u32, fields: &mut Fields<'_>) -> Result<Self, Fault> {
        fields.take(tag)?.map(V::take).transpose()
    }

    fn is_absent(&self) -> bool {
        self.is_none()
    }
}

impl<V: Value> Field for Vec<V> {
    /// Numbers are packed into one field, anything else has a field each.
    fn write(&self, tag: u32, out: &mut Writer) {
        match V::WIRE {
            Wire::Varint if self.is_empty() => {}
            Wire::Varint => {
                out.key(tag, Wire::Bytes);
                out.nested(|out| self.iter().for_each(|value| value.put(out)));
            }
            Wire::Bytes => self.iter().for_each(|value| write_present(value, tag, out)),
        }
    }

    fn read(tag: u32, fields: &mut Fields<'_>) -> Result<Self, Fault> {
        let mut values = Self::new();
        match V::WIRE {
            Wire::Varint => {
                if let Some(payload) = fields.take(tag)? {
                    values = payload.packed()?.into_iter().map(V::take).collect::<Result<_, _>>()?;
                    if values.is_empty() {
                        return Err(bad("list"));
                    }
                }
            }
            Wire::Bytes => {
                while let Some(payload) = fields.take(tag)? {
                    values.push(V::take(payload)?);
                }
            }
        }
        Ok(values)
    }

    fn is_absent(&self) -> bool {
        self.is_empty()
    }
}

/// A field that is there whatever it holds.
pub(crate) fn write_present<V: Value>(value: &V, tag: u32, out: &mut Writer) {
    out.key(tag, V::WIRE);
    value.put(out);
}

impl Value for u64 {
    const WIRE: Wire = Wire::Varint;

    fn put(&self, out: &mut Writer) {
        out.varint(*self);
    }

    fn take(payload: Payload<'_>) -> Result<Self, Fault> {
        payload.number()
    }

    fn implied() -> Option<Self> {
        Some(0)
    }

    fn is_implied(&self) -> bool {
        *self == 0
    }
}

impl Value for u32 {
    const WIRE: Wire = Wire::Varint;

    fn put(&self, out: &mut Writer) {
        out.varint(u64::from(*self));
    }

    fn take(payload: Payload<'_>) -> Result<Self, Fault> {
        payload.number()?.try_into().map_err(|_| bad("number"))
    }

    fn implied() -> Option<Self> {
        Some(0)
    }

    fn is_implied(&self) -> bool {
        *self == 0
    }
}

impl Value for bool {
    const WIRE: Wire = Wire::Varint;

    fn put(&self, out: &mut Writer) {
        out.varint(u64::from(*self));
    }

    fn take(payload: Payload<'_>) -> Result<Self, Fault> {
        match payload.number()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(bad("yes or no")),
        }
    }

    fn implied() -> Option<Self> {
        Some(false)
    }

    fn is_implied(&self) -> bool {
        !*self
    }
}

impl Value for String {
    const WIRE: Wire = Wire::Bytes;

    fn put(&self, out: &mut Writer) {
        out.bytes(self.as_bytes());
    }

    fn take(payload: Payload<'_>) -> Result<Self, Fault> {
        Self::from_utf8(payload.bytes()?.to_vec()).map_err(|_| bad("text"))
    }

    fn implied() -> Option<Self> {
        Some(Self::new())
    }

    fn is_implied(&self) -> bool {
        self.is_empty()
    }
}

impl Value for Vec<u8> {
    const WIRE: Wire = Wire::Bytes;

    fn put(&self, out: &mut Writer) {
        out.bytes(self);
    }

    fn take(payload: Payload<'_>) -> Result<Self, Fault> {
        Ok(payload.bytes()?.to_vec())
    }

    fn implied() -> Option<Self> {
        Some(Self::new())
    }

    fn is_implied(&self) -> bool {
        self.is_empty()
    }
}

impl<V: Value> Value for Box<V> {
    const WIRE: Wire = V::WIRE;

    fn put(&self, out: &mut Writer) {
        V::put(self, out);
    }

    fn take(payload: Payload<'_>) -> Result<Self, Fault> {
        V::take(payload).map(Self::new)
    }

    fn implied() -> Option<Self> {
        V::implied().map(Self::new)
    }

    fn is_implied(&self) -> bool {
        V::is_implied(self)
    }
}
