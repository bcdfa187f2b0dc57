//! Faults: what is wrong with the members of a request, all of it at once and without repeating what was sent.

use std::borrow::Cow;
use std::fmt;

use keyholt_core::id::IdError;
use keyholt_core::key::AllowedError;
use keyholt_core::scope::ScopeError;
use keyholt_core::secret::{FingerprintError, PrefixError, holds_secret};
use keyholt_core::text::TextError;
use keyholt_core::time::{MomentError, SpanError};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::code::Code;

/// Most faults that one answer names; a request with more is wrong enough.
pub const FAULTS_MAX: usize = 100;
/// Most characters of a member's name that are repeated in an answer.
pub const FIELD_CHARS_MAX: usize = 120;

/// One thing that is wrong with a request.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Fault {
    /// The member, as a path such as `items[3].scopes[0]`; empty for the body as a whole.
    #[schema(examples("expires_in"))]
    pub field: String,
    /// What is wrong, as a stable word.
    #[schema(value_type = String, examples("length"))]
    pub code: Cow<'static, str>,
    /// What is wrong, for people.
    #[schema(examples("must have 1 to 64 characters"))]
    pub detail: String,
}

/// What can be wrong with a member.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FaultCode {
    /// It is missing.
    Required,
    /// There is no such member.
    UnknownMember,
    /// There is no such query parameter.
    UnknownParameter,
    /// It is given twice.
    Duplicate,
    /// It is of another JSON type.
    WrongType,
    /// `null` says nothing here.
    NotNull,
    /// Too short or too long.
    Length,
    /// Characters or a form that is not allowed.
    Form,
    /// A name that could be mistaken for an id.
    LooksLikeId,
    /// A pasted key.
    LooksLikeSecret,
    /// Too many, too deep, too big.
    TooMuch,
    /// Not one of the words that are allowed.
    UnknownWord,
    /// A number or an instant outside what is allowed.
    Range,
    /// Two members that exclude each other.
    Conflict,
    /// What it names does not exist.
    NotFound,
}

impl FaultCode {
    /// The stable word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Required => "required",
            Self::UnknownMember => "unknown_member",
            Self::UnknownParameter => "unknown_parameter",
            Self::Duplicate => "duplicate",
            Self::WrongType => "wrong_type",
            Self::NotNull => "not_null",
            Self::Length => "length",
            Self::Form => "form",
            Self::LooksLikeId => "looks_like_id",
            Self::LooksLikeSecret => "looks_like_secret",
            Self::TooMuch => "too_much",
            Self::UnknownWord => "unknown_word",
            Self::Range => "range",
            Self::Conflict => "conflict",
            Self::NotFound => "not_found",
        }
    }
}

/// What a refused value says about itself. The text never repeats the value, which might be a secret.
pub trait Blame {
    /// What is wrong, as a stable word.
    fn code(&self) -> FaultCode;
    /// What is wrong, for people.
    fn detail(&self) -> String;
}

/// A reason that belongs to no type of the domain.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reason(pub FaultCode, pub Cow<'static, str>);

impl Blame for Reason {
    fn code(&self) -> FaultCode {
        self.0
    }

    fn detail(&self) -> String {
        self.1.clone().into_owned()
    }
}

impl Blame for TextError {
    fn code(&self) -> FaultCode {
        match self {
            Self::Length { .. } => FaultCode::Length,
            Self::Characters(_) => FaultCode::Form,
            Self::LooksLikeId => FaultCode::LooksLikeId,
            Self::LooksLikeSecret => FaultCode::LooksLikeSecret,
            Self::Bulk(_) => FaultCode::TooMuch,
        }
    }

    fn detail(&self) -> String {
        self.to_string()
    }
}

impl Blame for ScopeError {
    fn code(&self) -> FaultCode {
        match self {
            Self::Length => FaultCode::Length,
            Self::Form | Self::Reserved => FaultCode::Form,
            Self::TooMany => FaultCode::TooMuch,
        }
    }

    fn detail(&self) -> String {
        self.to_string()
    }
}

macro_rules! misspelt {
    ($($error:ty => $code:ident, $detail:expr;)*) => {$(
        impl Blame for $error {
            fn code(&self) -> FaultCode {
                FaultCode::$code
            }

            fn detail(&self) -> String {
                $detail(self)
            }
        }
    )*};
}

misspelt! {
    IdError => Form, |error: &IdError| error.to_string();
    AllowedError => TooMuch, |error: &AllowedError| error.to_string();
    PrefixError => Form, |error: &PrefixError| error.to_string();
    FingerprintError => Form, |error: &FingerprintError| error.to_string();
    // The errors of instants and spans repeat what was sent; a pasted key would be echoed.
    SpanError => Form, |_: &SpanError| {
        "must be a length of time such as `90d`, `1h 30m` or `P90D`, at most 1000 years, without months or years".to_owned()
    };
    ipnet::AddrParseError => Form, |_: &ipnet::AddrParseError| {
        "must be a network such as `192.0.2.0/24` or `2001:db8::/32`".to_owned()
    };
    std::net::AddrParseError => Form, |_: &std::net::AddrParseError| {
        "must be an IPv4 or IPv6 address without port".to_owned()
    };
}

impl Blame for MomentError {
    fn code(&self) -> FaultCode {
        match self {
            Self::Form(_) => FaultCode::Form,
            Self::Range(_) => FaultCode::Range,
        }
    }

    fn detail(&self) -> String {
        match self {
            Self::Form(_) => {
                "must be an RFC 3339 instant with a zone, such as `2030-01-31T09:00:00Z`, in the years 1970 to 2999"
                    .to_owned()
            }
            Self::Range(_) => "must lie in the years 1970 to 2999".to_owned(),
        }
    }
}

/// All that is wrong with a request, gathered while it is read.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Faults(Vec<Fault>);

impl Faults {
    /// One fault.
    pub fn one(field: impl fmt::Display, blame: impl Blame) -> Self {
        let mut faults = Self::default();
        faults.add(field, blame);
        faults
    }

    /// Notes a fault.
    pub fn add(&mut self, field: impl fmt::Display, blame: impl Blame) {
        if self.0.len() < FAULTS_MAX {
            self.0.push(Fault {
                field: shown(&field.to_string()),
                code: blame.code().as_str().into(),
                detail: blame.detail(),
            });
        }
    }

    /// The value of a field, or a note of what is wrong with it.
    pub fn read<T, E: Blame>(&mut self, field: impl fmt::Display, value: Result<T, E>) -> Option<T> {
        value.map_err(|blame| self.add(field, blame)).ok()
    }

    /// The value of a field that may be left out.
    pub fn read_optional<V, T, E: Blame>(
        &mut self,
        field: impl fmt::Display,
        value: Option<V>,
        parse: impl FnOnce(V) -> Result<T, E>,
    ) -> Option<Option<T>> {
        match value {
            None => Some(None),
            Some(value) => self.read(field, parse(value)).map(Some),
        }
    }

    /// Every entry of a list.
    pub fn read_each<V, T, E: Blame>(
        &mut self,
        field: &str,
        values: impl IntoIterator<Item = V>,
        mut parse: impl FnMut(V) -> Result<T, E>,
    ) -> Option<Vec<T>> {
        let mut read = Vec::new();
        let mut whole = true;
        for (index, value) in values.into_iter().enumerate() {
            match self.read(format_args!("{field}[{index}]"), parse(value)) {
                Some(value) => read.push(value),
                None => whole = false,
            }
        }
        whole.then_some(read)
    }

    /// Takes over what was found inside a member.
    pub fn nest<T>(&mut self, field: impl fmt::Display, inner: Result<T, Self>) -> Option<T> {
        inner
            .map_err(|faults| {
                for fault in faults.0 {
                    if self.0.len() < FAULTS_MAX {
                        let field = if fault.field.is_empty() {
                            field.to_string()
                        } else {
                            format!("{field}.{}", fault.field)
                        };
                        self.0.push(Fault { field, ..fault });
                    }
                }
            })
            .ok()
    }

    /// Builds the value if nothing was wrong.
    pub fn finish<T>(mut self, build: impl FnOnce() -> Option<T>) -> Result<T, Self> {
        match build() {
            Some(value) if self.0.is_empty() => Ok(value),
            None if self.0.is_empty() => {
                self.add("", Reason(FaultCode::Form, "cannot be read".into()));
                Err(self)
            }
            _ => Err(self),
        }
    }

    /// The faults in the order in which they were found.
    pub fn entries(&self) -> &[Fault] {
        &self.0
    }

    /// The faults, given away.
    pub fn into_entries(self) -> Vec<Fault> {
        self.0
    }

    /// The code of the answer that names them. That somebody pasted a key where it would be stored is the first thing to
    /// tell.
    pub fn code(&self) -> Code {
        let is_secret = |fault: &Fault| fault.code == FaultCode::LooksLikeSecret.as_str();
        if self.0.iter().any(is_secret) {
            Code::LooksLikeSecret
        } else {
            Code::InvalidFields
        }
    }
}

/// The name of a member as it may be repeated: cut, and left out where a secret was pasted for a name.
fn shown(field: &str) -> String {
    if holds_secret(field) {
        "…".to_owned()
    } else {
        field.chars().take(FIELD_CHARS_MAX).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use keyholt_core::text::Name;
    use keyholt_core::time::Span;

    #[test]
    fn all_faults_are_told_at_once_and_none_repeats_the_value() {
        let mut faults = Faults::default();
        let name = faults.read("name", Name::new(""));
        let span = faults.read("expires_in", "hunter2".parse::<Span>());
        let inner = Faults::one("scopes[0]", Reason(FaultCode::Form, "is odd".into()));
        let nested = faults.nest::<()>("items[3]", Err(inner));
        let faults = faults.finish(|| Some((name?, span?, nested?))).unwrap_err();
        let fields: Vec<&str> = faults.entries().iter().map(|fault| fault.field.as_str()).collect();
        assert_eq!(fields, ["name", "expires_in", "items[3].scopes[0]"]);
        assert!(faults.entries().iter().all(|fault| !fault.detail.contains("hunter2")));
    }
}
