//! Who a member of the cluster is, as its certificate says it.

use std::fmt;

use rustls_pki_types::CertificateDer;
use webpki::EndEntityCert;

use crate::domain::{NodeId, PublicKey, ServerUuid};

/// Under which all members have their names. No resolver knows it: the names are only in certificates.
const DOMAIN: &str = ".ringmaster.internal";
const DIRECTORY: &str = ".directory";
const FILE_SERVER: &str = ".fileserver";
const LOCK_SERVICE: &str = "lock-service";
/// The key of Ed25519 in a certificate, in DER: 12 bytes that are always the same, and the key.
const KEY_INFO_BYTES: usize = 44;
const OPERATOR: &str = "operator";

/// A member of the cluster and its role. A certificate has exactly one, as the one DNS name that it is for, so that the
/// usual check of a name (RFC 6125) is a check of role and member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Identity {
    Directory(NodeId),
    FileServer(ServerUuid),
    /// Asks whether locks are held.
    LockService,
    /// A person with the cluster secret, for what no account may do.
    Operator,
}

impl Identity {
    /// Of a certificate that was verified. Nothing where it is none of ours.
    pub fn of(certificate: &CertificateDer<'_>) -> Option<Self> {
        let certificate = EndEntityCert::try_from(certificate).ok()?;
        let mut names = certificate.valid_dns_names();
        let identity = Self::parse(names.next()?)?;
        names.next().is_none().then_some(identity)
    }

    /// Nothing where the name is no member's, or written in another way than [`fmt::Display`] does.
    pub fn parse(name: &str) -> Option<Self> {
        let member = name.strip_suffix(DOMAIN)?;
        let identity = match member {
            LOCK_SERVICE => Self::LockService,
            OPERATOR => Self::Operator,
            _ => match member.strip_suffix(DIRECTORY) {
                Some(id) => Self::Directory(NodeId(id.parse().ok()?)),
                None => Self::FileServer(ServerUuid::parse(member.strip_suffix(FILE_SERVER)?)?),
            },
        };
        (identity.to_string() == name).then_some(identity)
    }

    /// What a person calls it.
    pub fn describe(&self) -> String {
        match self {
            Self::Directory(id) => format!("directory node {id}"),
            Self::FileServer(uuid) => format!("the file server with the UUID {uuid}"),
            Self::LockService => "the lock service".to_owned(),
            Self::Operator => "an operator".to_owned(),
        }
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Directory(id) => write!(f, "{}{DIRECTORY}{DOMAIN}", id.0),
            Self::FileServer(uuid) => write!(f, "{uuid}{FILE_SERVER}{DOMAIN}"),
            Self::LockService => write!(f, "{LOCK_SERVICE}{DOMAIN}"),
            Self::Operator => write!(f, "{OPERATOR}{DOMAIN}"),
        }
    }
}

/// What the other side of a connection has proven: who it is, and with which key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proven {
    pub identity: Identity,
    pub key: PublicKey,
}

impl Proven {
    /// Of a certificate that was verified. Nothing where it is none of ours.
    pub fn by(certificate: &CertificateDer<'_>) -> Option<Self> {
        let identity = Identity::of(certificate)?;
        let info = EndEntityCert::try_from(certificate).ok()?.subject_public_key_info();
        let key = info.as_ref().last_chunk::<32>()?;
        (info.len() == KEY_INFO_BYTES).then_some(Self { identity, key: PublicKey(*key) })
    }
}

/// Whom a connection is to reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Expected {
    /// This member and no other.
    Member(Identity),
    /// Any directory node: who calls knows an address, not who is there.
    AnyDirectory,
}

impl Expected {
    pub(super) fn allows(self, identity: Identity) -> bool {
        match self {
            Self::Member(expected) => expected == identity,
            Self::AnyDirectory => matches!(identity, Identity::Directory(_)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_member_has_one_name() {
        let all = [
            Identity::Directory(NodeId(3)),
            Identity::FileServer(ServerUuid(7)),
            Identity::LockService,
            Identity::Operator,
        ];
        for identity in all {
            let name = identity.to_string();
            assert_eq!(Identity::parse(&name), Some(identity), "{name}");
            assert!(name.split('.').all(|label| !label.is_empty() && label.len() <= 63), "{name}");
        }
        for name in
            ["", "03.directory.ringmaster.internal", "operator.ringmaster.internal.", "x.operator.ringmaster.internal"]
        {
            assert_eq!(Identity::parse(name), None, "{name}");
        }
    }
}
