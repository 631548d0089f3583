//! What a member shows others, and whom it believes.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use anyhow::Context;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ResolvesClientCert, Resumption, verify_server_cert_signed_by_trust_anchor};
use rustls::crypto::{CryptoProvider, verify_tls13_signature};
use rustls::server::{
    ClientHello, NoServerSessionStorage, ParsedCertificate, ResolvesServerCert, WebPkiClientVerifier,
};
use rustls::sign::CertifiedKey;
use rustls::time_provider::TimeProvider;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, PeerIncompatible, RootCertStore, ServerConfig,
    SignatureScheme,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};

use super::authority::{Authority, private_key, roots};
use super::crypto::provider;
use super::identity::{Expected, Identity};
use crate::clock::SharedClock;
use crate::domain::PublicKey;
use crate::protocol::signature::SigningKey;

/// One member's side of every connection between machines: TLS 1.3 alone, both sides proven, nothing resumed and nothing
/// sent early, since both would pass by the check of who is there. A clone is the same member.
#[derive(Clone, Debug)]
pub struct Credentials(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    roots: Arc<RootCertStore>,
    clock: SharedClock,
    own: Own,
}

/// The certificate that is shown, exchanged while connections go on.
#[derive(Debug, Default)]
struct Own(RwLock<(u64, Option<Arc<CertifiedKey>>)>);

impl Own {
    fn get(&self) -> Option<Arc<CertifiedKey>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).1.clone()
    }
}

/// The clock that certificates are judged by.
#[derive(Debug)]
struct Agreed(SharedClock);

impl TimeProvider for Agreed {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(Duration::from_millis(self.0.agreed_ms())))
    }
}

impl Credentials {
    /// Of a member that has no certificate yet: it can call others who let it, and believes those whose certificate the
    /// authority with this key has signed.
    pub fn new(authority: PublicKey, clock: SharedClock) -> Self {
        Self(Arc::new(Inner { roots: Arc::new(roots(authority)), clock, own: Own::default() }))
    }

    /// Of a member whose certificate `authority` signs here and now, for a key of its own that nobody else has.
    ///
    /// # Errors
    /// When the cryptography fails.
    pub fn issued(authority: &Authority, identity: Identity, clock: &SharedClock) -> anyhow::Result<Self> {
        let this = Self::new(authority.public(), clock.clone());
        this.renew(authority, identity)?;
        Ok(this)
    }

    /// Takes a new key and a new certificate, which later connections show.
    ///
    /// # Errors
    /// When the cryptography fails.
    pub fn renew(&self, authority: &Authority, identity: Identity) -> anyhow::Result<()> {
        let (clock, seed) = (&self.0.clock, self.0.clock.random());
        let certificate = authority.issue(identity, SigningKey::from_seed(&seed).public(), clock.agreed_ms())?;
        self.show(certificate, &seed)
    }

    /// Shows `certificate` from now on, whose key has this seed.
    ///
    /// # Errors
    /// When the key cannot be used.
    pub fn show(&self, certificate: CertificateDer<'static>, seed: &[u8; 32]) -> anyhow::Result<()> {
        let key = PrivateKeyDer::Pkcs8(private_key(seed));
        let key = provider().key_provider.load_private_key(key).context("the key of the certificate cannot be used")?;
        let certified = Arc::new(CertifiedKey::new(vec![certificate], key));
        let mut own = self.0.own.0.write().unwrap_or_else(PoisonError::into_inner);
        *own = (own.0 + 1, Some(certified));
        Ok(())
    }

    /// Another number with each certificate that is shown. A connection keeps the one that it began with.
    pub(super) fn generation(&self) -> u64 {
        self.0.own.0.read().unwrap_or_else(PoisonError::into_inner).0
    }

    /// For a port that members call. Where `strangers` may call as well, who shows no certificate has no identity.
    ///
    /// # Errors
    /// When the cryptography cannot be set up.
    pub fn server(&self, strangers: bool) -> anyhow::Result<Arc<ServerConfig>> {
        let mut verifier = WebPkiClientVerifier::builder_with_provider(Arc::clone(&self.0.roots), provider());
        // The names of authorities are sent to whoever connects, and help nobody here.
        verifier = verifier.clear_root_hint_subjects();
        if strangers {
            verifier = verifier.allow_unauthenticated();
        }
        let time = Arc::new(Agreed(self.0.clock.clone()));
        let mut config = ServerConfig::builder_with_details(provider(), time)
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_client_cert_verifier(verifier.build()?)
            .with_cert_resolver(Arc::new(self.clone()));
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(Arc::new(config))
    }

    /// For calls to whoever is `expected`.
    ///
    /// # Errors
    /// When the cryptography cannot be set up.
    pub fn client(&self, expected: Expected) -> anyhow::Result<ClientConfig> {
        let provider = provider();
        let time = Arc::new(Agreed(self.0.clock.clone()));
        let verifier = MemberVerifier { roots: Arc::clone(&self.0.roots), expected, provider: Arc::clone(&provider) };
        let mut config = ClientConfig::builder_with_details(provider, time)
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_client_cert_resolver(Arc::new(self.clone()));
        config.resumption = Resumption::disabled();
        // The name would tell who listens to the network which member is meant.
        config.enable_sni = false;
        Ok(config)
    }
}

impl ResolvesServerCert for Credentials {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0.own.get()
    }
}

impl ResolvesClientCert for Credentials {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.0.own.get()
    }

    fn has_certs(&self) -> bool {
        self.0.own.get().is_some()
    }
}

/// Checks that the member that is expected answers. Its address says nothing of who it is, so the name in the url is not
/// looked at: the one in the certificate must be the expected member's.
#[derive(Debug)]
struct MemberVerifier {
    roots: Arc<RootCertStore>,
    expected: Expected,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for MemberVerifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let parsed = ParsedCertificate::try_from(certificate)?;
        let algorithms = self.provider.signature_verification_algorithms.all;
        verify_server_cert_signed_by_trust_anchor(&parsed, &self.roots, intermediates, now, algorithms)?;
        match Identity::of(certificate) {
            Some(identity) if self.expected.allows(identity) => Ok(ServerCertVerified::assertion()),
            Some(identity) => {
                let presented = vec![identity.to_string()];
                Err(CertificateError::NotValidForNameContext { expected: name.to_owned(), presented }.into())
            }
            None => Err(CertificateError::NotValidForName.into()),
        }
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(PeerIncompatible::Tls12NotOffered.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
