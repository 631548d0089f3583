//! The calls that only an admin may make.

use super::directory::Directory;
use super::error::ClientError;
use super::request::Request;
use crate::protocol::{admin, api};

impl Directory {
    /// # Errors
    /// Refused with `forbidden` where the caller is no admin, as all of these.
    pub async fn policy(&self) -> Result<admin::Policy, ClientError> {
        self.call_json(&Request::get("/admin/policy")).await
    }

    /// Changes what is given, and answers with the whole.
    ///
    /// # Errors
    /// Refused with `invalid_request` where a value is out of bounds.
    pub async fn set_policy(&self, change: &admin::PolicyChange) -> Result<admin::Policy, ClientError> {
        self.call_json(&Request::change("/admin/policy", self.next_key(), change)?).await
    }

    /// Has a file server emptied, or takes it back.
    ///
    /// # Errors
    /// Refused with `not_found` where there is no such server.
    pub async fn drain(&self, drain: &admin::Drain) -> Result<api::ServerInfo, ClientError> {
        self.call_json(&Request::change("/admin/drain", self.next_key(), drain)?).await
    }

    /// A token with which one new file server joins.
    ///
    /// # Errors
    /// Refused with `invalid_request` where it is to hold for too long.
    pub async fn join_token(&self, asked: &admin::JoinTokenAsked) -> Result<admin::JoinTokenMade, ClientError> {
        self.call_json(&Request::change("/admin/join-token", self.next_key(), asked)?).await
    }

    /// Forgets a file server on which nothing is left.
    ///
    /// # Errors
    /// Refused with `not_empty` while a file has a copy there, with `invalid_request` while it is in use.
    pub async fn remove_server(&self, server_id: u64) -> Result<(), ClientError> {
        self.nothing("/admin/remove", &admin::Remove { server_id }).await
    }

    /// Begins to level the file servers out, or stops that.
    ///
    /// # Errors
    /// As every call.
    pub async fn rebalance(&self, stop: bool) -> Result<(), ClientError> {
        self.nothing("/admin/rebalance", &admin::Rebalance { stop }).await
    }

    /// Has one file server, or all that are up, check everything that they hold.
    ///
    /// # Errors
    /// Refused with `not_found` where there is no such server.
    pub async fn scrub(&self, server_id: Option<u64>) -> Result<admin::Scrubbing, ClientError> {
        self.call_json(&Request::change("/admin/scrub", self.next_key(), &admin::Scrub { server_id })?).await
    }

    /// Takes a directory node in. The answer says how far that is; the same call again goes on with it.
    ///
    /// # Errors
    /// Refused with `invalid_request` where it cannot be taken in, with `change_under_way` while another change runs.
    pub async fn add_member(&self, member: &admin::AddMember) -> Result<admin::MemberProgress, ClientError> {
        self.call_json(&Request::change("/admin/members", self.next_key(), member)?).await
    }

    /// Lets a directory node go for good. As [`Self::add_member`].
    ///
    /// # Errors
    /// Refused with `invalid_request` where too few nodes would be left, with `change_under_way` while another change
    /// runs.
    pub async fn remove_member(&self, member: &admin::RemoveMember) -> Result<admin::MemberProgress, ClientError> {
        self.call_json(&Request::change("/admin/members/remove", self.next_key(), member)?).await
    }

    /// Has the cluster know a directory node at other addresses. As [`Self::add_member`].
    ///
    /// # Errors
    /// Refused with `invalid_request` where that node does not answer there, or says otherwise of itself.
    pub async fn set_address(&self, member: &admin::SetAddress) -> Result<admin::MemberProgress, ClientError> {
        self.call_json(&Request::change("/admin/members/address", self.next_key(), member)?).await
    }

    /// Has another directory node lead.
    ///
    /// # Errors
    /// Refused with `invalid_request` where that node cannot.
    pub async fn transfer(&self, node_id: Option<u64>) -> Result<admin::MemberProgress, ClientError> {
        self.call_json(&Request::change("/admin/transfer", self.next_key(), &admin::Transfer { node_id })?).await
    }
}
