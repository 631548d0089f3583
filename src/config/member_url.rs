//! Where a machine of the cluster is for the others.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

use serde::de::{Deserializer, Error};
use serde::{Deserialize, Serialize};

/// `https://host:port` without a path: two spellings of one place compare equal. Connections between machines are always
/// TLS, so that `http` and `https` in front say the same.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct MemberUrl(String);

impl MemberUrl {
    /// Without a slash at its end.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The url of a socket on this machine.
    pub fn of(address: SocketAddr) -> Self {
        Self(format!("https://{address}"))
    }

    /// Whether its host is the address that means "all of this machine's", at which nobody can call.
    pub(super) fn is_unspecified(&self) -> bool {
        self.0.starts_with("https://0.0.0.0") || self.0.starts_with("https://[::]")
    }
}

impl fmt::Display for MemberUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for MemberUrl {
    type Err = String;

    /// # Errors
    /// When the text is anything else than `https://host`, a port and an optional slash.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = |why: &str| format!("\"{text}\" {why}; write it as https://HOST:PORT");
        let url = url::Url::parse(text.trim()).map_err(|error| wrong(&format!("is not a url ({error})")))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(wrong("does not start with https://"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(wrong("holds a user name or a password, which are not used"));
        }
        if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
            return Err(wrong("has something behind the port"));
        }
        if url.port() == Some(0) {
            return Err(wrong("has port 0, at which nobody can call"));
        }
        let host = url.host_str().ok_or_else(|| wrong("has no host"))?;
        let port = url.port_or_known_default().ok_or_else(|| wrong("has no port"))?;
        Ok(Self(format!("https://{host}:{port}")))
    }
}

impl<'de> Deserialize<'de> for MemberUrl {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_spellings_of_one_place_are_equal() {
        let parse = |text: &str| text.parse::<MemberUrl>().map(|url| url.0);
        assert_eq!(parse("http://127.0.0.1:4041/"), Ok("https://127.0.0.1:4041".into()));
        assert_eq!(parse("https://Node-1:5"), Ok("https://node-1:5".into()));
        assert_eq!(parse("https://[::1]:5"), Ok("https://[::1]:5".into()));
        for text in
            ["", "127.0.0.1:4041", "ftp://a:1", "https://a:1/x", "https://a:1?x", "https://u@a:1", "https://a:0"]
        {
            let error = parse(text).expect_err(text);
            assert!(error.contains("https://HOST:PORT"), "{error}");
        }
    }
}
