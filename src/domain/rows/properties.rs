//! What users say of an entry, by names of their own.

use crate::domain::record::declare::{record, single};

record! {
    /// A property with its name.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct Property as "named property" {
        pub name: String = 1,
        pub value: String = 2,
    }
}

single! {
    /// The row of a property: entry and name are its key.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct PropertyRow(pub String) as "property"
}

record! {
    /// How many properties an entry has, and how much they are. An entry without any has none, so that nobody looks for them.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct PropertySum as "sum of properties" {
        pub names: u32 = 1,
        /// Of names and values.
        pub bytes: u32 = 2,
    }
}

impl PropertySum {
    /// One more.
    pub(crate) fn add(&mut self, name: &str, value: &str) {
        self.names = self.names.saturating_add(1);
        self.bytes = self.bytes.saturating_add(size(name, value));
    }

    /// One less.
    pub(crate) fn take(&mut self, name: &str, value: &str) {
        self.names = self.names.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(size(name, value));
    }

    /// As an entry has it.
    pub(crate) fn kept(self) -> Option<Self> {
        (self != Self::default()).then_some(self)
    }
}

fn size(name: &str, value: &str) -> u32 {
    u32::try_from(name.len() + value.len()).unwrap_or(u32::MAX)
}
