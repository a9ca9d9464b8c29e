//! A table by bank number, in which a look-up is one index.
//!
//! Bank numbers are small and few, and every payment looks its two accounts up several times.

use crate::types::identity::BankId;

#[derive(Clone, Debug)]
pub(crate) struct BankTable<T>(Vec<Option<Box<T>>>);

impl<T> Default for BankTable<T> {
    fn default() -> Self {
        BankTable(Vec::new())
    }
}

impl<T> BankTable<T> {
    pub(crate) fn get(&self, bank: BankId) -> Option<&T> {
        self.0.get(usize::from(bank.0))?.as_deref()
    }

    pub(crate) fn get_mut(&mut self, bank: BankId) -> Option<&mut T> {
        self.0.get_mut(usize::from(bank.0))?.as_deref_mut()
    }

    pub(crate) fn insert(&mut self, bank: BankId, value: T) {
        let slot = usize::from(bank.0);
        if self.0.len() <= slot {
            self.0.resize_with(slot + 1, || None);
        }
        self.0[slot] = Some(Box::new(value));
    }

    /// The entries from a bank on, in the order of numbers.
    pub(crate) fn from(&self, bank: BankId) -> impl Iterator<Item = (BankId, &T)> {
        let slots = (bank.0..).zip(self.0.iter().skip(usize::from(bank.0)));
        slots.filter_map(|(number, value)| Some((BankId(number), value.as_deref()?)))
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (BankId, &mut T)> {
        (0..).zip(&mut self.0).filter_map(|(number, value)| Some((BankId(number), value.as_deref_mut()?)))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (BankId, &T)> {
        self.from(BankId(0))
    }
}

impl<T> FromIterator<(BankId, T)> for BankTable<T> {
    fn from_iter<I: IntoIterator<Item = (BankId, T)>>(entries: I) -> Self {
        let mut table = BankTable::default();
        entries.into_iter().for_each(|(bank, value)| table.insert(bank, value));
        table
    }
}
