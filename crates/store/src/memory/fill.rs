//! Dumps of the memory store, and filling it from one.

use keyholt_core::audit::Noun;
use keyholt_core::seal::Seal;
use keyholt_core::time::Moment;

use super::{Named, State};
use crate::dump::{DUMP_FORMAT, DumpLine};
use crate::{Hex32, KeyColumns, LastUse, StoreError, StoredRecord};

impl State {
    pub(super) fn dump(&self, each: &mut (dyn FnMut(DumpLine) + Send)) {
        let mut lines = 0;
        each(DumpLine::Begin {
            format: DUMP_FORMAT,
            bond: self.bond,
        });
        for noun in Noun::ALL {
            for Named { handle, record } in self.records.values().filter(|named| named.record.noun == noun) {
                lines += 1;
                each(DumpLine::Record {
                    project: record.project,
                    noun,
                    id: record.id,
                    handle: handle.clone(),
                    revision: record.revision,
                    body: record.body.clone(),
                    seal: Hex32(*record.seal.as_bytes()),
                });
            }
        }
        for (key, seal) in self.keys.values() {
            lines += 1;
            each(DumpLine::Key(Box::new(KeyColumns::new(key, seal))));
        }
        for (numbered, touched) in &self.events {
            lines += 1;
            each(DumpLine::Event {
                numbered: numbered.clone(),
                touched: touched.clone(),
            });
        }
        for (key, last) in &self.last_uses {
            lines += 1;
            each(DumpLine::LastUse {
                key: *key,
                first_at: last.first_at.ms(),
                last_at: last.last_at.ms(),
                address: last.address,
            });
        }
        for ((key, hour, outcome), count) in &self.hours {
            lines += 1;
            each(DumpLine::Hour {
                key: *key,
                hour: *hour,
                outcome: *outcome,
                count: *count,
            });
        }
        let head = self.head();
        each(DumpLine::End { head, lines });
    }

    pub(super) fn fill(&mut self, lines: Vec<DumpLine>) -> Result<(), StoreError> {
        // All lines or none of them; a copy of everything is a plain way to that.
        let mut filled = self.clone();
        for line in lines {
            filled.fill_line(line)?;
        }
        *self = filled;
        Ok(())
    }

    fn fill_line(&mut self, line: DumpLine) -> Result<(), StoreError> {
        let Some(filled) = self.filling else {
            return self.fill_begin(&line);
        };
        let corrupt = |what: String| StoreError::Corrupt(what);
        match line {
            DumpLine::Begin { .. } => return Err(StoreError::NotEmpty),
            DumpLine::Record {
                project,
                noun,
                id,
                handle,
                revision,
                body,
                seal,
            } => {
                let record = StoredRecord {
                    project,
                    noun,
                    id,
                    revision,
                    body,
                    seal: Seal::from_bytes(seal.0),
                };
                self.put_record((project, noun, id), Some(Named { handle, record }));
            }
            DumpLine::Key(columns) => {
                let read = columns.read()?;
                self.put_key(columns.id, Some(read));
            }
            DumpLine::Event { numbered, touched } => {
                if numbered.number.0 != self.head().0 + 1 {
                    return Err(corrupt(format!("event {} is out of order", numbered.number.0)));
                }
                self.events.push((numbered, touched));
            }
            DumpLine::LastUse {
                key,
                first_at,
                last_at,
                address,
            } => {
                let last = LastUse {
                    first_at: Moment::from_ms(first_at),
                    last_at: Moment::from_ms(last_at),
                    address,
                };
                self.last_uses.insert(key, last);
            }
            DumpLine::Hour {
                key,
                hour,
                outcome,
                count,
            } => drop(self.hours.insert((key, hour, outcome), count)),
            DumpLine::End { head, lines } => {
                if head != self.head() || lines != filled {
                    return Err(corrupt(format!("the dump has {lines} lines, {filled} came")));
                }
                self.filling = None;
                return Ok(());
            }
        }
        self.filling = Some(filled + 1);
        Ok(())
    }

    fn fill_begin(&mut self, line: &DumpLine) -> Result<(), StoreError> {
        let DumpLine::Begin { format, bond } = line else {
            return Err(StoreError::NotEmpty);
        };
        let empty = self.records.is_empty() && self.keys.is_empty() && self.events.is_empty();
        if !empty || self.bond.is_some() {
            return Err(StoreError::NotEmpty);
        }
        if *format > DUMP_FORMAT {
            return Err(StoreError::TooNew {
                found: *format,
                known: DUMP_FORMAT,
            });
        }
        self.bond = *bond;
        self.filling = Some(0);
        Ok(())
    }
}
