//! Where a page ended, as an opaque text.
//!
//! A cursor names a place, not a row or an offset, so that it stays valid whatever changes between two pages: the
//! next page starts at what then comes after that place. It comes back from clients and is believed in nothing but
//! where to look.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::domain::RejectionKind;
use crate::domain::path::MAX_PATH_BYTES;
use crate::domain::record::Record;
use crate::domain::record::declare::record;
use crate::domain::stop::{Stop, reject};

/// What is paged. A cursor of one list says nothing in another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Paged {
    Children = 1,
    Everything = 2,
    Locks = 3,
    Versions = 4,
    Trash = 5,
    Users = 6,
    Uploads = 7,
    Extents = 8,
    Parts = 20,
}

record! {
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub(super) struct Cursor as "cursor" {
        paged: u32 = 1,
        /// The first entry or fence that may still come.
        pub(super) from: u64 = 2,
        /// The way to what came last.
        pub(super) after: Vec<String> = 3,
    }
}

impl Cursor {
    pub(super) fn new(paged: Paged, from: u64, after: Vec<String>) -> Self {
        Self { paged: paged as u32, from, after }
    }

    pub(super) fn write(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.to_bytes())
    }

    /// The cursor of a request; the beginning where there is none.
    pub(super) fn read(paged: Paged, text: Option<&str>) -> Result<Self, Stop> {
        let Some(text) = text else { return Ok(Self::new(paged, 0, Vec::new())) };
        let decode = || {
            // Base64 adds a third, and each name has a tag and a length.
            if text.len() > 2 * MAX_PATH_BYTES {
                return None;
            }
            let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
            Self::from_bytes(&bytes).ok().filter(|cursor| cursor.paged == paged as u32)
        };
        decode()
            .ok_or_else(|| reject(RejectionKind::InvalidRequest, "the cursor is not valid: list from the beginning"))
    }
}
