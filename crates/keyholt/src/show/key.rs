//! Keys, as people read them.

use keyholt_api::key::{FoundKey, Key};
use keyholt_api::scopes::Scopes;
use keyholt_api::usage::Usage;
use keyholt_api::whoami::Whoami;

use super::{Breadth, Listed, day, owner_text, words};
use crate::printer::Shown;
use crate::printer::table::{Card, Cell, Head, Tone};

impl Listed for Key {
    fn heads(breadth: Breadth) -> Vec<Head> {
        let mut heads = vec![
            Head::whole("ID"),
            Head::words("NAME"),
            Head::words("OWNER"),
            Head::whole("STATE"),
            Head::whole("EXPIRES"),
        ];
        if breadth == Breadth::Wide {
            heads.extend(["KIND", "SCOPES", "TAGS", "HINT", "LAST USED"].map(Head::words));
        }
        heads
    }

    fn row(&self, breadth: Breadth) -> Vec<Cell> {
        let mut row = vec![
            self.id.to_string().into(),
            self.name.as_str().into(),
            owner_text(&self.owner).into(),
            state(&self.state),
            self.expires_at.map_or_else(|| "never".to_owned(), day).into(),
        ];
        if breadth == Breadth::Wide {
            row.extend([
                self.kind.as_str().into(),
                scopes_text(&self.scopes).into(),
                words(&self.tags).into(),
                Cell::maybe(self.hint.as_ref()),
                self.last_used_at.map_or_else(|| "never".to_owned(), day).into(),
            ]);
        }
        row
    }
}

impl Shown for Key {
    fn card(&self) -> Card {
        let restricted = |entries: &Option<Vec<String>>| entries.as_deref().map(words);
        let metadata = (!self.metadata.is_empty()).then(|| serde_json::Value::Object(self.metadata.clone()));
        Card::default()
            .line("key", self.id.to_string())
            .line("name", self.name.as_str())
            .line_if_any("description", Some(&self.description))
            .line("owner", owner_text(&self.owner))
            .line("kind", self.kind.as_str())
            .line("state", state(&self.state))
            .line_if_any("suspended since", self.suspended_since)
            .line_if_any("revoked at", self.revoked_at)
            .line_if_any("because", self.revoked_cause.as_ref())
            .line("scopes", scopes_text(&self.scopes))
            .line(
                "expires",
                self.expires_at.map_or_else(|| "never".to_owned(), |at| at.to_string()),
            )
            .line_if_any("old secret until", self.retiring_until)
            .line_if_any("environment", self.environment.as_ref())
            .line_if_any("networks", restricted(&self.networks))
            .line_if_any("origins", restricted(&self.origins))
            .line_if_any("audience", restricted(&self.audience))
            .line_if_any("tags", Some(words(&self.tags)))
            .line_if_any("metadata", metadata)
            .line_if_any("hint", self.hint.as_ref())
            .line("created", self.created_at.to_string())
            .line_if_any("created by key", self.created_by)
            .line(
                "last used",
                self.last_used_at
                    .map_or_else(|| "never".to_owned(), |at| at.to_string()),
            )
            .line("revision", self.revision.to_string())
    }
}

impl Shown for FoundKey {
    fn card(&self) -> Card {
        self.key.card()
    }
}

impl Shown for Whoami {
    fn card(&self) -> Card {
        let may = match self.effective_scopes.as_slice() {
            [] => "nothing".to_owned(),
            scopes => words(scopes),
        };
        Card::default()
            .line("owner", owner_text(&self.owner))
            .line("project", self.project.slug.as_str())
            .line("key", self.key.id.to_string())
            .line("name", self.key.name.as_str())
            .line("state", state(&self.key.state))
            .line(
                "expires",
                self.key
                    .expires_at
                    .map_or_else(|| "never".to_owned(), |at| at.to_string()),
            )
            .line("may", may)
    }
}

impl Shown for Usage {
    fn card(&self) -> Card {
        let when = |at: Option<keyholt_core::time::Moment>| at.map_or_else(|| "never".to_owned(), |at| at.to_string());
        Card::default()
            .line("first used", when(self.first_used_at))
            .line("last used", when(self.last_used_at))
            .line_if_any("last used from", self.last_used_from)
    }
}

/// What a key may do.
fn scopes_text(scopes: &Scopes) -> String {
    match scopes {
        Scopes::Everything => "everything".to_owned(),
        Scopes::Only(scopes) if scopes.is_empty() => "nothing".to_owned(),
        Scopes::Only(scopes) => words(scopes),
    }
}

fn state(word: &str) -> Cell {
    let tone = match word {
        "active" => Tone::Good,
        "suspended" => Tone::Wary,
        "revoked" | "expired" => Tone::Bad,
        _ => Tone::Usual,
    };
    Cell::toned(word, tone)
}
