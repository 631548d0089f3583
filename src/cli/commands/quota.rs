use std::str::FromStr;

use super::du;
use crate::cli::error::CliError;
use crate::cli::session::Session;
use crate::config::parse_size;
use crate::protocol::versions::{Quota, UserInfo};

/// Show or set how much a user may have
///
/// One of the two bounds that is not given stays as it is. A bound below what the user has takes nothing away, and lets
/// nothing more in.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    username: String,
    /// 10G, 500MB or a number of bytes; `any` for any number; `policy` for what the cluster's policy says
    #[arg(long, value_name = "SIZE")]
    bytes: Option<Bound>,
    /// A number; `any`; or `policy`
    #[arg(long, value_name = "NUMBER")]
    files: Option<Bound>,
}

/// One bound of a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Bound(Option<u64>);

impl FromStr for Bound {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "policy" => return Ok(Self(None)),
            "any" => return Ok(Self(Some(0))),
            _ => {}
        }
        // As sizes are shown: 10G are 10 GiB.
        let binary = text.ends_with(['K', 'M', 'G', 'T']);
        parse_size(&if binary { format!("{text}iB") } else { text.to_owned() }).map(|size| Self(Some(size)))
    }
}

pub(super) async fn run(args: Args, session: &Session) -> Result<(), CliError> {
    let directory = session.directory()?;
    let mut user = directory.user(&args.username).await?;
    if args.bytes.is_some() || args.files.is_some() {
        let quota = Quota {
            username: args.username,
            max_bytes: args.bytes.map_or(user.max_bytes, |bound| bound.0),
            max_files: args.files.map_or(user.max_files, |bound| bound.0),
        };
        user = directory.set_quota(&quota).await?;
    }
    session.out.answer(&user, describe);
    Ok(())
}

fn describe(user: &UserInfo) -> String {
    du::describe(&user.usage)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_read_as_sizes_are_shown() {
        assert_eq!("10G".parse(), Ok(Bound(Some(10 << 30))));
        assert_eq!("500MB".parse(), Ok(Bound(Some(500_000_000))));
        assert_eq!("12".parse(), Ok(Bound(Some(12))));
        assert_eq!("any".parse(), Ok(Bound(Some(0))));
        assert_eq!("policy".parse(), Ok(Bound(None)));
        for wrong in ["", "-1", "ten", "1.5G"] {
            assert!(wrong.parse::<Bound>().is_err(), "{wrong}");
        }
    }
}
