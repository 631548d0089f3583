use super::{Act, Schema};
use crate::domain::change::Change;
use crate::domain::record::declare::record;
use crate::domain::rows::Invite;
use crate::domain::stop::{Stop, require};
use crate::domain::terms::SignupMode;
use crate::domain::{Outcome, RejectionKind, Sha256, UserId, rules, tables};

/// Invitations that may stand at once: each is given to one person, and ends within weeks.
const MAX_INVITES: usize = 256;
const MIN_TTL_MS: u64 = 60_000;
const MAX_TTL_MS: u64 = 30 * 24 * 60 * 60 * 1000;

record! {
    /// An invitation to make one account.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct MakeInvite as "invitation to be made" {
        /// An admin.
        pub user: UserId = 1,
        /// SHA-256 of what is given away.
        pub hash: Sha256 = 2,
        /// 60,000 to 30 days.
        pub ttl_ms: u64 = 3,
    }
}

impl Act for MakeInvite {
    const SINCE: Schema = Schema::FIRST;
    const REPEATABLE: bool = false;
    const WHILE_RESTORING: bool = false;
    const WHILE_FULL: bool = false;

    fn act(&self, change: &mut Change<'_>) -> Result<Outcome, Stop> {
        rules::admin(change.store, self.user)?;
        let closed = change.policy.signup() == SignupMode::Closed;
        let detail = "the policy's signup_mode is closed: add the account, or set signup_mode to invite";
        require(!closed, RejectionKind::Forbidden, detail)?;
        let bounded = (MIN_TTL_MS..=MAX_TTL_MS).contains(&self.ttl_ms);
        require(bounded, RejectionKind::InvalidRequest, "an invitation holds from one minute to 30 days")?;
        let taken = tables::invite(change.store, &self.hash)?.is_some();
        require(!taken, RejectionKind::AlreadyExists, "there is such an invitation: make another")?;
        let few = tables::invites(change.store, MAX_INVITES)?.len() < MAX_INVITES;
        let detail = "256 invitations stand already: revoke some, or wait until some have ended";
        require(few, RejectionKind::TooManyRequests, detail)?;
        let invite = Invite {
            made_by: self.user,
            expires_at: change.now.plus_ms(self.ttl_ms),
            wall_expires_at: change.wall_in(self.ttl_ms),
        };
        tables::put_invite(change.store, &self.hash, &invite)?;
        Ok(Outcome::Session { expires_at: invite.wall_expires_at })
    }
}
