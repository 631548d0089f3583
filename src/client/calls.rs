//! The calls that move no file: one method for each endpoint of the directory that a user may call.

use std::time::Duration;

use futures_util::stream::{self, Stream, TryStreamExt};
use serde::Serialize;

use super::directory::Directory;
use super::error::ClientError;
use super::request::Request;
use super::retry::Failure;
use crate::protocol::accounts::{LogIn, Signup};
use crate::protocol::api;
use crate::protocol::problem::Code;

/// Which page of a listing.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// Where the page before ended: its `next_cursor`.
    pub cursor: Option<String>,
    /// The most entries; the server's default where it is not given.
    pub limit: Option<u32>,
}

impl Directory {
    /// Makes an account. The first one of a cluster is its admin's, and needs the setup code.
    ///
    /// # Errors
    /// Refused with `already_exists` where the name is taken, `forbidden` where the code or the invitation is wrong.
    pub async fn signup(&self, signup: &Signup) -> Result<api::Account, ClientError> {
        let request = Request::change("/signup", self.next_key(), signup)?.anonymous();
        match self.call_json(&request).await {
            // Nobody is logged in yet, so no operation id holds. The account may be the one that a lost answer was
            // about; whoever has its password may as well have made it.
            Err(error) if error.after_unknown && error.code() == Some(Code::AlreadyExists) => {
                let Ok(login) = self.login(&signup.username, &signup.password).await else { return Err(error) };
                let user_id = login.user_id;
                if let Ok(directory) = self.clone().with_token(Some(login.token)) {
                    // The session was for the question only; one that stays runs out by itself.
                    let _ = directory.logout().await;
                }
                Ok(api::Account { user_id, username: signup.username.clone() })
            }
            result => result,
        }
    }

    /// Opens a session. The token is for [`Directory::with_token`].
    ///
    /// # Errors
    /// Refused with `unauthenticated` where name and password do not fit.
    pub async fn login(&self, username: &str, password: &str) -> Result<api::Login, ClientError> {
        self.login_with(LogIn { username: username.to_owned(), password: password.to_owned(), new_password: None })
            .await
    }

    /// The same by a one-time code, which sets the password.
    ///
    /// # Errors
    /// As [`Self::login`].
    pub async fn login_by_code(&self, username: &str, code: &str, new: String) -> Result<api::Login, ClientError> {
        let (username, password) = (username.to_owned(), code.to_owned());
        self.login_with(LogIn { username, password, new_password: Some(new) }).await
    }

    async fn login_with(&self, login: LogIn) -> Result<api::Login, ClientError> {
        self.call_json(&Request::change("/login", self.next_key(), &login)?.anonymous()).await
    }

    /// Ends the session of this client's token.
    ///
    /// # Errors
    /// Refused with `unauthenticated` where there is none.
    pub async fn logout(&self) -> Result<(), ClientError> {
        match self.nothing("/logout", &serde_json::json!({})).await {
            // An attempt whose answer was lost ended it.
            Err(error) if error.after_unknown && error.code() == Some(Code::Unauthenticated) => Ok(()),
            result => result,
        }
    }

    /// # Errors
    /// Refused where the caller does not own the file, or there is no such user.
    pub async fn share(&self, share: &api::Share) -> Result<api::Granted, ClientError> {
        self.call_json(&Request::change("/share", self.next_key(), share)?).await
    }

    /// # Errors
    /// Refused where the caller does not own the file.
    pub async fn unshare(&self, unshare: &api::Unshare) -> Result<(), ClientError> {
        self.nothing("/unshare", unshare).await
    }

    /// One page of all that the user can reach, own and shared, whose path starts with `prefix`.
    ///
    /// # Errors
    /// As every call.
    pub async fn all(&self, prefix: Option<&str>, page: &Page) -> Result<api::Listing, ClientError> {
        self.call_json(&Request::get("/all").query_opt("prefix", prefix).page(page)).await
    }

    /// All that the user can reach, fetched page by page as it is taken.
    pub fn all_entries(&self, prefix: Option<String>) -> impl Stream<Item = Result<api::Stat, ClientError>> + use<> {
        let directory = self.clone();
        entries(move |page| {
            let (directory, prefix) = (directory.clone(), prefix.clone());
            async move { directory.all(prefix.as_deref(), &page).await }
        })
    }

    /// One page of a directory's children.
    ///
    /// # Errors
    /// Refused where it is no directory.
    pub async fn list(&self, directory: &api::FileName, page: &Page) -> Result<api::Listing, ClientError> {
        self.call_json(&Request::get("/list").file(directory).page(page)).await
    }

    /// A directory's children, fetched page by page as they are taken.
    pub fn list_entries(&self, name: api::FileName) -> impl Stream<Item = Result<api::Stat, ClientError>> + use<> {
        let directory = self.clone();
        entries(move |page| {
            let (directory, name) = (directory.clone(), name.clone());
            async move { directory.list(&name, &page).await }
        })
    }

    /// # Errors
    /// Refused with `not_found` where there is nothing, or nothing that the caller may see.
    pub async fn stat(&self, file: &api::FileName) -> Result<api::Stat, ClientError> {
        self.call_json(&Request::get("/stat").file(file)).await
    }

    /// # Errors
    /// Refused with `already_exists` where the path is taken.
    pub async fn mkdir(&self, mkdir: &api::Mkdir) -> Result<api::Stat, ClientError> {
        self.call_json(&Request::change("/mkdir", self.next_key(), mkdir)?).await
    }

    /// Named so because `move` is a keyword.
    ///
    /// # Errors
    /// Refused where the target exists, or the file is locked.
    pub async fn rename(&self, rename: &api::Move) -> Result<api::Stat, ClientError> {
        self.call_json(&Request::change("/move", self.next_key(), rename)?).await
    }

    /// # Errors
    /// Refused with `not_empty` for a directory with children without `recursive`.
    pub async fn delete(&self, delete: &api::Delete) -> Result<(), ClientError> {
        self.nothing("/delete", delete).await
    }

    /// # Errors
    /// Refused with `locked` where somebody has a lock, the caller included.
    pub async fn lock(&self, file: &api::FileName, ttl: Option<Duration>) -> Result<api::Locked, ClientError> {
        let body = api::Lock { file: file.clone(), ttl_ms: ttl.map(milliseconds) };
        self.call_json(&Request::change("/lock", self.next_key(), &body)?).await
    }

    /// # Errors
    /// Refused with `locked` where the token is not that of a lock that still holds.
    pub async fn renew(&self, lock_token: &str, ttl: Option<Duration>) -> Result<api::Locked, ClientError> {
        let body = api::Renew { lock_token: Some(lock_token.to_owned()), ttl_ms: ttl.map(milliseconds) };
        self.call_json(&Request::change("/renew", self.next_key(), &body)?).await
    }

    /// # Errors
    /// As [`Self::renew`].
    pub async fn unlock(&self, lock_token: &str) -> Result<(), ClientError> {
        self.nothing("/unlock", &api::Unlock { lock_token: Some(lock_token.to_owned()) }).await
    }

    /// Ends somebody else's lock: the owner of the tree may, and an admin.
    ///
    /// # Errors
    /// Refused with `not_found` where there is none.
    pub async fn break_lock(&self, file: &api::FileName) -> Result<(), ClientError> {
        self.nothing("/locks/break", &api::BreakLock { file: file.clone() }).await
    }

    /// The caller's own locks, without their tokens.
    ///
    /// # Errors
    /// As every call.
    pub async fn locks(&self) -> Result<api::HeldLocks, ClientError> {
        self.call_json(&Request::get("/locks")).await
    }

    /// # Errors
    /// As every call.
    pub async fn cluster(&self) -> Result<api::Cluster, ClientError> {
        self.call_json(&Request::get("/cluster")).await
    }

    /// # Errors
    /// As every call.
    pub async fn ring(&self) -> Result<api::Ring, ClientError> {
        self.call_json(&Request::get("/ring")).await
    }

    /// # Errors
    /// As every call.
    pub async fn replication(&self) -> Result<api::Replication, ClientError> {
        self.call_json(&Request::get("/replication")).await
    }

    /// Whether a node is alive. Asked once: a probe that is repeated until it is true says nothing. Use
    /// [`Directory::at`] to ask a certain node.
    ///
    /// # Errors
    /// [`super::ErrorKind::Unavailable`] where it is not.
    pub async fn healthz(&self) -> Result<(), ClientError> {
        self.probe("/healthz").await
    }

    /// Whether a node is ready to serve: it knows a leader, has applied the log, and can write. Asked once.
    ///
    /// # Errors
    /// [`super::ErrorKind::Unavailable`] where it is not.
    pub async fn readyz(&self) -> Result<(), ClientError> {
        self.probe("/readyz").await
    }

    async fn probe(&self, path: &'static str) -> Result<(), ClientError> {
        let node = self.wire.nodes.choose(false);
        match self.whole_attempt(&node, &Request::get(path).anonymous(), self.wire.limits.answer, 0).await {
            Ok(_) => Ok(()),
            Err(Failure::Final(error)) => Err(error),
            Err(Failure::Unreachable { cause } | Failure::NotNow { cause, .. } | Failure::Unknown { cause, .. }) => {
                self.wire.nodes.failed(&node, false);
                Err(ClientError::unavailable(cause))
            }
        }
    }

    /// A change that is answered by 204.
    pub(super) async fn nothing(&self, path: &'static str, body: &impl Serialize) -> Result<(), ClientError> {
        self.call(&Request::change(path, self.next_key(), body)?).await.map(drop)
    }
}

impl Request {
    pub(super) fn page(self, page: &Page) -> Self {
        self.query_opt("cursor", page.cursor.as_deref()).query_opt("limit", page.limit)
    }
}

/// The entries of all pages, in order.
fn entries<F, P>(fetch: F) -> impl Stream<Item = Result<api::Stat, ClientError>>
where
    F: Fn(Page) -> P,
    P: Future<Output = Result<api::Listing, ClientError>>,
{
    stream::try_unfold(Some(Page::default()), move |page| {
        let fetching = page.map(&fetch);
        async move {
            let Some(fetching) = fetching else { return Ok(None) };
            let listing = fetching.await?;
            let next = listing.next_cursor.map(|cursor| Page { cursor: Some(cursor), limit: None });
            Ok(Some((stream::iter(listing.files.into_iter().map(Ok)), next)))
        }
    })
    .try_flatten()
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
