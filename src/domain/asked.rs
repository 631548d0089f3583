//! What makes a request this request: the bytes whose digest is its fingerprint.
//!
//! A fingerprint is stored for a day and compared by whatever program runs then, so its bytes are declared, as those of
//! everything that is stored. They are the command's own, without what differs between two attempts at the same change;
//! where the command itself is made anew for each attempt, the request has a form of its own. `tests/golden/requests.txt`
//! holds them.

use super::record::Record;
use super::record::declare::{choice, record};
use super::terms::{NewContent, SignupMode};
use super::{BlobId, Command, Proposal, Sha256};

choice! {
    /// No `Debug`: a signup has a password.
    #[derive(Clone, PartialEq, Eq)]
    pub enum Asked as "request" {
        /// A command, without the copies that one attempt has made.
        Change(Box<Proposal>) = 1,
        /// One that was refused before its bytes had come.
        Refused(Box<Proposal>) = 2,
        Policy(PolicyAsked) = 3,
        /// The command has a hash with a salt of its own.
        Signup {
            username: String = 1,
            password: String = 2,
            setup_code: Option<String> = 3,
            invite: Option<String> = 4,
        } = 4,
        /// As a signup's.
        Password {
            old: String = 1,
            new: String = 2,
        } = 5,
    }
}

record! {
    /// The command has all of the policy, as it was before the request.
    #[derive(Clone, Debug, Default, PartialEq, Eq)]
    pub struct PolicyAsked as "request for a policy" {
        pub copies: Option<u32> = 1,
        pub garbage_linger_ms: Option<u64> = 2,
        pub garbage_grace_ms: Option<u64> = 3,
        pub operation_ttl_ms: Option<u64> = 4,
        pub session_ttl_ms: Option<u64> = 5,
        pub receipt_ttl_ms: Option<u64> = 6,
        pub rebalance_percent: Option<u32> = 7,
        pub versions_keep: Option<u32> = 8,
        pub versions_ms: Option<u64> = 9,
        pub trash_ms: Option<u64> = 10,
        pub quota_bytes: Option<u64> = 11,
        pub quota_files: Option<u64> = 12,
        pub extent_bytes: Option<u64> = 13,
        pub part_min_bytes: Option<u64> = 20,
        pub signup_mode: Option<SignupMode> = 30,
        pub audit_ms: Option<u64> = 31,
        pub audit_bytes: Option<u64> = 32,
    }
}

impl Asked {
    pub fn change(command: Command) -> Self {
        Self::Change(Box::new(stripped(command, |content| {
            content.blob_id = BlobId(0);
            content.receipts.clear();
        })))
    }

    pub fn refused(command: Command) -> Self {
        Self::Refused(Box::new(stripped(command, |content| {
            *content = NewContent {
                blob_id: BlobId(0),
                size: 0,
                sha256: Sha256([0; 32]),
                content_type: String::new(),
                receipts: Vec::new(),
            };
        })))
    }

    /// Equal requests have equal bytes, and no others have them.
    pub fn bytes(&self) -> Vec<u8> {
        self.to_bytes()
    }
}

fn stripped(mut command: Command, strip: impl FnOnce(&mut NewContent)) -> Proposal {
    match &mut command {
        Command::Write(write) => strip(&mut write.content),
        Command::Update(update) => strip(&mut update.content),
        _ => {}
    }
    Proposal { operation: None, command }
}

#[cfg(test)]
mod tests;
