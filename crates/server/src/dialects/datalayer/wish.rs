//! What Datalayer's clients ask for when they make or change a key: two eras of bodies, told apart by one member.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use keyholt_api::fault::{FaultCode, Faults, Reason};
use keyholt_core::actor::Actor;
use keyholt_core::issue::Life;
use keyholt_core::text::{Description, Metadata, Name, TextError};
use keyholt_core::time::{LATEST, Moment};
use serde::Deserialize;
use serde_json::{Map, Number, Value};

use super::NAME;
use crate::dialects::notes;

/// The member of the notes that holds a key's variant.
const VARIANT: &str = "variant";
/// What the command line of 1.1.24 sends instead of `user_token`: the name of the enum's member.
const OLD_COMMAND_LINE: &str = "TokenType.USER";
/// The type of a token in the old client, and of a key in the new one, where none is said.
pub const USER_TOKEN: &str = "user_token";
/// See [`USER_TOKEN`].
pub const SECRET: &str = "secret";

/// A body as it arrives.
#[derive(Deserialize)]
pub struct Sent {
    name: Option<String>,
    description: Option<String>,
    variant: Option<String>,
    expiration_date: Option<Number>,
    #[serde(rename = "expirationDate")]
    expiration_in_ms: Option<Value>,
}

/// Which clients write such a body.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Era {
    /// Python up to 1.2.18: seconds, and the description in Base64.
    Seconds,
    /// Python from 1.2.19 on, and the web client: milliseconds, and plain text.
    Milliseconds,
    /// Neither date is there: somebody's own program, plain text.
    Neither,
}

/// When a key shall end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    /// Nothing is said, or zero: as long as may be.
    Open,
    /// At this instant.
    At(Moment),
}

/// A body that could be read.
#[derive(Debug)]
pub struct Asked {
    /// The key's name.
    pub name: Option<Name>,
    /// The key's description.
    pub description: Option<Description>,
    /// Its variant or type, as a word.
    pub variant: Option<Name>,
    /// When it ends; `None` where nothing is said.
    pub end: Option<End>,
    /// In which form the program at the other end reads the value.
    pub reads: Reads,
}

/// In which form a client of `/tokens` reads the value of a key that was just made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reads {
    /// `token` is the value.
    Text,
    /// `token` is an object that holds it.
    Object,
}

impl Sent {
    /// Reads the body, or tells all that is wrong with it.
    ///
    /// The era is told by the date's member alone. A plain description may look like Base64, so it is not looked at.
    pub fn read(self) -> Result<Asked, Faults> {
        let mut faults = Faults::default();
        let era = match (&self.expiration_date, &self.expiration_in_ms) {
            (Some(_), _) => Era::Seconds,
            (None, Some(_)) => Era::Milliseconds,
            (None, None) => Era::Neither,
        };
        let name = faults.read_optional("name", self.name.as_deref(), Name::new);
        let description = faults.read_optional("description", self.description.as_deref(), |text| describe(text, era));
        let reads = if self.variant.as_deref() == Some(OLD_COMMAND_LINE) || era == Era::Milliseconds {
            Reads::Object
        } else {
            Reads::Text
        };
        let variant = self.variant.as_deref().map(|word| match word {
            OLD_COMMAND_LINE => USER_TOKEN,
            other => other,
        });
        let variant = faults.read_optional("variant", variant, Name::new);
        let end = match (self.expiration_date, self.expiration_in_ms) {
            (Some(seconds), _) => faults.read("expiration_date", in_seconds(&seconds)).map(Some),
            (None, Some(Value::Null) | None) => Some(None),
            (None, Some(date)) => faults.read("expirationDate", in_milliseconds(&date)).map(Some),
        };
        match (name, description, variant, end) {
            (Some(name), Some(description), Some(variant), Some(end)) => Ok(Asked {
                name,
                description,
                variant,
                end,
                reads,
            }),
            _ => Err(faults),
        }
    }
}

impl Asked {
    /// How long the key shall live. Without a date: as long as the policy gives, but not longer than the caller's own key,
    /// which is all that anybody can hand on.
    pub fn life(&self, actor: &Actor) -> Life {
        match (self.end, actor.expiry.at()) {
            (Some(End::At(at)), _) => Life::Until(at),
            (_, Some(own)) => Life::Until(own),
            (_, None) => Life::Default,
        }
    }
}

/// The metadata with this variant noted.
pub fn with_variant(metadata: &Metadata, variant: &str) -> Result<Metadata, TextError> {
    let note = (VARIANT.to_owned(), Value::String(variant.to_owned()));
    notes::write(metadata, NAME, Map::from_iter([note]))
}

/// The variant that was noted; keys made elsewhere are plain secrets.
pub fn variant(metadata: &Metadata) -> &str {
    notes::text(metadata, NAME, VARIANT).unwrap_or(SECRET)
}

fn describe(text: &str, era: Era) -> Result<Description, Reason> {
    let refused = |error: TextError| Reason(FaultCode::Form, error.to_string().into());
    if era != Era::Seconds {
        return Description::new(text).map_err(refused);
    }
    let bytes = STANDARD.decode(text).ok();
    let plain = bytes.and_then(|bytes| String::from_utf8(bytes).ok()).ok_or(Reason(
        FaultCode::Form,
        "must be UTF-8 in Base64 where `expiration_date` is in seconds".into(),
    ))?;
    Description::new(&plain).map_err(refused)
}

fn in_seconds(seconds: &Number) -> Result<End, Reason> {
    match seconds.as_f64() {
        Some(0.0) => Ok(End::Open),
        Some(seconds) => moment(seconds * 1000.0),
        None => Err(outside()),
    }
}

fn in_milliseconds(date: &Value) -> Result<End, Reason> {
    match date {
        Value::Number(ms) => moment(ms.as_f64().unwrap_or(f64::NAN)),
        Value::String(text) => text.parse().map(End::At).map_err(|_| outside()),
        _ => Err(outside()),
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "the range is checked, and every instant in it is exact in a float"
)]
fn moment(ms: f64) -> Result<End, Reason> {
    if ms > 0.0 && ms <= LATEST.ms() as f64 {
        Ok(End::At(Moment::from_ms(ms as i64)))
    } else {
        Err(outside())
    }
}

fn outside() -> Reason {
    Reason(
        FaultCode::Range,
        "must be an instant in the years 1970 to 2999; seconds in `expiration_date`, milliseconds in `expirationDate`"
            .into(),
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(body: Value) -> Result<Asked, String> {
        let sent: Sent = serde_json::from_value(body).unwrap();
        sent.read().map_err(|faults| faults.entries()[0].field.clone())
    }

    #[test]
    fn the_date_s_member_tells_the_era_and_nothing_else_does() {
        let old =
            read(json!({"name": "a", "description": "YWJj", "variant": "user_token", "expiration_date": 0})).unwrap();
        assert_eq!((old.reads, old.end), (Reads::Text, Some(End::Open)));
        assert_eq!(old.description.unwrap().as_str(), "abc");
        let new = read(json!({"name": "a", "description": "YWJj", "expirationDate": 1_893_456_000_000_i64})).unwrap();
        assert_eq!(new.reads, Reads::Object);
        assert_eq!(new.description.unwrap().as_str(), "YWJj");
        assert_eq!(new.end, Some(End::At(Moment::from_ms(1_893_456_000_000))));
        let plain = read(json!({"name": "a", "description": "YWJj"})).unwrap();
        assert_eq!((plain.reads, plain.end), (Reads::Text, None));
        assert_eq!(plain.description.unwrap().as_str(), "YWJj");
    }

    #[test]
    fn the_oldest_command_line_is_known_by_its_slip() {
        let asked = read(json!({"name": "a", "variant": "TokenType.USER", "expiration_date": 0})).unwrap();
        assert_eq!(
            (asked.reads, asked.variant.unwrap().as_str()),
            (Reads::Object, "user_token")
        );
    }

    #[test]
    fn what_cannot_be_meant_is_refused_by_name() {
        for (body, field) in [
            (json!({"name": ""}), "name"),
            (
                json!({"name": "a", "description": "not base64!", "expiration_date": 0}),
                "description",
            ),
            (json!({"name": "a", "expiration_date": -1}), "expiration_date"),
            // Milliseconds given as seconds.
            (
                json!({"name": "a", "expiration_date": 1_893_456_000_000_i64}),
                "expiration_date",
            ),
            (json!({"name": "a", "expirationDate": 0}), "expirationDate"),
            (json!({"name": "a", "expirationDate": "tomorrow"}), "expirationDate"),
            (json!({"name": "a", "expirationDate": true}), "expirationDate"),
            (json!({"name": "a", "variant": "x".repeat(65)}), "variant"),
        ] {
            assert_eq!(read(body.clone()).unwrap_err(), field, "{body}");
        }
    }
}
