//! Figures: what was measured, what it may be, and whether it holds.

use serde::{Deserialize, Serialize};

/// One measured number.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    /// Its name, which stays the same from run to run.
    pub name: String,
    /// What it is, for people.
    pub what: String,
    /// The number.
    pub value: f64,
    /// In what.
    pub unit: Unit,
    /// What it may be; some figures only inform.
    pub limit: Option<Limit>,
}

/// What a number counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// A ratio of two measurements of one run.
    Times,
    /// Nanoseconds.
    Nanoseconds,
    /// Milliseconds.
    Milliseconds,
    /// Seconds.
    Seconds,
    /// Bytes.
    Bytes,
    /// Thousands of bytes.
    Kilobytes,
    /// Millions of bytes.
    Megabytes,
    /// How often something happened.
    Count,
}

/// What a number may be.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Limit {
    /// This or less.
    AtMost(f64),
    /// This or more.
    AtLeast(f64),
}

impl Limit {
    /// Whether a number keeps it; what is no number keeps nothing.
    pub fn holds(self, value: f64) -> bool {
        match self {
            Self::AtMost(most) => value <= most,
            Self::AtLeast(least) => value >= least,
        }
    }

    /// The number of the limit.
    pub fn number(self) -> f64 {
        match self {
            Self::AtMost(number) | Self::AtLeast(number) => number,
        }
    }
}

impl Figure {
    /// A figure that must keep a limit.
    pub fn limited(name: &str, what: &str, value: f64, unit: Unit, limit: Limit) -> Self {
        Self {
            limit: Some(limit),
            ..Self::told(name, what, value, unit)
        }
    }

    /// A figure that informs.
    pub fn told(name: &str, what: &str, value: f64, unit: Unit) -> Self {
        Self {
            name: name.to_owned(),
            what: what.to_owned(),
            value,
            unit,
            limit: None,
        }
    }

    /// Whether it keeps its limit; one without a limit does.
    pub fn holds(&self) -> bool {
        self.limit.is_none_or(|limit| limit.holds(self.value))
    }

    /// The number with its unit.
    pub fn shown(&self) -> String {
        self.unit.shown(self.value)
    }

    /// The limit with its unit; nothing where there is none.
    pub fn limit_shown(&self) -> String {
        match self.limit {
            None => String::new(),
            Some(Limit::AtMost(most)) => format!("≤ {}", self.unit.shown(most)),
            Some(Limit::AtLeast(least)) => format!("≥ {}", self.unit.shown(least)),
        }
    }
}

impl Unit {
    fn shown(self, value: f64) -> String {
        match self {
            Self::Times if value < 10.0 => format!("{value:.2}×"),
            Self::Times => format!("{value:.0}×"),
            Self::Nanoseconds => format!("{value:.0} ns"),
            Self::Milliseconds => format!("{value:.1} ms"),
            Self::Seconds => format!("{value:.2} s"),
            Self::Bytes => format!("{value:.0} B"),
            Self::Kilobytes => format!("{value:.1} kB"),
            Self::Megabytes => format!("{value:.1} MB"),
            Self::Count if value.fract() == 0.0 => format!("{value:.0}"),
            Self::Count => format!("{value:.2}"),
        }
    }
}

/// The median; no number where there is none.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let upper = sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN);
    let lower = sorted
        .get(sorted.len().saturating_sub(1) / 2)
        .copied()
        .unwrap_or(f64::NAN);
    f64::midpoint(lower, upper)
}

/// The median of the ratios of two series, round by round: what disturbs a round disturbs both of its halves.
pub fn ratio(one: &[f64], other: &[f64]) -> f64 {
    median(
        &one.iter()
            .zip(other)
            .map(|(one, other)| one / other)
            .collect::<Vec<_>>(),
    )
}

/// A median with the smallest and the largest value, for tables.
pub fn spread(values: &[f64], digits: usize) -> String {
    let (least, most) = values
        .iter()
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(least, most), value| {
            (least.min(*value), most.max(*value))
        });
    format!("{:.digits$} [{least:.digits$}–{most:.digits$}]", median(values))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_lies_in_the_middle() {
        assert_eq!(median(&[9.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[1.0, 4.0]), 2.5);
        assert!(median(&[]).is_nan());
    }

    #[test]
    fn a_ratio_is_taken_round_by_round() {
        // In the second round the machine was half as fast, for both.
        assert_eq!(ratio(&[10.0, 5.0, 12.0], &[20.0, 10.0, 20.0]), 0.5);
    }

    #[test]
    fn a_limit_holds_at_its_number_and_never_for_what_is_no_number() {
        assert!(Limit::AtMost(1.2).holds(1.2) && !Limit::AtMost(1.2).holds(1.21));
        assert!(Limit::AtLeast(0.88).holds(0.88) && !Limit::AtLeast(0.88).holds(0.87));
        assert!(!Limit::AtMost(1.0).holds(f64::NAN) && !Limit::AtLeast(1.0).holds(f64::NAN));
    }
}
