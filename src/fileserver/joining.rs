//! How this server's key becomes known to the cluster, and stays it.
//!
//! `credentials.json` holds the key, which never leaves this machine, whom the server believes, and the certificate that the
//! directory gave it. A join token is needed for the first one alone. Later ones are given for the key, long before the old
//! one ends; one that has ended meanwhile keeps nobody out, since the same call gives the next.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, bail};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use reqwest::StatusCode;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::calls::{CallError, Calls};
use super::transfer::blocking;
use super::view::View;
use crate::clock::SharedClock;
use crate::domain::{PublicKey, ServerUuid};
use crate::listener::Handshake;
use crate::protocol::join::{JoinAnswer, JoinRequest, SignedToken};
use crate::protocol::signature::SigningKey;
use crate::trust::{Credentials, LIFETIME_MS};

const FILE: &str = "credentials.json";
const FORMAT: u32 = 1;
const FIRST_BACKOFF: Duration = Duration::from_millis(200);
const MAX_BACKOFF: Duration = Duration::from_secs(5);
/// How often the age of the certificate is looked at. A machine that slept notices soon.
const LOOK: Duration = Duration::from_secs(60);

/// What is kept on the disk.
#[derive(Clone, Serialize, Deserialize)]
struct Record {
    format: u32,
    /// The private half of this server's key, hexadecimal.
    seed: String,
    /// The key of the cluster's authority.
    authority: PublicKey,
    given: Option<Given>,
}

/// What the directory gave last.
#[derive(Clone, Serialize, Deserialize)]
struct Given {
    certificate: String,
    /// By which it is known whether the directory allows a call.
    capabilities: PublicKey,
    /// By the agreed time.
    at_ms: u64,
}

/// This server's key and certificate.
pub(super) struct Joining {
    path: PathBuf,
    record: Mutex<Record>,
    seed: [u8; 32],
    token: Option<SignedToken>,
    clock: SharedClock,
    pub(super) credentials: Credentials,
    capabilities: watch::Sender<Option<PublicKey>>,
}

impl Joining {
    /// `is_bound` says that the data directory belongs to a cluster already. Such a one follows its cluster to another
    /// authority, after the secret was changed, by a token for this very server alone.
    ///
    /// # Errors
    /// When there is neither a key nor a token, the token is another cluster's, or the file cannot be read or written.
    pub(super) fn open(
        dir: &Path,
        uuid: ServerUuid,
        is_bound: bool,
        token: Option<SignedToken>,
        clock: &SharedClock,
    ) -> anyhow::Result<Self> {
        let path = dir.join(FILE);
        let said = token.as_ref().map(SignedToken::read).transpose()?;
        let is_held = is_bound && said.is_none_or(|token| token.replaces != Some(uuid));
        let asked = said.map(|token| token.authority);
        let record = match (read(&path)?, asked) {
            (Some(kept), Some(authority)) if kept.authority != authority && is_held => bail!(
                "the join token is of another cluster than the one that {} belongs to: correct `cluster.join_token_file`, \
                 or start with an empty data directory. Has the cluster's secret been changed, make a token with --replace {uuid}",
                dir.display()
            ),
            (Some(kept), Some(authority)) if kept.authority != authority => Record { authority, given: None, ..kept },
            (Some(kept), _) => kept,
            (None, Some(authority)) => {
                Record { format: FORMAT, seed: hex::encode(clock.random::<32>()), authority, given: None }
            }
            (None, None) => bail!(
                "this file server has no key that a cluster knows: make a join token with `ringmaster join-token` on a \
                 directory node, put it into a file and name that in `cluster.join_token_file`"
            ),
        };
        let mut seed = [0; 32];
        hex::decode_to_slice(&record.seed, &mut seed).with_context(|| {
            format!("{} is damaged: restore it, or delete it and give a new join token", path.display())
        })?;
        let credentials = Credentials::new(record.authority, clock.clone());
        let (capabilities, _) = watch::channel(None);
        let this = Self {
            path,
            record: Mutex::new(record.clone()),
            seed,
            token,
            clock: clock.clone(),
            credentials,
            capabilities,
        };
        write(&this.path, &record)?;
        if let Some(given) = &record.given {
            this.show(given)?;
        }
        Ok(this)
    }

    /// The key by which capabilities are checked; nothing before the first certificate.
    pub(super) fn capabilities(&self) -> Option<PublicKey> {
        *self.capabilities.borrow()
    }

    /// How this server meets who calls it: members alone, who show their certificates.
    ///
    /// # Errors
    /// When the cryptography cannot be set up.
    pub(super) fn handshake(&self) -> anyhow::Result<Handshake> {
        let config = self.credentials.server(false)?;
        Ok(std::sync::Arc::new(move || config.clone()))
    }

    /// Waits for the first certificate.
    pub(super) async fn joined(&self) {
        // It ends with this value only.
        let _ = self.capabilities.subscribe().wait_for(Option::is_some).await;
    }

    fn record(&self) -> MutexGuard<'_, Record> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn show(&self, given: &Given) -> anyhow::Result<()> {
        let certificate = BASE64_STANDARD.decode(&given.certificate).context("the certificate is no base64")?;
        self.credentials.show(certificate.into(), &self.seed)?;
        self.capabilities.send_replace(Some(given.capabilities));
        Ok(())
    }

    /// Also where the agreed time went back.
    fn is_due(&self) -> bool {
        let now = self.clock.agreed_ms();
        self.record().given.as_ref().is_none_or(|given| now.abs_diff(given.at_ms) > LIFETIME_MS / 2)
    }

    fn take(&self, answer: JoinAnswer) -> anyhow::Result<()> {
        let JoinAnswer { certificate, capabilities, .. } = answer;
        let given = Given { certificate, capabilities, at_ms: self.clock.agreed_ms() };
        let record = Record { given: Some(given.clone()), ..self.record().clone() };
        // On the disk first: what others are shown is there after a restart.
        write(&self.path, &record)?;
        *self.record() = record;
        self.show(&given)
    }

    /// Gets certificates for as long as it is polled.
    ///
    /// # Errors
    /// When the cluster refuses this server, which trying again would not mend.
    pub(super) async fn run(
        self: std::sync::Arc<Self>,
        uuid: ServerUuid,
        calls: Calls,
        view: watch::Receiver<View>,
    ) -> anyhow::Result<()> {
        let mut backoff = FIRST_BACKOFF;
        loop {
            if !self.is_due() {
                tokio::time::sleep(LOOK).await;
                continue;
            }
            let nodes = view.borrow().nodes.clone();
            match self.ask(uuid, &calls, &nodes).await {
                Ok(answer) => {
                    if let Some(now_ms) = answer.now_ms {
                        self.clock.agreed_is(now_ms, "the directory nodes");
                    }
                    let this = self.clone();
                    blocking(move || this.take(answer)).await??;
                    tracing::info!("the cluster knows this file server's key, and has certified it");
                    backoff = FIRST_BACKOFF;
                }
                Err(Some(detail)) if self.capabilities().is_none() => bail!(detail),
                Err(refusal) => {
                    if let Some(detail) = refusal {
                        tracing::warn!(detail, "the certificate is not renewed");
                    }
                    tokio::time::sleep(backoff).await;
                    backoff = (backoff * 2).min(MAX_BACKOFF);
                }
            }
        }
    }

    /// One round at all nodes. An error is the refusal of one, where no other has granted it (the clock of one may be wrong),
    /// or nothing where none could be asked.
    async fn ask(&self, uuid: ServerUuid, calls: &Calls, nodes: &[String]) -> Result<JoinAnswer, Option<String>> {
        let key = SigningKey::from_seed(&self.seed).public();
        let request = JoinRequest { uuid, key, token: self.token.clone() };
        let mut refusal = None;
        for node in nodes {
            match calls.join(node, &request).await {
                Ok(answer) => return Ok(answer),
                Err(CallError::Refused { status: StatusCode::FORBIDDEN | StatusCode::BAD_REQUEST, detail }) => {
                    refusal = Some(detail);
                }
                Err(error) => tracing::warn!(node, %error, "asked for a certificate, and will ask again"),
            }
        }
        Err(refusal)
    }
}

fn read(path: &Path) -> anyhow::Result<Option<Record>> {
    let text = match std::fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
    };
    let record: Record = serde_json::from_slice(&text).with_context(|| {
        format!("{} is damaged: restore it, or delete it and give a new join token", path.display())
    })?;
    if record.format != FORMAT {
        bail!("{} was written by a newer release (format {}): start that one", path.display(), record.format);
    }
    Ok(Some(record))
}

/// Readable by its owner alone, whole or not at all.
fn write(path: &Path, record: &Record) -> anyhow::Result<()> {
    let temporary = path.with_extension("json.tmp");
    let save = || -> std::io::Result<()> {
        let mut options = std::fs::OpenOptions::new();
        let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
        file.write_all(&serde_json::to_vec_pretty(record)?)?;
        file.sync_all()?;
        std::fs::rename(&temporary, path)?;
        std::fs::File::open(path.parent().unwrap_or_else(|| Path::new(".")))?.sync_all()
    };
    save().with_context(|| format!("cannot write {}", path.display()))
}
