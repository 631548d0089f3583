//! Who leads, as this node sees it.
//!
//! One task publishes it ([`LeaderView::keep`]). Everybody else looks at what is published, or waits until it changes;
//! nobody wakes up to look. The verdict depends on time, too: a leader that is silent for too long is none. So the task
//! finds out with each verdict the next moment at which it could change by itself, and sleeps until then or until there
//! is news.
//!
//! *The no-leader timeout.* An election is waited for: whoever waits hears of its end at once. A node that has known no
//! leader for longer than an election takes is probably the one that is cut off, and its callers have other nodes to go
//! to. So it tells them soon ([`Leader::Lost`]) instead of holding them until their deadlines. What it may have put in a
//! log is told as unknown.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use openraft::async_runtime::watch::WatchReceiver;
use openraft::{Instant as _, RaftMetrics, ServerState};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use super::super::options::Tuning;
use super::super::published::Published;
use super::super::transport::Target;
use super::super::types::TypeConfig;
use super::RaftNode;
use crate::domain::NodeId;

/// For how long the leader must be seen as lost before anybody is told. A process that stood still for a second finds
/// all news old when it goes on, and the new ones a moment later.
const MOMENT: Duration = Duration::from_millis(150);

/// The leader that a node knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Leader {
    Here,
    There(Target),
    /// With the reason, for people. It is worth waiting for one.
    Unknown(String),
    /// There has been none for longer than an election takes, as far as this node can see. It may be this node that is
    /// cut off: whoever waits here does better elsewhere.
    Lost(String),
}

impl Leader {
    const fn is_known(&self) -> bool {
        matches!(self, Self::Here | Self::There(_))
    }
}

/// What this node knows about who leads.
pub(crate) struct LeaderView {
    own: NodeId,
    heartbeat: Duration,
    election_max: Duration,
    verdict: Published<Leader>,
    heard: Mutex<Heard>,
    /// What was heard may change the verdict.
    news: Notify,
}

/// What came from other nodes.
#[derive(Debug, Default)]
struct Heard {
    /// When a leader last spoke to this node.
    leader: Option<Instant>,
    /// Which nodes said of themselves of late that they lead and hear no majority, and when.
    cut_off: BTreeMap<NodeId, Instant>,
    /// What this node waits for before it takes part, for people.
    waiting_for: Option<String>,
}

/// What a verdict is made from.
#[derive(Clone, Debug, Default)]
struct Seen {
    leader: Option<NodeId>,
    /// Its address, where it is a member that this node knows.
    address: Option<String>,
    /// This node leads, by its own word.
    leads: bool,
    /// It is the only one that votes.
    alone: bool,
    /// When it last heard a majority.
    majority: Option<Instant>,
    /// When a leader last spoke to this node.
    heard: Option<Instant>,
    /// When this leader last said that it hears no majority.
    cut_off: Option<Instant>,
}

/// A verdict, and when it may change without any news.
type Judged = (Leader, Option<Instant>);

impl LeaderView {
    pub(crate) fn new(own: NodeId, tuning: &Tuning) -> Self {
        Self {
            own,
            heartbeat: tuning.heartbeat,
            election_max: tuning.election_max,
            verdict: Published::new(Leader::Unknown("the cluster is forming".into())),
            heard: Mutex::default(),
            news: Notify::new(),
        }
    }

    /// Who leads, as far as this node knows and has reason to believe: a leader that nobody hears is none, and neither
    /// is one that hears nobody.
    pub(crate) fn leader(&self) -> Leader {
        (*self.verdict.get()).clone()
    }

    /// Whoever waits for a change of it.
    pub(crate) const fn verdict(&self) -> &Published<Leader> {
        &self.verdict
    }

    /// The id of the leader that this node knows.
    pub(crate) fn known(&self) -> Option<NodeId> {
        match &*self.verdict.get() {
            Leader::Here => Some(self.own),
            Leader::There(target) => Some(target.id),
            Leader::Unknown(_) | Leader::Lost(_) => None,
        }
    }

    /// Returns once there is no sense in waiting here for a leader.
    pub(crate) async fn lost(&self) {
        self.verdict.wait_for(|leader| matches!(leader, Leader::Lost(_)).then_some(())).await;
    }

    /// The end of a piece of work, or nothing once there is no sense in waiting for it on this node.
    pub(crate) async fn unless_lost<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            done = work => Some(done),
            () = self.lost() => None,
        }
    }

    /// The answer of a call to the leader, or nothing once it no longer counts as the leader: one that hangs must not
    /// hold up what its successor could do.
    pub(crate) async fn while_it_leads<T>(&self, target: &Target, call: impl Future<Output = T>) -> Option<T> {
        let other = |leader: &Leader| (!matches!(leader, Leader::There(now) if now == target)).then_some(());
        tokio::select! {
            biased;
            answer = call => Some(answer),
            () = self.verdict.wait_for(other) => None,
        }
    }

    /// How long a leader may be silent before it counts as gone. A little more than what the election waits for.
    pub(crate) fn patience(&self) -> Duration {
        self.election_max * 2
    }

    /// A leader has spoken to this node.
    pub(crate) fn hear_leader(&self) {
        let now = Instant::now();
        let before = self.heard().leader.replace(now);
        // The task looks by itself before the silence counts, so only the end of a long one is news. Appends come by the
        // thousand a second.
        if before.is_none_or(|before| now.saturating_duration_since(before) > self.patience() / 2) {
            self.news.notify_one();
        }
    }

    /// Another node has said whether it leads without hearing a majority.
    pub(crate) fn hear_of_majority(&self, from: NodeId, hears_none: bool) {
        let mut heard = self.heard();
        let known = if hears_none {
            heard.cut_off.insert(from, Instant::now()).is_some()
        } else {
            heard.cut_off.remove(&from).is_some()
        };
        drop(heard);
        if hears_none != known {
            self.news.notify_one();
        }
    }

    /// What this node waits for before it takes part.
    pub(crate) fn waiting_for(&self) -> Option<String> {
        self.heard().waiting_for.clone()
    }

    /// Says what this node waits for before it takes part. To be called until [`Self::keep`] is.
    pub(crate) fn set_waiting_for(&self, what: Option<String>) {
        self.heard().waiting_for.clone_from(&what);
        self.verdict.publish(Leader::Unknown(what.unwrap_or_else(|| "the cluster is forming".into())));
    }

    /// This node leads, and has heard no majority for so long that it counts as cut off.
    pub(crate) fn leads_without_majority(&self, metrics: &RaftMetrics<TypeConfig>) -> bool {
        self.has_heard_no_majority_for(self.patience(), metrics)
    }

    /// It leads, and has heard no majority for as long as the others wait before they elect another leader. Too early to
    /// give up what waits here, since it may be a stall, and time to send clients elsewhere.
    pub(crate) fn doubts_its_majority(&self, metrics: &RaftMetrics<TypeConfig>) -> bool {
        self.has_heard_no_majority_for(self.election_max, metrics)
    }

    fn has_heard_no_majority_for(&self, span: Duration, metrics: &RaftMetrics<TypeConfig>) -> bool {
        let leads = metrics.state == ServerState::Leader && metrics.current_leader == Some(self.own.0);
        let alone = metrics.membership_config.voter_ids().count() == 1;
        leads && !alone && metrics.last_quorum_acked.is_some_and(|at| at.elapsed() > span)
    }

    /// Another node that leads by its own word and by ours, but was silent for a while or hears no majority.
    pub(crate) fn doubtful(&self, raft: &RaftNode) -> Option<NodeId> {
        let seen = self.see(raft);
        let long_ago = |at: Instant| at.elapsed() > self.heartbeat * 3;
        let doubtful =
            seen.heard.is_none_or(long_ago) || seen.cut_off.is_some_and(|at| at.elapsed() < self.patience() * 2);
        seen.leader.filter(|leader| *leader != self.own && doubtful)
    }

    /// Publishes who leads, for as long as Raft runs.
    pub(crate) async fn keep(&self, raft: &RaftNode) {
        let (mut server, mut data) = (raft.server_metrics(), raft.data_metrics());
        let mut verdicts = Verdicts::new(Instant::now());
        loop {
            // Taken note of before they are looked at. openraft publishes `data` first.
            drop((data.borrow_and_update(), server.borrow_and_update()));
            let seen = self.see(raft);
            let (leader, until) = verdicts.next(self.judge(&seen, Instant::now()), self.patience(), Instant::now());
            let waits_for_majority = seen.leads && leader != Leader::Here;
            self.verdict.publish(leader);
            tokio::select! {
                biased;
                changed = server.changed() => if changed.is_err() {
                    self.verdict.publish(Leader::Unknown("consensus has ended on this node".into()));
                    return;
                },
                () = self.news.notified() => {}
                // Each entry is news of this kind, and of interest only here. Its end is that of the other.
                _ = data.changed(), if waits_for_majority => {}
                () = sleep_until(until.unwrap_or_else(Instant::now)), if until.is_some() => {}
            }
        }
    }

    fn see(&self, raft: &RaftNode) -> Seen {
        let (server, data) = (raft.server_metrics(), raft.data_metrics());
        let majority = data.borrow_watched().last_quorum_acked.map(|at| Instant::now() - at.elapsed());
        let server = server.borrow_watched();
        let heard = self.heard();
        Seen {
            leader: server.current_leader.map(NodeId),
            address: server
                .current_leader
                .and_then(|leader| server.membership_config.get_node(&leader).map(|node| node.peer.clone())),
            leads: server.state == ServerState::Leader,
            alone: server.membership_config.voter_ids().count() == 1,
            majority,
            heard: heard.leader,
            cut_off: server.current_leader.and_then(|leader| heard.cut_off.get(&NodeId(leader)).copied()),
        }
    }

    fn judge(&self, seen: &Seen, now: Instant) -> Judged {
        let unknown = |reason: &str| (Leader::Unknown(reason.to_owned()), None);
        let patience = self.patience();
        let Some(leader) = seen.leader else {
            return unknown("an election is under way, or too few nodes are up for a majority");
        };
        if leader == self.own {
            let reason = "this node leads and hears no majority of the nodes";
            return match seen.majority.map(|at| at + patience) {
                _ if !seen.leads => unknown("an election is under way"),
                _ if seen.alone => (Leader::Here, None),
                // Elected, and not confirmed yet.
                None => unknown(reason),
                Some(until) if until > now => (Leader::Here, Some(until)),
                Some(_) => (Leader::Lost(reason.into()), None),
            };
        }
        let Some(until) = seen.heard.map(|at| at + patience).filter(|until| *until > now) else {
            return unknown(&format!("node {leader} led last and is silent"));
        };
        if let Some(end) = seen.cut_off.map(|at| at + patience * 2).filter(|end| *end > now) {
            return (
                Leader::Lost(format!("node {leader} leads and hears no majority of the nodes")),
                Some(until.min(end)),
            );
        }
        let verdict = match &seen.address {
            Some(address) => Leader::There(Target { id: leader, address: address.clone() }),
            None => Leader::Unknown(format!("node {leader} leads and its address is not known yet")),
        };
        (verdict, Some(until))
    }

    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The verdicts one after the other: for how long there has been no leader, and for how long it has been lost.
struct Verdicts {
    /// When a leader was last known, or began to be looked for.
    known: Instant,
    was_known: bool,
    lost: Option<Instant>,
}

impl Verdicts {
    const fn new(now: Instant) -> Self {
        Self { known: now, was_known: false, lost: None }
    }

    /// What is published of a verdict.
    fn next(&mut self, (leader, until): Judged, patience: Duration, now: Instant) -> Judged {
        let earlier = |other: Instant| Some(until.map_or(other, |until| until.min(other)));
        let is_known = leader.is_known();
        if is_known || self.was_known {
            self.known = now;
        }
        self.was_known = is_known;
        // Longer than the elections of a cluster that has its majority, also where the first few come to nothing.
        let given_up = self.known + patience * 3 / 2;
        let reason = match leader {
            Leader::Lost(reason) => reason,
            Leader::Unknown(reason) if given_up <= now => reason,
            Leader::Unknown(_) => {
                self.lost = None;
                return (leader, earlier(given_up));
            }
            Leader::Here | Leader::There(_) => {
                self.lost = None;
                return (leader, until);
            }
        };
        let told = *self.lost.get_or_insert(now) + MOMENT;
        if told <= now { (Leader::Lost(reason), until) } else { (Leader::Unknown(reason), earlier(told)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// Patience is a second with the default tuning.
    fn view() -> LeaderView {
        LeaderView::new(NodeId(1), &Tuning::default())
    }

    fn follower(heard: Instant) -> Seen {
        Seen { leader: Some(NodeId(2)), address: Some("there".into()), heard: Some(heard), ..Seen::default() }
    }

    fn leading(majority: Option<Instant>) -> Seen {
        Seen { leader: Some(NodeId(1)), leads: true, majority, ..Seen::default() }
    }

    #[test]
    fn a_verdict_knows_when_it_may_change() {
        let (view, now) = (view(), Instant::now());
        let there = Leader::There(Target { id: NodeId(2), address: "there".into() });
        assert_eq!(view.judge(&follower(now), now), (there.clone(), Some(now + ms(1000))));
        assert_eq!(view.judge(&follower(now), now + ms(999)), (there.clone(), Some(now + ms(1000))));
        let silent = view.judge(&follower(now), now + ms(1000));
        assert_eq!(silent, (Leader::Unknown("node 2 led last and is silent".into()), None));

        assert_eq!(view.judge(&leading(Some(now)), now), (Leader::Here, Some(now + ms(1000))));
        assert!(matches!(view.judge(&leading(Some(now)), now + ms(1000)), (Leader::Lost(_), None)));
        assert!(matches!(view.judge(&leading(None), now), (Leader::Unknown(_), None)), "it is not confirmed yet");
        let alone = Seen { alone: true, ..leading(None) };
        assert_eq!(view.judge(&alone, now + ms(5000)), (Leader::Here, None));

        let cut_off = Seen { cut_off: Some(now), ..follower(now + ms(1500)) };
        let (verdict, until) = view.judge(&cut_off, now + ms(1500));
        assert!(matches!(verdict, Leader::Lost(_)) && until == Some(now + ms(2000)), "{verdict:?} {until:?}");
        assert_eq!(view.judge(&cut_off, now + ms(2000)), (there, Some(now + ms(2500))));
    }

    #[test]
    fn a_leader_is_lost_when_elections_came_to_nothing_and_has_to_stay_lost_for_a_moment() {
        let (view, start) = (view(), Instant::now());
        let mut verdicts = Verdicts::new(start);
        let mut next = |seen: &Seen, at: Instant| verdicts.next(view.judge(seen, at), view.patience(), at);
        assert!(matches!(next(&follower(start), start), (Leader::There(_), _)));
        let gone = start + ms(1000);
        let (verdict, until) = next(&follower(start), gone);
        assert!(matches!(verdict, Leader::Unknown(_)));
        assert_eq!(until, Some(gone + ms(1500)));
        let (verdict, until) = next(&Seen::default(), gone + ms(1500));
        assert!(matches!(verdict, Leader::Unknown(_)), "not told yet");
        assert_eq!(until, Some(gone + ms(1650)));
        assert!(matches!(next(&Seen::default(), gone + ms(1650)), (Leader::Lost(_), None)));
        // What stood still sees old news first.
        let late = gone + ms(9000);
        assert_eq!(next(&leading(Some(late)), late).0, Leader::Here);
        let (verdict, until) = next(&leading(Some(late)), late + ms(7000));
        assert!(matches!(verdict, Leader::Unknown(_)));
        assert_eq!(until, Some(late + ms(7150)));
        assert_eq!(next(&leading(Some(late + ms(7001))), late + ms(7001)).0, Leader::Here);
    }
}
