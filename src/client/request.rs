//! One request as data, so that every attempt can be made afresh.

use std::borrow::Cow;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde::Serialize;
use url::Url;

use super::error::ClientError;
use super::source::{Progress, Source};
use crate::protocol::api;

#[derive(Clone, Debug)]
pub(super) enum RequestBody {
    Empty,
    Json(Bytes),
    Source(Upload),
}

#[derive(Clone)]
pub(super) struct Upload {
    pub(super) source: Source,
    pub(super) progress: Option<Progress>,
}

impl std::fmt::Debug for Upload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.source.fmt(f)
    }
}

#[derive(Clone, Debug)]
pub(super) struct Request {
    pub(super) method: Method,
    path: Cow<'static, str>,
    query: Vec<(&'static str, String)>,
    pub(super) headers: HeaderMap,
    pub(super) body: RequestBody,
    /// The `Idempotency-Key`; a request has one exactly when it changes something.
    pub(super) key: Option<String>,
    /// Sent without the token.
    pub(super) anonymous: bool,
}

impl Request {
    pub(super) fn get(path: impl Into<Cow<'static, str>>) -> Self {
        Self {
            method: Method::GET,
            path: path.into(),
            query: Vec::new(),
            headers: HeaderMap::new(),
            body: RequestBody::Empty,
            key: None,
            anonymous: false,
        }
    }

    pub(super) fn head(path: impl Into<Cow<'static, str>>) -> Self {
        Self { method: Method::HEAD, ..Self::get(path) }
    }

    /// A change with a JSON body.
    ///
    /// # Errors
    /// When the key cannot be a header.
    pub(super) fn change(
        path: impl Into<Cow<'static, str>>,
        key: String,
        body: &impl Serialize,
    ) -> Result<Self, ClientError> {
        let json = serde_json::to_vec(body).expect("the wire types have string keys only and no failing serializer");
        if json.len() > api::MAX_JSON_BYTES {
            return Err(ClientError::usage("the request is too large: JSON bodies have at most 1 MiB"));
        }
        let mut request = Self { method: Method::POST, body: RequestBody::Json(json.into()), ..Self::get(path) };
        request.set(CONTENT_TYPE, "application/json")?;
        request.with_key(key)
    }

    /// A change whose body is a file.
    ///
    /// # Errors
    /// When the key cannot be a header.
    pub(super) fn upload(path: &'static str, key: String, upload: Upload) -> Result<Self, ClientError> {
        Self { method: Method::PUT, body: RequestBody::Source(upload), ..Self::get(path) }.with_key(key)
    }

    /// The next bytes of an upload.
    pub(super) fn patch(path: String, upload: Upload) -> Self {
        Self { method: Method::PATCH, body: RequestBody::Source(upload), ..Self::get(path) }
    }

    /// A body that may be sent again under the same name.
    pub(super) fn put(path: String, upload: Upload) -> Self {
        Self { method: Method::PUT, body: RequestBody::Source(upload), ..Self::get(path) }
    }

    /// What has no body and no answer.
    pub(super) fn without_body(method: Method, path: impl Into<Cow<'static, str>>) -> Self {
        Self { method, ..Self::get(path) }
    }

    pub(super) fn with_key(mut self, key: String) -> Result<Self, ClientError> {
        if key.is_empty() || key.len() > 250 {
            return Err(ClientError::usage("an Idempotency-Key has 1 to 250 bytes"));
        }
        self.set(HeaderName::from_static(api::IDEMPOTENCY_KEY), &key)?;
        self.key = Some(key);
        Ok(self)
    }

    /// Sent without the token.
    pub(super) const fn anonymous(mut self) -> Self {
        self.anonymous = true;
        self
    }

    pub(super) fn query(mut self, name: &'static str, value: impl ToString) -> Self {
        self.query.push((name, value.to_string()));
        self
    }

    pub(super) fn query_opt(self, name: &'static str, value: Option<impl ToString>) -> Self {
        match value {
            Some(value) => self.query(name, value),
            None => self,
        }
    }

    /// Names the file in the query.
    pub(super) fn file(self, file: &api::FileName) -> Self {
        self.query_opt("file_id", file.file_id)
            .query_opt("owner", file.owner.as_deref())
            .query_opt("path", file.path.as_deref())
    }

    /// # Errors
    /// When the value holds what no header can carry.
    pub(super) fn set(&mut self, name: HeaderName, value: &str) -> Result<(), ClientError> {
        let value = HeaderValue::from_str(value)
            .map_err(|_| ClientError::usage(format!("the value of {name} has characters that no header can carry")))?;
        self.headers.insert(name, value);
        Ok(())
    }

    pub(super) fn url_at(&self, node: &Url) -> Url {
        let mut url = node.clone();
        url.set_path(&self.path);
        if !self.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&self.query);
        }
        url
    }
}
