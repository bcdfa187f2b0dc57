//! Figures: what a step counted, and what it had to be.

/// What one step found.
#[derive(Clone, Debug)]
pub struct Figure {
    /// What was done, and how often.
    pub what: String,
    /// What came of it.
    pub found: String,
    /// What was promised.
    pub promised: String,
    /// Whether that holds.
    pub holds: Holds,
}

/// Whether a promise holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holds {
    /// It does.
    Yes,
    /// It does not.
    No,
    /// This machine does not allow it to be tried; the figure says why.
    NotTried,
}

impl Figure {
    /// A figure that holds or does not.
    pub fn new(what: impl Into<String>, found: impl Into<String>, promised: impl Into<String>, holds: bool) -> Self {
        Self {
            what: what.into(),
            found: found.into(),
            promised: promised.into(),
            holds: if holds { Holds::Yes } else { Holds::No },
        }
    }

    /// What could not be tried here, and why.
    pub fn not_tried(what: impl Into<String>, why: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            found: format!("not possible here: {}", why.into()),
            promised: String::new(),
            holds: Holds::NotTried,
        }
    }

    /// The figure as a line for a terminal.
    pub fn line(&self) -> String {
        let holds = match self.holds {
            Holds::Yes => "holds",
            Holds::No => "FAILS",
            Holds::NotTried => "-----",
        };
        let promised = if self.promised.is_empty() {
            String::new()
        } else {
            format!(" ({})", self.promised)
        };
        format!("  {holds}  {}: {}{promised}", self.what, self.found)
    }
}

/// What is wrong, gathered; only the first few are worth reading.
#[derive(Debug, Default)]
pub struct Wrongs {
    count: usize,
    shown: Vec<String>,
}

/// How many wrongs are shown.
const SHOWN_MAX: usize = 10;

impl Wrongs {
    /// Adds one.
    pub fn add(&mut self, what: impl Into<String>) {
        self.count += 1;
        if self.shown.len() < SHOWN_MAX {
            self.shown.push(what.into());
        }
    }

    /// Adds all of another.
    pub fn join(&mut self, other: Self) {
        self.count += other.count;
        let room = SHOWN_MAX.saturating_sub(self.shown.len());
        self.shown.extend(other.shown.into_iter().take(room));
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.count
    }

    /// How many there are, and the first few.
    pub fn told(&self) -> String {
        if self.count == 0 {
            return "0 violations".to_owned();
        }
        format!("{} violations, such as: {}", self.count, self.shown.join("; "))
    }
}

/// The value below which this part of the sorted values lies.
pub fn quantile<T: Copy + Ord>(values: &mut [T], part: f64) -> Option<T> {
    values.sort_unstable();
    let last = values.len().checked_sub(1)?;
    values.get((last as f64 * part).round() as usize).copied()
}
