//! Projects and their policies, as people read them.

use keyholt_api::project::Project;
use keyholt_core::owner::OwnerKind;

use super::{Breadth, Listed, standing, standing_word, words};
use crate::printer::Shown;
use crate::printer::table::{Card, Cell, Head};

impl Listed for Project {
    fn heads(breadth: Breadth) -> Vec<Head> {
        let mut heads = vec![
            Head::whole("ID"),
            Head::words("SLUG"),
            Head::words("NAME"),
            Head::whole("STANDING"),
        ];
        if breadth == Breadth::Wide {
            heads.extend([Head::whole("PREFIX"), Head::whole("CREATED")]);
        }
        heads
    }

    fn row(&self, breadth: Breadth) -> Vec<Cell> {
        let mut row = vec![
            self.id.to_string().into(),
            self.slug.as_str().into(),
            self.name.as_str().into(),
            standing_word(self.suspended_since),
        ];
        if breadth == Breadth::Wide {
            row.push(self.policy.prefix.as_str().into());
            row.push(super::day(self.created_at).into());
        }
        row
    }
}

impl Shown for Project {
    fn card(&self) -> Card {
        let policy = &self.policy;
        let owners: Vec<&str> = policy.owners.iter().copied().map(OwnerKind::as_str).collect();
        let mut card = Card::default()
            .line("project", self.id.to_string())
            .line("slug", self.slug.as_str())
            .line("name", self.name.as_str())
            .line("standing", standing(self.suspended_since))
            .line("prefix", policy.prefix.as_str())
            .line("default lifetime", policy.default_lifetime.as_str())
            .line("longest lifetime", policy.longest_lifetime.as_str())
            .line("default grace", policy.default_grace.to_string())
            .line("longest grace", policy.longest_grace.to_string())
            .line("keys for", owners.join(" "))
            .line("keys per owner", policy.keys_per_owner.to_string())
            .line("default roles", words(&policy.default_roles))
            .line("session idle", policy.session_idle.to_string())
            .line("session longest", policy.session_longest.to_string())
            .line("password", format!("{} characters or more", policy.password_chars_min));
        match &policy.scopes {
            None => card = card.line("scopes", "any"),
            Some(scopes) if scopes.is_empty() => card = card.line("scopes", "none"),
            Some(scopes) => {
                for (scope, meaning) in scopes {
                    let text = if meaning.is_empty() {
                        scope.clone()
                    } else {
                        format!("{scope}  {meaning}")
                    };
                    card = card.line("scope", text);
                }
            }
        }
        card.line("created", self.created_at.to_string())
            .line("revision", self.revision.to_string())
    }
}
