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
    /// The number of the value with this text; `read` makes the value where it is new. A text that cannot be read has
    /// no number, however often it comes.
    pub fn number(&self, text: &str, read: impl FnOnce(&str) -> Option<T>) -> Result<Option<u32>, Full> {
        let mut numbers = self.numbers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(number) = numbers.get(text) {
            return Ok(Some(*number));
        }
        let Some(value) = read(text) else { return Ok(None) };
        let number = self.values.push(value)?;
        numbers.insert(text.into(), number);
        Ok(Some(number))
    }

    /// The number of a value that no text names.
    pub fn unnamed(&self, value: T) -> Result<u32, Full> {
        self.values.push(value)
    }

    /// The value with this number.
    pub fn value(&self, number: u32) -> Option<&T> {
        self.values.get(number)
    }
}
