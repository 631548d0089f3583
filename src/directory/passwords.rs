//! Hashing of passwords (argon2id), on two threads of their own.
//!
//! Each hash takes 19 MiB and tens of milliseconds of a core. The threads keep their memory from one hash to the next:
//! asked for anew each time, it stayed with the allocator of whatever thread had used it, and a flood of logins made the
//! process larger for good. What waits for a thread is bounded; what finds no place there is refused at once, and nothing
//! else of the node waits for it.

use std::sync::mpsc;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context as _;
use argon2::password_hash::phc::{Output, ParamsString, PasswordHash, Salt};
use argon2::{Algorithm, Argon2, Block, Params, Version};
use subtle::ConstantTimeEq as _;
use tokio::sync::oneshot;

use super::error::{ApiError, ApiResult};
use crate::protocol::problem::Code;
use crate::telemetry::{Counter, Metrics};

/// So many cores at the most are taken from everything else.
const THREADS: usize = 2;
/// What may wait: about a second's work.
const WAITING: usize = 48;
/// What a password is hashed with where there is no such user, so that the time taken does not tell who has an account.
const NOBODYS_SALT: &[u8] = b"nobody has this!";

enum Work {
    Hash {
        salt: [u8; 16],
        hashed: oneshot::Sender<Result<String, String>>,
    },
    /// Nothing is stored of who does not exist.
    Verify {
        stored: Option<String>,
        verified: oneshot::Sender<Result<bool, String>>,
    },
}

struct Job {
    password: String,
    work: Work,
}

/// The way to the threads. They end when it is dropped.
#[derive(Debug)]
pub(crate) struct Passwords {
    jobs: mpsc::SyncSender<Job>,
    refused: Counter,
}

impl Passwords {
    /// # Errors
    /// When the threads cannot be started.
    pub(crate) fn start(metrics: &Metrics) -> anyhow::Result<Self> {
        let (jobs, waiting) = mpsc::sync_channel(WAITING);
        let waiting = Arc::new(Mutex::new(waiting));
        for _ in 0..THREADS {
            let waiting = waiting.clone();
            let thread = std::thread::Builder::new().name("passwords".to_owned());
            thread.spawn(move || work(&waiting)).context("cannot start the threads that hash passwords")?;
        }
        let refused = metrics.counter(
            "ringmaster_passwords_refused_total",
            "Logins and signups that were refused because too many waited to have their passwords hashed",
        );
        Ok(Self { jobs, refused })
    }

    /// What is stored of a password, in the usual form (PHC).
    pub(crate) async fn hash(&self, password: String, salt: [u8; 16]) -> ApiResult<String> {
        let (hashed, answer) = oneshot::channel();
        self.give(Job { password, work: Work::Hash { salt, hashed } })?;
        answer.await.map_err(ApiError::internal)?.map_err(ApiError::internal)
    }

    /// Whether a password is the one of which `stored` was kept. Nothing is stored of a user who does not exist: the same
    /// work is done then.
    pub(crate) async fn is_right(&self, password: String, stored: Option<String>) -> ApiResult<bool> {
        let (verified, answer) = oneshot::channel();
        self.give(Job { password, work: Work::Verify { stored, verified } })?;
        answer.await.map_err(ApiError::internal)?.map_err(ApiError::internal)
    }

    fn give(&self, job: Job) -> ApiResult<()> {
        self.jobs.try_send(job).map_err(|_| {
            self.refused.inc();
            ApiError::new(Code::TooManyRequests, "too many logins at once: try again in a few seconds")
        })
    }
}

fn work(waiting: &Mutex<mpsc::Receiver<Job>>) {
    let mut memory = Vec::new();
    loop {
        let job = waiting.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(Job { password, work }) = job else { return };
        // Whoever asked may have gone: nobody works for him then.
        match work {
            Work::Hash { salt, hashed } if !hashed.is_closed() => {
                drop(hashed.send(hash(&password, &salt, &mut memory).map_err(|error| error.to_string())));
            }
            Work::Verify { stored, verified } if !verified.is_closed() => {
                let right = is_right(&password, stored.as_deref(), &mut memory);
                drop(verified.send(right.map_err(|error| error.to_string())));
            }
            _ => {}
        }
    }
}

/// The crate's defaults: 19 MiB, two passes (OWASP's first choice).
fn hash(password: &str, salt: &[u8], memory: &mut Vec<Block>) -> anyhow::Result<String> {
    let (params, mut out) = (Params::DEFAULT, [0; Params::DEFAULT_OUTPUT_LEN]);
    fill(Algorithm::default(), Version::default(), &params, (password, salt), memory, &mut out)?;
    let hash = PasswordHash {
        algorithm: Algorithm::default().ident(),
        version: Some(Version::default().into()),
        params: ParamsString::try_from(&params).map_err(said)?,
        salt: Some(Salt::new(salt).map_err(said)?),
        hash: Some(Output::new(&out).map_err(said)?),
    };
    Ok(hash.to_string())
}

fn is_right(password: &str, stored: Option<&str>, memory: &mut Vec<Block>) -> anyhow::Result<bool> {
    let Some(stored) = stored else {
        hash(password, NOBODYS_SALT, memory)?;
        return Ok(false);
    };
    let stored = PasswordHash::new(stored).map_err(said)?;
    let (salt, expected) = (stored.salt.as_ref().context("no salt")?, stored.hash.as_ref().context("no hash")?);
    let algorithm = Algorithm::try_from(stored.algorithm.as_str()).map_err(said)?;
    let version = stored.version.map(Version::try_from).transpose().map_err(said)?.unwrap_or_default();
    let params = Params::try_from(&stored).map_err(said)?;
    let mut out = vec![0; expected.as_bytes().len()];
    fill(algorithm, version, &params, (password, salt), memory, &mut out)?;
    Ok(out.ct_eq(expected.as_bytes()).into())
}

fn fill(
    algorithm: Algorithm,
    version: Version,
    params: &Params,
    (password, salt): (&str, &[u8]),
    memory: &mut Vec<Block>,
    out: &mut [u8],
) -> anyhow::Result<()> {
    memory.resize(params.block_count(), Block::new());
    let argon = Argon2::new(algorithm, version, params.clone());
    argon.hash_password_into_with_memory(password.as_bytes(), salt, out, memory).map_err(said)
}

fn said(error: impl ToString) -> anyhow::Error {
    anyhow::anyhow!(error.to_string())
}

#[cfg(test)]
mod tests {
    use argon2::password_hash::{PasswordHasher, PasswordVerifier};

    use super::*;

    /// What was stored by the crate's own way before must still open, and what is stored now opens there.
    #[tokio::test]
    async fn a_hash_is_the_one_that_the_crate_itself_makes() {
        let passwords = Passwords::start(&Metrics::new()).expect("threads");
        let salt = *b"sixteen bytes ok";
        let own = passwords.hash("correct horse".to_owned(), salt).await.expect("hashed");
        let theirs: PasswordHash = Argon2::default().hash_password_with_salt(b"correct horse", &salt).expect("hashed");
        assert_eq!(own, theirs.to_string());
        Argon2::default().verify_password(b"correct horse", &theirs).expect("right");
        for (password, stored, right) in
            [("correct horse", Some(&own), true), ("wrong horse", Some(&own), false), ("correct horse", None, false)]
        {
            let is_right = passwords.is_right(password.to_owned(), stored.cloned()).await.expect("verified");
            assert_eq!(is_right, right, "{password}");
        }
    }

    #[tokio::test]
    async fn what_finds_no_place_is_refused_at_once() {
        let passwords = Passwords::start(&Metrics::new()).expect("threads");
        let asked = (0..3 * WAITING).map(|_| passwords.is_right("guess".to_owned(), None));
        let answers = futures_util::future::join_all(asked).await;
        let refused = answers.iter().filter(|answer| answer.is_err()).count();
        assert!((1..3 * WAITING).contains(&refused), "{refused}");
    }
}
