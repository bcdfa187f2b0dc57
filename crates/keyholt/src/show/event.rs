//! Entries of the audit trail, as people read them.

use keyholt_api::event::Event;

use super::{Breadth, Listed, owner_text};
use crate::printer::table::{Cell, Head, Tone};

impl Listed for Event {
    fn heads(breadth: Breadth) -> Vec<Head> {
        let mut heads = vec![
            Head::whole("NUMBER"),
            Head::whole("AT"),
            Head::words("ACTION"),
            Head::words("OUTCOME"),
            Head::words("ACTOR"),
            Head::words("TARGET"),
        ];
        if breadth == Breadth::Wide {
            heads.extend(["OWNER", "CAUSE", "FROM", "REQUEST"].map(Head::words));
        }
        heads
    }

    fn row(&self, breadth: Breadth) -> Vec<Cell> {
        let outcome = match (self.outcome.as_str(), &self.refusal) {
            ("done", _) => Cell::toned("done", Tone::Good),
            (outcome, Some(code)) => Cell::toned(format!("{outcome}: {code}"), Tone::Wary),
            (outcome, None) => outcome.into(),
        };
        let actor = self.actor.as_ref().map(|actor| owner_text(&actor.owner));
        let target = match self.target.id {
            Some(id) => format!("{}:{id}", self.target.kind.as_str()),
            None => self.target.kind.as_str().to_owned(),
        };
        let mut row = vec![
            self.number.to_string().into(),
            self.at.to_string().into(),
            self.action.as_str().into(),
            outcome,
            actor.unwrap_or_else(|| "keyholt".to_owned()).into(),
            target.into(),
        ];
        if breadth == Breadth::Wide {
            row.extend([
                Cell::maybe(self.owner.as_ref().map(owner_text)),
                Cell::maybe(self.cause.as_ref()),
                Cell::maybe(self.source.address),
                self.source.request_id.as_str().into(),
            ]);
        }
        row
    }
}
