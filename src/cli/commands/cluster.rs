use std::time::Duration;

use crate::cli::error::{CliError, Exit};
use crate::cli::output::Output;
use crate::cli::session::Session;
use crate::cli::table::{Table, human_size, or_dash};
use crate::client::ClientError;
use crate::protocol::admin::{AddMember, MemberProgress, MemberStage, RemoveMember, SetAddress};
use crate::protocol::api::{Cluster, NodeInfo, NodeRole, NodeRoom};

/// What a node says in its log, too.
const WRONG_CLOCK_MS: u64 = crate::clock::WRONG_MS;

/// Between two looks at a change that takes longer.
const PAUSE: Duration = Duration::from_millis(300);

#[derive(Debug, clap::Subcommand)]
pub(in crate::cli) enum Command {
    /// Show the directory nodes and who leads
    Status,
    /// Take in a directory node that waits for it, and follow it until it votes
    ///
    /// Start the node first, with an id that was never used here, an empty data_dir, join = true under `[cluster]`, and
    /// the members that are there listed. If this command is broken off, run it again.
    Add {
        node: u64,
        /// Where users and file servers reach it: http://HOST:PORT
        #[arg(long)]
        url: String,
        /// Where the other directory nodes reach it: http://HOST:PORT
        #[arg(long)]
        peer: String,
    },
    /// Let a directory node go for good, whether it runs or not
    ///
    /// It stops by itself when it hears of it. Its id is not used again.
    Remove {
        node: u64,
        /// Also where fewer than a majority of the others are reachable: the cluster stands still until they are
        #[arg(long)]
        force: bool,
    },
    /// Have the cluster know a directory node at another address
    ///
    /// It is rarely needed: write the new address into the node's configuration (node.advertise, node.peer_advertise, and
    /// its block under [[cluster.members]]) and start it again, and it tells the cluster by itself. Where all nodes have
    /// moved at once, write all new addresses under [[cluster.members]] in the configuration of each before it is started.
    SetAddress {
        node: u64,
        /// Where users and file servers reach it now: http://HOST:PORT
        #[arg(long)]
        url: String,
        /// Where the other directory nodes reach it now: http://HOST:PORT
        #[arg(long)]
        peer: String,
    },
    /// Have another node lead: the one named, or the most caught-up one
    Transfer { node: Option<u64> },
}

pub(super) async fn run(command: Command, session: &Session) -> Result<(), CliError> {
    let directory = session.directory()?;
    let done = match command {
        Command::Status => {
            let cluster = directory.cluster().await?;
            session.out.answer(&cluster, describe);
            return Ok(());
        }
        Command::Add { node, url, peer } => {
            let member = AddMember { node_id: node, url, peer };
            follow(session, node, async || directory.add_member(&member).await).await?
        }
        Command::SetAddress { node, url, peer } => {
            let member = SetAddress { node_id: node, url, peer };
            follow(session, node, async || directory.set_address(&member).await).await?
        }
        Command::Remove { node, force } => {
            let member = RemoveMember { node_id: node, force };
            follow(session, node, async || directory.remove_member(&member).await).await?
        }
        Command::Transfer { node } => directory.transfer(node).await?,
    };
    session.out.answer(&done, |done| sentence(done) + "\n");
    Ok(())
}

/// Asks again until the change is done, and says what is new.
async fn follow(
    session: &Session,
    node: u64,
    ask: impl AsyncFn() -> Result<MemberProgress, ClientError>,
) -> Result<MemberProgress, CliError> {
    let mut said = String::new();
    loop {
        let progress = ask().await.map_err(|error| {
            let error = CliError::from(error);
            if error.exit == Exit::Unavailable {
                error.hint("the change may have gone on: look with ringmaster cluster status, and run this again")
            } else {
                error.about(format!("node {node}"))
            }
        })?;
        if progress.done {
            return Ok(progress);
        }
        let now = sentence(&progress);
        if now != said && !session.out.json {
            Output::note(&now);
            said = now;
        }
        tokio::time::sleep(PAUSE).await;
    }
}

fn sentence(progress: &MemberProgress) -> String {
    let node = progress.node_id;
    match progress.stage {
        MemberStage::Greeting => format!("node {node} is asked who it is"),
        MemberStage::CatchingUp => match (progress.snapshot_sent, progress.snapshot_bytes, progress.lag) {
            (Some(sent), Some(all), _) => {
                format!("node {node} catches up: {} of {} of a snapshot", human_size(sent), human_size(all))
            }
            (_, _, Some(lag)) => format!("node {node} catches up: it lacks {lag} entries"),
            _ => format!("node {node} catches up"),
        },
        MemberStage::Promoting => format!("node {node} gets its vote"),
        MemberStage::Voter => format!("node {node} is a member and votes"),
        MemberStage::Removing => format!("node {node} is being removed"),
        MemberStage::Removed => format!("node {node} is no member any more; its id is not used again"),
        MemberStage::Moving => format!("node {node} is asked at its new address"),
        MemberStage::Moved => format!("the cluster knows the new address of node {node}"),
        MemberStage::HandingOver => "leadership is being handed over".to_owned(),
        MemberStage::Leads => format!("node {node} leads"),
        MemberStage::Rising => "the cluster begins to use the next schema".to_owned(),
    }
}

fn describe(cluster: &Cluster) -> String {
    let leader = cluster.leader_id.map_or_else(|| "no leader".to_owned(), |leader| format!("node {leader} leads"));
    let mut table = Table::with_titles(
        &[true, false, false, true, true, true, true, true, true],
        &[
            "NODE",
            "ROLE",
            "REACHABLE",
            "LOG",
            "APPLIED",
            "LAG",
            "SNAPSHOT",
            "DISK FREE",
            "SYNC",
            "VERSION",
            "URL",
            "PEERS AT",
        ],
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
            reachable(node),
            or_dash(node.last_log_index),
            or_dash(node.applied_index),
            or_dash(node.lag),
            or_dash(node.snapshot_index),
            or_dash(node.disk_free.map(|free| disk(free, node.room))),
            or_dash(node.sync_ms.map(|ms| format!("{ms} ms"))),
            if node.version.is_empty() { "-".to_owned() } else { node.version.clone() },
            node.url.clone(),
            node.peer.clone(),
        ]);
    }
    let troubles: String = cluster
        .nodes
        .iter()
        .filter_map(|node| Some(format!("\nnode {}: {}", node.node_id, node.trouble.as_ref()?)))
        .collect();
    let wrong: String = cluster.nodes.iter().filter_map(wrong_clock).collect();
    let full = if cluster.directory_full {
        "\nthe disks of most nodes are nearly full: only deletions are taken until there is room on them"
    } else {
        ""
    };
    format!(
        "cluster {} ({}), term {}, schema {}, {leader}; as node {} sees it{full}{troubles}{wrong}\n{}",
        cluster.name,
        cluster.cluster_id,
        cluster.term,
        cluster.schema,
        cluster.node_id,
        table.render()
    )
}

/// A clock that is off by more than one without NTP comes to be in weeks.
fn wrong_clock(node: &NodeInfo) -> Option<String> {
    let off = node.clock_off_ms.filter(|off| off.unsigned_abs() > WRONG_CLOCK_MS)?;
    let (seconds, way) = (off.unsigned_abs() / 1000, if off > 0 { "ahead" } else { "behind" });
    Some(format!("\nthe clock of node {} is {seconds} s {way}: set it, best by NTP", node.node_id))
}

fn disk(free: u64, room: NodeRoom) -> String {
    match room {
        NodeRoom::Ample => human_size(free),
        NodeRoom::Low => format!("{} (low)", human_size(free)),
        NodeRoom::Full => format!("{} (full)", human_size(free)),
    }
}

fn reachable(node: &NodeInfo) -> String {
    match &node.last_seen {
        _ if node.reachable => "yes".to_owned(),
        Some(since) => format!("no, since {since}"),
        None => "no".to_owned(),
    }
}
