//! Where settings come from: file, environment and flags laid over one another, each value remembering its origin.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use figment::value::{Dict, Map};
use figment::{Error, Figment, Metadata, Profile, Provider};

use super::setting::{Privacy, SETTINGS, Setting, VARIABLE_PREFIX};

/// Largest configuration or secret file that is read, in bytes.
const FILE_LIMIT: u64 = 1 << 20;

/// What one setting was given, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Given {
    pub text: String,
    pub origin: String,
}

/// All layers merged; flags win over the environment, the environment over the file.
pub(super) struct Layers {
    merged: Figment,
    pub problems: Vec<String>,
}

impl Layers {
    /// Reads every source. What cannot be read or is not known becomes a problem, so that all are told at once.
    pub fn read(
        environment: impl IntoIterator<Item = (OsString, OsString)>,
        flags: impl IntoIterator<Item = (String, String)>,
        foreign: &[&str],
    ) -> Self {
        let mut problems = Vec::new();
        let mut above_file = environment_entries(environment, foreign, &mut problems);
        above_file.extend(flag_entries(flags, &mut problems));
        let file = file_entries(&above_file, &mut problems);
        let merged = file.into_iter().chain(above_file).fold(Figment::new(), Figment::merge);
        Self { merged, problems }
    }

    /// What was given for `setting`, if anything.
    pub fn given(&self, setting: &Setting) -> Option<Given> {
        let value = self.merged.find_value(setting.name).ok()?;
        let origin = self.merged.get_metadata(value.tag())?.name.to_string();
        let text = value.into_string()?;
        Some(Given { text, origin })
    }
}

/// One setting from one source. Each is a layer of its own, so that its origin names the very variable or flag.
struct Entry {
    setting: &'static Setting,
    given: Given,
}

impl Provider for Entry {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.given.origin.clone())
    }

    fn data(&self) -> Result<Map<Profile, Dict>, Error> {
        let mut parts = self.setting.name.rsplit('.');
        let leaf = parts.next().unwrap_or_default();
        let innermost = Dict::from([(leaf.to_owned(), self.given.text.clone().into())]);
        let dict = parts.fold(innermost, |inner, part| Dict::from([(part.to_owned(), inner.into())]));
        Ok(Map::from([(Profile::Default, dict)]))
    }
}

fn environment_entries(
    environment: impl IntoIterator<Item = (OsString, OsString)>,
    foreign: &[&str],
    problems: &mut Vec<String>,
) -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::new();
    for (name, value) in environment {
        let Some(name) = name.to_str().filter(|n| n.starts_with(VARIABLE_PREFIX)) else {
            continue;
        };
        if foreign.contains(&name) {
            continue;
        }
        let Ok(value) = value.into_string() else {
            problems.push(format!("{name}: the value is not valid UTF-8"));
            continue;
        };
        let direct = SETTINGS.iter().find(|s| s.variable() == name);
        let through_file = || SETTINGS.iter().find(|s| s.file_variable().as_deref() == Some(name));
        let (setting, text, origin) = if let Some(setting) = direct {
            (setting, value, name.to_owned())
        } else if let Some(setting) = through_file() {
            match read_small_file(Path::new(&value)) {
                Ok(text) => (
                    setting,
                    text.trim_end_matches(['\n', '\r']).to_owned(),
                    format!("{name} ({value})"),
                ),
                Err(error) => {
                    problems.push(format!("{name}: cannot read {value}: {error}"));
                    continue;
                }
            }
        } else {
            let known = SETTINGS.iter().map(Setting::variable);
            problems.push(unknown("environment variable", name, known));
            continue;
        };
        if let Some(other) = entries.iter().find(|e| e.setting.name == setting.name) {
            problems.push(format!(
                "{} is set twice, by {} and by {origin}; keep one",
                setting.name, other.given.origin
            ));
        }
        entries.push(Entry {
            setting,
            given: Given { text, origin },
        });
    }
    entries
}

fn flag_entries(flags: impl IntoIterator<Item = (String, String)>, problems: &mut Vec<String>) -> Vec<Entry> {
    let mut entries = Vec::new();
    for (name, text) in flags {
        let dashed = name.trim_start_matches('-').replace(['.', '_'], "-");
        let Some(setting) = SETTINGS.iter().find(|s| s.flag().as_deref() == Some(dashed.as_str())) else {
            let known = SETTINGS.iter().filter_map(Setting::flag);
            problems.push(unknown(
                "flag",
                &format!("--{dashed}"),
                known.map(|flag| format!("--{flag}")),
            ));
            continue;
        };
        let origin = format!("--{dashed}");
        entries.push(Entry {
            setting,
            given: Given { text, origin },
        });
    }
    entries
}

fn file_entries(above: &[Entry], problems: &mut Vec<String>) -> Vec<Entry> {
    let named = above.iter().rev().find(|e| e.setting.name == "config");
    let path = PathBuf::from(named.map_or("keyholt.toml", |e| e.given.text.as_str()));
    let text = match (read_small_file(&path), named) {
        (Ok(text), _) => text,
        (Err(error), None) if error.kind() == std::io::ErrorKind::NotFound => return Vec::new(),
        (Err(error), _) => {
            problems.push(format!(
                "cannot read the configuration file {} (from {}): {error}",
                path.display(),
                named.map_or("default", |e| e.given.origin.as_str())
            ));
            return Vec::new();
        }
    };
    match text.parse::<toml::Table>() {
        Ok(table) => {
            let mut entries = Vec::new();
            collect(&table, "", &path, &mut entries, problems);
            entries
        }
        Err(error) => {
            // Only the place and the complaint: the line itself may hold a password.
            let line = error
                .span()
                .map_or(1, |span| text[..span.start].matches('\n').count() + 1);
            problems.push(format!("{}, line {line}: {}", path.display(), error.message()));
            Vec::new()
        }
    }
}

fn collect(table: &toml::Table, prefix: &str, path: &Path, entries: &mut Vec<Entry>, problems: &mut Vec<String>) {
    for (key, value) in table {
        let name = format!("{prefix}{key}");
        if let toml::Value::Table(inner) = value {
            // Depth is bounded by the parser's own limit on nesting.
            collect(inner, &format!("{name}."), path, entries, problems);
            continue;
        }
        let known = Setting::named(&name).filter(|setting| setting.name != "config");
        let Some(setting) = known else {
            let names = SETTINGS.iter().map(|s| s.name.to_owned());
            problems.push(unknown(&format!("setting in {}", path.display()), &name, names));
            continue;
        };
        let Some(text) = as_text(value) else {
            problems.push(format!("{name} (from {}): {}", path.display(), setting.rule.allowed()));
            continue;
        };
        let origin = format!("file {}", path.display());
        entries.push(Entry {
            setting,
            given: Given { text, origin },
        });
    }
}

/// A value of the file as one would write it in the environment.
fn as_text(value: &toml::Value) -> Option<String> {
    match value {
        toml::Value::String(text) => Some(text.clone()),
        toml::Value::Integer(number) => Some(number.to_string()),
        toml::Value::Boolean(flag) => Some(flag.to_string()),
        toml::Value::Array(items) => {
            let items: Option<Vec<&str>> = items.iter().map(toml::Value::as_str).collect();
            items.map(|items| items.join(","))
        }
        toml::Value::Float(_) | toml::Value::Datetime(_) | toml::Value::Table(_) => None,
    }
}

fn read_small_file(path: &Path) -> std::io::Result<String> {
    use std::io::Read;
    let mut text = String::new();
    let file = std::fs::File::open(path)?;
    let read = file.take(FILE_LIMIT + 1).read_to_string(&mut text)?;
    if read as u64 > FILE_LIMIT {
        return Err(std::io::Error::new(
            std::io::ErrorKind::FileTooLarge,
            format!("larger than {FILE_LIMIT} bytes"),
        ));
    }
    Ok(text)
}

/// Similarity below which a suggestion would only confuse.
const RESEMBLES: f64 = 0.6;

fn unknown(what: &str, name: &str, known: impl Iterator<Item = String>) -> String {
    let likeness = |candidate: &str| {
        let same_leaf = candidate
            .rsplit(['.', '_', '-'])
            .next()
            .is_some_and(|leaf| name.rsplit(['.', '_', '-']).next() == Some(leaf));
        strsim::normalized_damerau_levenshtein(name, candidate) + if same_leaf { 0.3 } else { 0.0 }
    };
    let nearest = known
        .map(|candidate| (likeness(&candidate), candidate))
        .filter(|(score, _)| *score >= RESEMBLES)
        .max_by(|a, b| a.0.total_cmp(&b.0));
    match nearest {
        Some((_, candidate)) => format!("unknown {what}: {name}; did you mean {candidate}?"),
        None => format!("unknown {what}: {name}; `keyholt config show` lists what there is"),
    }
}

/// What may be shown of a value.
pub(super) fn shown(setting: &Setting, text: &str) -> String {
    match setting.privacy {
        Privacy::Open => text.to_owned(),
        Privacy::UrlPassword => super::value::without_password(text),
        Privacy::Secret => "•••".to_owned(),
    }
}
