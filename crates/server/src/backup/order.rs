//! The order of a dump's lines: what makes a cut, doubled or mixed-up dump noticeable, and two dumps comparable.

use keyholt_core::audit::Noun;
use keyholt_core::id::{KeyId, ProjectId};
use keyholt_store::{DUMP_FORMAT, DumpLine, EventNumber};
use uuid::Uuid;

/// Where a record or key stands in every dump.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Stands {
    /// Records by kind, project and id.
    Record(usize, ProjectId, Uuid),
    /// Keys by id.
    Key(KeyId),
}

impl Stands {
    /// Where a line stands, if it is a record or key.
    pub(super) fn of(line: &DumpLine) -> Option<Self> {
        match line {
            DumpLine::Record { project, noun, id, .. } => {
                let at = Noun::ALL.iter().position(|one| one == noun)?;
                Some(Self::Record(at, *project, *id))
            }
            DumpLine::Key(columns) => Some(Self::Key(columns.id)),
            _ => None,
        }
    }
}

/// Follows the lines of a dump and notices what is out of order.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Order {
    kind: Option<Kind>,
    stands: Option<Stands>,
    event: EventNumber,
    last_use: Option<KeyId>,
    between: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Kind {
    Begin,
    Record,
    Key,
    Event,
    LastUse,
    Hour,
    End,
}

impl Order {
    /// Takes the next line, or says what is wrong with its place.
    pub(super) fn take(&mut self, line: &DumpLine) -> Result<(), &'static str> {
        let kind = match line {
            DumpLine::Begin { .. } => Kind::Begin,
            DumpLine::Record { .. } => Kind::Record,
            DumpLine::Key(_) => Kind::Key,
            DumpLine::Event { .. } => Kind::Event,
            DumpLine::LastUse { .. } => Kind::LastUse,
            DumpLine::Hour { .. } => Kind::Hour,
            DumpLine::End { .. } => Kind::End,
        };
        match self.kind.replace(kind) {
            None if kind == Kind::Begin => {}
            None => return Err("the data do not begin here"),
            Some(Kind::End) => return Err("the data ended before"),
            Some(before) if kind < before || kind == Kind::Begin => return Err("it is out of order"),
            Some(_) => {}
        }
        match line {
            DumpLine::Begin { format, .. } if *format > DUMP_FORMAT => return Err("the data are of a newer format"),
            DumpLine::Event { numbered, .. } => {
                if numbered.number.0 != self.event.0 + 1 {
                    return Err("an audit event is missing before it");
                }
                self.event = numbered.number;
            }
            DumpLine::LastUse { key, .. } => {
                if self.last_use.is_some_and(|last| last >= *key) {
                    return Err("it is out of order");
                }
                self.last_use = Some(*key);
            }
            DumpLine::End { head, lines } => {
                if *head != self.event || *lines != self.between {
                    return Err("lines are missing before it");
                }
            }
            DumpLine::Begin { .. } | DumpLine::Record { .. } | DumpLine::Key(_) | DumpLine::Hour { .. } => {}
        }
        if let Some(stands) = Stands::of(line) {
            if self.stands.is_some_and(|last| last >= stands) {
                return Err("it is out of order");
            }
            self.stands = Some(stands);
        }
        if !matches!(kind, Kind::Begin | Kind::End) {
            self.between += 1;
        }
        Ok(())
    }

    /// Whether the last line was taken.
    pub(super) fn is_complete(&self) -> bool {
        self.kind == Some(Kind::End)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begin() -> DumpLine {
        DumpLine::Begin {
            format: DUMP_FORMAT,
            bond: None,
        }
    }

    fn used(key: u128) -> DumpLine {
        DumpLine::LastUse {
            key: KeyId::from_uuid(Uuid::from_u128(key)),
            first_at: 0,
            last_at: 0,
            address: None,
        }
    }

    fn end(lines: u64) -> DumpLine {
        DumpLine::End {
            head: EventNumber(0),
            lines,
        }
    }

    fn takes(lines: &[DumpLine]) -> bool {
        let mut order = Order::default();
        lines.iter().all(|line| order.take(line).is_ok()) && order.is_complete()
    }

    #[test]
    fn a_dump_is_whole_or_refused() {
        assert!(takes(&[begin(), used(1), used(2), end(2)]));
        for wrong in [
            vec![begin(), used(1), used(2)],
            vec![used(1), end(1)],
            vec![begin(), begin(), end(0)],
            vec![begin(), used(2), used(1), end(2)],
            vec![begin(), used(1), used(1), end(2)],
            vec![begin(), used(1), end(2)],
            vec![begin(), end(0), end(0)],
            vec![begin(), end(0), used(1)],
        ] {
            assert!(!takes(&wrong), "{wrong:?}");
        }
    }
}
