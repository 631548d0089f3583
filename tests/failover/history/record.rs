//! The record of a run, kept in memory and written out as it grows, one JSON object a line.

use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use super::{Moment, Op};

pub(crate) struct Record {
    began: Instant,
    path: PathBuf,
    written: Mutex<(Vec<Op>, BufWriter<File>)>,
}

impl Record {
    /// Into `RINGMASTER_TEST_HISTORY`, where that names a directory, and else into `dir`.
    pub(crate) fn begin(dir: &Path, name: &str) -> Self {
        let dir = std::env::var_os("RINGMASTER_TEST_HISTORY").map_or_else(|| dir.to_owned(), PathBuf::from);
        fs::create_dir_all(&dir).expect("a directory for the history");
        let path = dir.join(format!("{name}.jsonl"));
        let file = BufWriter::new(File::create(&path).expect("the history can be written"));
        Self { began: Instant::now(), path, written: Mutex::new((Vec::new(), file)) }
    }

    pub(crate) fn now(&self) -> Moment {
        Moment::try_from(self.began.elapsed().as_micros()).expect("no run takes half a million years")
    }

    pub(crate) fn add(&self, op: Op) {
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        serde_json::to_writer(&mut written.1, &op).expect("the history can be written");
        written.1.write_all(b"\n").expect("the history can be written");
        written.0.push(op);
    }

    /// Everything so far.
    pub(crate) fn ops(&self) -> Vec<Op> {
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        written.1.flush().expect("the history can be written");
        written.0.clone()
    }

    /// A copy that outlives the cluster's directory: where it is.
    pub(crate) fn keep(&self) -> PathBuf {
        let name = self.path.file_name().expect("it is a file");
        let kept = std::env::temp_dir().join(format!("ringmaster-{}-{}", std::process::id(), name.display()));
        fs::copy(&self.path, &kept).expect("the history is copied");
        kept
    }
}
