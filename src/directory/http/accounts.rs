//! Accounts and logins.

use std::convert::Infallible;
use std::time::Instant;

use axum::Json as Body;
use axum::extract::{FromRequestParts, State};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::App;
use super::auth::{Token, restoring};
use super::callers::Operator;
use super::request::{Headers, LONGEST_NAME, StrangersJson};
use super::view;
use crate::directory::error::{ApiError, ApiResult};
use crate::directory::strength::check_password;
use crate::domain::query;
use crate::domain::rows::{NO_PASSWORD, User};
use crate::domain::terms::{Admission, PasswordProof};
use crate::domain::{Asked, Command, Outcome, Proposal, ReadStore, Sha256, UserId, command};
use crate::listener::{Block, Origin};
use crate::protocol::accounts::{AdminReset, LogIn, Signup};
use crate::protocol::api::{Account, Login};
use crate::protocol::problem::Code;
use crate::protocol::setup::SetupCode;

/// The owner of operations that nobody is logged in for: ids of users start at 1.
const NOBODY: UserId = UserId(0);

pub(crate) async fn signup(
    State(node): State<App>,
    From(from): From,
    SaysJson(says_json): SaysJson,
    headers: Headers,
    StrangersJson(body): StrangersJson<Signup>,
) -> ApiResult<Response> {
    if !says_json {
        let detail = "this call takes JSON that says so: send the header `Content-Type: application/json`";
        return Err(ApiError::invalid(detail));
    }
    check_name(&body.username)?;
    check_password(&body.password, &body.username)?;
    let by = admission(&node, &body)?;
    let Signup { username, password, setup_code, invite } = body;
    let asked = Asked::Signup { username: username.clone(), password: password.clone(), setup_code, invite };
    let operation = headers.signup_name(&node, &username).operation(&node, NOBODY, &asked);
    // Before the work. A repeat is answered as the first was, though its invitation is used up.
    let (id, floor) = (operation.id.clone(), node.handle().cluster_time());
    let look = move |store: &dyn ReadStore| match query::operation(store, NOBODY, &id)? {
        Some(_) => Ok(Ok(true)),
        None if query::is_restoring(store)? => Ok(Err(None)),
        None => Ok(query::may_sign_up(store, &by, floor)?.map(|()| false).map_err(Some)),
    };
    let again = node.handle().read(look).await?.map_err(|no| no.map_or_else(restoring, ApiError::from))?;
    if !again && by == Admission::Open {
        node.signups.begin(from, Instant::now())?;
    }
    let password_hash = node.passwords.hash(password, node.clock.random()).await?;
    let command = Command::Enroll(command::Enroll { username, password_hash, by });
    let outcome = node.propose(Proposal { operation: Some(operation), command }).await?;
    let Outcome::User { user_id, username, .. } = outcome else { return Err(view::unexpected(&outcome)) };
    Ok((StatusCode::CREATED, Body(Account { user_id: user_id.0, username })).into_response())
}

fn admission(node: &App, asked: &Signup) -> ApiResult<Admission> {
    match (&asked.setup_code, &asked.invite) {
        (None, None) => Ok(Admission::Open),
        (None, Some(invite)) => Ok(Admission::Invite(Token::of(invite).hash())),
        (Some(code), None) if SetupCode::of(&node.secret).is(code) => Ok(Admission::Setup),
        (Some(_), None) => Err(ApiError::new(
            Code::Forbidden,
            "this is not the setup code: the log of each directory node shows it, and `ringmaster setup-code` prints it",
        )),
        (Some(_), Some(_)) => {
            Err(ApiError::invalid("both a setup code and an invitation are given: send the one that you have"))
        }
    }
}

/// A body that says that it is JSON. A page elsewhere on the web can have a browser send any other without asking first,
/// and would so make an account in a network that the page's author cannot reach.
/// It is looked at when the body was read, so that the answer gets through.
pub(crate) struct SaysJson(bool);

impl FromRequestParts<App> for SaysJson {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Infallible> {
        let said = parts.headers.get(header::CONTENT_TYPE).and_then(|said| said.to_str().ok()).unwrap_or_default();
        let essence = said.split(';').next().unwrap_or_default().trim();
        Ok(Self(essence.eq_ignore_ascii_case("application/json")))
    }
}

/// By the cluster secret, for an operator who has lost the admin.
pub(crate) async fn reset_admin(
    State(node): State<App>,
    _: Operator,
    StrangersJson(body): StrangersJson<AdminReset>,
) -> ApiResult<Body<Account>> {
    check_name(&body.username)?;
    check_password(&body.password, &body.username)?;
    let password_hash = node.passwords.hash(body.password, node.clock.random()).await?;
    let command = Command::ResetAdmin(command::ResetAdmin { username: body.username, password_hash });
    let outcome = node.propose(Proposal { operation: None, command }).await?;
    let Outcome::User { user_id, username, .. } = outcome else { return Err(view::unexpected(&outcome)) };
    tracing::warn!(%user_id, "an operator with the cluster secret has reset the password of an admin");
    Ok(Body(Account { user_id: user_id.0, username }))
}

/// No text of any length goes into the log: the cluster's own rule is checked here, before the work, and by `apply`.
fn check_name(username: &str) -> ApiResult<()> {
    if username.len() > LONGEST_NAME {
        return Err(ApiError::invalid("the username is longer than 64 bytes: choose a shorter one"));
    }
    Ok(())
}

/// Where a request comes from.
pub(crate) struct From(pub(super) Option<Block>);

impl FromRequestParts<App> for From {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Infallible> {
        Ok(Self(parts.extensions.get::<Origin>().map(|origin| Block::of(origin.address))))
    }
}

/// What a session's user is told of where it was opened.
pub(crate) struct Client {
    from: String,
    agent: String,
}

impl FromRequestParts<App> for Client {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Infallible> {
        let from = parts.extensions.get::<Origin>().map(|origin| origin.address.to_string()).unwrap_or_default();
        let agent = parts.headers.get(header::USER_AGENT).and_then(|agent| agent.to_str().ok()).unwrap_or_default();
        // `to_str` leaves visible ASCII, and tabs.
        let agent = agent.chars().filter(|letter| !letter.is_control()).take(128).collect();
        Ok(Self { from, agent })
    }
}

pub(crate) async fn login(
    State(node): State<App>,
    From(from): From,
    origin: Client,
    StrangersJson(body): StrangersJson<LogIn>,
) -> ApiResult<Response> {
    check_name(&body.username)?;
    let guess = node.guesses.begin(&body.username, from, Instant::now())?;
    let name = body.username.clone();
    let look = move |store: &dyn ReadStore| Ok((query::user_by_name(store, &name)?, query::is_restoring(store)?));
    let (user, is_restoring) = node.handle().read(look).await?;
    if is_restoring {
        return Err(restoring());
    }
    let proof = prove(&node, &body, user.as_ref()).await?;
    guess.ends(proof != Proof::Wrong, Instant::now());
    let Some(user) = user.filter(|_| proof != Proof::Wrong) else {
        return Err(ApiError::new(Code::Unauthenticated, "the username or the password is wrong: check both"));
    };
    if user.disabled {
        return Err(ApiError::new(Code::Forbidden, "this account is disabled: ask an admin"));
    }
    let password_hash = match proof {
        Proof::Code(hash) => set_by_code(&node, &user, hash, body.new_password).await?,
        Proof::Right | Proof::Wrong => user.password_hash,
    };
    let token = hex::encode(node.clock.random::<32>());
    let command = Command::BeginSession(command::BeginSession {
        user: user.user_id,
        token_hash: Token::of(&token).hash(),
        password_hash,
        from: origin.from,
        agent: origin.agent,
    });
    let outcome = node.propose(Proposal { operation: None, command }).await?;
    let Outcome::Session { expires_at } = outcome else { return Err(view::unexpected(&outcome)) };
    Ok(Body(Login { token, user_id: user.user_id.0, expires_at: view::time(expires_at) }).into_response())
}

/// What a login's password comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Proof {
    Wrong,
    Right,
    /// It is the user's one-time code, of which this is stored.
    Code(Sha256),
}

async fn prove(node: &App, body: &LogIn, user: Option<&User>) -> ApiResult<Proof> {
    let stored = user.map(|user| user.password_hash.clone()).filter(|hash| hash != NO_PASSWORD);
    if node.passwords.is_right(body.password.clone(), stored.clone()).await? {
        return Ok(Proof::Right);
    }
    let given = SetupCode::read(&body.password).map(|code| Token::of(&code.to_string()).hash());
    let standing = user.and_then(|user| user.code).filter(|code| code.expires_at > node.handle().cluster_time());
    if let (Some(given), Some(code)) = (given, standing)
        && given == code.hash
    {
        return Ok(Proof::Code(given));
    }
    // The answer to the login that used the code up may have been lost: then the new password is the one that holds.
    match &body.new_password {
        Some(new) if stored.is_some() && node.passwords.is_right(new.clone(), stored).await? => Ok(Proof::Right),
        _ => Ok(Proof::Wrong),
    }
}

/// The hash of the password that a user sets by a one-time code.
async fn set_by_code(node: &App, user: &User, code: Sha256, new: Option<String>) -> ApiResult<String> {
    let Some(new) = new else {
        let detail = "this is a one-time code: choose a password, and send it as new_password with the code (`ringmaster \
                      login NAME --code CODE`)";
        return Err(ApiError::new(Code::Forbidden, detail));
    };
    check_password(&new, &user.username)?;
    let password_hash = node.passwords.hash(new, node.clock.random()).await?;
    let (user, proof) = (user.user_id, PasswordProof::Code(code));
    let command = command::SetPassword { user, password_hash: password_hash.clone(), proof, keep: None };
    node.command(command.into()).await?;
    tracing::info!(%user, "a user has set a password by a one-time code");
    Ok(password_hash)
}

pub(crate) async fn logout(State(node): State<App>, token: Token) -> ApiResult<StatusCode> {
    node.user(&token).await?;
    node.propose(Proposal {
        operation: None,
        command: Command::CloseSession(command::CloseSession { token_hash: token.hash() }),
    })
    .await?;
    Ok(StatusCode::NO_CONTENT)
}
