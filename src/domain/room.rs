//! Which commands are taken while the disks of the directory nodes are nearly full.
//!
//! The leader asks this before it proposes. `apply` does not: how much room a disk has is no part of the state, and
//! replicas that decided by it would part.

use super::Command;

/// Whether a command gives room back, or is one that giving back stands on. Every command takes some room in the log and,
/// for a day, that of its remembered outcome. What is told here is whether the state is smaller afterwards, or as large,
/// or larger by what is bounded whatever users do.
pub const fn frees_room(command: &Command) -> bool {
    match command {
        // What users and jobs remove.
        Command::Delete { .. }
        | Command::Unshare { .. }
        | Command::Unlock { .. }
        | Command::CloseSession { .. }
        | Command::Expire { .. }
        | Command::Reap { .. }
        | Command::Deleted { .. }
        | Command::RemoveServer { .. }
        | Command::Release { .. }
        // Who deletes has to be logged in. Sessions run out.
        | Command::OpenSession { .. }
        // A lock that is held is kept: its row is replaced.
        | Command::Renew { .. }
        // No file may be lost because a disk of the directory is full. Rows are replaced; garbage goes again.
        | Command::Rehome { .. }
        | Command::Report { .. }
        | Command::Condemn { .. }
        | Command::ServerDown { .. }
        | Command::ServerFull { .. }
        | Command::RegisterServer { .. }
        | Command::StartSweep { .. }
        | Command::StopSweep { .. }
        | Command::AdvanceSweep { .. }
        // What admins may need to help themselves: one row each, and one of each at a time.
        | Command::Bootstrap { .. }
        | Command::SetPolicy { .. }
        | Command::Drain { .. }
        | Command::Undrain { .. }
        | Command::Hold { .. } => true,
        Command::Signup { .. }
        | Command::Mkdir { .. }
        | Command::Write { .. }
        | Command::Update { .. }
        | Command::Move { .. }
        | Command::Share { .. }
        | Command::Lock { .. }
        | Command::Restore { .. }
        | Command::RestoreFile { .. }
        | Command::RestoreDone { .. } => false,
    }
}
