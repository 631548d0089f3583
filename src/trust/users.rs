//! TLS towards users: the certificate that a node shows them, and whose certificates their clients believe.
//!
//! It has nothing to do with the cluster's own authority: users' machines know the authorities of the world, or one that
//! their operator gives them as a file.

use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::{Context, anyhow, ensure};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use webpki::{EndEntityCert, KeyUsage};

use super::crypto::{http, provider};
use crate::local;

/// What is offered in a handshake, the best first.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// A certificate with its key, ready to be shown.
#[derive(Clone, Debug)]
pub struct Pair {
    pub config: Arc<ServerConfig>,
    /// When clients stop to believe it, in milliseconds since 1970; nothing for one that says never.
    pub ends_ms: Option<u64>,
}

impl Pair {
    /// # Errors
    /// When a file cannot be read, the key may be read by others than its owner, or the two do not go together: with what
    /// to do.
    pub fn read(certificate: &Path, key: &Path) -> anyhow::Result<Self> {
        let chain = certificates(certificate).with_context(|| {
            format!("cannot use {}, which `tls.certificate` names: it has to hold the node's certificate in PEM, and behind it \
                 those of the authorities between", certificate.display())
        })?;
        let ends_ms = chain.first().and_then(|first| ends(first));
        let named = || {
            format!(
                "cannot use {}, which `tls.key` names: it has to hold the certificate's private key in PEM, without a \
                 password",
                key.display()
            )
        };
        let text = local::read_secret(key).with_context(named)?;
        let key_der =
            PrivateKeyDer::from_pem_slice(text.as_bytes()).map_err(|error| anyhow!("{error}")).with_context(named)?;
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(chain, key_der)
            .with_context(|| {
                format!(
                    "{} and {} cannot be used together: name a certificate and its own key",
                    certificate.display(),
                    key.display()
                )
            })?;
        config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
        Ok(Self { config: Arc::new(config), ends_ms })
    }
}

/// All of a PEM file, at least one.
fn certificates(file: &Path) -> anyhow::Result<Vec<CertificateDer<'static>>> {
    let mut bytes = Vec::new();
    std::io::Read::read_to_end(&mut local::open_file(file)?, &mut bytes)?;
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    let all = all.map_err(|error| anyhow!("{error}"))?;
    ensure!(!all.is_empty(), "there is no certificate in it");
    for (at, certificate) in all.iter().enumerate() {
        EndEntityCert::try_from(certificate).map_err(|error| anyhow!("certificate {} in it: {error}", at + 1))?;
    }
    Ok(all)
}

/// When it ends. The reader of certificates tells only what is wrong with one at a given time, and looks at the time before
/// it looks for who has signed it: so it is asked about a time after all.
fn ends(certificate: &CertificateDer<'_>) -> Option<u64> {
    let at_last = UnixTime::since_unix_epoch(Duration::from_secs(u64::from(u32::MAX) * 1_000));
    let certificate = EndEntityCert::try_from(certificate).ok()?;
    let algorithms = provider().signature_verification_algorithms.all;
    match certificate.verify_for_usage(algorithms, &[], &[], at_last, KeyUsage::server_auth(), None, None) {
        Err(webpki::Error::CertExpired { not_after, .. }) => Some(not_after.as_secs() * 1_000),
        _ => None,
    }
}

/// The authorities that this machine believes, read once. A machine without any believes nobody.
fn of_this_machine() -> &'static RootCertStore {
    static ROOTS: OnceLock<RootCertStore> = OnceLock::new();
    ROOTS.get_or_init(|| {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        roots
    })
}

/// The beginning of a client for users: it believes the authorities of this machine, and those in a PEM file.
///
/// # Errors
/// When the file cannot be read, or holds no certificate.
pub fn for_users(ca_file: Option<&Path>) -> anyhow::Result<reqwest::ClientBuilder> {
    let mut roots = of_this_machine().clone();
    if let Some(file) = ca_file {
        let shown = file.display();
        let unusable = || {
            format!(
                "cannot use {shown} as the file of an authority's certificate, in PEM: name another one with --ca-file"
            )
        };
        for certificate in certificates(file).with_context(unusable)? {
            roots.add(certificate).with_context(unusable)?;
        }
    }
    let config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(http().tls_backend_preconfigured(config))
}

/// Why a call failed for want of trust in who answered, in words for people; nothing where it failed otherwise.
pub fn distrust(error: &reqwest::Error) -> Option<String> {
    use rustls::CertificateError::{
        BadSignature, Expired, ExpiredContext, NotValidForName, NotValidForNameContext, NotValidYet,
        NotValidYetContext, UnknownIssuer,
    };
    match found(error)? {
        rustls::Error::InvalidMessage(_) => {
            Some("it speaks no TLS at this port: write http:// where that is meant".to_owned())
        }
        rustls::Error::InvalidCertificate(why) => Some(match why {
            UnknownIssuer | BadSignature => {
                "its certificate is of an authority that is not believed here: name the authority's file with --ca-file or \
                 RINGMASTER_CA_FILE"
                    .to_owned()
            }
            Expired | ExpiredContext { .. } => {
                "its certificate has run out: have the node's operator renew it, or mend this machine's clock".to_owned()
            }
            NotValidYet | NotValidYetContext { .. } => {
                "its certificate is not valid yet: mend this machine's clock, or have the node's operator look".to_owned()
            }
            NotValidForName | NotValidForNameContext { .. } => {
                "its certificate is for another name: call the node by a name that the certificate has".to_owned()
            }
            other => format!("its certificate is not to be trusted ({other}): have the node's operator look"),
        }),
        _ => None,
    }
}

/// What TLS has to say of an error, however it is wrapped. One of input and output gives the one inside as its own, and
/// leaves it out of its causes.
fn found<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a rustls::Error> {
    if let Some(found) = error.downcast_ref() {
        return Some(found);
    }
    let inner = error.downcast_ref::<std::io::Error>().and_then(|error| error.get_ref());
    inner.and_then(|inner| found(inner)).or_else(|| error.source().and_then(found))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn written(dir: &Path, name: &str, text: &str, mode: u32) -> std::path::PathBuf {
        let file = dir.join(name);
        std::fs::write(&file, text).expect("written");
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).expect("set");
        file
    }

    #[test]
    fn a_pair_goes_together_and_says_when_it_ends() {
        let dir = tempfile::tempdir().expect("a directory");
        let made = || {
            let mut params = rcgen::CertificateParams::new(vec!["files.example".to_owned()]).expect("a name");
            params.not_after = rcgen::date_time_ymd(2031, 5, 7);
            let key = rcgen::KeyPair::generate().expect("a key");
            (params.self_signed(&key).expect("a certificate").pem(), key.serialize_pem())
        };
        let ((certificate, key), (_, other)) = (made(), made());
        let certificate = written(dir.path(), "c.pem", &certificate, 0o644);
        let read = |key: &Path| Pair::read(&certificate, key).map_err(|error| format!("{error:#}"));
        let pair = read(&written(dir.path(), "k.pem", &key, 0o600)).expect("they go together");
        assert_eq!(pair.ends_ms, Some(1_935_878_400_000));
        assert_eq!(pair.config.alpn_protocols, [b"h2".to_vec(), b"http/1.1".to_vec()]);
        for (text, mode, says) in [
            (other.as_str(), 0o600, "cannot be used together"),
            (key.as_str(), 0o640, "chmod 600"),
            ("nothing", 0o600, "`tls.key`"),
            ("", 0o600, "`tls.key`"),
        ] {
            let said = read(&written(dir.path(), "k.pem", text, mode)).expect_err(says);
            assert!(said.contains(says), "{said}");
        }
        assert!(Pair::read(&dir.path().join("k.pem"), &dir.path().join("k.pem")).is_err());
    }
}
