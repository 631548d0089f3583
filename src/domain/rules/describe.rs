//! Entries as their users see them.

use std::collections::BTreeMap;

use super::hold::standing_lock;
use crate::domain::answer::{Access, ContentStat, LockStat, ReplicaStat, Stat};
use crate::domain::rows::{Content, Entry, FileVersion, Server};
use crate::domain::{BlobId, Fault, FilePath, ReadStore, ServerId, UserId, tables};

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
        let lock = match standing_lock(self.store, entry)? {
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
            content: entry.file().map(|file| self.content(&file.current)).transpose()?,
            lock,
        })
    }

    /// A version, with where the first of its bytes are.
    pub(crate) fn content(&mut self, file: &FileVersion) -> Result<ContentStat, Fault> {
        let content = tables::content(self.store, file.content_id)?;
        let extents = content.as_ref().map_or(0, Content::extents);
        let first = match &content {
            Some(content) => tables::first_extent(self.store, file.content_id, content)?,
            None => None,
        };
        let mut replicas = Vec::new();
        for replica in first.iter().flat_map(|extent| &extent.replicas) {
            let counts = self.server(replica.server_id)?.is_some_and(|server| server.counts(replica));
            replicas.push(ReplicaStat {
                server_id: replica.server_id,
                epoch: replica.epoch,
                copy_id: replica.copy_id,
                counts,
            });
        }
        Ok(ContentStat {
            version: file.version,
            size: file.size,
            sha256: file.sha256,
            content_type: file.content_type.clone(),
            content_id: file.content_id,
            extents,
            blob_id: first.map_or(BlobId(0), |extent| extent.blob_id),
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
