//! Uploads in parts: what the model makes of them, and how they are acted out.

use std::collections::BTreeMap;

use proptest::prelude::*;
use ringmaster::domain::query::{self, UploadStat};
use ringmaster::domain::terms::{NewContent, NewPiece, Purpose};
use ringmaster::domain::{Command, ContentId, RejectionKind, Sha256, command};

use crate::acts::{self, Aim, Copies, Step, aim};
use crate::model::Model;
use crate::stage::{Stage, Verdict, user_id};
use crate::uploads::Goal;

const IDLE_MS: u64 = 40_000;
/// A completion has a day.
pub(crate) const LONGEST_MS: u64 = 24 * 60 * 60 * 1000;
const FIRST: u128 = 1 << 101;

#[derive(Clone, Debug)]
pub(crate) enum Act {
    /// Most often in one's own tree.
    Begin {
        aim: Aim,
        again: bool,
        own: bool,
    },
    Put {
        sent: usize,
        number: u32,
        stale: bool,
    },
    /// Those of its parts that the bits name.
    Complete {
        sent: usize,
        list: u8,
        aim: Option<Aim>,
        current: bool,
    },
    /// So many of the next ones.
    Add {
        sent: usize,
        most: usize,
        right: bool,
    },
    Finish {
        sent: usize,
        aim: Option<Aim>,
        looked: bool,
    },
    GiveUp {
        sent: usize,
    },
    /// What comes next.
    Advance {
        sent: usize,
        list: u8,
    },
}

pub(crate) fn act() -> impl Strategy<Value = Act> {
    let sent = || 0..24_usize;
    let other = || proptest::option::weighted(0.15, aim());
    let seldom_not = || proptest::bool::weighted(0.9);
    prop_oneof![
        4 => (aim(), proptest::bool::weighted(0.2), seldom_not()).prop_map(|(aim, again, own)| Act::Begin { aim, again, own }),
        8 => (sent(), 1..5_u32, proptest::bool::weighted(0.1))
            .prop_map(|(sent, number, stale)| Act::Put { sent, number, stale }),
        5 => (sent(), any::<u8>(), other(), seldom_not())
            .prop_map(|(sent, list, aim, current)| Act::Complete { sent, list, aim, current }),
        5 => (sent(), 1..5_usize, seldom_not()).prop_map(|(sent, most, right)| Act::Add { sent, most, right }),
        4 => (sent(), other(), seldom_not()).prop_map(|(sent, aim, looked)| Act::Finish { sent, aim, looked }),
        1 => sent().prop_map(|sent| Act::GiveUp { sent }),
        16 => (sent(), any::<u8>()).prop_map(|(sent, list)| Act::Advance { sent, list: list | 6 }),
    ]
}

/// A part of a list: its number, its size, and which content it is.
type Listed = (u32, u64, ContentId);

/// An upload in parts as the model knows it.
#[derive(Clone, Debug)]
pub(crate) struct InParts {
    pub(crate) user: usize,
    pub(crate) ends: u64,
    pub(crate) over: bool,
    /// Sizes, and which content each is.
    parts: BTreeMap<u32, (u64, ContentId)>,
    /// What is put together, in which order, and how many of these are pieces already.
    list: Option<(Vec<Listed>, usize)>,
    goal: Goal,
    begun: Purpose,
}

impl InParts {
    fn bytes(&self) -> u64 {
        let moved: u64 = self.list.iter().flat_map(|(list, done)| &list[..*done]).map(|(_, size, _)| size).sum();
        moved + self.parts.values().map(|(size, _)| size).sum::<u64>()
    }
}

pub(crate) fn id_of(number: usize) -> ContentId {
    ContentId(FIRST + number as u128)
}

fn digest(list: &[Listed]) -> Sha256 {
    let mut bytes = [3; 32];
    list.iter().for_each(|(number, ..)| bytes[*number as usize] = 9);
    bytes[10] = u8::try_from(list.iter().fold(0, |sum, (_, _, id)| (sum * 7 + id.0) % 251)).expect("it is small");
    Sha256(bytes)
}

impl Model {
    fn in_parts(&mut self, user: usize, number: usize) -> Result<&mut InParts, RejectionKind> {
        let sent = self.parts.get_mut(number).filter(|sent| !sent.over && sent.user == user);
        sent.ok_or(RejectionKind::NotFound)
    }
}

impl Act {
    const fn sent(&self) -> Option<usize> {
        match self {
            Self::Begin { .. } => None,
            Self::Put { sent, .. }
            | Self::Complete { sent, .. }
            | Self::Add { sent, .. }
            | Self::Finish { sent, .. }
            | Self::Advance { sent, .. }
            | Self::GiveUp { sent } => Some(*sent),
        }
    }
}

impl Stage {
    /// What is done to an upload in parts is most often done by who began it: it takes many steps to its end.
    pub(crate) fn as_sender(&self, step: &Step) -> Step {
        let sent = if let acts::Act::Parts(act) = &step.act { act.sent() } else { None };
        let known = sent.filter(|sent| sent % 8 != 0).and_then(|sent| self.model.parts.get(self.numbered(sent)));
        Step { user: known.map_or(step.user, |known| known.user), ..step.clone() }
    }

    /// The newer ones more often.
    fn numbered(&self, sent: usize) -> usize {
        self.model.parts.len().saturating_sub(1 + sent / 8 % 3)
    }

    pub(crate) fn part_act(&mut self, user: usize, act: &Act) -> Option<(Command, Verdict)> {
        let number = self.numbered(act.sent().unwrap_or_default());
        Some(match act {
            Act::Begin { aim: Aim::Write { names, .. }, again, own: true } => {
                return self.begin_parts(user, &Aim::Write { owner: user, names: names.clone() }, *again);
            }
            Act::Begin { aim, again, .. } => return self.begin_parts(user, aim, *again),
            Act::Put { number: part, stale, .. } => self.put_part(user, number, *part, *stale),
            Act::Complete { list, aim, current, .. } => {
                return self.complete_parts(user, number, *list, aim.as_ref(), *current);
            }
            Act::Add { most, right, .. } => return self.add_pieces(user, number, *most, *right),
            Act::Finish { aim, looked, .. } => return self.finish_parts(user, number, aim.as_ref(), *looked),
            Act::Advance { list, .. } => return self.advance(user, number, *list),
            Act::GiveUp { .. } => {
                let verdict = match self.model.in_parts(user, number) {
                    Ok(known) if known.list.is_some() => Err(RejectionKind::ChangeUnderWay),
                    Ok(known) => {
                        known.over = true;
                        Ok((None, None))
                    }
                    Err(_) => Ok((None, None)),
                };
                (command::EndUpload { user: user_id(user), upload_id: id_of(number) }.into(), verdict)
            }
        })
    }

    fn begin_parts(&mut self, user: usize, aim: &Aim, again: bool) -> Option<(Command, Verdict)> {
        let begin = |number, purpose| command::BeginParts {
            user: user_id(user),
            upload_id: id_of(number),
            content_type: String::new(),
            idle_ms: IDLE_MS,
            purpose,
        };
        if again && let Some(last) = self.model.parts.last() {
            if last.over {
                return None;
            }
            let verdict = if last.user == user { Ok((None, None)) } else { Err(RejectionKind::AlreadyExists) };
            return Some((begin(self.model.parts.len() - 1, last.begun.clone()).into(), verdict));
        }
        let (purpose, goal) = self.aim(aim);
        let command = begin(self.model.parts.len(), purpose.clone());
        let verdict = self.model.may_become(user, &goal).map(|_| (None, None));
        if verdict.is_ok() {
            let ends = self.model.now + IDLE_MS;
            let (parts, list) = (BTreeMap::new(), None);
            self.model.parts.push(InParts { user, ends, over: false, parts, list, goal, begun: purpose });
        }
        Some((command.into(), verdict))
    }

    fn advance(&mut self, user: usize, number: usize, bits: u8) -> Option<(Command, Verdict)> {
        let Some(known) = self.model.parts.get(number).filter(|known| !known.over) else {
            let names = vec![format!("part{}", self.model.parts.len())];
            return self.begin_parts(user, &Aim::Write { owner: user, names }, false);
        };
        match &known.list {
            None if known.parts.len() < 2 => Some(self.put_part(user, number, 1 + u32::from(bits % 4), false)),
            None => self.complete_parts(user, number, bits, None, true),
            Some((list, done)) if *done < list.len() || !known.parts.is_empty() => {
                self.add_pieces(user, number, usize::from(bits % 3), true)
            }
            Some(_) => self.finish_parts(user, number, None, true),
        }
    }

    fn put_part(&mut self, user: usize, number: usize, part: u32, stale: bool) -> (Command, Verdict) {
        let (content, good) = self.content(if stale { Copies::TooOld } else { Copies::Good });
        let content = NewContent { content_type: String::new(), ..content };
        let (size, content_id) = (content.size, ContentId::of(content.blob_id));
        let ends = self.model.now + IDLE_MS;
        let verdict = self.model.in_parts(user, number).and_then(|known| {
            if known.list.is_some() {
                return Err(RejectionKind::ChangeUnderWay);
            }
            if !good {
                return Err(RejectionKind::StaleReceipt);
            }
            known.parts.insert(part, (size, content_id));
            known.ends = ends;
            Ok((None, None))
        });
        (command::PutPart { user: user_id(user), upload_id: id_of(number), number: part, content }.into(), verdict)
    }

    fn complete_parts(
        &mut self,
        user: usize,
        number: usize,
        bits: u8,
        aim: Option<&Aim>,
        current: bool,
    ) -> Option<(Command, Verdict)> {
        let known = self.model.parts.get(number)?;
        let named = |part: u32| bits & 1 << part != 0;
        // A list that is repeated is most often the same.
        let list: Vec<_> = match &known.list {
            Some((list, _)) if !named(0) => list.clone(),
            _ => known
                .parts
                .iter()
                .filter(|(part, _)| named(**part))
                .map(|(part, (size, id))| (*part, *size, *id))
                .collect(),
        };
        if list.is_empty() {
            return None;
        }
        let found =
            query::upload_in_parts(&self.store, user_id(known.user), id_of(number)).expect("no fault in memory");
        let revision = found.map_or(0, |found| found.parts.revision) + u64::from(!current);
        let (purpose, goal) = aim.map(|aim| self.aim(aim)).unzip();
        let size = list.iter().map(|(_, size, _)| size).sum();
        let digest_of_it = digest(&list);
        let command = command::CompleteParts {
            user: user_id(user),
            upload_id: id_of(number),
            revision,
            digest: digest_of_it,
            pieces: list.len() as u64,
            size,
            purpose,
        };
        let ends = self.model.now + LONGEST_MS;
        let verdict = self.model.in_parts(user, number).cloned().and_then(|known| {
            if let Some((before, _)) = &known.list {
                return if digest(before) == digest_of_it {
                    Ok((None, None))
                } else {
                    Err(RejectionKind::ChangeUnderWay)
                };
            }
            if !current {
                return Err(RejectionKind::StaleState);
            }
            self.model.may_become(user, &goal.unwrap_or(known.goal))?;
            let known = &mut self.model.parts[number];
            (known.list, known.ends) = (Some((list, 0)), ends);
            Ok((None, None))
        });
        Some((command.into(), verdict))
    }

    fn add_pieces(&mut self, user: usize, number: usize, most: usize, right: bool) -> Option<(Command, Verdict)> {
        let known = self.model.parts.get(number)?;
        let (list, done) = known.list.clone().unwrap_or_default();
        let next: Vec<_> = list.iter().skip(done).take(most).copied().collect();
        let digest = if right { digest(&list) } else { Sha256([0; 32]) };
        let pieces = next.iter().map(|(number, _, content_id)| NewPiece { number: *number, content_id: *content_id });
        let (upload_id, pieces) = (id_of(number), pieces.collect());
        let command = command::AddPieces { user: user_id(user), upload_id, digest, pieces };
        let verdict = self.model.in_parts(user, number).and_then(|known| {
            let Some((list, done)) = known.list.as_mut().filter(|_| right) else {
                return Err(RejectionKind::ChangeUnderWay);
            };
            *done += next.len();
            // What lies between is left out.
            let last = next.last().map_or(0, |(part, ..)| *part);
            let whole = *done == list.len();
            known.parts.retain(|part, _| *part > last && !whole);
            Ok((None, None))
        });
        Some((command.into(), verdict))
    }

    fn finish_parts(
        &mut self,
        user: usize,
        number: usize,
        aim: Option<&Aim>,
        looked: bool,
    ) -> Option<(Command, Verdict)> {
        let list = self.model.parts.get(number)?.list.clone().unwrap_or_default().0;
        let size: u64 = list.iter().map(|(_, size, _)| size).sum();
        let (purpose, goal) = aim.map(|aim| self.aim(aim)).unzip();
        let losses = query::losses(&self.store).expect("no fault in memory") + u64::from(!looked);
        let (user_id, upload_id) = (user_id(user), id_of(number));
        let command = command::FinishUpload { user: user_id, upload_id, size, sha256: None, losses, purpose };
        let verdict = self.model.in_parts(user, number).cloned().and_then(|known| {
            let whole = known.list.as_ref().is_some_and(|(list, done)| *done == list.len() && known.parts.is_empty());
            if !whole {
                return Err(RejectionKind::VersionConflict);
            }
            if !looked {
                return Err(RejectionKind::StaleReceipt);
            }
            let goal = goal.unwrap_or(known.goal);
            let place = self.model.may_become(user, &goal)?;
            match goal {
                Goal::Write(_) => drop(self.model.create(user, &place, Some(size))?),
                Goal::Update(..) => self.model.supersede(&place, size),
            }
            self.model.parts[number].over = true;
            Ok((Some(place), None))
        });
        Some((command.into(), verdict))
    }

    /// How many bytes the parts of an upload have; nothing where it is none in parts.
    pub(crate) fn bytes_in_parts(&self, id: ContentId) -> Option<u64> {
        let number = usize::try_from(id.0.checked_sub(FIRST)?).expect("it was begun here");
        Some(self.model.parts[number].bytes())
    }

    pub(crate) fn assert_parts_listed(&self, user: usize, told: &[UploadStat]) {
        let told: Vec<_> = told.iter().map(|told| (told.upload_id, told.size)).collect();
        let own = self.model.parts.iter().enumerate().filter(|(_, sent)| !sent.over && sent.user == user);
        let known: Vec<_> = own.map(|(number, sent)| (id_of(number), sent.bytes())).collect();
        assert_eq!(told, known, "of user {user}");
    }
}
