//! Keys and certificates as text (RFC 7468), for other programs.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use rustls_pki_types::CertificateDer;

use super::authority::private_key;

/// The private key with this seed.
pub fn key(seed: &[u8; 32]) -> String {
    block("PRIVATE KEY", private_key(seed).secret_pkcs8_der())
}

pub fn certificate(certificate: &CertificateDer<'_>) -> String {
    block("CERTIFICATE", certificate)
}

fn block(label: &str, der: &[u8]) -> String {
    let text = BASE64_STANDARD.encode(der);
    let mut lines: Vec<&str> = Vec::new();
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let (line, behind) = rest.split_at(rest.len().min(64));
        lines.push(line);
        rest = behind;
    }
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}
