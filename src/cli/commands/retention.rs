use std::str::FromStr;

use super::policy::{parse_time, shown_time};
use crate::cli::error::CliError;
use crate::cli::remote::Remote;
use crate::cli::session::Session;
use crate::cli::table::{Table, or_dash};
use crate::protocol::retention::{OwnRetention, Retention, Retentions, SetRetention};

/// Show or set how long a directory keeps what is below it
///
/// A value that is not given stays as it is. What is not said of a directory is said by the nearest one above it that does, or
/// else by the cluster's policy. What is kept already keeps the time that it has. Without DIR, the directories of your tree
/// are listed that have values of their own.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    #[arg(value_name = "DIR")]
    directory: Option<Remote>,
    /// How many older versions of a file an update keeps; 0 for none; `inherit` for what is said further up
    #[arg(long, value_name = "NUMBER", requires = "directory")]
    versions_keep: Option<Said<u32>>,
    /// For how long, as 30days or 12h; 0s for not at all; `inherit`
    #[arg(long, value_name = "TIME", requires = "directory", value_parser = time)]
    versions: Option<Said<u64>>,
    /// For how long what was deleted can be had back; 0s for not at all; `inherit`
    #[arg(long, value_name = "TIME", requires = "directory", value_parser = time)]
    trash: Option<Said<u64>>,
    /// All three are said further up
    #[arg(long, requires = "directory", conflicts_with_all = ["versions_keep", "versions", "trash"])]
    clear: bool,
}

/// One value of a directory; nothing where it is said further up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Said<T>(Option<T>);

const INHERIT: &str = "inherit";

impl FromStr for Said<u32> {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == INHERIT {
            return Ok(Self(None));
        }
        text.parse().map(|number| Self(Some(number))).map_err(|_| format!("write a number, or `{INHERIT}`"))
    }
}

fn time(text: &str) -> Result<Said<u64>, String> {
    if text == INHERIT { Ok(Said(None)) } else { parse_time(text).map(|ms| Said(Some(ms))) }
}

impl Args {
    /// The values to be set, where any is to be.
    fn change(&self, own: &OwnRetention) -> Option<SetRetention> {
        if self.clear {
            return Some(SetRetention::default());
        }
        if self.versions_keep.is_none() && self.versions.is_none() && self.trash.is_none() {
            return None;
        }
        Some(SetRetention {
            versions_keep: self.versions_keep.map_or(own.versions_keep, |said| said.0),
            versions_ms: self.versions.map_or(own.versions_ms, |said| said.0),
            trash_ms: self.trash.map_or(own.trash_ms, |said| said.0),
            ..SetRetention::default()
        })
    }
}

pub(super) async fn run(args: Args, session: &Session) -> Result<(), CliError> {
    let directory = session.directory()?;
    let Some(place) = &args.directory else {
        session.out.answer(&directory.retentions().await?, list);
        return Ok(());
    };
    let (name, about) = (place.name(), |error| CliError::from(error).about(place));
    let mut found = directory.retention(&name).await.map_err(about)?;
    if let Some(change) = args.change(&found.own) {
        // The same one, whatever has its name by now.
        let change = SetRetention { file_id: Some(found.file_id), ..change };
        directory.set_retention(&change).await.map_err(about)?;
        found = directory.retention(&name).await.map_err(about)?;
    }
    session.out.answer(&found, describe);
    Ok(())
}

fn describe(found: &Retention) -> String {
    let mut table = Table::new(&[]);
    let mut line = |name: &str, value: String, own: bool, is: &str| {
        let whose = if own { "of its own" } else { "from above" };
        table.row(vec![format!("{name}={value}"), whose.to_owned(), is.to_owned()]);
    };
    let (own, counts) = (&found.own, &found.effective);
    let keep = counts.versions_keep.to_string();
    line("versions_keep", keep, own.versions_keep.is_some(), "older versions of a file are kept; 0 for none");
    line("versions", shown_time(counts.versions_ms), own.versions_ms.is_some(), "an older version is kept");
    line("trash", shown_time(counts.trash_ms), own.trash_ms.is_some(), "what was deleted can be had back");
    table.render()
}

fn list(found: &Retentions) -> String {
    if found.directories.is_empty() {
        return String::new();
    }
    let mut table = Table::with_titles(&[true], &["VERSIONS", "FOR", "TRASH", "DIRECTORY"]);
    for one in &found.directories {
        let own = &one.own;
        table.row(vec![
            or_dash(own.versions_keep),
            or_dash(own.versions_ms.map(shown_time)),
            or_dash(own.trash_ms.map(shown_time)),
            one.path.clone(),
        ]);
    }
    table.render()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(versions_keep: Option<Said<u32>>, trash: Option<Said<u64>>, clear: bool) -> Args {
        Args { directory: None, versions_keep, versions: None, trash, clear }
    }

    #[test]
    fn what_is_not_given_stays_and_what_is_inherited_goes() {
        let own = OwnRetention { versions_keep: Some(1), versions_ms: Some(2), trash_ms: Some(3) };
        assert_eq!(args(None, None, false).change(&own), None, "it is only shown");
        let set = args(Some(Said(None)), Some(Said(Some(9))), false).change(&own);
        let expected = SetRetention { versions_ms: Some(2), trash_ms: Some(9), ..SetRetention::default() };
        assert_eq!(set, Some(expected));
        assert_eq!(args(None, None, true).change(&own), Some(SetRetention::default()));
    }

    #[test]
    fn values_are_read_as_the_policy_is() {
        assert_eq!("7".parse(), Ok(Said(Some(7_u32))));
        assert_eq!("inherit".parse::<Said<u32>>(), Ok(Said(None)));
        assert_eq!(time("30days"), Ok(Said(Some(30 * 86_400_000))));
        assert_eq!(time("0s"), Ok(Said(Some(0))));
        assert_eq!(time("inherit"), Ok(Said(None)));
        for wrong in ["", "-1", "30", "ever"] {
            assert!(time(wrong).is_err() && wrong.parse::<Said<u32>>().is_ok() == (wrong == "30"), "{wrong}");
        }
    }
}
