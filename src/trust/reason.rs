//! What went wrong with a connection, for people.

use rustls::CertificateError;

use super::identity::Identity;

/// The chain of causes of a failed call as one sentence. Where the other side is not who it should be it says so, and what
/// to compare.
pub fn why(error: &reqwest::Error) -> String {
    let mut causes: Vec<String> = Vec::new();
    // The outermost repeats the url, which the caller knows.
    let mut next: Option<&(dyn std::error::Error + 'static)> = std::error::Error::source(error);
    while let Some(cause) = next {
        if let Some(text) = refusal(cause) {
            return text;
        }
        let text = cause.to_string();
        // Wrappers repeat what they wrap.
        if causes.last() != Some(&text) {
            causes.push(text);
        }
        next = cause.source();
    }
    if causes.is_empty() { error.to_string() } else { causes.join(": ") }
}

/// What TLS has refused, which hides in an I/O error.
fn refusal(cause: &(dyn std::error::Error + 'static)) -> Option<String> {
    let mut cause = cause;
    // An I/O error says that it is its inner error, and not that it has one.
    while let Some(inner) = cause.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref) {
        cause = inner;
    }
    let error = cause.downcast_ref::<rustls::Error>()?;
    let rustls::Error::InvalidCertificate(why) = error else { return None };
    Some(match why {
        CertificateError::BadSignature | CertificateError::UnknownIssuer => {
            "it has another cluster secret, or is a stranger: give all directory nodes the same secret_file, and file \
             servers a join token of this cluster"
                .to_owned()
        }
        CertificateError::NotValidForNameContext { presented, .. } => {
            let who = presented.first().and_then(|name| Identity::parse(name));
            let who = who.map_or_else(|| "another member".to_owned(), |identity| identity.describe());
            format!("{who} of this cluster answers there: correct the address")
        }
        CertificateError::Expired
        | CertificateError::ExpiredContext { .. }
        | CertificateError::NotValidYet
        | CertificateError::NotValidYetContext { .. } => {
            "its certificate is not valid at this time: compare the clocks of the two machines".to_owned()
        }
        other => format!("its certificate is not taken: {other}"),
    })
}
