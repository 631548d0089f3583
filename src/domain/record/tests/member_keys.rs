//! The keys of file servers.

use super::*;
use crate::domain::rows::{MemberKey, UsedToken};
use crate::domain::{PublicKey, TokenId};

pub(super) fn rows(golden: &mut Golden) {
    let used = vec![UsedToken { token: TokenId(5), ends_at: ClusterTime(300) }];
    let row = MemberKey { key: PublicKey([7; 32]), used, removed: false };
    golden.add("row.member_key", &row);
    golden.add("row.member_key.removed", &MemberKey { used: Vec::new(), removed: true, ..row });
}

pub(super) fn commands(golden: &mut Golden) {
    let admit = command::AdmitKey {
        token: TokenId(5),
        ttl_ms: 3_600_000,
        uuid: ServerUuid(9),
        key: PublicKey([7; 32]),
        replaces: false,
    };
    golden.command("admit_key", admit.clone().into());
    golden.command("admit_key.replaces", command::AdmitKey { replaces: true, ..admit }.into());
}
