//! Files that a backup lacks, by their names.

use super::output::Output;
use crate::backup::FileFault;

/// Lines at a time; a screen or two more help nobody.
const SHOWN: usize = 100;

/// Names the first of `count` files on standard error, each after `what`, and says how many more there are and which
/// command names them.
pub(super) fn note(what: &str, faults: &[FileFault], count: u64, all_by: &str) {
    for line in lines(faults, count, all_by) {
        Output::note(format_args!("{what}: {line}"));
    }
}

/// The lines of [`note`], for a command whose answer they are.
pub(super) fn lines(faults: &[FileFault], count: u64, all_by: &str) -> impl Iterator<Item = String> {
    let shown = faults.len().min(SHOWN);
    let more = count.saturating_sub(shown as u64);
    let last = (more > 0).then(|| format!("… and {more} more: {all_by}"));
    faults[..shown].iter().map(ToString::to_string).chain(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_shown_is_counted() {
        let fault = |file_id| FileFault { file_id, path: format!("ann:/{file_id}"), detail: "it is gone".to_owned() };
        let faults: Vec<_> = (0..130).map(fault).collect();
        let told: Vec<_> = lines(&faults, 5_000, "ask again").collect();
        assert_eq!((told.len(), told[7].as_str()), (101, "ann:/7 (file 7): it is gone"));
        assert_eq!(told[100], "… and 4900 more: ask again");
        assert_eq!(lines(&faults[..100], 100, "ask again").count(), 100);
    }
}
