//! The commands: what goes through the Raft log. Each has a file of its own, with its form and what it does, and a line
//! in the list below. A command's meaning never changes once it was released: add a new one.

use super::Fault;
use std::fmt;

use super::answer::Outcome;
use super::change::Change;
use super::record::{Choice, Fields, Schema, Value, Writer, bad, write_present};
use super::stop::Stop;

/// What a command is. Each does bounded work (at most about a thousand rows), because the whole cluster waits while one
/// applies.
pub(crate) trait Act: Value {
    /// The schema that a cluster must have for it to be proposed.
    const SINCE: Schema;
    /// Whether applying it twice in a row does the same as once, without an operation's name. Those of users do not: the
    /// second one would be refused.
    const REPEATABLE: bool;
    /// Whether a cluster takes it while it is being restored from a backup.
    const WHILE_RESTORING: bool;
    /// Whether it is taken while the directory's disks are nearly full: it frees room, needs none, or comes before it.
    const WHILE_FULL: bool;

    /// Judges and makes the change. What was changed before a rejection is thrown away.
    ///
    /// # Errors
    /// A rejection is an answer like any other; a fault stops the process.
    fn act(&self, change: &mut Change<'_>) -> Result<Outcome, Stop>;
}

/// The list of all commands: a name is the command's type in the file before it, a number its tag in the log.
macro_rules! commands {
    ($($(#[$meta:meta])* $file:ident: $name:ident = $tag:literal,)*) => {
        $($(#[$meta])* mod $file; $(#[$meta])* pub use $file::$name;)*

        /// One change of the state machine.
        #[derive(Clone, PartialEq, Eq)]
        pub enum Command {
            $($(#[$meta])* $name($name),)*
        }

        $($(#[$meta])*
        impl From<$name> for Command {
            fn from(command: $name) -> Self {
                Self::$name(command)
            }
        })*

        impl fmt::Debug for Command {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self { $($(#[$meta])* Self::$name(command) => command.fmt(f),)* }
            }
        }

        impl Command {
            /// Whether applying it twice in a row does the same as once, without an operation's name.
            pub const fn is_repeatable(&self) -> bool {
                match self { $($(#[$meta])* Self::$name(_) => <$name as Act>::REPEATABLE,)* }
            }

            /// Whether a cluster takes it while it is being restored.
            pub(crate) const fn is_taken_while_restoring(&self) -> bool {
                match self { $($(#[$meta])* Self::$name(_) => <$name as Act>::WHILE_RESTORING,)* }
            }

            /// Whether it is taken while the directory's disks are nearly full.
            pub const fn is_taken_while_full(&self) -> bool {
                match self { $($(#[$meta])* Self::$name(_) => <$name as Act>::WHILE_FULL,)* }
            }

            pub(crate) fn act(&self, change: &mut Change<'_>) -> Result<Outcome, Stop> {
                match self { $($(#[$meta])* Self::$name(command) => command.act(change),)* }
            }
        }

        impl Choice for Command {
            const FIRST: u32 = super::record::declare::least(&[$($(#[$meta])* $tag),*]);

            fn write_choice(&self, out: &mut Writer) {
                match self {
                    $($(#[$meta])* Self::$name(command) => {
                        out.needs(<$name as Act>::SINCE);
                        write_present(command, $tag, out);
                    })*
                }
            }

            fn read_choice(fields: &mut Fields<'_>) -> Result<Self, Fault> {
                let unknown = || {
                    Fault("a command that this program does not know: run the version that wrote it, or a newer one".to_owned())
                };
                match fields.peek() {
                    $($(#[$meta])* Some($tag) => {
                        fields.needs(<$name as Act>::SINCE);
                        let payload = fields.take($tag)?.ok_or_else(unknown)?;
                        Ok(Self::$name(<$name as Value>::take(payload)?))
                    })*
                    Some(_) => Err(unknown()),
                    None => Err(bad("command")),
                }
            }
        }
    };
}

pub(crate) use expire::MAX_ENDINGS;
#[cfg(feature = "next-schema")]
pub(crate) use label::of as label_of;
pub use raise_schema::Raised;

commands! {
    bootstrap: Bootstrap = 10,
    set_policy: SetPolicy = 11,
    signup: Signup = 12,
    open_session: OpenSession = 13,
    close_session: CloseSession = 14,
    mkdir: Mkdir = 15,
    write: Write = 16,
    update: Update = 17,
    moves: Move = 18,
    delete: Delete = 19,
    share: Share = 20,
    unshare: Unshare = 21,
    lock: Lock = 22,
    renew: Renew = 23,
    unlock: Unlock = 24,
    expire: Expire = 25,
    reap: Reap = 26,
    register_server: RegisterServer = 27,
    server_down: ServerDown = 28,
    server_full: ServerFull = 29,
    rehome: Rehome = 30,
    condemn: Condemn = 31,
    deleted: Deleted = 32,
    report: Report = 33,
    drain: Drain = 34,
    undrain: Undrain = 35,
    remove_server: RemoveServer = 36,
    start_sweep: StartSweep = 37,
    stop_sweep: StopSweep = 38,
    advance_sweep: AdvanceSweep = 39,
    hold: Hold = 45,
    release: Release = 46,
    restore: Restore = 47,
    restore_content: RestoreContent = 48,
    restore_done: RestoreDone = 49,
    recount: Recount = 50,
    raise_schema: RaiseSchema = 51,
    copy_file: CopyFile = 52,
    restore_version: RestoreVersion = 53,
    restore_trashed: RestoreTrashed = 54,
    empty_trash: EmptyTrash = 55,
    set_quota: SetQuota = 56,
    break_lock: BreakLock = 57,
    begin_upload: BeginUpload = 58,
    add_extents: AddExtents = 59,
    finish_upload: FinishUpload = 60,
    end_upload: EndUpload = 61,
    pin: PinContent = 62,
    set_retention: SetRetention = 67,
    set_properties: SetProperties = 68,
    begin_parts: BeginParts = 80,
    put_part: PutPart = 81,
    complete_parts: CompleteParts = 82,
    add_pieces: AddPieces = 83,
    admit_key: AdmitKey = 130,
    enroll: Enroll = 100,
    invite: MakeInvite = 101,
    revoke_invite: RevokeInvite = 102,
    reset_admin: ResetAdmin = 103,
    begin_session: BeginSession = 104,
    touch_session: TouchSession = 105,
    set_password: SetPassword = 106,
    end_sessions: EndSessions = 107,
    add_account: AddAccount = 108,
    set_account: SetAccount = 109,
    reset_password: ResetPassword = 110,
    remove_account: RemoveAccount = 111,
    hand_over: HandOver = 112,
    leave_share: LeaveShare = 113,
    #[cfg(feature = "next-schema")]
    label: Label = 1000,
}
