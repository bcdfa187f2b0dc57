//! All settings of `keyholt serve`: read from file, environment and flags under the same names, checked at the door.

mod layers;
mod setting;
mod show;
mod value;

use std::ffi::OsString;
use std::net::SocketAddr;
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use zeroize::Zeroizing;

use self::layers::{Layers, shown};
pub use self::setting::{Fallback, Privacy, SETTINGS, Setting, VARIABLE_PREFIX};
pub use self::show::{reference_markdown, show};
pub use self::value::{Database, Mount, PublicUrl, Rule};
use self::value::{duration, networks, origins, size};
use crate::keeper::SetBack;

/// Everything an operator can choose, in typed fields that hold only what the rules allow.
#[derive(Debug, Clone)]
pub struct Config {
    /// Address to listen on.
    pub listen: SocketAddr,
    /// Where clients reach the service, if it is not the address listened on.
    pub public_url: Option<PublicUrl>,
    /// The project that has the bare URL as its issuer.
    pub oauth_root_project: String,
    /// How long a signing key is published before it signs.
    pub oauth_publish_ahead: Duration,
    /// The operator accepts plain HTTP on a public address.
    pub insecure_public: bool,
    /// Networks whose `Forwarded` and `X-Forwarded-For` are believed; nobody's when empty.
    pub trusted_proxies: Vec<IpNet>,
    /// Where pages come from that may call with a credential of their own; nobody's when empty.
    pub cors_origins: Vec<String>,
    /// Certificate and key; plain HTTP without.
    pub tls: Option<TlsFiles>,
    /// Folder for the database and the master key.
    pub data: PathBuf,
    /// Where the records are kept.
    pub database: Database,
    /// Where the master key comes from.
    pub master_key: MasterKey,
    /// Where the master key before this one comes from, where it was replaced.
    pub master_key_previous: Option<MasterKey>,
    /// How many threads answer requests.
    pub workers: Workers,
    /// How long requests in flight may take after the signal to stop.
    pub drain: Duration,
    /// Severity and form of the log.
    pub log: Log,
    /// Sizes, times and counts that bound every connection.
    pub limits: Limits,
    /// Age at which this node's view of the keys is no longer used.
    pub staleness_max: Duration,
    /// What is done where the machine's clock is behind the time that the data has seen.
    pub set_back: SetBack,
    /// How often gathered usage is written.
    pub usage_flush_every: Duration,
    /// The dialects that are spoken; nothing is spoken but the native API when empty.
    pub dialects: Vec<Dialect>,
}

/// A dialect that is on: for which project, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dialect {
    /// Its name among the settings.
    pub name: &'static str,
    /// The project whose keys it speaks of, by slug or id.
    pub project: String,
    /// Below which path of the main listener.
    pub mount: Option<Mount>,
    /// On which address of its own.
    pub listen: Option<SocketAddr>,
}

/// The two PEM files that make TLS work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate chain, leaf first.
    pub certificate: PathBuf,
    /// The leaf's private key.
    pub key: PathBuf,
}

/// Where the master key comes from.
#[derive(Clone)]
pub enum MasterKey {
    /// A file, made on first start if it is missing.
    File(PathBuf),
    /// The text of the setting itself; `Debug` hides it.
    Given(Zeroizing<String>),
}

impl std::fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
            Self::Given(_) => f.write_str("Given(…)"),
        }
    }
}

/// How many threads answer requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Workers {
    /// One for each processor.
    Auto,
    /// This many.
    Count(NonZeroUsize),
}

impl Workers {
    /// The number of threads on a machine with `processors`.
    #[must_use]
    pub fn on(self, processors: NonZeroUsize) -> NonZeroUsize {
        match self {
            Self::Auto => processors,
            Self::Count(count) => count,
        }
    }
}

/// Severity and form of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Log {
    /// Least severity that is logged.
    pub level: tracing::Level,
    /// Form of a line.
    pub format: LogFormat,
}

/// Form of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// For programs.
    Json,
}

/// Sizes, times and counts that bound every connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Connections open at once.
    pub connections: usize,
    /// Request line and headers together.
    pub header_bytes: usize,
    /// Path and query.
    pub uri_bytes: usize,
    /// Body of a request that is neither a batch nor an import.
    pub body_bytes: usize,
    /// Body of a batch of questions.
    pub batch_body_bytes: usize,
    /// Body of a bulk import.
    pub import_body_bytes: usize,
    /// From a request's first byte to the end of its headers.
    pub header_timeout: Duration,
    /// From the end of the headers to the end of the body.
    pub body_timeout: Duration,
    /// How long a client may take nothing of an answer.
    pub write_timeout: Duration,
    /// How long a connection is kept with no request on it.
    pub idle_timeout: Duration,
    /// Wrong credentials from one source in a minute.
    pub guesses_per_minute: NonZeroU32,
}

/// The settings that hold, and for each what was said and where, for `keyholt config show`.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The typed settings.
    pub config: Config,
    /// Every setting as it may be shown, in the order of [`SETTINGS`].
    pub shown: Vec<Shown>,
}

/// One setting as it may be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// Its dotted name.
    pub name: &'static str,
    /// Its value with secrets hidden, or what follows from its being unset.
    pub value: String,
    /// `default`, `file …`, the variable or the flag.
    pub origin: String,
}

/// What is wrong with the settings: every problem found, not only the first.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .problems.join("\n"))]
pub struct ConfigError {
    /// One line each: which setting, where it was set, what is allowed.
    pub problems: Vec<String>,
}

/// The address can be reached from other machines, and nothing encrypts what is sent to it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "refusing to listen on {address} without TLS: keys would cross the network readable by anyone on the way.\n\
     Either set tls.certificate and tls.key, or, if a proxy in front does the encryption, set insecure_public = true."
)]
pub struct Exposed {
    /// The address asked for.
    pub address: SocketAddr,
}

impl Config {
    /// Reads and checks all settings.
    ///
    /// `environment` is the process environment (`std::env::vars_os()` in the binary); variables that do not begin
    /// with `KEYHOLT_` are passed over, and so are those in `foreign`, which belong to other commands. `flags` are
    /// pairs of a flag's name and its value. The file is the one named by the flag or variable `config`.
    ///
    /// # Errors
    /// Every unknown setting, unreadable file and value that is not allowed.
    pub fn load(
        environment: impl IntoIterator<Item = (OsString, OsString)>,
        flags: impl IntoIterator<Item = (String, String)>,
        foreign: &[&str],
    ) -> Result<Loaded, ConfigError> {
        let mut layers = Layers::read(environment, flags, foreign);
        let mut problems = std::mem::take(&mut layers.problems);
        let mut rows = Vec::with_capacity(SETTINGS.len());
        for setting in SETTINGS {
            let given = layers.given(setting);
            if let Some(given) = &given
                && let Err(allowed) = setting.rule.check(&given.text)
            {
                let value = match setting.privacy {
                    Privacy::Open => format!(" = {:?}", given.text),
                    Privacy::UrlPassword | Privacy::Secret => String::new(),
                };
                let origin = &given.origin;
                problems.push(format!("{}{value} (from {origin}): {allowed}", setting.name));
            }
            rows.push(Row::new(setting, given));
        }
        let texts = Texts(&rows);
        problems.extend(texts.contradictions());
        if !problems.is_empty() {
            return Err(ConfigError { problems });
        }
        let config = texts.config().ok_or_else(|| ConfigError {
            problems: vec!["a setting passed its check but could not be read".into()],
        })?;
        let shown = rows.into_iter().map(|row| row.shown).collect();
        Ok(Loaded { config, shown })
    }

    /// Refuses an address that other machines can reach, unless TLS is on or the operator said it is meant.
    ///
    /// # Errors
    /// [`Exposed`], whose text names both ways out.
    pub fn check_exposure(&self) -> Result<(), Exposed> {
        if self.tls.is_some() || self.insecure_public {
            return Ok(());
        }
        let dialects = self.dialects.iter().filter_map(|dialect| dialect.listen);
        let exposed = [self.listen]
            .into_iter()
            .chain(dialects)
            .find(|address| !address.ip().to_canonical().is_loopback());
        exposed.map_or(Ok(()), |address| Err(Exposed { address }))
    }
}

/// One setting while loading: what holds, and what may be shown of it.
struct Row {
    /// The text that holds: what was given, else the default, else nothing.
    text: Option<String>,
    origin: Option<String>,
    shown: Shown,
}

impl Row {
    fn new(setting: &'static Setting, given: Option<layers::Given>) -> Self {
        let (text, origin) = match (given, setting.default) {
            (Some(given), _) => (Some(given.text), Some(given.origin)),
            (None, Fallback::Text(text)) => (Some(text.to_owned()), None),
            (None, Fallback::Unset(_)) => (None, None),
        };
        let value = match (&text, setting.default) {
            (Some(text), _) => shown(setting, text),
            (None, Fallback::Unset(meaning) | Fallback::Text(meaning)) => format!("({meaning})"),
        };
        let shown = Shown {
            name: setting.name,
            value,
            origin: origin.clone().unwrap_or_else(|| "default".to_owned()),
        };
        Self { text, origin, shown }
    }
}

/// The texts that hold, by name, on their way into typed fields.
struct Texts<'a>(&'a [Row]);

impl Texts<'_> {
    fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|row| row.shown.name == name)?.text.as_deref()
    }

    fn origin(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|row| row.shown.name == name)?.origin.as_deref()
    }

    /// Settings that are each allowed but do not go together.
    fn contradictions(&self) -> Vec<String> {
        let mut found = Vec::new();
        for (one, other) in [("tls.certificate", "tls.key"), ("tls.key", "tls.certificate")] {
            if let (Some(origin), None) = (self.origin(one), self.origin(other)) {
                found.push(format!("{one} (from {origin}) needs {other} as well"));
            }
        }
        for (name, of_file) in [
            ("master_key", "master_key_file"),
            ("master_key_previous", "master_key_previous_file"),
        ] {
            if let (Some(key), Some(file)) = (self.origin(name), self.origin(of_file)) {
                found.push(format!(
                    "{name} (from {key}) and {of_file} (from {file}) are both set; keep one"
                ));
            }
        }
        found.extend(self.contradicting_dialects());
        found
    }

    /// A dialect needs a project, and a place of its own in which it is spoken.
    fn contradicting_dialects(&self) -> Vec<String> {
        let mut found = Vec::new();
        let mut mounts: Vec<(&str, Mount)> = Vec::new();
        for name in dialect_names() {
            let setting = |leaf: &str| format!("dialects.{name}.{leaf}");
            let [project, mount, listen] = ["project", "mount", "listen"].map(setting);
            for place in [&mount, &listen] {
                if let (Some(origin), None) = (self.origin(place), self.origin(&project)) {
                    found.push(format!("{place} (from {origin}) needs {project} as well"));
                }
            }
            if let (Some(origin), None, None) = (self.origin(&project), self.origin(&mount), self.origin(&listen)) {
                found.push(format!("{project} (from {origin}) needs {mount} or {listen} as well"));
            }
            if let Some(at) = self.get(&mount).and_then(Mount::read) {
                if let Some((other, _)) = mounts.iter().find(|(_, taken)| taken.overlaps(&at)) {
                    found.push(format!("{mount} and dialects.{other}.mount are in each other's way"));
                }
                mounts.push((name, at));
            }
        }
        found
    }

    /// The dialects that are on.
    fn dialects(&self) -> Option<Vec<Dialect>> {
        let mut on = Vec::new();
        for name in dialect_names() {
            let get = |leaf: &str| self.get(&format!("dialects.{name}.{leaf}"));
            let Some(project) = get("project") else { continue };
            on.push(Dialect {
                name,
                project: project.to_owned(),
                mount: match get("mount") {
                    Some(text) => Some(Mount::read(text)?),
                    None => None,
                },
                listen: match get("listen") {
                    Some(text) => Some(text.parse().ok()?),
                    None => None,
                },
            });
        }
        Some(on)
    }

    /// The typed settings; `None` only if a reader refuses what its rule let through.
    fn config(&self) -> Option<Config> {
        let time = |name| self.get(name).and_then(duration);
        let bytes = |name| self.get(name).and_then(size)?.try_into().ok();
        let path = |name| self.get(name).map(PathBuf::from);
        let data = path("data")?;
        Some(Config {
            listen: self.get("listen")?.parse().ok()?,
            public_url: match self.get("public_url") {
                Some(text) => Some(PublicUrl::read(text)?),
                None => None,
            },
            insecure_public: value::switch(self.get("insecure_public")?)?,
            trusted_proxies: networks(self.get("trusted_proxies")?)?,
            cors_origins: origins(self.get("cors.origins")?)?,
            tls: path("tls.certificate")
                .zip(path("tls.key"))
                .map(|(certificate, key)| TlsFiles { certificate, key }),
            database: match Database::read(self.get("database")?)? {
                Database::Sqlite(None) => Database::Sqlite(Some(data.join("keyholt.db"))),
                other => other,
            },
            master_key: match self.get("master_key") {
                Some(text) => MasterKey::Given(Zeroizing::new(text.to_owned())),
                None => MasterKey::File(path("master_key_file").unwrap_or_else(|| data.join("master.key"))),
            },
            master_key_previous: match self.get("master_key_previous") {
                Some(text) => Some(MasterKey::Given(Zeroizing::new(text.to_owned()))),
                None => path("master_key_previous_file").map(MasterKey::File),
            },
            data,
            workers: match self.get("workers")? {
                "auto" => Workers::Auto,
                count => Workers::Count(count.parse().ok()?),
            },
            oauth_root_project: self.get("oauth.root_project")?.to_owned(),
            oauth_publish_ahead: time("oauth.publish_ahead")?,
            drain: time("drain")?,
            log: Log {
                level: self.get("log.level")?.parse().ok()?,
                format: match self.get("log.format")? {
                    "json" => LogFormat::Json,
                    _ => LogFormat::Text,
                },
            },
            limits: Limits {
                connections: self.get("limits.connections")?.parse().ok()?,
                header_bytes: bytes("limits.header_bytes")?,
                uri_bytes: bytes("limits.uri_bytes")?,
                body_bytes: bytes("limits.body_bytes")?,
                batch_body_bytes: bytes("limits.batch_body_bytes")?,
                import_body_bytes: bytes("limits.import_body_bytes")?,
                header_timeout: time("limits.header_timeout")?,
                body_timeout: time("limits.body_timeout")?,
                write_timeout: time("limits.write_timeout")?,
                idle_timeout: time("limits.idle_timeout")?,
                guesses_per_minute: self.get("limits.guesses_per_minute")?.parse().ok()?,
            },
            staleness_max: time("staleness.max")?,
            set_back: match self.get("clock.set_back")? {
                "believe" => SetBack::Believe,
                _ => SetBack::Refuse,
            },
            usage_flush_every: time("usage.flush_every")?,
            dialects: self.dialects()?,
        })
    }
}

/// The dialects that can be set, by the names that they have there.
pub fn dialect_names() -> impl Iterator<Item = &'static str> {
    SETTINGS
        .iter()
        .filter_map(|setting| setting.name.strip_prefix("dialects.")?.strip_suffix(".project"))
}

#[cfg(test)]
mod tests;
