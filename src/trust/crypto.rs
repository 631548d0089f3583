//! The cryptography under TLS, one for the whole process.

use std::sync::Arc;

use rustls::crypto::{CryptoProvider, ring};

/// The cryptography that every connection of this program uses. It is the process's default from the first call on, because
/// libraries that are handed none ask for that one.
pub fn provider() -> Arc<CryptoProvider> {
    // An error says that there is one already, which is this one: nobody else installs any.
    let _ = ring::default_provider().install_default();
    CryptoProvider::get_default().map_or_else(|| Arc::new(ring::default_provider()), Arc::clone)
}

/// The beginning of an HTTP client. It trusts no certificate, goes through no proxy and follows no redirect until its maker
/// says otherwise.
pub fn http() -> reqwest::ClientBuilder {
    provider();
    reqwest::Client::builder().tls_certs_only([]).no_proxy().redirect(reqwest::redirect::Policy::none())
}
