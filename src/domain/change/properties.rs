//! Properties, which go wherever their entry goes: they are under its id.

use super::Change;
use crate::domain::rows::{Entry, Property, PropertySum};
use crate::domain::stop::Stop;
use crate::domain::{Fault, FileId, rules, tables};

impl Change<'_> {
    /// Sets and removes properties of an entry, and writes its row where their sum changes.
    pub(crate) fn set_properties(
        &mut self,
        entry: &mut Entry,
        set: &[Property],
        remove: &[String],
    ) -> Result<(), Stop> {
        let (id, mut sum) = (entry.file_id, entry.properties.unwrap_or_default());
        for name in remove {
            if self.forget_property(id, name, &mut sum)? {
                tables::delete_property(self.store, id, name)?;
            }
        }
        for Property { name, value } in set {
            self.forget_property(id, name, &mut sum)?;
            sum.add(name, value);
            tables::put_property(self.store, id, name, value)?;
        }
        rules::check_property_sum(&sum)?;
        if entry.properties != sum.kept() {
            entry.properties = sum.kept();
            tables::put_entry(self.store, entry)?;
        }
        Ok(())
    }

    /// Takes a property out of the sum, if it is there.
    fn forget_property(&self, id: FileId, name: &str, sum: &mut PropertySum) -> Result<bool, Fault> {
        // Most entries have none.
        let known = if sum.names > 0 { tables::property(self.store, id, name)? } else { None };
        if let Some(value) = &known {
            sum.take(name, value);
        }
        Ok(known.is_some())
    }

    /// Gives a new entry the properties of another.
    pub(crate) fn copy_properties(&mut self, from: &Entry, to: &mut Entry) -> Result<(), Fault> {
        if from.properties.is_none() {
            return Ok(());
        }
        let mut sum = PropertySum::default();
        for Property { name, value } in tables::properties(self.store, from.file_id)? {
            sum.add(&name, &value);
            tables::put_property(self.store, to.file_id, &name, &value)?;
        }
        to.properties = sum.kept();
        tables::put_entry(self.store, to)
    }

    /// Removes all properties of an entry that goes. Answers with the number of rows.
    pub(crate) fn drop_properties(&mut self, entry: &Entry) -> Result<usize, Fault> {
        if entry.properties.is_none() {
            return Ok(0);
        }
        let properties = tables::properties(self.store, entry.file_id)?;
        for property in &properties {
            tables::delete_property(self.store, entry.file_id, &property.name)?;
        }
        Ok(properties.len())
    }
}
