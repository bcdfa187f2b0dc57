//! Verdicts, as people read them.

use keyholt_api::key::Validity;
use keyholt_api::verify::{RuleOutcome, Verdict, Warning};

use super::{owner_text, words};
use crate::printer::Shown;
use crate::printer::table::{Card, Cell, Head, Table, Tone};

impl Shown for Verdict {
    fn card(&self) -> Card {
        let mut card = Card::default().line("verdict", verdict(self.valid, &self.code));
        if let Some(missing) = &self.missing_scopes {
            card = card.line("missing scopes", words(missing));
        }
        if let Some(key) = &self.key {
            card = card
                .line("key", key.id.to_string())
                .line_if_any("name", key.name.as_ref())
                .line("kind", key.kind.as_str())
                .line(
                    "expires",
                    key.expires_at.map_or_else(|| "never".to_owned(), |at| at.to_string()),
                )
                .line_if_any("tags", key.tags.as_deref().map(words))
                .line_if_any("metadata", key.metadata.clone().map(serde_json::Value::Object));
        }
        card = card.line_if_any("owner", self.owner.as_ref().map(owner_text));
        if let Some(scopes) = &self.scopes {
            let may = if scopes.is_empty() {
                "nothing".to_owned()
            } else {
                words(scopes)
            };
            card = card.line("may", may);
        }
        for warning in &self.warnings {
            let text = match warning {
                Warning::ExpiresSoon { at } => format!("the key expires at {at}"),
                Warning::SupersededSecret { until } => {
                    format!("this is the secret before the last rotation; it works until {until}")
                }
            };
            card = card.line("warning", Cell::toned(text, Tone::Wary));
        }
        card.line("as of", self.as_of.to_string())
    }
}

impl Shown for Validity {
    fn card(&self) -> Card {
        let card = Card::default().line("verdict", verdict(self.valid, &self.code));
        match self.exposed_at {
            None => card,
            Some(at) => {
                let text = format!("its secret was seen where others can read it, last at {at}; rotate it");
                card.line("warning", Cell::toned(text, Tone::Wary))
            }
        }
    }
}

fn verdict(valid: bool, code: &str) -> Cell {
    if valid {
        Cell::toned("valid", Tone::Good)
    } else {
        Cell::toned(format!("not valid: {code}"), Tone::Bad)
    }
}

/// The rules in the order in which they are looked at, with their outcomes.
pub fn rules_table(rules: &[RuleOutcome]) -> Table {
    let mut table = Table::new([Head::words("RULE"), Head::words("OUTCOME")]);
    for rule in rules {
        let tone = if rule.outcome == "passed" {
            Tone::Good
        } else {
            Tone::Bad
        };
        table.row([rule.name.as_str().into(), Cell::toned(&rule.outcome, tone)]);
    }
    table
}
