//! The table of settings: each is described once, and flags, environment, errors and reference are derived from it.

use std::time::Duration;

use super::value::Rule;

/// One setting of `keyholt serve`.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// Its name in the file, with dots between the levels: `tls.certificate`.
    pub name: &'static str,
    /// What may be written.
    pub rule: Rule,
    /// What holds when nobody sets it, as one would write it.
    pub default: Fallback,
    /// One sentence for help texts and the reference.
    pub about: &'static str,
    /// Whether its value may be shown.
    pub privacy: Privacy,
}

/// What holds when a setting is not given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fallback {
    /// This value, written as a user would write it.
    Text(&'static str),
    /// No value at all: the feature is off, or follows from something else as the words say.
    Unset(&'static str),
}

/// How much of a value may appear in output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Privacy {
    /// All of it.
    Open,
    /// All but the password of a URL; may be read from a file named by `…_FILE`.
    UrlPassword,
    /// Nothing, and it has no flag, because a process list shows flags to every user of the machine.
    Secret,
}

impl Setting {
    /// The environment variable that sets it: `KEYHOLT_TLS__CERTIFICATE`.
    #[must_use]
    pub fn variable(&self) -> String {
        format!("{VARIABLE_PREFIX}{}", self.name.replace('.', "__").to_ascii_uppercase())
    }

    /// The variable that names a file to read the value from, for settings that hide something.
    #[must_use]
    pub fn file_variable(&self) -> Option<String> {
        (self.privacy != Privacy::Open).then(|| format!("{}_FILE", self.variable()))
    }

    /// The long flag without its dashes, `tls-certificate`; none for a secret.
    #[must_use]
    pub fn flag(&self) -> Option<String> {
        (self.privacy != Privacy::Secret).then(|| self.name.replace(['.', '_'], "-"))
    }

    /// Finds a setting by its dotted name.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Self> {
        SETTINGS.iter().find(|setting| setting.name == name)
    }
}

/// What every environment variable of ours begins with.
pub const VARIABLE_PREFIX: &str = "KEYHOLT_";

/// Every setting, in the order in which they are shown.
pub const SETTINGS: &[Setting] = &[
    open(
        "config",
        Rule::Path,
        Fallback::Text("keyholt.toml"),
        "Configuration file. The default one may be missing, one that is named may not. Not settable in the file itself.",
    ),
    open(
        "listen",
        Rule::Socket,
        Fallback::Text("127.0.0.1:7311"),
        "Address and port to listen on.",
    ),
    open(
        "public_url",
        Rule::Url,
        Fallback::Unset("links use the address listened on"),
        "Where clients reach this service, for links and metadata; never taken from a request.",
    ),
    open(
        "oauth.root_project",
        Rule::Text,
        Fallback::Text("keyholt"),
        "Id or slug of the project whose issuer is public_url itself; every other project's is public_url/projects/ID.",
    ),
    open(
        "oauth.publish_ahead",
        Rule::Duration {
            least: Duration::from_secs(1),
            most: HALF_AN_HOUR,
        },
        Fallback::Text("10m"),
        "How long a signing key is published before it signs, and so how long verifiers may keep a key set. The same on every node; make it shorter only while no rotation is near, for verifiers keep what they read under the longer one.",
    ),
    open(
        "insecure_public",
        Rule::Switch,
        Fallback::Text("false"),
        "Allow a public address without TLS, for a service behind a proxy or on a private network.",
    ),
    open(
        "trusted_proxies",
        Rule::Networks,
        Fallback::Text(""),
        "Networks whose word about the client's address is believed; nobody's when empty.",
    ),
    open(
        "cors.origins",
        Rule::Origins,
        Fallback::Text(""),
        "Origins of pages that may manage keys with a component session or access token; nobody's when empty. Never cookies.",
    ),
    open(
        "tls.certificate",
        Rule::Path,
        Fallback::Unset("plain HTTP"),
        "Certificate chain in PEM. Set together with tls.key; both are read again when they change.",
    ),
    open(
        "tls.key",
        Rule::Path,
        Fallback::Unset("plain HTTP"),
        "Private key of the certificate in PEM.",
    ),
    open(
        "data",
        Rule::Path,
        Fallback::Text("./data"),
        "Folder for the database and the master key.",
    ),
    Setting {
        name: "database",
        rule: Rule::Database,
        default: Fallback::Text("sqlite"),
        about: "`sqlite` (keyholt.db in the data folder), `sqlite:PATH`, `postgres://…`, or `memory` (everything is lost on stop).",
        privacy: Privacy::UrlPassword,
    },
    open(
        "master_key_file",
        Rule::Path,
        Fallback::Unset("master.key in the data folder"),
        "File with the master key; made on first start if it is missing.",
    ),
    Setting {
        name: "master_key",
        rule: Rule::Text,
        default: Fallback::Unset("read from master_key_file"),
        about: "The master key itself, for places that hand out secrets as environment variables.",
        privacy: Privacy::Secret,
    },
    open(
        "master_key_previous_file",
        Rule::Path,
        Fallback::Unset("none"),
        "File with the master key before this one, as long as something hangs on it: see how to replace the master key.",
    ),
    Setting {
        name: "master_key_previous",
        rule: Rule::Text,
        default: Fallback::Unset("read from master_key_previous_file"),
        about: "The master key before this one itself, for places that hand out secrets as environment variables.",
        privacy: Privacy::Secret,
    },
    open(
        "workers",
        Rule::CountOrAuto { most: 1024 },
        Fallback::Text("auto"),
        "Threads that answer requests; `auto` is one for each processor.",
    ),
    open(
        "drain",
        Rule::Duration {
            least: Duration::ZERO,
            most: HOUR,
        },
        Fallback::Text("10s"),
        "How long requests in flight may take after the signal to stop.",
    ),
    open(
        "log.level",
        Rule::Choice(&["error", "warn", "info", "debug", "trace"]),
        Fallback::Text("info"),
        "Least severity that is logged.",
    ),
    open(
        "log.format",
        Rule::Choice(&["text", "json"]),
        Fallback::Text("text"),
        "Form of a log line: `text` for people, `json` for programs.",
    ),
    open(
        "limits.connections",
        Rule::Count {
            least: 1,
            most: 1_000_000,
        },
        Fallback::Text("10000"),
        "Connections open at once; further ones wait in the operating system's queue.",
    ),
    open(
        "limits.header_bytes",
        Rule::Size {
            least: 8 << 10,
            most: 1 << 20,
        },
        Fallback::Text("16KiB"),
        "Request line and headers together.",
    ),
    open(
        "limits.uri_bytes",
        Rule::Size {
            least: 256,
            most: 64 << 10,
        },
        Fallback::Text("8KiB"),
        "Path and query of a request.",
    ),
    open(
        "limits.body_bytes",
        Rule::Size {
            least: 1 << 10,
            most: 1 << 30,
        },
        Fallback::Text("64KiB"),
        "Body of a request that is neither a batch nor an import.",
    ),
    open(
        "limits.batch_body_bytes",
        Rule::Size {
            least: 1 << 10,
            most: 1 << 30,
        },
        Fallback::Text("2MiB"),
        "Body of a batch of questions: 1000 of them, even where each says all that it can about one scope.",
    ),
    open(
        "limits.import_body_bytes",
        Rule::Size {
            least: 1 << 10,
            most: 1 << 30,
        },
        Fallback::Text("16MiB"),
        "Body of a bulk import.",
    ),
    open(
        "limits.header_timeout",
        PATIENCE,
        Fallback::Text("10s"),
        "From a request's first byte to the end of its headers; also for a TLS handshake and for a new connection to send something.",
    ),
    open(
        "limits.body_timeout",
        PATIENCE,
        Fallback::Text("30s"),
        "From the end of the headers to the end of the body.",
    ),
    open(
        "limits.write_timeout",
        PATIENCE,
        Fallback::Text("30s"),
        "How long a client may take nothing of an answer that is ready for it.",
    ),
    open(
        "limits.idle_timeout",
        PATIENCE,
        Fallback::Text("75s"),
        "How long a connection is kept with no request on it.",
    ),
    open(
        "limits.guesses_per_minute",
        Rule::Count {
            least: 1,
            most: 1_000_000,
        },
        Fallback::Text("60"),
        "Wrong credentials from one source (an IPv4 address, the /64 of an IPv6 address) that are answered 401; further ones are answered 429. Good ones are never held up.",
    ),
    open(
        "staleness.max",
        Rule::Duration {
            least: Duration::from_millis(100),
            most: HOUR,
        },
        Fallback::Text("2s"),
        "Age at which this node's view of the keys is no longer used and verify answers 503.",
    ),
    open(
        "clock.set_back",
        Rule::Choice(&["refuse", "believe"]),
        Fallback::Text("refuse"),
        "What is done at a start where the machine's clock is behind the time that the data has seen: `refuse` goes on from the later time, so that nothing expired lives again; `believe`, for one start, takes the machine's time because the clock had been wrong before.",
    ),
    open(
        "usage.flush_every",
        Rule::Duration {
            least: Duration::from_millis(10),
            most: HOUR,
        },
        Fallback::Text("1s"),
        "How often gathered usage is written to the database; less often while very many keys are in use, so that it takes at most 2 % of a processor.",
    ),
    open(
        "dialects.meerschaum.project",
        Rule::Text,
        Fallback::Unset("Meerschaum is not spoken"),
        "Slug or id of the project for which Meerschaum is spoken. Set together with a mount, an address to listen on, or both.",
    ),
    open(
        "dialects.meerschaum.mount",
        Rule::Mount,
        Fallback::Unset("not on the main listener"),
        "Path of the main listener below which Meerschaum is spoken.",
    ),
    open(
        "dialects.meerschaum.listen",
        Rule::Socket,
        Fallback::Unset("no listener of its own"),
        "Address and port of a listener that speaks Meerschaum and nothing else; TLS, limits and proxies are those of the main one.",
    ),
    open(
        "dialects.datalayer.project",
        Rule::Text,
        Fallback::Unset("Datalayer is not spoken"),
        "Slug or id of the project for which Datalayer is spoken. Set together with a mount, an address to listen on, or both.",
    ),
    open(
        "dialects.datalayer.mount",
        Rule::Mount,
        Fallback::Unset("not on the main listener"),
        "Path of the main listener below which Datalayer is spoken.",
    ),
    open(
        "dialects.datalayer.listen",
        Rule::Socket,
        Fallback::Unset("no listener of its own"),
        "Address and port of a listener that speaks Datalayer and nothing else; TLS, limits and proxies are those of the main one.",
    ),
    open(
        "dialects.directus.project",
        Rule::Text,
        Fallback::Unset("Directus is not spoken"),
        "Slug or id of the project for which Directus is spoken. Set together with a mount, an address to listen on, or both.",
    ),
    open(
        "dialects.directus.mount",
        Rule::Mount,
        Fallback::Unset("not on the main listener"),
        "Path of the main listener below which Directus is spoken.",
    ),
    open(
        "dialects.directus.listen",
        Rule::Socket,
        Fallback::Unset("no listener of its own"),
        "Address and port of a listener that speaks Directus and nothing else; TLS, limits and proxies are those of the main one.",
    ),
    open(
        "dialects.stackauth.project",
        Rule::Text,
        Fallback::Unset("Stack Auth is not spoken"),
        "Slug or id of the project for which Stack Auth is spoken. Set together with a mount, an address to listen on, or both.",
    ),
    open(
        "dialects.stackauth.mount",
        Rule::Mount,
        Fallback::Unset("not on the main listener"),
        "Path of the main listener below which Stack Auth is spoken.",
    ),
    open(
        "dialects.stackauth.listen",
        Rule::Socket,
        Fallback::Unset("no listener of its own"),
        "Address and port of a listener that speaks Stack Auth and nothing else; TLS, limits and proxies are those of the main one.",
    ),
];

const HOUR: Duration = Duration::from_secs(3_600);
/// Half of the shortest time that a signing key may sign.
const HALF_AN_HOUR: Duration = Duration::from_secs(1_800);

const PATIENCE: Rule = Rule::Duration {
    least: Duration::from_millis(50),
    most: HOUR,
};

const fn open(name: &'static str, rule: Rule, default: Fallback, about: &'static str) -> Setting {
    Setting {
        name,
        rule,
        default,
        about,
        privacy: Privacy::Open,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn no_two_settings_share_a_name_a_flag_or_a_variable() {
        let mut seen = BTreeSet::new();
        for setting in SETTINGS {
            assert!(seen.insert(setting.variable()), "{}", setting.name);
            if let Some(flag) = setting.flag() {
                assert!(seen.insert(flag), "{}", setting.name);
            }
        }
    }

    #[test]
    fn every_default_is_allowed_by_its_own_rule() {
        for setting in SETTINGS {
            if let Fallback::Text(text) = setting.default {
                assert_eq!(setting.rule.check(text), Ok(()), "{}", setting.name);
            }
        }
    }

    #[test]
    fn a_secret_has_no_flag_because_process_lists_show_flags() {
        for setting in SETTINGS.iter().filter(|s| s.privacy == Privacy::Secret) {
            assert_eq!(setting.flag(), None, "{}", setting.name);
        }
    }
}
