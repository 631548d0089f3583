//! `/write` and `/update`: bytes in.
//!
//! One linearizable read first says whether the change could happen at all, so that a client is refused before it has
//! sent a large body. Then the bytes go to the file servers, and one log entry makes them the file's content. What
//! decides is that entry; the early look only spares work. Where the client has a name for its change, an early refusal
//! is put in the log under it as well: an earlier attempt of the same change may still be on its way, held up by a
//! network that was cut, and must not take effect after its client was told that nothing was done.

use axum::Json as ResponseBody;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::IntoResponse;
use bytes::Bytes;
use futures_util::Stream;

use super::App;
use super::auth::Token;
use super::body;
use super::linger::{expects_continue, linger};
use super::request::{Headers, OperationName, file_ref, fingerprint, lock_proof, parse_query, path_ref, precondition};
use super::routing::{self, Caller, Route, content_length};
use super::view;
use crate::directory::error::{ApiError, ApiResult};
use crate::directory::store_file::{Incoming, StoreFile, change_command, over_quota, too_large, upload_error};
use crate::directory::transfer::condition::ETag;
use crate::directory::transfer::repeat::{Summary, hash_only};
use crate::domain::answer::Stat;
use crate::domain::query;
use crate::domain::rows::Done;
use crate::domain::terms::{FileRef, LockProof, NewContent, PathRef, Precondition, Purpose, Receipt};
use crate::domain::{
    Asked, BlobId, ClusterTime, Command, CopyId, Epoch, Fault, Outcome, Proposal, ReadStore, Rejection, RejectionKind,
    ServerId, Sha256, UserId,
};
use crate::protocol::api::FileName;
use crate::protocol::problem::Code;

pub(crate) async fn write(State(node): State<App>, request: Request) -> ApiResult {
    answer(node, request, Call::Write).await
}

pub(crate) async fn update(State(node): State<App>, request: Request) -> ApiResult {
    answer(node, request, Call::Update).await
}

/// How often a file that changes under a refusal is looked at again.
const LOOKS: u32 = 4;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Call {
    Write,
    Update,
}

/// What a request asks for, before its bytes have come.
#[derive(Clone)]
struct Intent {
    target: Target,
    headers: Headers,
    precondition: Option<Precondition>,
    lock_token: Option<String>,
    digest: Option<Sha256>,
}

#[derive(Clone)]
enum Target {
    New(PathRef),
    Existing(FileRef),
}

/// A client that waits with its body and is sent away keeps it, and the connection ends. It says so, because a proxy or a
/// client that went on using the connection would lose its next request.
async fn answer(node: App, request: Request, call: Call) -> ApiResult {
    let waits = expects_continue(request.headers());
    let result = receive(node, request, call).await;
    if !waits || result.as_ref().is_ok_and(|response| response.status().is_success()) {
        return result;
    }
    let mut response = result.unwrap_or_else(IntoResponse::into_response);
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    Ok(response)
}

async fn receive(node: App, request: Request, call: Call) -> ApiResult {
    let (parts, body) = request.into_parts();
    let (caller, body) = match routing::route(&node, &parts, body).await {
        Ok((Route::Elsewhere(response), _)) => return Ok(response),
        Ok((Route::Here(caller), body)) => (caller, body),
        Err((error, body)) => return refuse(error, body, &parts.headers),
    };
    let (intent, user, seen) = match prepare(&node, &parts, caller, call).await {
        Ok(prepared) => prepared,
        Err(error) => return refuse(error, body, &parts.headers),
    };
    let name = intent.headers.name(&node);
    let job = Job { node, intent, user, name, seen };
    if body::is_multipart(&parts.headers) {
        job.take_multipart(parts, body).await
    } else {
        job.take_raw(&parts, body).await
    }
}

fn refuse(error: ApiError, body: Body, headers: &HeaderMap) -> ApiResult {
    linger(body, headers);
    Err(error)
}

/// Reads the request's head and asks the directory whether the change could happen.
async fn prepare(node: &App, parts: &Parts, caller: Caller, call: Call) -> ApiResult<(Intent, UserId, Seen)> {
    let intent = read_intent(parts, call)?;
    // A form has more around the file, and a stream does not say: these are broken off when the room is used up.
    let length = content_length(&parts.headers).filter(|_| !body::is_multipart(&parts.headers)).unwrap_or(0);
    if length > node.settings.max_file_bytes {
        return Err(too_large(node.settings.max_file_bytes));
    }
    let asked = intent.clone();
    let id = intent.headers.name(node).id;
    let named = intent.headers.names_operation();
    let look = move |store: &dyn ReadStore, user: UserId| -> Result<Result<Seen, Rejection>, Fault> {
        if named && let Some(done) = query::operation(store, user, &id)? {
            return Ok(Ok(Seen::Before(Box::new(done))));
        }
        let allowed = match &asked.target {
            Target::New(at) => query::precheck_write(store, user, at, length)?,
            Target::Existing(file) => {
                let (precondition, proof) = (asked.precondition.as_ref(), asked.proof());
                query::precheck_update(store, user, file, precondition, proof.as_ref(), length)?
            }
        };
        Ok(allowed.map(|room| Seen::New { room }))
    };
    for _ in 0..LOOKS {
        let look = look.clone();
        let (user, seen) = match &caller {
            Caller::Token(token) => read_for(node, token, look).await?,
            Caller::Ticket(user) => {
                let user = *user;
                (user, node.handle().read(move |store| look(store, user)).await?)
            }
        };
        match seen {
            // What was done before is answered. Anything else would be refused when its bytes are stored.
            Ok(seen) => match node.handle().full_nodes() {
                Some(nodes) if matches!(seen, Seen::New { .. }) => return Err(ApiError::directory_full(&nodes)),
                _ => return Ok((intent, user, seen)),
            },
            Err(rejection) if named && rejection.kind.is_final() => {
                if let Some(rejection) = refuse_for_good(node, &intent, user).await? {
                    return Err(rejection.into());
                }
            }
            Err(rejection) => return Err(rejection.into()),
        }
    }
    let detail = "the file kept changing during the request, and nothing was stored: send it again";
    Err(ApiError::new(Code::NoFileServer, detail))
}

/// Has the refusal of a named operation applied and remembered, so that no other attempt of it takes effect later.
/// Nothing where it would not be refused any more, or an attempt came to an end meanwhile.
async fn refuse_for_good(node: &App, intent: &Intent, user: UserId) -> ApiResult<Option<Rejection>> {
    // A receipt that no state admits: what is not refused for another reason is refused for this one, which is no
    // final refusal and is not remembered.
    let nowhere = Receipt { server_id: ServerId(0), epoch: Epoch(0), copy_id: CopyId(0), received_at: ClusterTime(0) };
    let content = NewContent {
        blob_id: BlobId(node.clock.random_u128()),
        size: 0,
        sha256: Sha256([0; 32]),
        content_type: String::new(),
        receipts: vec![nowhere],
    };
    let operation = intent.headers.operation(node, user, &intent.refusal(user));
    let proposal =
        Proposal { operation: Some(operation), command: change_command(intent.change(), user, None, content) };
    Ok(match node.handle().propose(proposal).await? {
        Err(rejection) if rejection.kind == RejectionKind::IdempotencyKeyReused => None,
        Err(rejection) => rejection.kind.is_final().then_some(rejection),
        Ok(_) => None,
    })
}

async fn read_for<T: Send + 'static>(
    node: &App,
    token: &Token,
    look: impl FnOnce(&dyn ReadStore, UserId) -> Result<T, Fault> + Send + 'static,
) -> ApiResult<(UserId, T)> {
    node.read_as(token, move |store, session| Ok((session.user, look(store, session.user)?))).await
}

fn read_intent(parts: &Parts, call: Call) -> ApiResult<Intent> {
    if parts.method != Method::PUT && parts.method != Method::POST {
        return Err(ApiError::invalid("this call takes PUT or POST"));
    }
    body::check_codings(&parts.headers)?;
    if parts.headers.contains_key(header::CONTENT_RANGE) {
        return Err(ApiError::invalid("a part of a file cannot be written (Content-Range): send the whole file"));
    }
    let name: FileName = parse_query(&parts.uri)?;
    let target = match call {
        Call::Write => {
            let text =
                name.path.as_deref().ok_or_else(|| ApiError::invalid("no path is named: give path=… in the query"))?;
            if name.file_id.is_some() {
                return Err(ApiError::invalid("a new file is named by its path: leave out file_id, or use /update"));
            }
            Target::New(path_ref(text, name.owner.as_deref())?)
        }
        Call::Update => Target::Existing(file_ref(&name)?),
    };
    let headers = Headers::read(&parts.headers)?;
    let lock_token = headers.lock_token(None);
    let precondition = match call {
        Call::Write => None,
        Call::Update => precondition(&parts.headers)?,
    };
    Ok(Intent { target, lock_token, headers, precondition, digest: body::announced_digest(&parts.headers)? })
}

impl Intent {
    fn proof(&self) -> Option<LockProof> {
        self.lock_token.as_deref().map(lock_proof)
    }

    fn change(&self) -> Purpose {
        match &self.target {
            Target::New(at) => Purpose::Write(at.clone()),
            Target::Existing(file) => {
                Purpose::Update { file: file.clone(), precondition: self.precondition.clone(), lock: self.proof() }
            }
        }
    }

    /// The command for a body, without its copies.
    fn command(&self, user: UserId, whole: &Summary, content_type: &str) -> Command {
        let (size, sha256, content_type) = (whole.size, whole.sha256, content_type.to_owned());
        let content = NewContent { blob_id: BlobId(0), size, sha256, content_type, receipts: Vec::new() };
        change_command(self.change(), user, None, content)
    }

    /// The request, once its bytes are known.
    fn asked(&self, user: UserId, whole: &Summary, content_type: &str) -> Asked {
        Asked::change(self.command(user, whole, content_type))
    }

    /// The request as one that was refused before its bytes had come.
    fn refusal(&self, user: UserId) -> Asked {
        Asked::refused(self.command(user, &NO_BYTES, ""))
    }
}

const NO_BYTES: Summary = Summary { size: 0, sha256: Sha256([0; 32]) };

/// Whether the operation is a new one.
enum Seen {
    New {
        /// How many bytes the tree's owner has room for.
        room: u64,
    },
    /// It came to an end before; the bytes are only compared.
    Before(Box<Done>),
}

struct Job {
    node: App,
    intent: Intent,
    user: UserId,
    name: OperationName,
    seen: Seen,
}

impl Job {
    async fn take_raw(self, parts: &Parts, body: Body) -> ApiResult {
        let content_type = match body::content_type(&parts.headers) {
            Ok(content_type) => content_type,
            Err(error) => return refuse(error, body, &parts.headers),
        };
        let mut stream = body::told(body.into_data_stream());
        let length = content_length(&parts.headers);
        let result = self.run(&mut stream, (length, length), content_type).await;
        if result.is_err() {
            linger(Body::from_stream(stream), &parts.headers);
        }
        result
    }

    async fn take_multipart(self, parts: Parts, body: Body) -> ApiResult {
        // The file is a little shorter than its form.
        let at_most = content_length(&parts.headers);
        let file = body::multipart_file(parts, body).await?;
        self.run(&mut body::told(file.bytes), (None, at_most), file.content_type).await
    }

    /// Brings the bytes in and makes them the content. Their length is given where it is known, and how many may come.
    async fn run<S, E>(
        self,
        body: &mut S,
        (length, at_most): (Option<u64>, Option<u64>),
        content_type: String,
    ) -> ApiResult
    where
        S: Stream<Item = Result<Bytes, E>> + Unpin + Send,
        E: std::fmt::Display + Send,
    {
        let Self { node, intent, user, name, seen } = self;
        let max_bytes = node.settings.max_file_bytes;
        let refusal = fingerprint(&node.secret, &intent.refusal(user));
        let room = match &seen {
            Seen::New { room } => *room,
            Seen::Before(_) => u64::MAX,
        };
        if let Seen::Before(done) = seen {
            let mut whole = NO_BYTES;
            if done.fingerprint != refusal {
                whole = hash_only(body, max_bytes).await.map_err(|error| upload_error(error, max_bytes))?;
                let asked = intent.asked(user, &whole, &content_type);
                if done.fingerprint != fingerprint(&node.secret, &asked) {
                    return Err(ApiError::new(
                        Code::IdempotencyKeyReused,
                        "this Idempotency-Key was used for another request: use a fresh key for each change",
                    ));
                }
            }
            return answer_again(&node, &intent, user, *done, whole, &content_type).await;
        }
        let incoming = Incoming {
            length,
            at_most,
            max_bytes: max_bytes.min(room),
            content_type: content_type.clone(),
            digest: intent.digest,
        };
        let named = |size: u64, sha256: &Sha256| {
            let asked = intent.asked(user, &Summary { size, sha256: *sha256 }, &content_type);
            Some(name.operation(&node, user, &asked))
        };
        let stored = StoreFile { node: &node, user, purpose: intent.change(), content_id: None };
        let stored = stored.run(incoming, body, named).await;
        match stored {
            // Another attempt of the same change was refused while the bytes came.
            Err(error) if error.code == Code::IdempotencyKeyReused => {
                let id = name.id.clone();
                let done = node.handle().read(move |store| query::operation(store, user, &id)).await?;
                match done.filter(|done| done.fingerprint == refusal) {
                    Some(done) => answer_again(&node, &intent, user, done, NO_BYTES, &content_type).await,
                    None => Err(error),
                }
            }
            Err(error) if error.code == Code::TooLarge && room < max_bytes => Err(over_quota(room)),
            stored => answer_of(&intent.target, stored?),
        }
    }
}

/// The answer to a repeat.
async fn answer_again(
    node: &App,
    intent: &Intent,
    user: UserId,
    done: Done,
    whole: Summary,
    content_type: &str,
) -> ApiResult {
    let command = intent.command(user, &whole, content_type);
    // What was remembered has been read here, and whatever else an answer needs came before it.
    let again = node.handle().read_local(move |store| query::answer_again(store, user, &done, &command)).await?;
    answer_of(&intent.target, again?)
}

fn answer_of(target: &Target, outcome: Outcome) -> ApiResult {
    let Outcome::Stat(stat) = outcome else { return Err(view::unexpected(&outcome)) };
    let status = match target {
        Target::New(_) => StatusCode::CREATED,
        Target::Existing(_) => StatusCode::OK,
    };
    let mut response = (status, ResponseBody(view::stat(&stat))).into_response();
    if let Some(etag) = etag(&stat) {
        response.headers_mut().insert(header::ETAG, etag);
    }
    Ok(response)
}

fn etag(stat: &Stat) -> Option<HeaderValue> {
    let version = stat.content.as_ref()?.version;
    HeaderValue::from_str(&ETag { file_id: stat.file_id, version }.to_string()).ok()
}
