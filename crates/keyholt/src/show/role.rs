//! Roles, as people read them.

use keyholt_api::role::Role;

use super::{Breadth, Listed, words};
use crate::printer::Shown;
use crate::printer::table::{Card, Cell, Head};

impl Listed for Role {
    fn heads(breadth: Breadth) -> Vec<Head> {
        let mut heads = vec![Head::whole("ID"), Head::words("NAME"), Head::words("SCOPES")];
        if breadth == Breadth::Wide {
            heads.extend([Head::words("DESCRIPTION"), Head::whole("CREATED")]);
        }
        heads
    }

    fn row(&self, breadth: Breadth) -> Vec<Cell> {
        let mut row = vec![
            self.id.to_string().into(),
            self.name.as_str().into(),
            words(&self.scopes).into(),
        ];
        if breadth == Breadth::Wide {
            row.push(self.description.as_str().into());
            row.push(super::day(self.created_at).into());
        }
        row
    }
}

impl Shown for Role {
    fn card(&self) -> Card {
        Card::default()
            .line("role", self.id.to_string())
            .line("name", self.name.as_str())
            .line_if_any("description", Some(&self.description))
            .line("scopes", words(&self.scopes))
            .line("created", self.created_at.to_string())
            .line("revision", self.revision.to_string())
    }
}
