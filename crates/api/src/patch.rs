//! A member of a change with three states: left out, `null`, or a value.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::fault::{FaultCode, Faults, Reason};

/// What shall become of one member. Left out keeps it; `null` clears it, where that means something.
///
/// Write the field with `#[serde(default, skip_serializing_if = "Patch::is_keep")]`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Patch<T> {
    /// It stays as it is.
    #[default]
    Keep,
    /// It is cleared.
    Clear,
    /// It becomes this.
    Set(T),
}

impl<T> Patch<T> {
    /// Whether it stays as it is.
    pub const fn is_keep(&self) -> bool {
        matches!(self, Self::Keep)
    }

    /// The same state, borrowing the value.
    pub const fn as_ref(&self) -> Patch<&T> {
        match self {
            Self::Keep => Patch::Keep,
            Self::Clear => Patch::Clear,
            Self::Set(value) => Patch::Set(value),
        }
    }
}

impl<T> From<Option<T>> for Patch<T> {
    /// A value that is there is set; one that is missing keeps what was.
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Keep, Self::Set)
    }
}

impl<T: Serialize> Serialize for Patch<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Keep | Self::Clear => serializer.serialize_none(),
            Self::Set(value) => value.serialize(serializer),
        }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Patch<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // `Keep` is what serde's `default` gives to a member that is left out.
        Option::<T>::deserialize(deserializer).map(|value| value.map_or(Self::Clear, Self::Set))
    }
}

/// `Some(None)` is a value that could not be read.
pub(crate) fn all_or<T>(read: Option<Option<T>>) -> Option<Option<T>> {
    match read {
        None => Some(None),
        Some(None) => None,
        Some(Some(value)) => Some(Some(value)),
    }
}

/// The new value of a member that cannot be cleared.
pub(crate) fn set<T>(faults: &mut Faults, field: &str, patch: Patch<T>) -> Option<T> {
    match patch {
        Patch::Keep => None,
        Patch::Clear => {
            let reason = "cannot be cleared; leave it out to keep what it is";
            faults.add(field, Reason(FaultCode::NotNull, reason.into()));
            None
        }
        Patch::Set(value) => Some(value),
    }
}

/// The new value of a member that is empty when cleared.
pub(crate) fn clearable<T: Default>(patch: Patch<T>) -> Option<T> {
    match patch {
        Patch::Keep => None,
        Patch::Clear => Some(T::default()),
        Patch::Set(value) => Some(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Body {
        #[serde(default, skip_serializing_if = "Patch::is_keep")]
        member: Patch<u8>,
    }

    #[test]
    fn left_out_null_and_a_value_are_three_things_both_ways() {
        for (text, member) in [
            ("{}", Patch::Keep),
            (r#"{"member":null}"#, Patch::Clear),
            (r#"{"member":7}"#, Patch::Set(7)),
        ] {
            let body: Body = serde_json::from_str(text).unwrap();
            assert_eq!(body.member, member);
            assert_eq!(serde_json::to_string(&body).unwrap(), text);
        }
    }
}
