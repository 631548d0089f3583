//! The verbs, one a file.

mod admin_reset;
mod audit;
mod backup;
mod cat;
mod certificate;
mod cluster;
mod cp;
mod du;
mod get;
mod history;
mod invite;
mod join_token;
mod leave;
mod lock;
mod locks;
mod login;
mod logout;
mod ls;
mod mkdir;
mod mv;
mod passwd;
mod policy;
mod prop;
mod put;
mod quota;
mod renew;
mod replication;
mod restore;
mod retention;
mod ring;
mod rm;
mod secret;
mod serve;
mod sessions;
mod setup_code;
mod share;
mod signup;
mod stat;
mod trash;
mod unlock;
mod unshare;
mod uploads;
mod users;
mod verify;
mod whoami;

use clap::Subcommand;

use super::error::{CliError, Exit};
use super::output::Output;
use super::session::Session;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    Signup(signup::Args),
    Login(login::Args),
    Logout(logout::Args),
    Whoami(whoami::Args),
    Passwd(passwd::Args),
    Sessions(sessions::Args),
    Put(put::Args),
    Get(get::Args),
    Cat(cat::Args),
    Ls(ls::Args),
    Stat(stat::Args),
    Mkdir(mkdir::Args),
    Mv(mv::Args),
    Cp(cp::Args),
    Rm(rm::Args),
    Trash(trash::Args),
    Uploads(uploads::Args),
    History(history::Args),
    Retention(retention::Args),
    /// What you say of a file or a directory, by names of your own
    #[command(subcommand)]
    Prop(prop::Command),
    Du(du::Args),
    Share(share::Args),
    Unshare(unshare::Args),
    Leave(leave::Args),
    Lock(lock::Args),
    Renew(renew::Args),
    Unlock(unlock::Args),
    Locks(locks::Args),
    /// The directory nodes
    #[command(subcommand)]
    Cluster(cluster::Command),
    /// The file servers
    #[command(subcommand)]
    Ring(ring::Command),
    /// The copying of files that have too few copies
    #[command(subcommand)]
    Replication(replication::Command),
    Users(users::Args),
    Audit(audit::Args),
    /// Invitations, by which others make accounts
    #[command(subcommand)]
    Invite(invite::Command),
    Quota(quota::Args),
    JoinToken(join_token::Args),
    Certificate(certificate::Args),
    Backup(backup::Args),
    Restore(restore::Args),
    Verify(verify::Args),
    /// What the whole cluster goes by
    #[command(subcommand)]
    Policy(policy::Command),
    SetupCode(setup_code::Args),
    AdminReset(admin_reset::Args),
    /// Run a directory node
    Directory(serve::Args),
    /// Run a file server
    Fileserver(serve::Args),
}

impl Command {
    /// Servers have their own way to end on a signal.
    pub(super) const fn is_server(&self) -> bool {
        matches!(self, Self::Directory(_) | Self::Fileserver(_))
    }

    pub(super) async fn run(self, session: &Session) -> Result<(), CliError> {
        match self {
            Self::Signup(args) => signup::run(args, session).await,
            Self::Login(args) => login::run(args, session).await,
            Self::Logout(args) => logout::run(args, session).await,
            Self::Passwd(args) => passwd::run(args, session).await,
            Self::Sessions(args) => sessions::run(args, session).await,
            Self::Whoami(args) => whoami::run(args, session).await,
            Self::Put(args) => put::run(args, session).await,
            Self::Get(args) => get::run(args, session).await,
            Self::Cat(args) => cat::run(args, session).await,
            Self::Ls(args) => ls::run(args, session).await,
            Self::Stat(args) => stat::run(args, session).await,
            Self::Mkdir(args) => mkdir::run(args, session).await,
            Self::Mv(args) => mv::run(args, session).await,
            Self::Cp(args) => cp::run(args, session).await,
            Self::Rm(args) => rm::run(args, session).await,
            Self::Trash(args) => trash::run(args, session).await,
            Self::Uploads(args) => uploads::run(args, session).await,
            Self::History(args) => history::run(args, session).await,
            Self::Retention(args) => retention::run(args, session).await,
            Self::Prop(command) => prop::run(command, session).await,
            Self::Du(args) => du::run(args, session).await,
            Self::Share(args) => share::run(args, session).await,
            Self::Unshare(args) => unshare::run(args, session).await,
            Self::Leave(args) => leave::run(args, session).await,
            Self::Lock(args) => lock::run(args, session).await,
            Self::Renew(args) => renew::run(args, session).await,
            Self::Unlock(args) => unlock::run(args, session).await,
            Self::Locks(args) => locks::run(args, session).await,
            Self::Cluster(command) => cluster::run(command, session).await,
            Self::Ring(command) => ring::run(command, session).await,
            Self::Replication(command) => replication::run(command, session).await,
            Self::Audit(args) => audit::run(args, session).await,
            Self::Users(args) => users::run(args, session).await,
            Self::Invite(command) => invite::run(command, session).await,
            Self::SetupCode(args) => setup_code::run(&args, session),
            Self::AdminReset(args) => admin_reset::run(args, session).await,
            Self::Quota(args) => quota::run(args, session).await,
            Self::JoinToken(args) => join_token::run(args, session).await,
            Self::Certificate(args) => certificate::run(args, session),
            Self::Backup(args) => backup::run(args, session).await,
            Self::Restore(args) => restore::run(args, session).await,
            Self::Verify(args) => verify::run(args, session).await,
            Self::Policy(command) => policy::run(command, session).await,
            Self::Directory(args) => serve::directory(args).await,
            Self::Fileserver(args) => serve::file_server(args).await,
        }
    }
}

/// The errors of a command that goes on after one.
#[derive(Debug, Default)]
struct Tally {
    worst: Option<Exit>,
    errors: usize,
}

impl Tally {
    /// Reports an error and says whether the command may go on: where no node answers, the rest would only wait
    /// for the same.
    fn goes_on_after(&mut self, error: &CliError) -> bool {
        Output::note(error);
        self.errors += 1;
        self.worst = self.worst.max(Some(error.exit));
        error.exit < Exit::Unavailable
    }

    fn result(&self) -> Result<(), CliError> {
        match self.worst {
            None => Ok(()),
            Some(exit) => Err(CliError::new(
                exit,
                match self.errors {
                    1 => "1 of them was not done".to_owned(),
                    errors => format!("{errors} of them were not done"),
                },
            )),
        }
    }
}
