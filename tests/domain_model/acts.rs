//! What a random story is made of.

use proptest::prelude::*;

use ringmaster::domain::Permission;

use crate::parts;

/// A path: at most three names out of three, so that stories keep meeting the same places.
pub(crate) type Names = Vec<String>;

/// How an act names a file.
#[derive(Clone, Debug)]
pub(crate) enum Target {
    Path {
        owner: usize,
        names: Names,
    },
    /// One of the ids that were seen so far, also of what is gone.
    Seen(usize),
}

/// Which lock token an act brings along.
#[derive(Clone, Debug)]
pub(crate) enum Token {
    None,
    /// The newest one that somebody got.
    Newest,
    /// Any that somebody got.
    Any(usize),
    /// One that nobody got.
    Forged(u64),
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Condition {
    None,
    Exists,
    /// The version that the file is at, or another.
    Version(bool),
}

/// What a commit brings along.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Copies {
    Good,
    /// Of an epoch that never was.
    WrongEpoch,
    TooOld,
    /// A blob that was committed before.
    UsedBlob,
}

/// A change of properties: names with how long their values are, and names.
#[derive(Clone, Debug)]
pub(crate) struct Said {
    pub(crate) set: Vec<(char, usize)>,
    pub(crate) remove: Vec<char>,
    pub(crate) token: Token,
    pub(crate) condition: Condition,
}

/// What a directory says: how many older versions are kept, for how long, and for how long what was deleted is.
pub(crate) type Values = (Option<u32>, Option<u64>, Option<u64>);

/// What is made of what was sent.
#[derive(Clone, Debug)]
pub(crate) enum Aim {
    Write { owner: usize, names: Names },
    Update { target: Target, token: Token, condition: Condition },
}

#[derive(Clone, Debug)]
pub(crate) enum Act {
    Mkdir {
        owner: usize,
        names: Names,
    },
    Write {
        owner: usize,
        names: Names,
        copies: Copies,
    },
    Update {
        target: Target,
        token: Token,
        condition: Condition,
        copies: Copies,
    },
    Move {
        target: Target,
        owner: usize,
        names: Names,
        token: Token,
    },
    Delete {
        target: Target,
        recursive: bool,
        token: Token,
        condition: Condition,
        permanently: bool,
    },
    Copy {
        target: Target,
        owner: usize,
        names: Names,
    },
    /// So many versions before the one that is there.
    Back {
        target: Target,
        by: u64,
        token: Token,
        condition: Condition,
    },
    /// By one of the ids that were seen; to where it was, or elsewhere.
    Untrash {
        seen: usize,
        names: Option<Names>,
    },
    /// One, or all.
    Empty {
        seen: Option<usize>,
    },
    Say {
        target: Target,
        said: Said,
    },
    Retain {
        target: Target,
        values: Values,
    },
    Begin {
        aim: Aim,
    },
    BeginAgain {
        sent: usize,
    },
    /// Extents of these sizes and a tail, where the last one has ended or elsewhere.
    Add {
        sent: usize,
        extents: Vec<u64>,
        tail: u64,
        right: bool,
        copies: Copies,
    },
    AddAgain {
        sent: usize,
    },
    /// As it was begun for, or as something else; with what has been seen, and with the right size, or not.
    Finish {
        sent: usize,
        aim: Option<Aim>,
        looked: bool,
        sized: bool,
    },
    GiveUp {
        sent: usize,
    },
    Pin {
        sent: usize,
    },
    Parts(parts::Act),
    Share {
        target: Target,
        with: usize,
        permission: Permission,
    },
    Unshare {
        target: Target,
        with: usize,
    },
    Leave {
        target: Target,
    },
    Lock {
        target: Target,
        ttl_ms: u64,
    },
    Renew {
        token: Token,
        ttl_ms: u64,
    },
    Unlock {
        token: Token,
    },
    Break {
        target: Target,
    },
    Wait {
        ms: u64,
    },
    Expire {
        limit: u32,
    },
    Reap {
        limit: u32,
    },
    Server {
        name: usize,
    },
    Down {
        name: usize,
    },
    Full {
        name: usize,
        full: bool,
    },
    Copies {
        copies: u32,
    },
}

/// An act, who does it, and under which of a few operation ids.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub(crate) user: usize,
    pub(crate) act: Act,
    pub(crate) operation: Option<(usize, u8)>,
}

impl Step {
    pub(crate) fn uses_old_blob(&self) -> bool {
        let copies = match &self.act {
            Act::Write { copies, .. } | Act::Update { copies, .. } | Act::Add { copies, .. } => Some(copies),
            _ => None,
        };
        matches!(copies, Some(Copies::UsedBlob))
    }
}

pub(crate) const USERS: usize = 3;
pub(crate) const SERVERS: usize = 4;

fn names(least: usize) -> impl Strategy<Value = Names> {
    proptest::collection::vec(prop_oneof![Just("a"), Just("b"), Just("a-b")].prop_map(str::to_owned), least..=3)
}

fn target() -> impl Strategy<Value = Target> {
    prop_oneof![
        3 => (0..USERS, names(0)).prop_map(|(owner, names)| Target::Path { owner, names }),
        2 => (0..1000_usize).prop_map(Target::Seen),
    ]
}

fn token() -> impl Strategy<Value = Token> {
    prop_oneof![
        4 => Just(Token::None),
        3 => Just(Token::Newest),
        1 => (0..1000_usize).prop_map(Token::Any),
        1 => (0..5_u64).prop_map(Token::Forged),
    ]
}

fn condition() -> impl Strategy<Value = Condition> {
    prop_oneof![
        4 => Just(Condition::None),
        1 => Just(Condition::Exists),
        1 => any::<bool>().prop_map(Condition::Version),
    ]
}

fn copies() -> impl Strategy<Value = Copies> {
    prop_oneof![
        9 => Just(Copies::Good),
        1 => Just(Copies::WrongEpoch),
        1 => Just(Copies::TooOld),
        1 => Just(Copies::UsedBlob),
    ]
}

fn said() -> impl Strategy<Value = Said> {
    let name = || prop_oneof![Just('p'), Just('q'), Just('r')];
    // Two of the longest are too much together.
    let length = prop_oneof![3 => 0..5_usize, 1 => Just(40_000)];
    let set = proptest::collection::vec((name(), length), 0..3);
    (set, proptest::collection::vec(name(), 0..2), token(), condition())
        .prop_map(|(set, remove, token, condition)| Said { set, remove, token, condition })
}

fn values() -> impl Strategy<Value = Values> {
    let time = || proptest::option::of(prop_oneof![Just(0), Just(5000), Just(30_000)]);
    (proptest::option::of(0..4_u32), time(), time())
}

fn permission() -> impl Strategy<Value = Permission> {
    prop_oneof![Just(Permission::Read), Just(Permission::Write)]
}

pub(crate) fn aim() -> impl Strategy<Value = Aim> {
    prop_oneof![
        3 => (0..USERS, names(1)).prop_map(|(owner, names)| Aim::Write { owner, names }),
        2 => (target(), token(), condition())
            .prop_map(|(target, token, condition)| Aim::Update { target, token, condition }),
    ]
}

/// One of those that were begun: the newest ones are rarely over.
fn sent() -> impl Strategy<Value = usize> {
    0..12_usize
}

fn uploads() -> impl Strategy<Value = Act> {
    let size = prop_oneof![8 => (1..4_u64).prop_map(|units| 64 * units), 1 => 0..200_u64];
    let tail = prop_oneof![4 => Just(0_u64), 1 => 0..64_u64];
    let seldom_not = || proptest::bool::weighted(0.9);
    prop_oneof![
        4 => aim().prop_map(|aim| Act::Begin { aim }),
        1 => sent().prop_map(|sent| Act::BeginAgain { sent }),
        6 => (sent(), proptest::collection::vec(size, 0..4), tail, seldom_not(), copies())
            .prop_map(|(sent, extents, tail, right, copies)| Act::Add { sent, extents, tail, right, copies }),
        1 => sent().prop_map(|sent| Act::AddAgain { sent }),
        4 => (sent(), proptest::option::weighted(0.3, aim()), seldom_not(), seldom_not())
            .prop_map(|(sent, aim, looked, sized)| Act::Finish { sent, aim, looked, sized }),
        1 => sent().prop_map(|sent| Act::GiveUp { sent }),
        1 => sent().prop_map(|sent| Act::Pin { sent }),
    ]
}

fn act() -> impl Strategy<Value = Act> {
    let tree = prop_oneof![
        2 => (0..USERS, names(1)).prop_map(|(owner, names)| Act::Mkdir { owner, names }),
        6 => (0..USERS, names(0), copies())
            .prop_map(|(owner, names, copies)| Act::Write { owner, names, copies }),
        4 => (target(), token(), condition(), copies())
            .prop_map(|(target, token, condition, copies)| Act::Update { target, token, condition, copies }),
        4 => (target(), 0..USERS, names(0), token())
            .prop_map(|(target, owner, names, token)| Act::Move { target, owner, names, token }),
        4 => (target(), any::<bool>(), token(), condition(), any::<bool>()).prop_map(
            |(target, recursive, token, condition, permanently)| {
                Act::Delete { target, recursive, token, condition, permanently }
            }
        ),
        3 => (target(), 0..USERS, names(1)).prop_map(|(target, owner, names)| Act::Copy { target, owner, names }),
        3 => (target(), 0..4_u64, token(), condition())
            .prop_map(|(target, by, token, condition)| Act::Back { target, by, token, condition }),
        3 => (0..1000_usize, proptest::option::weighted(0.3, names(1)))
            .prop_map(|(seen, names)| Act::Untrash { seen, names }),
        1 => proptest::option::weighted(0.8, 0..1000_usize).prop_map(|seen| Act::Empty { seen }),
        2 => (target(), said()).prop_map(|(target, said)| Act::Say { target, said }),
        2 => (target(), values()).prop_map(|(target, values)| Act::Retain { target, values }),
        4 => (target(), 0..USERS, permission())
            .prop_map(|(target, with, permission)| Act::Share { target, with, permission }),
        1 => (target(), 0..USERS).prop_map(|(target, with)| Act::Unshare { target, with }),
        1 => target().prop_map(|target| Act::Leave { target }),
    ];
    let locks = prop_oneof![
        4 => (target(), 900..5000_u64).prop_map(|(target, ttl_ms)| Act::Lock { target, ttl_ms }),
        1 => (token(), 1000..5000_u64).prop_map(|(token, ttl_ms)| Act::Renew { token, ttl_ms }),
        1 => token().prop_map(|token| Act::Unlock { token }),
        1 => target().prop_map(|target| Act::Break { target }),
    ];
    let jobs = prop_oneof![
        3 => (0..4000_u64).prop_map(|ms| Act::Wait { ms }),
        2 => (0..5_u32).prop_map(|limit| Act::Expire { limit }),
        3 => (0..80_u32).prop_map(|limit| Act::Reap { limit }),
        2 => (0..SERVERS).prop_map(|name| Act::Server { name }),
        2 => (0..SERVERS).prop_map(|name| Act::Down { name }),
        1 => (0..SERVERS, any::<bool>()).prop_map(|(name, full)| Act::Full { name, full }),
        1 => (0..7_u32).prop_map(|copies| Act::Copies { copies }),
    ];
    prop_oneof![6 => tree, 2 => locks, 3 => jobs, 4 => uploads(), 4 => parts::act().prop_map(Act::Parts)]
}

fn step() -> impl Strategy<Value = Step> {
    let operation = proptest::option::weighted(0.3, (0..6_usize, 0..2_u8));
    (0..USERS, act(), operation).prop_map(|(user, act, operation)| Step { user, act, operation })
}

/// What everybody does in turn.
pub(crate) fn story() -> impl Strategy<Value = Vec<Step>> {
    proptest::collection::vec(step(), 1..120)
}
