use crate::cli::error::CliError;
use crate::cli::session::Session;
use crate::cli::table::{Table, or_dash};
use crate::protocol::api::{Cluster, NodeRole};

#[derive(Debug, clap::Subcommand)]
pub(in crate::cli) enum Command {
    /// Show the directory nodes and who leads
    Status,
}

pub(super) async fn run(command: Command, session: &Session) -> Result<(), CliError> {
    match command {
        Command::Status => {
            let cluster = session.directory()?.cluster().await?;
            session.out.answer(&cluster, describe);
        }
    }
    Ok(())
}

fn describe(cluster: &Cluster) -> String {
    let leader = cluster.leader_id.map_or_else(|| "no leader".to_owned(), |leader| format!("node {leader} leads"));
    let mut table = Table::with_titles(
        &[true, false, false, true, true],
        &["NODE", "ROLE", "REACHABLE", "LOG", "APPLIED", "URL", "PEERS AT"],
    );
    for node in &cluster.nodes {
        let role = match node.role {
            NodeRole::Leader => "leader",
            NodeRole::Follower => "follower",
            NodeRole::Learner => "learner",
        };
        table.row(vec![
            node.node_id.to_string(),
            role.to_owned(),
            if node.reachable { "yes" } else { "no" }.to_owned(),
            or_dash(node.last_log_index),
            or_dash(node.applied_index),
            node.url.clone(),
            node.peer.clone(),
        ]);
    }
    format!(
        "cluster {} ({}), term {}, {leader}; as node {} sees it\n{}",
        cluster.name,
        cluster.cluster_id,
        cluster.term,
        cluster.node_id,
        table.render()
    )
}
