//! The cluster's own certificate authority.
//!
//! Its key follows from the cluster secret, so every directory node has the same one without anything being issued or
//! copied. Others know it by its public key: there is no certificate of the authority to give out.

use std::fmt;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose, PublicKeyData, SignatureAlgorithm,
};
use rustls::RootCertStore;
use rustls_pki_types::{CertificateDer, Der, PrivatePkcs8KeyDer, TrustAnchor};

use super::identity::Identity;
use crate::domain::PublicKey;
use crate::protocol::secret::ClusterSecret;
use crate::protocol::signature::SigningKey;

const DAY_MS: u64 = 24 * 3600 * 1000;
/// How long a certificate holds. Its owner takes a new one when half of it is over.
pub const LIFETIME_MS: u64 = 30 * DAY_MS;
/// How long before its making it begins: clocks differ.
const EARLY_MS: u64 = DAY_MS;

const NAME: &str = "ringmaster";
/// The name of the authority, in DER without the outermost tag: one attribute, the common name [`NAME`].
const SUBJECT: &[u8] = b"\x31\x13\x30\x11\x06\x03\x55\x04\x03\x0c\x0aringmaster";
/// A public key of Ed25519 in DER (RFC 8410) without the outermost tag: the algorithm, then the key's 32 bytes follow.
const KEY_INFO: &[u8] = b"\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00";
/// A private key in PKCS #8 (RFC 8410); the seed's 32 bytes follow.
const PKCS8: &[u8] = b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20";

/// Signs certificates.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    public: PublicKey,
}

/// A key as rcgen takes it.
struct Subject(PublicKey);

impl PublicKeyData for Subject {
    fn der_bytes(&self) -> &[u8] {
        &self.0.0
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &rcgen::PKCS_ED25519
    }
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Authority({})", self.public)
    }
}

impl Authority {
    /// # Errors
    /// When the cryptography refuses the key, which it does for no secret.
    pub fn new(secret: &ClusterSecret) -> anyhow::Result<Self> {
        let seed = secret.derive("certificate authority");
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, NAME);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::try_from(&private_key(&seed))?)?;
        Ok(Self { issuer, public: SigningKey::from_seed(&seed).public() })
    }

    /// What all members know the authority by.
    pub const fn public(&self) -> PublicKey {
        self.public
    }

    /// The authority's own certificate, for other programs. Members need none: they know its key.
    pub fn certificate(&self) -> CertificateDer<'static> {
        self.issuer.der().clone()
    }

    /// A certificate that says that `identity` has the key `public`, from a day before `now_ms` (since the Unix epoch) on.
    ///
    /// # Errors
    /// When the cryptography fails.
    pub fn issue(&self, identity: Identity, public: PublicKey, now_ms: u64) -> anyhow::Result<CertificateDer<'static>> {
        let mut params = CertificateParams::new(vec![identity.to_string()])?;
        params.distinguished_name = DistinguishedName::new();
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let at = |ms: u64| rcgen::date_time_ymd(1970, 1, 1) + std::time::Duration::from_secs(ms / 1000);
        params.not_before = at(now_ms.saturating_sub(EARLY_MS));
        params.not_after = at(now_ms.saturating_add(LIFETIME_MS));
        Ok(params.signed_by(&Subject(public), &self.issuer)?.der().clone())
    }
}

/// A key of Ed25519 as TLS and rcgen take it.
pub(super) fn private_key(seed: &[u8; 32]) -> PrivatePkcs8KeyDer<'static> {
    PrivatePkcs8KeyDer::from([PKCS8, seed].concat())
}

/// Trust in the authority with this key, and in no other.
pub(super) fn roots(authority: PublicKey) -> RootCertStore {
    let anchor = TrustAnchor {
        subject: Der::from_slice(SUBJECT),
        subject_public_key_info: [KEY_INFO, authority.0.as_slice()].concat().into(),
        name_constraints: None,
    };
    RootCertStore { roots: vec![anchor] }
}
