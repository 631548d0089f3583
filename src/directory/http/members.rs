//! `/admin/members…` and `/admin/transfer`: who takes part in the directory, and who leads. Any node answers; the change is
//! the leader's, and goes on when the request has ended.

use axum::Json as Body;
use axum::extract::State;
use axum::http::StatusCode;

use super::App;
use super::auth::Token;
use super::request::Json;
use crate::config::{BaseUrl, MemberUrl};
use crate::consensus::{MembershipChange, MembershipError, MembershipProgress, Stage};
use crate::directory::error::{ApiError, ApiResult};
use crate::protocol::admin::{AddMember, MemberProgress, MemberStage, RemoveMember, SetAddress, Transfer};
use crate::protocol::problem::Code;

type Answer = ApiResult<(StatusCode, Body<MemberProgress>)>;

pub(crate) async fn add(State(node): State<App>, token: Token, Json(asked): Json<AddMember>) -> Answer {
    node.read_as_admin(&token, |_| Ok(())).await?;
    let address = |text: &str| text.parse::<BaseUrl>().map_err(ApiError::invalid);
    let peer_address = |text: &str| text.parse::<MemberUrl>().map_err(ApiError::invalid);
    let (url, peer) = (address(&asked.url)?, peer_address(&asked.peer)?);
    if asked.node_id == 0 {
        return Err(ApiError::invalid("0 is no node's id: ids begin at 1"));
    }
    let (url, peer) = (url.as_str().to_owned(), peer.as_str().to_owned());
    change(&node, MembershipChange::Add { node: asked.node_id, url, peer }).await
}

pub(crate) async fn set_address(State(node): State<App>, token: Token, Json(asked): Json<SetAddress>) -> Answer {
    node.read_as_admin(&token, |_| Ok(())).await?;
    let address = |text: &str| text.parse::<BaseUrl>().map_err(ApiError::invalid);
    let peer_address = |text: &str| text.parse::<MemberUrl>().map_err(ApiError::invalid);
    let (url, peer) = (address(&asked.url)?.as_str().to_owned(), peer_address(&asked.peer)?.as_str().to_owned());
    change(&node, MembershipChange::SetAddress { node: asked.node_id, url, peer }).await
}

pub(crate) async fn remove(State(node): State<App>, token: Token, Json(asked): Json<RemoveMember>) -> Answer {
    node.read_as_admin(&token, |_| Ok(())).await?;
    change(&node, MembershipChange::Remove { node: asked.node_id, force: asked.force }).await
}

pub(crate) async fn transfer(State(node): State<App>, token: Token, Json(asked): Json<Transfer>) -> Answer {
    node.read_as_admin(&token, |_| Ok(())).await?;
    change(&node, MembershipChange::Transfer { to: asked.node_id }).await
}

/// Of an admin, who was asked for before anything was said of what he sent.
async fn change(node: &App, change: MembershipChange) -> Answer {
    let progress = node.handle().change(change).await?;
    let status = if progress.is_done() { StatusCode::OK } else { StatusCode::ACCEPTED };
    Ok((status, Body(shown(&progress))))
}

fn shown(progress: &MembershipProgress) -> MemberProgress {
    MemberProgress {
        node_id: progress.node,
        stage: match progress.stage {
            Stage::Greeting => MemberStage::Greeting,
            Stage::CatchingUp => MemberStage::CatchingUp,
            Stage::Promoting => MemberStage::Promoting,
            Stage::Voter => MemberStage::Voter,
            Stage::Removing => MemberStage::Removing,
            Stage::Removed => MemberStage::Removed,
            Stage::Moving => MemberStage::Moving,
            Stage::Moved => MemberStage::Moved,
            Stage::HandingOver => MemberStage::HandingOver,
            Stage::Leads => MemberStage::Leads,
            Stage::Rising | Stage::Risen => MemberStage::Rising,
        },
        done: progress.is_done(),
        lag: progress.lag,
        snapshot_sent: progress.snapshot.map(|(sent, _)| sent),
        snapshot_bytes: progress.snapshot.map(|(_, all)| all),
    }
}

impl From<MembershipError> for ApiError {
    fn from(error: MembershipError) -> Self {
        match error {
            MembershipError::Refused(text) => Self::invalid(text),
            MembershipError::Busy(text) => Self::new(Code::ChangeUnderWay, text),
            MembershipError::Unknown(cause) => Self::new(
                Code::OutcomeUnknown,
                "the change may or may not have been made: ask for the same again, or see `ringmaster cluster status`",
            )
            .because(cause),
            MembershipError::NoLeader(cause) | MembershipError::Stopped(cause) => Self::no_leader().because(cause),
        }
    }
}
