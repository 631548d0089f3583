//! What the nodes of a run share: its time, its network, its trace.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, timeout};

use super::dice::Dice;
use super::node::Node;
use crate::consensus::transport::{Arrived, Call, CallError, Inbound, KnownCluster, Peers, Target};
use crate::domain::{ClusterId, NodeId};

/// How long a message takes. Some take much longer, and so overtake one another.
const FAST: (Duration, Duration) = (Duration::from_micros(100), Duration::from_millis(3));
const SLOW: (Duration, Duration) = (Duration::from_millis(3), Duration::from_millis(60));
/// Of a thousand messages.
const SLOW_ONES: u64 = 50;
const LOST_ONES: u64 = 10;

pub(super) struct World {
    begun: Instant,
    dice: Mutex<Dice>,
    trace: Mutex<Vec<String>>,
    messages: Mutex<u64>,
    /// The nodes that listen.
    listeners: Mutex<BTreeMap<NodeId, Listener>>,
}

type Listener = (Arc<Node>, Arc<dyn Inbound>);

impl World {
    pub(super) fn new(dice: Dice) -> Arc<Self> {
        Arc::new(Self {
            begun: Instant::now(),
            dice: Mutex::new(dice),
            trace: Mutex::default(),
            messages: Mutex::default(),
            listeners: Mutex::default(),
        })
    }

    /// Time since the run began.
    pub(super) fn now(&self) -> Duration {
        self.begun.elapsed()
    }

    /// Puts a line in the trace.
    pub(super) fn note(&self, what: impl Display) {
        let line = format!("{:>10} {what}", self.now().as_micros());
        self.trace.lock().unwrap().push(line);
    }

    pub(super) fn trace(&self) -> Vec<String> {
        self.trace.lock().unwrap().clone()
    }

    pub(super) fn listen(&self, id: NodeId, node: Arc<Node>, inbound: Arc<dyn Inbound>) {
        self.listeners.lock().unwrap().insert(id, (node, inbound));
    }

    pub(super) fn silence(&self, id: NodeId) {
        self.listeners.lock().unwrap().remove(&id);
    }

    /// One way of a message: how long it takes, or that it does not arrive.
    fn fate(&self) -> Option<Duration> {
        let mut dice = self.dice.lock().unwrap();
        let lost = dice.per_mille(LOST_ONES);
        let (from, to) = if dice.per_mille(SLOW_ONES) { SLOW } else { FAST };
        let time = dice.time(from, to);
        (!lost).then_some(time)
    }

    /// Carries a call there and its answer back. What is lost has no answer, ever.
    async fn carry(self: Arc<Self>, to: NodeId, arrived: Arrived) -> Result<Bytes, CallError> {
        let number = {
            let mut messages = self.messages.lock().unwrap();
            *messages += 1;
            *messages
        };
        let (from, call) = (arrived.from, arrived.call);
        self.note(format!("#{number} {from} -> {to} {call:?} {}", digest(&arrived.body)));
        self.travel(number, "call").await;
        let listener = self.listeners.lock().unwrap().get(&to).cloned();
        let Some((node, inbound)) = listener else {
            self.note(format!("#{number} nobody listens"));
            return Err(CallError::Unreachable("nobody listens".into()));
        };
        self.note(format!("#{number} arrives"));
        let (answer, answered) = oneshot::channel();
        node.spawn(async move { drop(answer.send(inbound.serve(arrived).await)) });
        let Ok(answer) = answered.await else {
            self.note(format!("#{number} breaks off"));
            return Err(CallError::Broken("the other side is gone".into()));
        };
        match &answer {
            Ok(body) => self.note(format!("#{number} is answered {}", digest(body))),
            Err(text) => self.note(format!("#{number} is refused: {text}")),
        }
        self.travel(number, "answer").await;
        self.note(format!("#{number} is back"));
        answer.map_err(CallError::Refused)
    }

    async fn travel(&self, number: u64, what: &str) {
        match self.fate() {
            Some(time) => sleep(time).await,
            None => {
                self.note(format!("#{number}: the {what} is lost"));
                std::future::pending::<()>().await;
            }
        }
    }
}

fn digest(body: &[u8]) -> String {
    format!("{} bytes {:08x}", body.len(), crc32c::crc32c(body))
}

/// The way from one node to the others.
pub(super) struct Wires {
    pub world: Arc<World>,
    pub from: NodeId,
    pub cluster: KnownCluster,
}

impl Peers for Wires {
    fn call(
        &self,
        target: &Target,
        call: Call,
        body: Bytes,
        patience: Duration,
    ) -> BoxFuture<'static, Result<Bytes, CallError>> {
        let cluster: Option<ClusterId> = self.cluster.get();
        let arrived = Arrived { from: self.from, cluster, call, body };
        let carried = Arc::clone(&self.world).carry(target.id, arrived);
        Box::pin(async move {
            timeout(patience, carried).await.unwrap_or_else(|_| Err(CallError::Broken("no answer in time".into())))
        })
    }
}
