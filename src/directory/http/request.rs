//! Reading requests: JSON bodies, queries, file names, operation ids, lock tokens. What is wrong with one is said in
//! words, never by a framework's default page.

use std::time::Duration;

use axum::body::Body;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use futures_util::StreamExt;
use serde::de::DeserializeOwned;

use super::linger::linger;
use super::{App, Node};
use crate::directory::error::{ApiError, ApiResult};
use crate::directory::transfer::condition::Conditions;
use crate::directory::unfinished::Unfinished;
use crate::domain::terms::{FileRef, LockProof, Operation, PathRef, Precondition};
use crate::domain::{Asked, Command, Fence, FileId, FilePath, Proposal, Sha256, UserId};
use crate::listener::Origin;
use crate::protocol::api::{FileName, IDEMPOTENCY_KEY, LOCK_TOKEN, MAX_JSON_BYTES};
use crate::protocol::problem::Code;
use crate::protocol::secret::ClusterSecret;

/// The longest username, in bytes.
pub(crate) const LONGEST_NAME: usize = 64;
/// How long a JSON body may take to arrive.
const JSON_BODY_DEADLINE: Duration = Duration::from_secs(8);
/// The longest operation id of a client, in bytes; `domain` allows the two of the name space more.
const MAX_OPERATION_ID: usize = 250;
/// For how long the outcome is remembered under a name that the node made. Its own retries are over in seconds, and nobody
/// else knows the name.
const NODE_MADE_TTL_MS: u64 = 10 * 60 * 1000;

/// How much of a body is read before its sender is known: more than any request of a stranger has.
const STRANGERS_BYTES: usize = 16 * 1024;

/// A JSON body. The media type is not asked for: `curl -d` says that it sends a form. What is longer than a stranger's may
/// be is read when its sender is known.
pub(crate) struct Json<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequest<App> for Json<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, node: &App) -> Result<Self, ApiError> {
        parse_json(read_bounded(node, request, MAX_JSON_BYTES).await?).map(Self)
    }
}

/// The same of a caller who need not be known.
pub(crate) struct StrangersJson<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequest<App> for StrangersJson<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, node: &App) -> Result<Self, ApiError> {
        parse_json(read_bounded(node, request, STRANGERS_BYTES).await?).map(Self)
    }
}

fn parse_json<T: DeserializeOwned>(body: Unfinished) -> ApiResult<T> {
    let bytes = body.bytes();
    let text: &[u8] = if bytes.iter().all(u8::is_ascii_whitespace) { b"{}" } else { bytes };
    serde_json::from_slice(text).map_err(|error| {
        ApiError::invalid(format!("the body is not the JSON that this call takes ({error}): send a JSON object"))
    })
}

async fn read_bounded(node: &App, request: Request, most: usize) -> ApiResult<Unfinished> {
    let (parts, body) = request.into_parts();
    let mut rest = body.into_data_stream();
    let mut held = node.unfinished.begin();
    let mut is_known = false;
    let read = async {
        while let Some(piece) = rest.next().await {
            let piece = piece.map_err(|error| {
                ApiError::invalid("the body broke off: send it again, with its right length").because(error)
            })?;
            let length = held.bytes().len() + piece.len();
            if length > most {
                let most = most / 1024;
                return Err(ApiError::new(
                    Code::TooLarge,
                    format!("the JSON body is larger than {most} KiB: send less at once"),
                ));
            }
            if length > STRANGERS_BYTES && !is_known {
                node.sender_is_known(&parts).await?;
                is_known = true;
            }
            held.add(&piece)?;
        }
        Ok(())
    };
    let outcome = tokio::time::timeout(JSON_BODY_DEADLINE, read).await;
    let refused = match outcome {
        Ok(Ok(())) => return Ok(held),
        Ok(Err(error)) => error,
        Err(_) => ApiError::invalid("the body did not arrive in time: send it again"),
    };
    linger(Body::from_stream(rest), &parts.headers);
    Err(refused)
}

/// The query, decoded.
pub(crate) struct Query<T>(pub(crate) T);

impl<T: DeserializeOwned + Send> FromRequestParts<App> for Query<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, ApiError> {
        parse_query(&parts.uri).map(Self)
    }
}

pub(crate) fn parse_query<T: DeserializeOwned>(uri: &axum::http::Uri) -> ApiResult<T> {
    // The form decoder would put replacement characters in the place of what is no UTF-8, and name another file.
    if percent_encoding::percent_decode_str(uri.query().unwrap_or("")).decode_utf8().is_err() {
        return Err(ApiError::invalid("the query is not UTF-8: percent-encode the UTF-8 bytes of its values"));
    }
    axum::extract::Query::try_from_uri(uri).map(|query| query.0).map_err(|error| {
        ApiError::invalid(format!(
            "the query is not what this call takes ({}): percent-encode its values",
            error.body_text()
        ))
    })
}

/// What a request says about how it may take effect.
#[derive(Clone, Debug, Default)]
pub(crate) struct Headers {
    idempotency_key: Option<String>,
    lock_token: Option<String>,
    /// The address that it came from.
    from: String,
}

impl FromRequestParts<App> for Headers {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, ApiError> {
        let from = parts.extensions.get::<Origin>().map(|origin| origin.address.to_string()).unwrap_or_default();
        Ok(Self { from, ..Self::read(&parts.headers)? })
    }
}

impl Headers {
    pub(crate) fn read(headers: &HeaderMap) -> ApiResult<Self> {
        let idempotency_key = text(headers, IDEMPOTENCY_KEY)?;
        if let Some(key) = &idempotency_key
            && !(1..=MAX_OPERATION_ID).contains(&key.len())
        {
            return Err(ApiError::invalid("the Idempotency-Key must have 1 to 250 characters: use a UUID"));
        }
        Ok(Self { idempotency_key, lock_token: text(headers, LOCK_TOKEN)?, from: String::new() })
    }

    pub(crate) fn key(&self) -> Option<&str> {
        self.idempotency_key.as_deref()
    }

    /// Whether the client itself names the operation, so that it may have sent it before.
    pub(crate) fn names_operation(&self) -> bool {
        self.idempotency_key.is_some()
    }

    /// The operation under which the change takes effect once. Where the client named none, the node does, so that
    /// its own retry after a change of leader is safe.
    pub(crate) fn operation(&self, node: &Node, user: UserId, asked: &Asked) -> Operation {
        self.name(node).operation(node, user, asked)
    }

    /// A change under its operation.
    pub(crate) fn proposal(&self, node: &Node, user: UserId, command: Command) -> Proposal {
        let operation = self.operation(node, user, &Asked::change(command.clone()));
        Proposal { operation: Some(operation), command }
    }

    /// A fresh name where the client gave none.
    pub(crate) fn name(&self, node: &Node) -> OperationName {
        let from = self.from.clone();
        // A client's ids and the node's own live in two name spaces, so that neither can take the other's.
        match &self.idempotency_key {
            Some(key) => OperationName { id: format!("c:{key}"), ttl_ms: 0, from },
            None => {
                OperationName { id: format!("n:{:032x}", node.clock.random_u128()), ttl_ms: NODE_MADE_TTL_MS, from }
            }
        }
    }

    /// The same for a signup. Nobody is logged in for it, so a key belongs to the username: two strangers who happen to
    /// choose the same key do not stand in each other's way.
    pub(crate) fn signup_name(&self, node: &Node, username: &str) -> OperationName {
        match &self.idempotency_key {
            Some(key) => {
                let mac = node.secret.mac("signup key", &[username.as_bytes(), key.as_bytes()]);
                OperationName { id: format!("s:{}", hex::encode(mac)), ttl_ms: 0, from: self.from.clone() }
            }
            None => self.name(node),
        }
    }

    /// The lock token of the header, or of the body where the header has none.
    pub(crate) fn lock_token(&self, in_body: Option<&str>) -> Option<String> {
        self.lock_token.clone().or_else(|| in_body.map(str::to_owned))
    }
}

/// The name of an operation, for each attempt at it.
#[derive(Clone, Debug)]
pub(crate) struct OperationName {
    pub(crate) id: String,
    ttl_ms: u64,
    from: String,
}

impl OperationName {
    pub(crate) fn operation(&self, node: &Node, user: UserId, asked: &Asked) -> Operation {
        Operation {
            user,
            id: self.id.clone(),
            fingerprint: fingerprint(&node.secret, asked),
            ttl_ms: self.ttl_ms,
            from: self.from.clone(),
        }
    }
}

/// A keyed digest of what a request asks for. Keyed, since it covers passwords too. It is stored: what it is made of must
/// not change.
pub(crate) fn fingerprint(secret: &ClusterSecret, asked: &Asked) -> Sha256 {
    Sha256(secret.mac("request", &[&asked.bytes()]))
}

fn text(headers: &HeaderMap, name: &str) -> ApiResult<Option<String>> {
    let Some(value) = headers.get(name) else { return Ok(None) };
    let text = value.to_str().map_err(|_| ApiError::invalid(format!("the header {name} must be plain ASCII")))?;
    Ok(Some(text.trim().to_owned()))
}

/// The bearer token of a request, if it has one.
pub(crate) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

pub(crate) fn path(text: &str) -> ApiResult<FilePath> {
    Ok(FilePath::parse(text)?)
}

pub(crate) fn path_ref(path_text: &str, owner: Option<&str>) -> ApiResult<PathRef> {
    owner.map_or(Ok(()), known_length)?;
    Ok(PathRef { owner: owner.map(str::to_owned), path: path(path_text)? })
}

/// A name longer than any username is nobody's. It is not carried any further, least of all into the log.
pub(crate) fn known_length(username: &str) -> ApiResult<()> {
    if username.len() > LONGEST_NAME {
        return Err(ApiError::new(Code::NotFound, "there is no user of that name: check its spelling"));
    }
    Ok(())
}

/// The file that a body or a query names.
pub(crate) fn file_ref(name: &FileName) -> ApiResult<FileRef> {
    match (name.file_id, name.path.as_deref()) {
        (Some(_), Some(_)) => Err(ApiError::invalid("both file_id and path are given: name the file by one of them")),
        (Some(id), None) => Ok(FileRef::Id(FileId(id))),
        (None, Some(text)) => Ok(FileRef::Path(path_ref(text, name.owner.as_deref())?)),
        (None, None) => Err(ApiError::invalid("no file is named: give path=… or file_id=…")),
    }
}

/// `If-Match`, in the form that a command carries. A condition that no command can carry is refused, since a change that
/// passed it by would be made against the client's will.
pub(crate) fn precondition(headers: &HeaderMap) -> ApiResult<Option<Precondition>> {
    for name in [header::IF_NONE_MATCH, header::IF_MODIFIED_SINCE, header::IF_UNMODIFIED_SINCE] {
        if headers.contains_key(&name) {
            return Err(ApiError::invalid(format!(
                "{name} is not looked at here: send If-Match with the ETag that the file has to have"
            )));
        }
    }
    Ok(conditions(headers)?.precondition())
}

pub(crate) fn conditions(headers: &HeaderMap) -> ApiResult<Conditions> {
    Conditions::of(headers).map_err(|error| ApiError::invalid(error.to_string()))
}

/// What `apply` needs of a token that reads `fence.mac`. A token of another shape opens nothing: it becomes a proof
/// that no lock matches, so that it is ignored where the file is not locked, and refused where it is.
pub(crate) fn lock_proof(token: &str) -> LockProof {
    let parsed =
        token.split_once('.').and_then(|(fence, mac)| Some((fence.parse::<u64>().ok()?, hex::decode(mac).ok()?)));
    match parsed {
        Some((fence, mac)) => LockProof { fence: Fence(fence), mac_hash: mac_hash(&mac) },
        None => LockProof { fence: Fence(u64::MAX), mac_hash: Sha256([0; 32]) },
    }
}

/// What is stored of a lock token: nobody who reads the store can unlock with it.
pub(crate) fn mac_hash(mac: &[u8]) -> Sha256 {
    use sha2::Digest as _;
    Sha256(sha2::Sha256::digest(mac).into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{ServerId, command};

    /// It is compared with what another version of this program has stored.
    #[test]
    fn a_fingerprint_never_changes() {
        let secret = ClusterSecret::parse(&"5".repeat(64)).expect("a valid secret");
        let asked = Asked::change(command::Drain { server_id: ServerId(1) }.into());
        assert_eq!(
            fingerprint(&secret, &asked).to_string(),
            "bd659d824c6350c3486c6e659ce042ec1721e8f371854a2a8312d8dc873f0a90"
        );
    }
}
