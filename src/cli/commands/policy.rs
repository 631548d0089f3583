use std::str::FromStr;
use std::time::Duration;

use humantime_serde::re::humantime;

use crate::cli::error::CliError;
use crate::cli::session::Session;
use crate::cli::table::Table;
use crate::protocol::accounts::SignupMode;
use crate::protocol::admin::{Policy, PolicyChange};

#[derive(Debug, clap::Subcommand)]
pub(in crate::cli) enum Command {
    /// Show what the whole cluster goes by
    Show,
    /// Change it, for all nodes at once
    ///
    /// Names are those that `policy show` prints: copies, garbage_linger, garbage_grace, operation_ttl, session_ttl,
    /// receipt_ttl, rebalance_percent, versions_keep, versions, trash, quota_bytes, quota_files, extent_bytes,
    /// part_min_bytes, signup_mode (open, invite, closed), audit, audit_bytes. Times are written 15m, 1h or 7days, or in
    /// milliseconds with _ms behind the name.
    Set {
        #[arg(required = true, value_name = "NAME=VALUE")]
        values: Vec<Setting>,
    },
}

pub(super) async fn run(command: Command, session: &Session) -> Result<(), CliError> {
    let directory = session.directory()?;
    let policy = match command {
        Command::Show => directory.policy().await?,
        Command::Set { values } => {
            let mut change = PolicyChange::default();
            values.iter().for_each(|setting| setting.put(&mut change));
            directory.set_policy(&change).await?
        }
    };
    session.out.answer(&policy, describe);
    Ok(())
}

/// One value of the policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) enum Setting {
    Copies(u32),
    GarbageLinger(u64),
    GarbageGrace(u64),
    OperationTtl(u64),
    SessionTtl(u64),
    ReceiptTtl(u64),
    RebalancePercent(u32),
    VersionsKeep(u32),
    Versions(u64),
    Trash(u64),
    QuotaBytes(u64),
    QuotaFiles(u64),
    ExtentBytes(u64),
    PartMinBytes(u64),
    Signup(SignupMode),
    Audit(u64),
    AuditBytes(u64),
}

impl FromStr for Setting {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, value) = text.split_once('=').ok_or("write it as NAME=VALUE, for example copies=3")?;
        let number = || value.parse::<u32>().map_err(|_| format!("{value:?} is no number"));
        let large = || value.parse::<u64>().map_err(|_| format!("{value:?} is no number"));
        let time = match name.strip_suffix("_ms") {
            Some(_) => value.parse::<u64>().map_err(|_| format!("{value:?} is no number of milliseconds")),
            None => parse_time(value),
        };
        match name {
            "copies" => return number().map(Self::Copies),
            "rebalance_percent" => return number().map(Self::RebalancePercent),
            "versions_keep" => return number().map(Self::VersionsKeep),
            "quota_bytes" => return large().map(Self::QuotaBytes),
            "quota_files" => return large().map(Self::QuotaFiles),
            "audit_bytes" => return large().map(Self::AuditBytes),
            "extent_bytes" => return large().map(Self::ExtentBytes),
            "part_min_bytes" => return large().map(Self::PartMinBytes),
            "signup_mode" => {
                let mode = serde_json::from_value(value.into());
                return mode.map(Self::Signup).map_err(|_| format!("{value:?} is not open, invite or closed"));
            }
            _ => {}
        }
        match name.strip_suffix("_ms").unwrap_or(name) {
            "garbage_linger" => time.map(Self::GarbageLinger),
            "garbage_grace" => time.map(Self::GarbageGrace),
            "operation_ttl" => time.map(Self::OperationTtl),
            "session_ttl" => time.map(Self::SessionTtl),
            "receipt_ttl" => time.map(Self::ReceiptTtl),
            "versions" => time.map(Self::Versions),
            "trash" => time.map(Self::Trash),
            "audit" => time.map(Self::Audit),
            _ => Err(format!("there is no {name:?} in the policy: see `ringmaster policy show`")),
        }
    }
}

pub(super) fn parse_time(text: &str) -> Result<u64, String> {
    let time =
        humantime::parse_duration(text).map_err(|error| format!("{error}; write for example 500ms, 15m or 1h"))?;
    u64::try_from(time.as_millis()).map_err(|_| "that is too long".to_owned())
}

impl Setting {
    fn put(self, change: &mut PolicyChange) {
        match self {
            Self::Copies(value) => change.copies = Some(value),
            Self::GarbageLinger(ms) => change.garbage_linger_ms = Some(ms),
            Self::GarbageGrace(ms) => change.garbage_grace_ms = Some(ms),
            Self::OperationTtl(ms) => change.operation_ttl_ms = Some(ms),
            Self::SessionTtl(ms) => change.session_ttl_ms = Some(ms),
            Self::ReceiptTtl(ms) => change.receipt_ttl_ms = Some(ms),
            Self::RebalancePercent(value) => change.rebalance_percent = Some(value),
            Self::VersionsKeep(value) => change.versions_keep = Some(value),
            Self::Versions(ms) => change.versions_ms = Some(ms),
            Self::Trash(ms) => change.trash_ms = Some(ms),
            Self::QuotaBytes(value) => change.quota_bytes = Some(value),
            Self::QuotaFiles(value) => change.quota_files = Some(value),
            Self::ExtentBytes(value) => change.extent_bytes = Some(value),
            Self::PartMinBytes(value) => change.part_min_bytes = Some(value),
            Self::Signup(mode) => change.signup_mode = Some(mode),
            Self::Audit(ms) => change.audit_ms = Some(ms),
            Self::AuditBytes(value) => change.audit_bytes = Some(value),
        }
    }
}

/// As it is written. Many days stay days: 90 of them would be 2months29days2h52m48s.
pub(super) fn shown_time(ms: u64) -> String {
    const DAY_MS: u64 = 24 * 60 * 60 * 1000;
    if ms > DAY_MS && ms.is_multiple_of(DAY_MS) {
        return format!("{}days", ms / DAY_MS);
    }
    humantime::format_duration(Duration::from_millis(ms)).to_string().replace(' ', "")
}

/// In the form that `set` takes.
fn describe(policy: &Policy) -> String {
    let time = shown_time;
    let mut table = Table::new(&[]);
    let mut line = |name: &str, value: String, is: &str| table.row(vec![format!("{name}={value}"), is.to_owned()]);
    line("copies", policy.copies.to_string(), "copies of each file");
    line("garbage_linger", time(policy.garbage_linger_ms), "a dropped copy stays on its disk");
    line("garbage_grace", time(policy.garbage_grace_ms), "bytes of no file are left alone");
    line("operation_ttl", time(policy.operation_ttl_ms), "a change is known under its Idempotency-Key");
    line("session_ttl", time(policy.session_ttl_ms), "a login holds");
    line("receipt_ttl", time(policy.receipt_ttl_ms), "a file server's receipt holds");
    let percent = policy.rebalance_percent.to_string();
    line("rebalance_percent", percent, "of the mean, by which servers may differ before files are moved; 0 for never");
    line("versions_keep", policy.versions_keep.to_string(), "older versions of a file are kept; 0 for none");
    line("versions", time(policy.versions_ms), "an older version is kept");
    line("trash", time(policy.trash_ms), "what was deleted can be had back");
    line("quota_bytes", policy.quota_bytes.to_string(), "a user may have; 0 for any number");
    line("quota_files", policy.quota_files.to_string(), "a user may have; 0 for any number");
    line("extent_bytes", policy.extent_bytes.to_string(), "what is larger is stored in several extents");
    line("part_min_bytes", policy.part_min_bytes.to_string(), "a part of an upload has at least, but the last one");
    let mode = match policy.signup_mode {
        SignupMode::Open => ("open", "anybody makes an account"),
        SignupMode::Invite => ("invite", "whoever is invited makes an account"),
        SignupMode::Closed => ("closed", "admins add accounts"),
    };
    line("signup_mode", mode.0.to_owned(), mode.1);
    line("audit", time(policy.audit_ms), "who did what is kept");
    line("audit_bytes", policy.audit_bytes.to_string(), "of that are kept");
    let held_up = policy.held_up.as_ref().map_or_else(String::new, |why| format!("held up: {why}\n"));
    table.render() + &held_up
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_can_be_set() {
        let policy = Policy {
            held_up: None,
            copies: 3,
            garbage_linger_ms: 0,
            garbage_grace_ms: 90_500,
            operation_ttl_ms: 86_400_000,
            session_ttl_ms: 40 * 86_400_000,
            receipt_ttl_ms: 600_000,
            rebalance_percent: 20,
            versions_keep: 5,
            versions_ms: 30 * 86_400_000,
            trash_ms: 7 * 86_400_000,
            quota_bytes: 1 << 40,
            quota_files: 0,
            extent_bytes: 0,
            part_min_bytes: 1,
            signup_mode: SignupMode::Invite,
            audit_ms: 86_400_000,
            audit_bytes: 1,
        };
        let mut change = PolicyChange::default();
        for line in describe(&policy).lines() {
            let setting = line.split_whitespace().next().expect("a value");
            setting.parse::<Setting>().unwrap_or_else(|error| panic!("{setting}: {error}")).put(&mut change);
        }
        let again = PolicyChange {
            copies: Some(3),
            garbage_linger_ms: Some(0),
            garbage_grace_ms: Some(90_500),
            operation_ttl_ms: Some(86_400_000),
            session_ttl_ms: Some(40 * 86_400_000),
            receipt_ttl_ms: Some(600_000),
            rebalance_percent: Some(20),
            versions_keep: Some(5),
            versions_ms: Some(30 * 86_400_000),
            trash_ms: Some(7 * 86_400_000),
            quota_bytes: Some(1 << 40),
            quota_files: Some(0),
            extent_bytes: Some(0),
            part_min_bytes: Some(1),
            signup_mode: Some(SignupMode::Invite),
            audit_ms: Some(86_400_000),
            audit_bytes: Some(1),
        };
        assert_eq!(change, again);
    }

    #[test]
    fn settings_are_read_with_their_units() {
        assert_eq!("garbage_grace=1h".parse(), Ok(Setting::GarbageGrace(3_600_000)));
        assert_eq!("garbage_grace_ms=250".parse(), Ok(Setting::GarbageGrace(250)));
        for wrong in ["copies", "copies=many", "garbage_grace=250", "garbage_grace_ms=1h", "copy=3", "copies=-1"] {
            assert!(wrong.parse::<Setting>().is_err(), "{wrong}");
        }
    }
}
