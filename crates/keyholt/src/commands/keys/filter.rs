//! The filters of the list of keys, as arguments.

use clap::{Args, ValueEnum};
use keyholt_api::filter::KeyFilter;

use crate::commands::arguments::OwnerArguments;

/// Which keys.
#[derive(Args)]
pub struct FilterArguments {
    #[command(flatten)]
    owner: OwnerArguments,
    /// Of this kind
    #[arg(long, value_enum)]
    kind: Option<KindWord>,
    /// In this state
    #[arg(long, value_enum)]
    state: Option<StateWord>,
    /// With this scope written in what they may do
    #[arg(long)]
    scope: Option<String>,
    /// With this tag
    #[arg(long)]
    tag: Option<String>,
    /// With these words in name or description
    #[arg(long, value_name = "WORDS")]
    text: Option<String>,
    /// Neither used nor made for this long, such as `30d`
    #[arg(long, value_name = "TIME")]
    unused_for: Option<String>,
    /// Ending within this time, such as `14d`
    #[arg(long, value_name = "TIME")]
    expiring_within: Option<String>,
    /// Ending before this instant, such as `2030-02-01T00:00:00Z`
    #[arg(long, value_name = "INSTANT")]
    expiring_before: Option<String>,
    /// Made with the key of this id
    #[arg(long, value_name = "KEY")]
    created_by: Option<String>,
}

/// A kind of key.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum KindWord {
    /// For machines
    Standard,
    /// A user's one permanent key that carries everything
    Static,
    /// Meant for browsers, not secret
    Publishable,
}

impl KindWord {
    /// The word of the API.
    pub fn word(self) -> &'static str {
        match self {
            Self::Standard => "standard",
            Self::Static => "static",
            Self::Publishable => "publishable",
        }
    }
}

/// A state of a key.
#[derive(Clone, Copy, ValueEnum)]
enum StateWord {
    Active,
    Suspended,
    Revoked,
    Expired,
}

impl StateWord {
    fn word(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Suspended => "suspended",
            Self::Revoked => "revoked",
            Self::Expired => "expired",
        }
    }
}

impl FilterArguments {
    /// As filters of the API.
    pub fn filter(self) -> KeyFilter {
        KeyFilter {
            owner: self.owner.filter(),
            kind: self.kind.map(|kind| kind.word().to_owned()),
            state: self.state.map(|state| state.word().to_owned()),
            scope: self.scope,
            tag: self.tag,
            text: self.text,
            unused_for: self.unused_for,
            expiring_within: self.expiring_within,
            expiring_before: self.expiring_before,
            created_by: self.created_by,
        }
    }
}
