//! Closed sets of words, as the contract lists them. Bodies carry them as text, so that a newer server can add one.

use utoipa::ToSchema;

macro_rules! words {
    ($($(#[$doc:meta])* $name:ident { $($(#[$word_doc:meta])* $word:ident,)* })*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Debug, ToSchema)]
        #[schema(rename_all = "snake_case")]
        pub enum $name {
            $($(#[$word_doc])* $word,)*
        }
    )*};
}

words! {
    /// What sort of key.
    KeyKind {
        /// An ordinary key.
        Standard,
        /// A user's one permanent master key.
        Static,
        /// Not secret: meant for browsers.
        Publishable,
        /// A person's log-in; cannot be asked for.
        Session,
    }
    /// What becomes of what was made with a key that is revoked.
    Descendants {
        /// It works on.
        Keep,
        /// It ends with the key.
        Revoke,
    }
    /// How a session is shown.
    SessionMode {
        /// By refresh tokens.
        Tokens,
        /// By a cookie.
        Cookie,
    }
    /// Whether a key works.
    KeyState {
        /// It does.
        Active,
        /// Stopped for a time.
        Suspended,
        /// Stopped for good.
        Revoked,
        /// Its time is over.
        Expired,
    }
    /// The kinds of owner.
    OwnerKind {
        /// A person.
        User,
        /// A group of people.
        Team,
        /// A machine account.
        Service,
    }
    /// What a member may do with the team's keys.
    MemberRight {
        /// Nothing; the member just belongs.
        Belong,
        /// Create, change, rotate and revoke them.
        ManageKeys,
    }
    /// Whether a thing was done.
    EventOutcome {
        /// It was.
        Done,
        /// It was refused.
        Refused,
    }
    /// The kinds of thing that events are about.
    EventNoun {
        /// A project.
        Project,
        /// A role.
        Role,
        /// A user.
        User,
        /// A team.
        Team,
        /// A service.
        Service,
        /// A user's password.
        Password,
        /// A key that signs access tokens.
        SigningKey,
        /// An access token that was revoked before its end.
        Token,
        /// A key.
        Key,
        /// The set-up.
        Setup,
    }
    /// How a presented key fared.
    UseOutcome {
        /// It was granted.
        Granted,
        /// It was granted on the secret that a rotation retires.
        GrantedRetiring,
        /// It was denied because of its standing.
        DeniedStanding,
        /// It was denied because of where it was used.
        DeniedBounds,
        /// It was denied for want of scopes.
        DeniedScope,
    }
    /// What else to tell about a key.
    IncludeWord {
        /// Its name.
        Name,
        /// Its tags.
        Tags,
        /// Its metadata.
        Metadata,
    }
    /// The form of an export.
    ExportFormat {
        /// JSON Lines: one JSON object a line.
        Jsonl,
        /// CSV with a heading.
        Csv,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use keyholt_core::audit::Noun;
    use keyholt_core::key::Kind;

    #[test]
    fn the_contract_lists_the_words_of_the_domain() {
        let listed = |schema: utoipa::openapi::RefOr<utoipa::openapi::Schema>| {
            let schema = serde_json::to_value(schema).unwrap();
            let mut words: Vec<String> = serde_json::from_value(schema["enum"].clone()).unwrap();
            words.sort_unstable();
            words
        };
        let mut kinds = Kind::ALL.map(|kind| kind.as_str().to_owned());
        kinds.sort_unstable();
        assert_eq!(listed(<KeyKind as utoipa::PartialSchema>::schema()), kinds);
        let mut nouns = Noun::ALL.map(|noun| noun.as_str().to_owned());
        nouns.sort_unstable();
        assert_eq!(listed(<EventNoun as utoipa::PartialSchema>::schema()), nouns);
    }
}
