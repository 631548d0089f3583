//! How the domain's ids are spelled in JSON: 128-bit ids and digests as lower-case hexadecimal strings, 64-bit ids as
//! numbers. `domain` itself knows no wire format, so the spelling lives here, once for all shapes.

use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serialize, Serializer};
use std::fmt;
use std::marker::PhantomData;

use crate::domain::{BlobId, ClusterId, CopyId, Epoch, Incarnation, PublicKey, ServerId, ServerUuid, Sha256};

/// Reads the one spelling that `Display` writes.
trait Hexadecimal: Sized {
    const EXPECTED: &'static str;
    fn parse_text(text: &str) -> Option<Self>;
}

struct HexVisitor<T>(PhantomData<T>);

impl<T: Hexadecimal> Visitor<'_> for HexVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(T::EXPECTED)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        T::parse_text(text).ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
    }
}

macro_rules! hexadecimal {
    ($($name:ident: $expected:literal, $parse:expr;)*) => {$(
        impl Hexadecimal for $name {
            const EXPECTED: &'static str = $expected;
            fn parse_text(text: &str) -> Option<Self> {
                $parse(text)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_str(HexVisitor(PhantomData))
            }
        }
    )*};
}

hexadecimal! {
    BlobId: "32 lower-case hexadecimal digits", BlobId::parse;
    CopyId: "32 lower-case hexadecimal digits", CopyId::parse;
    ClusterId: "32 lower-case hexadecimal digits", ClusterId::parse;
    Incarnation: "32 lower-case hexadecimal digits", Incarnation::parse;
    ServerUuid: "32 lower-case hexadecimal digits", ServerUuid::parse;
    Sha256: "64 lower-case hexadecimal digits", parse_sha256;
    PublicKey: "64 lower-case hexadecimal digits", parse_public_key;
}

macro_rules! number {
    ($($name:ident)*) => {$(
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_u64(self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                u64::deserialize(deserializer).map(Self)
            }
        }
    )*};
}

number! { ServerId Epoch }

/// Reads exactly 64 lower-case hexadecimal digits.
pub fn parse_sha256(text: &str) -> Option<Sha256> {
    parse_32(text).map(Sha256)
}

fn parse_public_key(text: &str) -> Option<PublicKey> {
    parse_32(text).map(PublicKey)
}

fn parse_32(text: &str) -> Option<[u8; 32]> {
    let mut digest = [0; 32];
    let canonical = text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    (canonical && hex::decode_to_slice(text, &mut digest).is_ok()).then_some(digest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_round_trip_in_one_spelling() {
        let blob = BlobId(0xab);
        let text = serde_json::to_string(&blob).expect("serializes");
        assert_eq!(text, "\"000000000000000000000000000000ab\"");
        assert_eq!(serde_json::from_str::<BlobId>(&text).expect("parses"), blob);
        assert_eq!(serde_json::to_string(&ServerId(7)).expect("serializes"), "7");
        for wrong in ["\"AB\"", "\"ab\"", "7", "\"000000000000000000000000000000AB\""] {
            assert!(serde_json::from_str::<BlobId>(wrong).is_err(), "{wrong}");
        }
        let digest = Sha256([0x5a; 32]);
        assert_eq!(parse_sha256(&digest.to_string()), Some(digest));
        assert_eq!(parse_sha256(&digest.to_string().to_uppercase()), None);
        assert_eq!(parse_sha256("5a"), None);
    }
}
