//! Values that TOML has no type for: base urls and sizes.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

use figment::value::magic::RelativePathBuf;
use ipnet::IpNet;
use serde::de::{Deserializer, Error, Visitor};
use serde::{Deserialize, Serialize};

use crate::domain::plant::{self, Plant};

/// `http://host:port` or `https://host:port`, without a path, as it is advertised to others: two spellings of one place compare equal.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct BaseUrl(String);

impl BaseUrl {
    /// Without a slash at its end.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The url of a socket on this machine.
    pub fn of(address: SocketAddr, tls: bool) -> Self {
        Self(format!("http{}://{address}", if tls { "s" } else { "" }))
    }

    pub fn is_https(&self) -> bool {
        self.0.starts_with("https://")
    }

    /// Whether its host is the address that means "all of this machine's", at which nobody can call.
    pub(super) fn is_unspecified(&self) -> bool {
        let host = self.0.split_once("://").map_or("", |(_, host)| host);
        host.starts_with("0.0.0.0:") || host.starts_with("[::]:")
    }
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for BaseUrl {
    type Err = String;

    /// # Errors
    /// When the text is anything else than `http://host` or `https://host`, an optional port and an optional slash.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = |why: &str| format!("\"{text}\" {why}; write it as http://HOST:PORT or https://HOST:PORT");
        let url = url::Url::parse(text.trim()).map_err(|error| wrong(&format!("is not a url ({error})")))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(wrong("does not start with http:// or https://"));
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
        Ok(Self(format!("{}://{host}:{}", url.scheme(), url.port_or_known_default().unwrap_or(80))))
    }
}

impl<'de> Deserialize<'de> for BaseUrl {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

/// Reads a size: a whole number and an optional unit, decimal (`kB`, `MB`, …) or binary (`KiB`, `MiB`, …).
pub(crate) fn parse_size(text: &str) -> Result<u64, String> {
    let trimmed = text.trim();
    let wrong = |why: &str| format!("\"{text}\" {why}; write a size as \"1GiB\", \"500MB\" or a number of bytes");
    let digits = trimmed.find(|c: char| !c.is_ascii_digit()).unwrap_or(trimmed.len());
    let (number, unit) = trimmed.split_at(digits);
    let number: u64 = number.parse().map_err(|_| wrong("does not start with a whole number"))?;
    let unit = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "kb" => 1000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "tb" => 1_000_000_000_000,
        "kib" => 1 << 10,
        "mib" => 1 << 20,
        "gib" => 1 << 30,
        "tib" => 1_u64 << 40,
        _ => return Err(wrong("has a unit that is not known")),
    };
    number.checked_mul(unit).ok_or_else(|| wrong("is larger than can be counted"))
}

struct SizeVisitor;

impl Visitor<'_> for SizeVisitor {
    type Value = u64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a size")
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<u64, E> {
        Ok(value)
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<u64, E> {
        u64::try_from(value).map_err(|_| E::custom(format!("{value} is less than nothing")))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<u64, E> {
        parse_size(text).map_err(E::custom)
    }
}

pub(super) fn size<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    deserializer.deserialize_any(SizeVisitor)
}

pub(super) fn optional_size<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    size(deserializer).map(Some)
}

/// The name of a bug, or nothing.
pub(super) fn plant<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Plant>, D::Error> {
    let name = String::deserialize(deserializer)?;
    if name.is_empty() {
        return Ok(None);
    }
    if !plant::is_possible() {
        return Err(D::Error::custom("this build cannot have a bug planted: only that of the tests can"));
    }
    name.parse().map(Some).map_err(D::Error::custom)
}

/// Networks, and addresses that stand for themselves alone.
pub(super) fn networks<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<IpNet>, D::Error> {
    let texts = Vec::<String>::deserialize(deserializer)?;
    let networks = texts.iter().map(|text| {
        let text = text.trim();
        let found = text.parse::<IpNet>().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from));
        let network =
            found.ok_or_else(|| D::Error::custom(format!("\"{text}\" is neither an address nor a network")))?;
        if network.prefix_len() == 0 {
            let why = format!("\"{text}\" is everybody, and so whoever calls could say that he is somebody else");
            return Err(D::Error::custom(why));
        }
        Ok(network.trunc())
    });
    networks.collect()
}

/// A path; one that stands in a file is relative to that file.
pub(super) fn path<'de, D: Deserializer<'de>>(deserializer: D) -> Result<PathBuf, D::Error> {
    let path = RelativePathBuf::deserialize(deserializer)?;
    if path.original().as_os_str().is_empty() {
        return Err(D::Error::custom("the path is empty"));
    }
    Ok(path.relative())
}

pub(super) fn optional_path<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<PathBuf>, D::Error> {
    path(deserializer).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (text, bytes) in [("0", 0), ("17", 17), ("1GiB", 1 << 30), ("5 TiB", 5 << 40), ("2kB", 2000), ("3b", 3)] {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
        for text in ["", "GiB", "1.5GiB", "-1", "1 parsec", "99999999TiB", "99999999999999999999"] {
            assert!(parse_size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn urls() {
        let parse = |text: &str| text.parse::<BaseUrl>().map(|url| url.to_string());
        assert_eq!(parse("http://127.0.0.1:3041/"), Ok("http://127.0.0.1:3041".into()));
        assert_eq!(parse("http://Node-1"), Ok("http://node-1:80".into()));
        assert_eq!(parse("http://[::1]:5"), Ok("http://[::1]:5".into()));
        assert_eq!(parse("https://files.example/"), Ok("https://files.example:443".into()));
        for text in ["", "127.0.0.1:3041", "ftp://a:1", "http://a:1/x", "http://a:1?x", "http://u@a:1", "http://a:0"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
