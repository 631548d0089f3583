//! Words of a scenario line, and the types that they stand for.

use std::collections::BTreeMap;

use ringmaster::domain::terms::{Etag, FileRef, LockProof, PathRef, Precondition};
use ringmaster::domain::{Fence, FileId, FilePath, Sha256, Version};

/// A line: a verb, words, and `key=value` options.
pub(crate) struct Line<'a> {
    pub(crate) verb: &'a str,
    words: Vec<&'a str>,
    options: BTreeMap<&'a str, &'a str>,
}

impl<'a> Line<'a> {
    pub(crate) fn parse(text: &'a str) -> Self {
        let mut parts = text.split_whitespace();
        let verb = parts.next().expect("a line has a verb");
        let (mut words, mut options) = (Vec::new(), BTreeMap::new());
        for part in parts {
            match part.split_once('=') {
                Some((key, value)) => _ = options.insert(key, value),
                None => words.push(part),
            }
        }
        Self { verb, words, options }
    }

    pub(crate) fn word(&self, position: usize) -> &'a str {
        self.words.get(position).unwrap_or_else(|| panic!("{} lacks word {position}", self.verb))
    }

    pub(crate) fn has(&self, word: &str) -> bool {
        self.words.contains(&word)
    }

    pub(crate) fn option(&self, key: &str) -> Option<&'a str> {
        self.options.get(key).copied()
    }

    pub(crate) fn number(&self, key: &str, default: u64) -> u64 {
        self.option(key).map_or(default, number)
    }

    /// `token=FENCE.WORD`
    pub(crate) fn token(&self) -> Option<LockProof> {
        self.option("token").map(proof)
    }

    /// `if=*` or `if=FILE-VERSION`
    pub(crate) fn precondition(&self) -> Option<Precondition> {
        self.option("if").map(|text| match text.split_once('-') {
            None => Precondition { exists: true, one_of: Vec::new() },
            Some((file, version)) => {
                let etag = Etag { file_id: FileId(number(file)), version: Version(number(version)) };
                Precondition { exists: false, one_of: vec![etag] }
            }
        })
    }
}

pub(crate) fn number(text: &str) -> u64 {
    text.parse().unwrap_or_else(|_| panic!("{text} is no number"))
}

pub(crate) fn proof(text: &str) -> LockProof {
    let (fence, word) = text.split_once('.').expect("a token is fence.word");
    LockProof { fence: Fence(number(fence)), mac_hash: digest(word) }
}

/// `#3`, `/path` or `owner:/path`
pub(crate) fn file(text: &str) -> FileRef {
    match text.strip_prefix('#') {
        Some(id) => FileRef::Id(FileId(number(id))),
        None => FileRef::Path(path(text)),
    }
}

pub(crate) fn path(text: &str) -> PathRef {
    let (owner, path) = match text.split_once(':') {
        Some((owner, path)) => (Some(owner.to_owned()), path),
        None => (None, text),
    };
    PathRef { owner, path: FilePath::parse(path).expect("a scenario names valid paths") }
}

/// Some digest of a text: equal for equal texts, which is all that is needed.
pub(crate) fn digest(text: &str) -> Sha256 {
    let mut out = [0; 32];
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for (position, byte) in out.iter_mut().enumerate() {
        for input in text.bytes().chain([u8::try_from(position).expect("32 fits")]) {
            hash = (hash ^ u64::from(input)).wrapping_mul(0x0100_0000_01b3);
        }
        *byte = hash.to_be_bytes()[3];
    }
    Sha256(out)
}
