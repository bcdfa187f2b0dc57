//! Files of keys to import: JSON, JSON Lines or CSV, each key with its place in the file.
//!
//! A key may come with its `secret` in clear, as another product's database keeps it: it is hashed here and goes no further.

use std::collections::HashMap;
use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use clap::ValueEnum;
use keyholt_api::import::ImportedKey;
use keyholt_api::reference::OwnerChoice;
use keyholt_api::scopes::Scopes;
use serde::Deserialize;
use serde_json::Value;
use zeroize::Zeroizing;

use super::reveal::sha256;
use crate::trouble::Trouble;

/// Largest file that is read.
const FILE_BYTES_MAX: u64 = 1024 * 1024 * 1024;
/// Most keys in one file.
const KEYS_MAX: usize = 1_000_000;
/// Between the entries of a list in one cell of CSV.
const SEPARATOR: char = ';';
/// Most mistakes that are told at once.
const FAULTS_MAX: usize = 10;

/// The file that is no file.
pub const STDIN: &str = "-";

/// The form of a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Format {
    /// A JSON array of keys, or an object with the member `keys`
    Json,
    /// One JSON object on each line
    Jsonl,
    /// Comma-separated values; the first row names the columns
    Csv,
}

impl Format {
    /// The form that a file's name tells.
    pub fn of(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
            "json" => Some(Self::Json),
            "jsonl" | "ndjson" => Some(Self::Jsonl),
            "csv" => Some(Self::Csv),
            _ => None,
        }
    }
}

/// A key to import, and where it stands.
#[derive(Debug)]
pub struct Row {
    /// Where it stands in the file.
    pub place: Place,
    /// The key.
    pub key: ImportedKey,
}

/// Where a key stands in a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    /// On this line, counted from 1.
    Line(u64),
    /// As this entry of the list, counted from 1.
    Entry(usize),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line(line) => write!(f, "line {line}"),
            Self::Entry(entry) => write!(f, "entry {entry}"),
        }
    }
}

/// Reads a file of keys, or tells the first mistakes in it; `-` is what stdin says.
pub fn read(path: &Path, format: Format, stdin: &mut dyn Read) -> Result<Vec<Row>, Trouble> {
    let cannot = || Trouble::new(format!("cannot read `{}`", path.display()));
    let mut text = Zeroizing::new(String::new());
    let source: std::io::Result<Box<dyn Read + '_>> = if path == Path::new(STDIN) {
        Ok(Box::new(stdin))
    } else {
        File::open(path).map(|file| Box::new(file) as Box<dyn Read>)
    };
    source
        .and_then(|source| source.take(FILE_BYTES_MAX + 1).read_to_string(&mut text))
        .map_err(|error| cannot().because(&error))?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(cannot().caused_by(format!("it is larger than {FILE_BYTES_MAX} bytes")));
    }
    let mut faults = Vec::new();
    let rows = match format {
        Format::Json => read_json(&text).map_err(|says| cannot().caused_by(says))?,
        Format::Jsonl => read_jsonl(&text, &mut faults),
        Format::Csv => read_csv(&text, &mut faults),
    };
    twice(&rows, &mut faults);
    if !faults.is_empty() {
        let more = faults.len().saturating_sub(FAULTS_MAX);
        let mut trouble = faults.into_iter().take(FAULTS_MAX).fold(cannot(), Trouble::caused_by);
        if more > 0 {
            trouble = trouble.caused_by(format!("and {more} more"));
        }
        return Err(trouble.hint("nothing was imported"));
    }
    if rows.is_empty() {
        return Err(cannot().caused_by("there is no key in it"));
    }
    if rows.len() > KEYS_MAX {
        return Err(cannot().caused_by(format!("there are more than {KEYS_MAX} keys in it")));
    }
    Ok(rows)
}

/// A file of JSON: the list itself, or the body of an import.
#[derive(Deserialize)]
#[serde(untagged)]
enum Document {
    List(Vec<serde_json::Value>),
    Body { keys: Vec<serde_json::Value> },
}

fn read_json(text: &str) -> Result<Vec<Row>, String> {
    let document: Document = serde_json::from_str(text).map_err(|error| {
        format!(
            "it is neither a list of keys nor an object with `keys` ({})",
            place_of(&error)
        )
    })?;
    let (Document::List(keys) | Document::Body { keys }) = document;
    let row = |(index, key)| {
        let place = Place::Entry(index + 1);
        match hashed(key) {
            Ok(key) => Ok(Row { place, key }),
            Err(says) => Err(format!("{place}: {says}")),
        }
    };
    keys.into_iter().enumerate().map(row).collect()
}

fn place_of(error: &serde_json::Error) -> String {
    format!("line {}, column {}", error.line(), error.column())
}

/// The message without the line and column that the parser adds: the place in the file is told before it.
fn json_fault(error: &serde_json::Error) -> String {
    let says = error.to_string();
    says.rsplit_once(" at line ")
        .map_or(says.clone(), |(says, _)| says.to_owned())
}

fn read_jsonl(text: &str, faults: &mut Vec<String>) -> Vec<Row> {
    let mut rows = Vec::new();
    for (line, number) in text.lines().zip(1..) {
        if line.trim().is_empty() {
            continue;
        }
        let place = Place::Line(number);
        let key = serde_json::from_str(line)
            .map_err(|error| json_fault(&error))
            .and_then(hashed);
        match key {
            Ok(key) => rows.push(Row { place, key }),
            Err(says) => faults.push(format!("{place}: {says}")),
        }
    }
    rows
}

/// A key of JSON, its `secret` replaced by the SHA-256 of it.
fn hashed(mut key: Value) -> Result<ImportedKey, String> {
    if let Some(members) = key.as_object_mut() {
        match (members.remove("secret"), members.contains_key("secret_sha256")) {
            (None, _) => {}
            (Some(Value::String(secret)), false) => {
                let secret = Zeroizing::new(secret);
                members.insert("secret_sha256".to_owned(), Value::String(sha256(&secret)));
            }
            (Some(_), false) => return Err("`secret` must be text".to_owned()),
            (Some(_), true) => return Err(BOTH.to_owned()),
        }
    }
    serde_json::from_value(key).map_err(|error| json_fault(&error))
}

/// What is wrong with a key that comes in clear and hashed.
const BOTH: &str = "either `secret` or `secret_sha256`, not both";

/// The columns of CSV. A list is one cell, its entries apart by `;`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CsvRow {
    #[serde(default)]
    secret_sha256: Option<String>,
    #[serde(default)]
    secret: Option<Zeroizing<String>>,
    name: String,
    #[serde(default)]
    hint: Option<String>,
    #[serde(default)]
    user: Option<String>,
    #[serde(default)]
    team: Option<String>,
    #[serde(default)]
    service: Option<String>,
    #[serde(default)]
    kind: Option<String>,
    #[serde(default)]
    description: Option<String>,
    #[serde(default)]
    metadata: Option<String>,
    #[serde(default)]
    tags: Option<String>,
    #[serde(default)]
    scopes: Option<String>,
    #[serde(default)]
    expires_at: Option<String>,
    #[serde(default)]
    expires_in: Option<String>,
    #[serde(default)]
    never_expires: Option<bool>,
    #[serde(default)]
    environment: Option<String>,
    #[serde(default)]
    networks: Option<String>,
    #[serde(default)]
    origins: Option<String>,
    #[serde(default)]
    audience: Option<String>,
}

fn read_csv(text: &str, faults: &mut Vec<String>) -> Vec<Row> {
    let mut reader = csv::ReaderBuilder::new()
        .trim(csv::Trim::All)
        .from_reader(text.as_bytes());
    let mut rows = Vec::new();
    let headers = match reader.headers() {
        Ok(headers) => headers.clone(),
        Err(error) => {
            faults.push(error.to_string());
            return rows;
        }
    };
    for record in reader.records() {
        let (place, key) = match record {
            Ok(record) => {
                let line = record.position().map_or(0, csv::Position::line);
                let row = record
                    .deserialize::<CsvRow>(Some(&headers))
                    .map_err(|error| csv_fault(&error));
                (Place::Line(line), row.and_then(CsvRow::key))
            }
            Err(error) => {
                let line = error.position().map_or(0, csv::Position::line);
                (Place::Line(line), Err(csv_fault(&error)))
            }
        };
        match key {
            Ok(key) => rows.push(Row { place, key }),
            Err(says) => faults.push(format!("{place}: {says}")),
        }
    }
    rows
}

/// The message without the line, which is told before it.
fn csv_fault(error: &csv::Error) -> String {
    match error.kind() {
        csv::ErrorKind::Deserialize { err, .. } => err.kind().to_string(),
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
            format!("there are {len} cells where the first row has {expected_len}")
        }
        _ => error.to_string(),
    }
}

impl CsvRow {
    fn key(self) -> Result<ImportedKey, String> {
        let owner = match (self.user, self.team, self.service) {
            (None, None, None) => None,
            (Some(user), None, None) => Some(OwnerChoice::User(user)),
            (None, Some(team), None) => Some(OwnerChoice::Team(team)),
            (None, None, Some(service)) => Some(OwnerChoice::Service(service)),
            _ => return Err("only one of `user`, `team` and `service` may be filled".to_owned()),
        };
        let metadata = match self.metadata {
            None => None,
            Some(text) => match serde_json::from_str(&text) {
                Ok(members) => Some(members),
                Err(error) => return Err(format!("`metadata` is not a JSON object: {error}")),
            },
        };
        let scopes = self.scopes.map(|cell| match cell.as_str() {
            "everything" => Scopes::Everything,
            _ => Scopes::Only(entries(cell)),
        });
        let secret_sha256 = match (self.secret_sha256, self.secret) {
            (Some(sha256), None) => sha256,
            (None, Some(secret)) => sha256(&secret),
            (None, None) => return Err("there is neither `secret_sha256` nor `secret`".to_owned()),
            (Some(_), Some(_)) => return Err(BOTH.to_owned()),
        };
        Ok(ImportedKey {
            secret_sha256,
            hint: self.hint,
            owner,
            kind: self.kind,
            name: self.name,
            description: self.description,
            metadata,
            tags: self.tags.map(entries),
            scopes,
            expires_at: self.expires_at,
            expires_in: self.expires_in,
            never_expires: self.never_expires,
            environment: self.environment,
            networks: self.networks.map(entries),
            origins: self.origins.map(entries),
            audience: self.audience.map(entries),
        })
    }
}

fn entries(cell: impl AsRef<str>) -> Vec<String> {
    let entries = cell.as_ref().split(SEPARATOR).map(str::trim);
    entries.filter(|entry| !entry.is_empty()).map(str::to_owned).collect()
}

/// The server sees one batch at a time, so that a secret which stands twice in a file is found here.
fn twice(rows: &[Row], faults: &mut Vec<String>) {
    let mut seen: HashMap<&str, Place> = HashMap::with_capacity(rows.len());
    for row in rows {
        if let Some(before) = seen.insert(&row.key.secret_sha256, row.place) {
            faults.push(format!("{}: the same secret as in {before}", row.place));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    const B: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

    fn read_text(text: &str, format: Format) -> Result<Vec<Row>, Vec<String>> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys");
        std::fs::write(&path, text).unwrap();
        let read = read(&path, format, &mut std::io::empty());
        read.map_err(|trouble| trouble.causes().to_vec())
    }

    #[test]
    fn a_secret_in_clear_is_hashed_on_the_way() {
        const PLAIN: &str = "legacy-7Hq2v9XwPz5RkT3nBdYs8M";
        let csv = format!("secret,name,user\n{PLAIN},ci,u_42\n");
        let jsonl = format!("{{\"secret\":\"{PLAIN}\",\"name\":\"ci\",\"owner\":{{\"user\":\"u_42\"}}}}\n");
        let json = format!("[{}]", jsonl.trim());
        let expected = sha256(PLAIN);
        assert_eq!(expected.len(), 64);
        for (text, format) in [(csv, Format::Csv), (jsonl, Format::Jsonl), (json, Format::Json)] {
            let rows = read_text(&text, format).unwrap();
            assert_eq!(rows[0].key.secret_sha256, expected);
            let piped = read(Path::new(STDIN), format, &mut text.as_bytes()).ok().unwrap();
            assert_eq!(piped[0].key, rows[0].key);
        }
        let both = format!("secret,secret_sha256,name\n{PLAIN},{A},ci\n{PLAIN},,ci\n,,ci\n");
        assert_eq!(
            read_text(&both, Format::Csv).unwrap_err(),
            [
                format!("line 2: {BOTH}"),
                "line 4: there is neither `secret_sha256` nor `secret`".to_owned()
            ]
        );
        let both = format!("[{{\"secret\":\"{PLAIN}\",\"secret_sha256\":\"{A}\",\"name\":\"ci\"}}]");
        assert_eq!(
            read_text(&both, Format::Json).unwrap_err(),
            [format!("entry 1: {BOTH}")]
        );
    }

    #[test]
    fn the_three_forms_say_the_same() {
        let json = format!(
            r#"{{"keys":[{{"secret_sha256":"{A}","name":"ci","owner":{{"user":"u_42"}},"scopes":["a:b","a:c"]}},{{"secret_sha256":"{B}","name":"cd","scopes":"everything"}}]}}"#
        );
        let jsonl = format!(
            "{{\"secret_sha256\":\"{A}\",\"name\":\"ci\",\"owner\":{{\"user\":\"u_42\"}},\"scopes\":[\"a:b\",\"a:c\"]}}\n\n{{\"secret_sha256\":\"{B}\",\"name\":\"cd\",\"scopes\":\"everything\"}}\n"
        );
        let csv = format!("secret_sha256,name,user,scopes\n{A},ci,u_42,a:b;a:c\n{B},cd,,everything\n");
        let keys = |rows: Vec<Row>| rows.into_iter().map(|row| row.key).collect::<Vec<_>>();
        let expected = keys(read_text(&json, Format::Json).unwrap());
        assert_eq!(expected.len(), 2);
        assert_eq!(keys(read_text(&jsonl, Format::Jsonl).unwrap()), expected);
        let rows = read_text(&csv, Format::Csv).unwrap();
        assert_eq!(
            rows.iter().map(|row| row.place).collect::<Vec<_>>(),
            [Place::Line(2), Place::Line(3)]
        );
        assert_eq!(keys(rows), expected);
    }

    #[test]
    fn every_mistake_is_told_with_its_line() {
        let csv = format!("secret_sha256,name,user,team\n{A},ci,u_42,t\n{B},x,,\n{B},y,,\n{A}\n");
        assert_eq!(
            read_text(&csv, Format::Csv).unwrap_err(),
            [
                "line 2: only one of `user`, `team` and `service` may be filled",
                "line 5: there are 1 cells where the first row has 4",
                "line 4: the same secret as in line 3",
            ]
        );
        let jsonl = format!("{{\"secret_sha256\":\"{A}\",\"name\":\"ci\",\"colour\":1}}\n");
        let faults = read_text(&jsonl, Format::Jsonl).unwrap_err();
        assert!(faults[0].starts_with("line 1: unknown field `colour`"), "{faults:?}");
    }
}
