//! What a file is and was, what waits in the trash, and how much of it is whose.

use super::{ClusterTime, ContentId, Fence, FilePath, Sha256, UserId, Version, WallTime};
use crate::domain::record::declare::record;
use crate::domain::terms::NewContent;

record! {
    /// A file as it is now.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct File as "file" {
        pub current: FileVersion = 1,
        /// The fence of the last lock on the file, 0 where there never was one.
        pub last_fence: Fence = 2,
        /// How many older versions are kept.
        pub kept: u64 = 3,
        /// None before this one is kept.
        pub oldest: Version = 4,
    }
}

impl File {
    /// One that was not changed yet.
    pub fn new(current: FileVersion) -> Self {
        Self { current, last_fence: Fence(0), kept: 0, oldest: Version(0) }
    }
}

record! {
    /// One state of a file.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct FileVersion as "version" {
        pub version: Version = 1,
        pub content_id: ContentId = 2,
        pub size: u64 = 3,
        /// Nothing where the bytes came in parts.
        pub sha256: Option<Sha256> = 4,
        pub content_type: String = 5,
        pub made_by: UserId = 6,
    }
}

impl NewContent {
    /// The version of a file that it becomes.
    pub(crate) fn version(&self, version: Version, made_by: UserId) -> FileVersion {
        FileVersion {
            version,
            content_id: ContentId::of(self.blob_id),
            size: self.size,
            sha256: Some(self.sha256),
            content_type: self.content_type.clone(),
            made_by,
        }
    }
}

record! {
    /// What a file was.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct OldVersion as "old version" {
        pub file: FileVersion = 1,
        pub made_at: WallTime = 2,
        /// Kept until then.
        pub until: ClusterTime = 3,
        pub wall_until: WallTime = 4,
    }
}

record! {
    /// What an entry in the trash was. Its key names the owner, when it was deleted, and the entry.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct Trashed as "deleted entry" {
        /// Where it was.
        pub path: FilePath = 1,
        pub deleted_by: UserId = 2,
        pub wall_deleted_at: WallTime = 3,
        /// Kept until then, with all that is below it.
        pub until: ClusterTime = 4,
        pub wall_until: WallTime = 5,
    }
}

record! {
    /// How much of a user there is, and how much there may be. Each version counts in full, shared or not, and what is in
    /// the trash does.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct Usage as "usage" {
        pub bytes: u64 = 1,
        /// Files; their older versions are no files of their own.
        pub files: u64 = 2,
        /// The user's own bounds; the policy's where there are none.
        pub max_bytes: Option<u64> = 3,
        pub max_files: Option<u64> = 4,
        /// Uploads that the user has begun and that have not come to their end. Their bytes count in `bytes`.
        pub uploads: u64 = 5,
    }
}
