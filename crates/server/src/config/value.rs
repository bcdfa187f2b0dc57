//! How values are written: durations `10s`, sizes `64KiB`, networks, addresses; each reader says what it would accept.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

/// What may be written for a setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// Any text that is not empty.
    Text,
    /// A path that is not empty.
    Path,
    /// `true` or `false`.
    Switch,
    /// An IP address with a port.
    Socket,
    /// An absolute `http` or `https` URL.
    Url,
    /// A path that nothing of the native API has.
    Mount,
    /// Where the records are kept.
    Database,
    /// IP networks separated by commas, or a list of them in the file.
    Networks,
    /// Origins of web pages separated by commas, or a list of them in the file.
    Origins,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// A whole number.
    Count {
        /// Smallest number allowed.
        least: usize,
        /// Largest number allowed.
        most: usize,
    },
    /// A whole number of at least one, or the word `auto`.
    CountOrAuto {
        /// Largest number allowed.
        most: usize,
    },
    /// A number of bytes with a unit.
    Size {
        /// Smallest size allowed, in bytes.
        least: u64,
        /// Largest size allowed, in bytes.
        most: u64,
    },
    /// A length of time with a unit.
    Duration {
        /// Shortest time allowed.
        least: Duration,
        /// Longest time allowed.
        most: Duration,
    },
}

impl Rule {
    /// Says whether `text` may be written for this rule, and if not, what may.
    ///
    /// # Errors
    /// The sentence that tells what is allowed.
    pub fn check(&self, text: &str) -> Result<(), String> {
        match *self {
            Self::Text | Self::Path if text.is_empty() => Err(self.allowed()),
            Self::Text | Self::Path => Ok(()),
            Self::Switch => switch(text).map(drop).ok_or_else(|| self.allowed()),
            Self::Socket => text.parse::<SocketAddr>().map(drop).map_err(|_| self.allowed()),
            Self::Url => PublicUrl::read(text).map(drop).ok_or_else(|| self.allowed()),
            Self::Mount => Mount::read(text).map(drop).ok_or_else(|| self.allowed()),
            Self::Database => Database::read(text).map(drop).ok_or_else(|| self.allowed()),
            Self::Networks => networks(text).map(drop).ok_or_else(|| self.allowed()),
            Self::Origins => origins(text).map(drop).ok_or_else(|| self.allowed()),
            Self::Choice(words) if words.contains(&text) => Ok(()),
            Self::Choice(_) => Err(self.allowed()),
            Self::CountOrAuto { .. } if text == "auto" => Ok(()),
            Self::CountOrAuto { most } => match text.parse::<usize>() {
                Ok(count) if (1..=most).contains(&count) => Ok(()),
                _ => Err(self.allowed()),
            },
            Self::Count { least, most } => match text.parse::<usize>() {
                Ok(count) if (least..=most).contains(&count) => Ok(()),
                _ => Err(self.allowed()),
            },
            Self::Size { least, most } => match size(text) {
                Some(bytes) if (least..=most).contains(&bytes) => Ok(()),
                _ => Err(self.allowed()),
            },
            Self::Duration { least, most } => match duration(text) {
                Some(time) if (least..=most).contains(&time) => Ok(()),
                _ => Err(self.allowed()),
            },
        }
    }

    /// What may be written, as the end of an error message.
    #[must_use]
    pub fn allowed(&self) -> String {
        match *self {
            Self::Text => "write some text".into(),
            Self::Path => "write a path".into(),
            Self::Switch => "write true or false".into(),
            Self::Socket => "write an IP address and a port, like 127.0.0.1:7311 or [::1]:7311".into(),
            Self::Url => "write an absolute URL without query, like https://keys.example.com".into(),
            Self::Mount => {
                "write a path of lower-case words, like /dialect, that does not begin like one of the native API".into()
            }
            Self::Database => "write sqlite, sqlite:PATH, postgres://USER@HOST/NAME or memory".into(),
            Self::Networks => "write IP networks separated by commas, like 10.0.0.0/8,fd00::/8".into(),
            Self::Origins => {
                "write origins as browsers do, in small letters, without a path or the usual port, separated by commas, like \
                 https://app.example.com,http://localhost:5173"
                    .into()
            }
            Self::Choice(words) => format!("write one of {}", words.join(", ")),
            Self::Count { least, most } => format!("write a whole number from {least} to {most}"),
            Self::CountOrAuto { most } => {
                format!("write auto or a whole number from 1 to {most}")
            }
            Self::Size { least, most } => format!(
                "write a size from {} to {}, like 64KiB",
                show_size(least),
                show_size(most)
            ),
            Self::Duration { least, most } => format!(
                "write a time from {} to {}, like 500ms, 10s or 5m",
                show_duration(least),
                show_duration(most)
            ),
        }
    }

    /// The name of the type in help texts and the reference.
    #[must_use]
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Path => "path",
            Self::Switch => "true|false",
            Self::Socket => "address:port",
            Self::Url => "url",
            Self::Mount => "path",
            Self::Database => "database",
            Self::Networks => "networks",
            Self::Origins => "origins",
            Self::Choice(_) => "choice",
            Self::Count { .. } | Self::CountOrAuto { .. } => "count",
            Self::Size { .. } => "size",
            Self::Duration { .. } => "duration",
        }
    }
}

/// Where the records are kept.
#[derive(Clone, PartialEq, Eq)]
pub enum Database {
    /// An SQLite file; without a path it is `keyholt.db` in the data folder.
    Sqlite(Option<PathBuf>),
    /// A PostgreSQL connection URL, which may hold a password: its `Debug` hides it.
    Postgres(String),
    /// Nothing is kept.
    Memory,
}

impl Database {
    /// Reads a `database` setting.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        if text == "memory" {
            return Some(Self::Memory);
        }
        if text == "sqlite" {
            return Some(Self::Sqlite(None));
        }
        if let Some(path) = text.strip_prefix("sqlite:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            return (!path.is_empty()).then(|| Self::Sqlite(Some(path.into())));
        }
        let host = text
            .strip_prefix("postgres://")
            .or_else(|| text.strip_prefix("postgresql://"))?;
        (!host.is_empty()).then(|| Self::Postgres(text.to_owned()))
    }
}

impl std::fmt::Debug for Database {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Sqlite(path) => f.debug_tuple("Sqlite").field(path).finish(),
            Self::Postgres(url) => f.debug_tuple("Postgres").field(&without_password(url)).finish(),
            Self::Memory => f.write_str("Memory"),
        }
    }
}

/// Where clients reach this service: scheme, host and perhaps a path, with no slash at the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicUrl(String);

impl PublicUrl {
    /// Reads an absolute `http` or `https` URL.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        let uri: http::Uri = text.parse().ok()?;
        let scheme = uri.scheme_str()?;
        let authority = uri.authority()?.as_str();
        let clean = matches!(scheme, "http" | "https")
            && !authority.contains('@')
            && uri.query().is_none()
            && !text.contains('#');
        clean.then(|| Self(text.trim_end_matches('/').to_owned()))
    }

    /// Whether clients reach it over TLS.
    #[must_use]
    pub fn is_encrypted(&self) -> bool {
        self.0
            .get(..6)
            .is_some_and(|scheme| scheme.eq_ignore_ascii_case("https:"))
    }

    /// The URL without a slash at the end, ready for a path to follow.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A path below which something is put beside the native API, such as `/directus`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount(String);

/// Longest mount, in bytes.
const MOUNT_BYTES_MAX: usize = 64;
/// First words of paths that belong to Keyholt itself.
const OWN_PATHS: [&str; 10] = [
    "v1", "v2", "docs", "openapi", "livez", "readyz", "oauth", "projects", "console", "metrics",
];

impl Mount {
    /// Reads `/word` or `/word/word…`, without a slash at the end.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        let word = |word: &str| {
            !word.is_empty()
                && word
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_'))
        };
        let path = text.strip_prefix('/')?;
        let own = path.split('/').next().is_some_and(|first| OWN_PATHS.contains(&first));
        (text.len() <= MOUNT_BYTES_MAX && path.split('/').all(word) && !own).then(|| Self(text.to_owned()))
    }

    /// The path.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What is left of a path that is the mount or below it: `/`, or `/` and more.
    ///
    /// Two slashes after the mount are one: the address that a client was told may end in one of them.
    #[must_use]
    pub fn rest<'a>(&self, path: &'a str) -> Option<&'a str> {
        match path.strip_prefix(self.as_str())? {
            "" => Some("/"),
            rest => {
                let words = rest.strip_prefix('/')?;
                Some(if words.starts_with('/') { words } else { rest })
            }
        }
    }

    /// Whether one of the two is, or is below, the other.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        self.rest(&other.0).is_some() || other.rest(&self.0).is_some()
    }
}

/// Reads `true` or `false`.
#[must_use]
pub fn switch(text: &str) -> Option<bool> {
    text.parse().ok()
}

/// Most origins that are looked through for a request.
const ORIGINS_MAX: usize = 64;

/// Reads origins separated by commas. They are compared letter by letter, so each is written as browsers write it.
#[must_use]
pub fn origins(text: &str) -> Option<Vec<String>> {
    let is_origin = |text: &str| {
        let usual_port = match text.split_once("://") {
            Some(("https", _)) => ":443",
            Some(("http", _)) => ":80",
            _ => return false,
        };
        let is_bare = |uri: http::Uri| uri.authority().is_some_and(|name| !name.as_str().contains(['@', '*']));
        let end = text.rsplit("://").next().unwrap_or_default();
        !end.contains(['/', '?', '#'])
            && !text.bytes().any(|byte| byte.is_ascii_uppercase())
            && !text.ends_with(usual_port)
            && !text.ends_with(':')
            && text.parse().is_ok_and(is_bare)
    };
    let list: Vec<String> = text
        .split(',')
        .map(str::trim)
        .filter(|origin| !origin.is_empty())
        .map(|origin| is_origin(origin).then(|| origin.to_owned()))
        .collect::<Option<_>>()?;
    (list.len() <= ORIGINS_MAX).then_some(list)
}

/// Reads networks separated by commas; a single address is a network of one.
#[must_use]
pub fn networks(text: &str) -> Option<Vec<IpNet>> {
    text.split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .map(|part| {
            part.parse::<IpNet>()
                .or_else(|_| part.parse().map(|address: std::net::IpAddr| address.into()))
                .ok()
                .map(|net| net.trunc())
        })
        .collect()
}

const DURATION_UNITS: &[(&str, u64)] = &[
    ("ms", 1),
    ("s", 1_000),
    ("m", 60_000),
    ("h", 3_600_000),
    ("d", 86_400_000),
];

const SIZE_UNITS: &[(&str, u64)] = &[
    ("B", 1),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("kB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
];

/// Reads `500ms`, `10s`, `5m`, `12h` or `30d`. A number without a unit is refused: ten of what?
#[must_use]
pub fn duration(text: &str) -> Option<Duration> {
    number_with_unit(text, DURATION_UNITS).map(Duration::from_millis)
}

/// Reads `512B`, `64KiB`, `16MiB`, `1GiB`, or decimal `kB`, `MB`, `GB`.
#[must_use]
pub fn size(text: &str) -> Option<u64> {
    number_with_unit(text, SIZE_UNITS)
}

fn number_with_unit(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let (_, factor) = units.iter().find(|(name, _)| *name == unit)?;
    number.parse::<u64>().ok()?.checked_mul(*factor)
}

/// Writes a duration in the largest unit that keeps it whole.
#[must_use]
pub fn show_duration(duration: Duration) -> String {
    let ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    show_number(ms, DURATION_UNITS, "s")
}

/// Writes a size in the largest binary unit that keeps it whole.
#[must_use]
pub fn show_size(bytes: u64) -> String {
    show_number(bytes, &SIZE_UNITS[..4], "B")
}

fn show_number(value: u64, units: &[(&str, u64)], zero: &str) -> String {
    if value == 0 {
        return format!("0{zero}");
    }
    let (name, factor) = units
        .iter()
        .rev()
        .find(|(_, factor)| value.is_multiple_of(*factor))
        .unwrap_or(&units[0]);
    format!("{}{name}", value / factor)
}

/// A URL as it may be shown: everything but a password, wherever it stands (`user:…@host` or `?password=…`).
#[must_use]
pub fn without_password(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        return url.to_owned();
    };
    // Parameters first, to the end of each, so that an `@` in one of them is not taken for the end of a login.
    let rest: String = rest
        .split_inclusive(['?', '&'])
        .map(|part| match part.split_once('=') {
            Some((name, _)) if name.to_ascii_lowercase().contains("pass") => {
                let end = if part.ends_with('&') { "&" } else { "" };
                format!("{name}=•••{end}")
            }
            _ => part.to_owned(),
        })
        .collect();
    // Then up to the last `@`, because a password that was not percent-encoded may contain one.
    match rest.rsplit_once('@') {
        Some((login, place)) if login.contains(':') => {
            let user = login.split(':').next().unwrap_or_default();
            format!("{scheme}://{user}:•••@{place}")
        }
        _ => format!("{scheme}://{rest}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_sizes_need_a_unit_and_print_as_they_were_read() {
        for text in ["0s", "500ms", "10s", "5m", "12h", "30d"] {
            assert_eq!(show_duration(duration(text).unwrap()), text);
        }
        for text in ["0B", "512B", "64KiB", "16MiB", "1GiB"] {
            assert_eq!(show_size(size(text).unwrap()), text);
        }
        assert_eq!(size("1kB"), Some(1_000));
        for text in [
            "",
            "10",
            "s",
            "-1s",
            "+1s",
            "1.5s",
            " 1s",
            "1 s",
            "1S",
            "1week",
            "99999999999999999999d",
            "18446744073709551615d",
        ] {
            assert_eq!(duration(text), None, "{text:?}");
        }
        for text in ["", "64", "KiB", "64kib", "-1B", "18446744073709551615GiB"] {
            assert_eq!(size(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_shown_database_url_keeps_everything_but_the_password() {
        for (url, shown) in [
            ("postgres://db/keys", "postgres://db/keys"),
            ("postgres://me@db/keys", "postgres://me@db/keys"),
            (
                "postgres://me:hunter2@db:5432/keys?sslmode=require",
                "postgres://me:•••@db:5432/keys?sslmode=require",
            ),
            ("postgres://me:p@ss/w:rd?x@db/keys", "postgres://me:•••@db/keys"),
            (
                "postgres://db/keys?password=hunt@er2",
                "postgres://db/keys?password=•••",
            ),
            (
                "postgres://db:1/keys?password=hunt@er2&user=a",
                "postgres://db:1/keys?password=•••&user=a",
            ),
            (
                "postgres://db/keys?user=me&password=hunter2",
                "postgres://db/keys?user=me&password=•••",
            ),
            ("postgres://db/k?sslpassword=hunter2", "postgres://db/k?sslpassword=•••"),
        ] {
            assert_eq!(without_password(url), shown);
        }
        let debug = format!("{:?}", Database::read("postgres://me:hunter2@db/keys"));
        assert!(!debug.contains("hunter2"), "{debug}");
    }

    #[test]
    fn networks_are_read_with_and_without_prefix_length() {
        let read = networks("10.1.2.3/8, ::1,192.0.2.7").unwrap();
        let shown: Vec<_> = read.iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["10.0.0.0/8", "::1/128", "192.0.2.7/32"]);
        assert_eq!(networks(""), Some(vec![]));
        assert_eq!(networks("10.0.0.0/33"), None);
        assert_eq!(networks("everyone"), None);
    }

    #[test]
    fn origins_are_written_as_browsers_write_them_and_none_stands_for_all() {
        let read = origins("https://app.example.com, http://localhost:5173,http://[::1]:8080").unwrap();
        assert_eq!(
            read,
            ["https://app.example.com", "http://localhost:5173", "http://[::1]:8080"]
        );
        assert_eq!(origins(""), Some(vec![]));
        for bad in [
            "*",
            "null",
            "app.example.com",
            "https://",
            "https://*.example.com",
            "https://App.example.com",
            "https://app.example.com/",
            "https://app.example.com:443",
            "http://app.example.com:80",
            "https://app.example.com:",
            "https://me@app.example.com",
            "https://app.example.com?x",
            "https://app.example.com#x",
            "ftp://app.example.com",
            "https://good.example,*",
            "https://a b.example",
        ] {
            assert_eq!(origins(bad), None, "{bad}");
        }
        assert_eq!(origins(&["https://a.example"; ORIGINS_MAX + 1].join(",")), None);
    }

    #[test]
    fn a_public_url_is_absolute_and_carries_no_login_query_or_fragment() {
        assert_eq!(
            PublicUrl::read("https://k.example/").unwrap().as_str(),
            "https://k.example"
        );
        for bad in [
            "k.example",
            "/v1",
            "ftp://k.example",
            "https://a@k.example",
            "https://k.example?x=1",
            "https://k.example/#x",
        ] {
            assert_eq!(PublicUrl::read(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_mount_is_a_path_that_keyholt_does_not_need_itself() {
        for good in ["/directus", "/a/b-c_1"] {
            assert_eq!(Mount::read(good).unwrap().as_str(), good);
        }
        for bad in [
            "", "/", "a", "/a/", "//a", "/A", "/a.b", "/v1", "/v1/x", "/docs", "/%61", "/{a}", "/a?b",
        ] {
            assert_eq!(Mount::read(bad), None, "{bad}");
        }
        let [a, ab, b] = ["/a", "/a/b", "/ab"].map(|text| Mount::read(text).unwrap());
        assert!(a.overlaps(&a) && a.overlaps(&ab) && ab.overlaps(&a) && !a.overlaps(&b));
        for (path, rest) in [
            ("/a", Some("/")),
            ("/a/", Some("/")),
            ("/a/b", Some("/b")),
            ("/a//b/", Some("/b/")),
            ("/a///b", Some("//b")),
            ("/a//", Some("/")),
            ("/ab", None),
            ("/A/b", None),
            ("/b/a", None),
            ("*", None),
            ("", None),
        ] {
            assert_eq!(a.rest(path), rest, "{path}");
        }
    }

    #[test]
    fn a_database_is_one_of_three_kinds() {
        assert_eq!(Database::read("sqlite"), Some(Database::Sqlite(None)));
        assert_eq!(
            Database::read("sqlite:/x/k.db"),
            Some(Database::Sqlite(Some("/x/k.db".into())))
        );
        assert_eq!(
            Database::read("sqlite:///x/k.db"),
            Some(Database::Sqlite(Some("/x/k.db".into())))
        );
        assert_eq!(Database::read("memory"), Some(Database::Memory));
        for bad in ["", "sqlite:", "postgres://", "mysql://x", "keyholt.db"] {
            assert_eq!(Database::read(bad), None, "{bad}");
        }
    }
}
