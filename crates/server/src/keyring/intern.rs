//! Values that many keys share, kept once and named by a number.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use super::table::{Full, Table};

/// A table of distinct values, found by their text at rest.
///
/// Values are never taken out: an access that no key has any more costs its few bytes until the next start.
pub struct Interned<T> {
    values: Table<T>,
    numbers: Mutex<HashMap<Box<str>, u32>>,
}

impl<T> Default for Interned<T> {
    fn default() -> Self {
        Self {
            values: Table::new(),
            numbers: Mutex::default(),
        }
    }
}

impl<T> Interned<T> {
    /// The number of the value with this text; `read` makes the value where it is new.
    pub fn number<E: From<Full>>(&self, text: &str, read: impl FnOnce(&str) -> Result<T, E>) -> Result<u32, E> {
        let mut numbers = self.numbers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(number) = numbers.get(text) {
            return Ok(*number);
        }
        let number = self.values.push(read(text)?)?;
        numbers.insert(text.into(), number);
        Ok(number)
    }

    /// The value with this number.
    pub fn value(&self, number: u32) -> Option<&T> {
        self.values.get(number)
    }
}
