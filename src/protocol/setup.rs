//! The setup code: what the first account of a cluster is made with, and who proves thereby that the cluster is theirs.
//!
//! It follows from the cluster secret, so each node shows the same one, nothing has to be stored or agreed on, and whoever
//! has the secret can work it out. Twenty letters and digits of Crockford's alphabet have 100 bits: nobody guesses them.

use std::fmt;

use subtle::ConstantTimeEq as _;

use super::secret::ClusterSecret;

const LABEL: &str = "setup code";
/// Without those that are read for others: I, L, O, U.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const LENGTH: usize = 20;
const GROUP: usize = 5;

/// What the first start of a cluster shows. `Debug` does not.
#[derive(Clone, PartialEq, Eq)]
pub struct SetupCode([u8; LENGTH]);

impl SetupCode {
    pub fn of(secret: &ClusterSecret) -> Self {
        Self::from_mac(&secret.mac(LABEL, &[]))
    }

    /// One of the same form, for another purpose.
    pub fn from_mac(mac: &[u8; 32]) -> Self {
        Self(std::array::from_fn(|at| ALPHABET[usize::from(mac[at] & 31)]))
    }

    /// A code of this form as a person writes it; nothing where the text is none.
    pub fn read(text: &str) -> Option<Self> {
        written(text)
            .as_slice()
            .try_into()
            .ok()
            .filter(|code: &[u8; LENGTH]| code.iter().all(|byte| ALPHABET.contains(byte)))
            .map(Self)
    }

    /// Whether a person means this code: small letters, spaces and dashes do not matter, nor an O for a 0. In constant time.
    pub fn is(&self, text: &str) -> bool {
        let read = written(text);
        read.len() == LENGTH && bool::from(self.0.as_slice().ct_eq(&read))
    }
}

fn written(text: &str) -> Vec<u8> {
    let read = text.bytes().filter(|byte| !matches!(byte, b'-' | b' ')).take(LENGTH + 1);
    read.map(|byte| byte.to_ascii_uppercase()).map(meant).collect()
}

fn meant(byte: u8) -> u8 {
    match byte {
        b'O' => b'0',
        b'I' | b'L' => b'1',
        other => other,
    }
}

/// In groups of five.
impl fmt::Display for SetupCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, byte) in self.0.iter().enumerate() {
            let dash = if at > 0 && at % GROUP == 0 { "-" } else { "" };
            write!(f, "{dash}{}", char::from(*byte))?;
        }
        Ok(())
    }
}

impl fmt::Debug for SetupCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SetupCode(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_same_at_every_node_and_read_as_people_write_it() {
        let secret = ClusterSecret::from_bytes([7; 32]);
        let code = SetupCode::of(&secret);
        let text = code.to_string();
        assert_eq!(text, SetupCode::of(&secret).to_string());
        assert_eq!((text.len(), text.matches('-').count()), (23, 3), "{text}");
        for written in [text.clone(), text.to_lowercase(), text.replace('-', ""), text.replace('0', "o")] {
            assert!(code.is(&written), "{written}");
        }
        let other = SetupCode::of(&ClusterSecret::from_bytes([8; 32])).to_string();
        let long = format!("{text}0");
        assert_eq!(SetupCode::read(&text.to_lowercase()), Some(code.clone()));
        assert_eq!(SetupCode::read("correct horse battery"), None);
        for wrong in [&other, &long, &text[1..], "", "ä", &"0".repeat(20)] {
            assert!(!code.is(wrong), "{wrong}");
        }
    }
}
