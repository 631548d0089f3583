//! `/replication`: what lacks copies, how fast they are made, and how long it will take.

use axum::Json as Body;
use axum::extract::State;

use super::App;
use super::auth::Token;
use super::view;
use crate::directory::error::{ApiError, ApiResult};
use crate::directory::peers::{PeerCall, PeerReply, ask_leader};
use crate::directory::progress::JobStatus;
use crate::domain::plan;
use crate::domain::query::{self, AtRisk, Upkeep, Viewer};
use crate::domain::rows::{Sweep, SweepKind};
use crate::domain::{ClusterTime, WallTime};
use crate::protocol::api::{FileAtRisk, Replication, SweepInfo, SweepName, SweepState};

pub(crate) async fn replication(State(node): State<App>, token: Token) -> ApiResult<Body<Replication>> {
    let refusals = node.servers.refusals();
    let reading = node.list_as(&token, move |store, session| {
        let viewer = if session.admin { Viewer::Admin } else { Viewer::User(session.user) };
        let (upkeep, at_risk) = (query::upkeep(store)?, query::at_risk(store, viewer)?);
        Ok((upkeep, at_risk, plan::hindrance(store, &refusals)?, query::servers(store)?))
    });
    let (upkeep, at_risk, hindrance, servers) = reading.await?;
    let job = job_status(&node).await?;
    let owed = upkeep.pending() > 0 || upkeep.to_move > 0 || !upkeep.sweeps.is_empty();
    let told = describe(&upkeep, &at_risk, &job, node.handle().cluster_time());
    let to_delete = node.to_delete(&upkeep, &servers);
    let backup_until = node.backup_until(&upkeep);
    Ok(Body(Replication { to_delete, backup_until, held_up: hindrance.filter(|_| owed), ..told }))
}

async fn job_status(node: &App) -> ApiResult<JobStatus> {
    match ask_leader(node.handle(), &PeerCall::JobStatus).await? {
        PeerReply::JobStatus(status) => Ok(status),
        _ => Err(ApiError::internal("the leader answers another question than was asked")),
    }
}

fn describe(upkeep: &Upkeep, at_risk: &[AtRisk], job: &JobStatus, now: ClusterTime) -> Replication {
    let moves = job.bytes_per_second > 0 && upkeep.bytes_left > 0;
    Replication {
        pending: upkeep.pending(),
        in_flight: job.in_flight,
        bytes_per_second: job.bytes_per_second,
        seconds_left: moves.then(|| upkeep.bytes_left.div_ceil(job.bytes_per_second)),
        oldest_age_ms: upkeep.oldest_age_ms(now),
        last_run_at: job.last_run_at_wall_ms.map(|at| view::time(WallTime(at))),
        by_copies: upkeep.by_copies.to_vec(),
        servers_down: upkeep.servers_down,
        to_verify: upkeep.to_verify,
        to_move: upkeep.to_move,
        sweeps: upkeep.sweeps.iter().map(|(kind, sweep)| sweep_info(*kind, sweep)).collect(),
        garbage: upkeep.garbage,
        to_delete: Vec::new(),
        backup_until: None,
        at_risk: at_risk.iter().map(file_at_risk).collect(),
        held_up: None,
    }
}

fn sweep_info(kind: SweepKind, sweep: &Sweep) -> SweepInfo {
    SweepInfo {
        kind: match kind {
            SweepKind::Copies => SweepName::Copies,
            SweepKind::Balance => SweepName::Balance,
        },
        state: if sweep.resting { SweepState::Resting } else { SweepState::Running },
        through: sweep.through.map(|at| at.to_string()),
    }
}

fn file_at_risk(file: &AtRisk) -> FileAtRisk {
    FileAtRisk {
        file_id: file.file_id.0,
        copies: file.copies as u64,
        owner: file.name.as_ref().map(|(owner, _)| owner.clone()),
        path: file.name.as_ref().map(|(_, path)| path.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_left_is_told_only_while_something_moves() {
        let upkeep = Upkeep { bytes_left: 1001, oldest: Some(ClusterTime(40)), ..Upkeep::default() };
        let job = JobStatus { bytes_per_second: 100, ..JobStatus::default() };
        let told = describe(&upkeep, &[], &job, ClusterTime(100));
        assert_eq!((told.seconds_left, told.oldest_age_ms), (Some(11), Some(60)));
        assert_eq!(describe(&upkeep, &[], &JobStatus::default(), ClusterTime(100)).seconds_left, None);
        assert_eq!(describe(&Upkeep::default(), &[], &job, ClusterTime(100)).seconds_left, None);
    }
}
