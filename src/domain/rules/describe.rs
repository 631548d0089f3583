//! Entries as their users see them.

use std::collections::BTreeMap;

use crate::domain::answer::{Access, ContentStat, LockStat, ReplicaStat, Stat};
use crate::domain::rows::{Content, Entry, Server};
use crate::domain::{Fault, Fence, FilePath, ReadStore, ServerId, UserId, tables};

/// Describes entries. Remembers the few users and servers that a page of them has in common.
pub(crate) struct Describer<'a> {
    store: &'a dyn ReadStore,
    usernames: BTreeMap<UserId, String>,
    servers: BTreeMap<ServerId, Option<Server>>,
}

impl<'a> Describer<'a> {
    pub(crate) fn new(store: &'a dyn ReadStore) -> Self {
        Self { store, usernames: BTreeMap::new(), servers: BTreeMap::new() }
    }

    pub(crate) fn stat(&mut self, entry: &Entry, path: FilePath, access: Access) -> Result<Stat, Fault> {
        let lock = match entry.content() {
            Some(content) if content.last_fence != Fence(0) => tables::lock(self.store, entry.file_id)?,
            _ => None,
        };
        let lock = match lock {
            Some(lock) => Some(LockStat {
                owner: self.username(lock.owner)?,
                fence: lock.fence,
                expires_at: lock.wall_expires_at,
                deadline: lock.expires_at,
            }),
            None => None,
        };
        Ok(Stat {
            file_id: entry.file_id,
            path,
            owner: self.username(entry.owner)?,
            owner_id: entry.owner,
            access,
            created_at: entry.created_at,
            modified_at: entry.modified_at,
            content: entry.content().map(|content| self.content(content)).transpose()?,
            lock,
        })
    }

    fn content(&mut self, content: &Content) -> Result<ContentStat, Fault> {
        let mut replicas = Vec::with_capacity(content.replicas.len());
        for replica in &content.replicas {
            let counts = self.server(replica.server_id)?.is_some_and(|server| server.counts(replica));
            replicas.push(ReplicaStat {
                server_id: replica.server_id,
                epoch: replica.epoch,
                copy_id: replica.copy_id,
                counts,
            });
        }
        Ok(ContentStat {
            version: content.version,
            size: content.size,
            sha256: content.sha256,
            content_type: content.content_type.clone(),
            blob_id: content.blob_id,
            replicas,
        })
    }

    pub(crate) fn username(&mut self, id: UserId) -> Result<String, Fault> {
        if let Some(name) = self.usernames.get(&id) {
            return Ok(name.clone());
        }
        // A name that no account can have, where the account is not there.
        let name = tables::user(self.store, id)?.map_or_else(|| format!("(account {id})"), |user| user.username);
        self.usernames.insert(id, name.clone());
        Ok(name)
    }

    fn server(&mut self, id: ServerId) -> Result<Option<&Server>, Fault> {
        if !self.servers.contains_key(&id) {
            let server = tables::server(self.store, id)?;
            self.servers.insert(id, server);
        }
        Ok(self.servers.get(&id).and_then(Option::as_ref))
    }
}
