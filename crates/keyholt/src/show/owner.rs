//! Users, teams and services, as people read them.

use keyholt_api::owner::{Service, Team, User};
use keyholt_core::owner::MemberRight;
use serde_json::{Map, Value};

use super::{Breadth, Listed, standing, standing_word, words};
use crate::printer::Shown;
use crate::printer::table::{Card, Cell, Head};

fn heads(handle: &'static str, about: &'static str, breadth: Breadth, more: &'static str) -> Vec<Head> {
    let mut heads = vec![
        Head::whole("ID"),
        Head::words(handle),
        Head::words(about),
        Head::words("ROLES"),
        Head::whole("STANDING"),
    ];
    if breadth == Breadth::Wide {
        heads.push(Head::words(more));
        heads.push(Head::whole("CREATED"));
    }
    heads
}

fn metadata_text(metadata: &Map<String, Value>) -> Option<Value> {
    (!metadata.is_empty()).then(|| Value::Object(metadata.clone()))
}

impl Listed for User {
    fn heads(breadth: Breadth) -> Vec<Head> {
        heads("EXTERNAL ID", "NAME", breadth, "E-MAIL")
    }

    fn row(&self, breadth: Breadth) -> Vec<Cell> {
        let mut row = vec![
            self.id.to_string().into(),
            self.external_id.as_str().into(),
            self.name.as_str().into(),
            words(&self.roles).into(),
            standing_word(self.suspended_since),
        ];
        if breadth == Breadth::Wide {
            row.push(Cell::maybe(self.email.as_ref()));
            row.push(super::day(self.created_at).into());
        }
        row
    }
}

impl Shown for User {
    fn card(&self) -> Card {
        Card::default()
            .line("user", self.id.to_string())
            .line("external id", self.external_id.as_str())
            .line("name", self.name.as_str())
            .line_if_any("e-mail", self.email.as_ref())
            .line("roles", words(&self.roles))
            .line("standing", standing(self.suspended_since))
            .line_if_any("metadata", metadata_text(&self.metadata))
            .line("created", self.created_at.to_string())
            .line("revision", self.revision.to_string())
    }
}

impl Listed for Team {
    fn heads(breadth: Breadth) -> Vec<Head> {
        heads("EXTERNAL ID", "NAME", breadth, "MEMBERS")
    }

    fn row(&self, breadth: Breadth) -> Vec<Cell> {
        let mut row = vec![
            self.id.to_string().into(),
            self.external_id.as_str().into(),
            self.name.as_str().into(),
            words(&self.roles).into(),
            standing_word(self.suspended_since),
        ];
        if breadth == Breadth::Wide {
            row.push(self.members.len().to_string().into());
            row.push(super::day(self.created_at).into());
        }
        row
    }
}

impl Shown for Team {
    fn card(&self) -> Card {
        let mut card = Card::default()
            .line("team", self.id.to_string())
            .line("external id", self.external_id.as_str())
            .line("name", self.name.as_str())
            .line("roles", words(&self.roles))
            .line("standing", standing(self.suspended_since))
            .line_if_any("metadata", metadata_text(&self.metadata))
            .line("created", self.created_at.to_string())
            .line("revision", self.revision.to_string());
        for member in &self.members {
            let right = match member.right {
                MemberRight::Belong => "",
                MemberRight::ManageKeys => " (manages the team's keys)",
            };
            card = card.line("member", format!("{}{right}", member.user.id));
        }
        card
    }
}

impl Listed for Service {
    fn heads(breadth: Breadth) -> Vec<Head> {
        heads("NAME", "DESCRIPTION", breadth, "METADATA")
    }

    fn row(&self, breadth: Breadth) -> Vec<Cell> {
        let mut row = vec![
            self.id.to_string().into(),
            self.name.as_str().into(),
            self.description.as_str().into(),
            words(&self.roles).into(),
            standing_word(self.suspended_since),
        ];
        if breadth == Breadth::Wide {
            row.push(Cell::maybe(metadata_text(&self.metadata)));
            row.push(super::day(self.created_at).into());
        }
        row
    }
}

impl Shown for Service {
    fn card(&self) -> Card {
        Card::default()
            .line("service", self.id.to_string())
            .line("name", self.name.as_str())
            .line_if_any("description", Some(&self.description))
            .line("roles", words(&self.roles))
            .line("standing", standing(self.suspended_since))
            .line_if_any("metadata", metadata_text(&self.metadata))
            .line("created", self.created_at.to_string())
            .line("revision", self.revision.to_string())
    }
}
