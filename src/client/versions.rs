//! The calls about what files were, the trash, copies, and how much there is.

use super::calls::Page;
use super::directory::Directory;
use super::error::ClientError;
use super::request::Request;
use crate::protocol::api::{FileName, Stat};
use crate::protocol::versions::{
    Copy, Emptied, EmptyTrash, Quota, RestoreTrashed, RestoreVersion, Trash, Usage, UserInfo, Users, Versions,
};

impl Directory {
    /// One page of a file's versions, the newest first.
    ///
    /// # Errors
    /// Refused with `forbidden` where the caller may only read the file.
    pub async fn versions(&self, file: &FileName, page: &Page) -> Result<Versions, ClientError> {
        self.call_json(&Request::get("/versions").file(file).page(page)).await
    }

    /// Makes an old version the next one. `if_match` is an etag of what is there now.
    ///
    /// # Errors
    /// Refused with `not_found` where the version is not kept, `version_conflict` where another one is there.
    pub async fn restore_version(&self, restore: &RestoreVersion, if_match: Option<&str>) -> Result<Stat, ClientError> {
        let mut request = Request::change("/versions/restore", self.next_key(), restore)?;
        if let Some(etag) = if_match {
            request.set(http::header::IF_MATCH, etag)?;
        }
        self.call_json(&request).await
    }

    /// One page of what was deleted and can be had back.
    ///
    /// # Errors
    /// As every call.
    pub async fn trash(&self, page: &Page) -> Result<Trash, ClientError> {
        self.call_json(&Request::get("/trash").page(page)).await
    }

    /// # Errors
    /// Refused with `not_found` where it is not in the caller's trash, `already_exists` where the path is taken.
    pub async fn restore_trashed(&self, restore: &RestoreTrashed) -> Result<Stat, ClientError> {
        self.call_json(&Request::change("/trash/restore", self.next_key(), restore)?).await
    }

    /// Gives up one entry of the trash, or as many as one call takes: the answer says whether there are more.
    ///
    /// # Errors
    /// Refused with `not_found` where there is no such entry.
    pub async fn empty_trash(&self, file_id: Option<u64>) -> Result<Emptied, ClientError> {
        self.call_json(&Request::change("/trash/empty", self.next_key(), &EmptyTrash { file_id })?).await
    }

    /// A new file with the content of another.
    ///
    /// # Errors
    /// Refused with `already_exists` where the path is taken, `quota_exceeded` where the tree's owner has too much.
    pub async fn copy(&self, copy: &Copy) -> Result<Stat, ClientError> {
        self.call_json(&Request::change("/copy", self.next_key(), copy)?).await
    }

    /// What the caller has, and may have.
    ///
    /// # Errors
    /// As every call.
    pub async fn usage(&self) -> Result<Usage, ClientError> {
        self.call_json(&Request::get("/usage")).await
    }

    /// One page of all accounts.
    ///
    /// # Errors
    /// Refused with `forbidden` where the caller is no admin, as the next two.
    pub async fn users(&self, page: &Page) -> Result<Users, ClientError> {
        self.call_json(&Request::get("/admin/users").page(page)).await
    }

    /// One account.
    ///
    /// # Errors
    /// Refused with `not_found` where there is none of that name.
    pub async fn user(&self, username: &str) -> Result<UserInfo, ClientError> {
        let users: Users = self.call_json(&Request::get("/admin/users").query("username", username)).await?;
        users.users.into_iter().next().ok_or_else(|| ClientError::untrusted("the node named no user: ask another one"))
    }

    /// Sets both bounds of a user.
    ///
    /// # Errors
    /// Refused with `not_found` where there is no such user.
    pub async fn set_quota(&self, quota: &Quota) -> Result<UserInfo, ClientError> {
        self.call_json(&Request::change("/admin/quota", self.next_key(), quota)?).await
    }
}
