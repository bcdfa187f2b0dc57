//! Settings from three sources: precedence, origins, refusals that help, secrets that stay hidden.

use super::*;
use crate::http::BodyLimits;

fn environment(pairs: &[(&str, &str)]) -> Vec<(OsString, OsString)> {
    pairs
        .iter()
        .map(|(name, value)| (OsString::from(name), OsString::from(value)))
        .collect()
}

fn load(env: &[(&str, &str)], flags: &[(&str, &str)]) -> Result<Loaded, ConfigError> {
    let flags = flags.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned()));
    Config::load(environment(env), flags, &["KEYHOLT_URL"])
}

fn problems(env: &[(&str, &str)], flags: &[(&str, &str)]) -> Vec<String> {
    load(env, flags).expect_err("a refusal").problems
}

fn file(text: &str) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keyholt.toml");
    std::fs::write(&path, text).unwrap();
    let path = path.to_str().unwrap().to_owned();
    (folder, path)
}

fn row(loaded: &Loaded, name: &str) -> (String, String) {
    let row = loaded.shown.iter().find(|row| row.name == name).unwrap();
    (row.value.clone(), row.origin.clone())
}

#[test]
fn nothing_given_means_a_safe_local_service() {
    let config = load(&[], &[]).unwrap().config;
    assert_eq!(config.listen.to_string(), "127.0.0.1:7311");
    assert!(config.check_exposure().is_ok());
    assert!(config.tls.is_none() && !config.insecure_public && config.trusted_proxies.is_empty());
    assert_eq!(config.database, Database::Sqlite(Some("./data/keyholt.db".into())));
    assert!(matches!(&config.master_key, MasterKey::File(path) if path.ends_with("master.key")));
    assert_eq!(config.limits.header_bytes, 16 << 10);
    assert_eq!(BodyLimits::from(&config.limits), BodyLimits::default());
    assert_eq!(config.limits.idle_timeout, Duration::from_secs(75));
    assert_eq!(config.staleness_max, Duration::from_secs(2));
    assert_eq!(config.workers.on(NonZeroUsize::new(3).unwrap()).get(), 3);
}

#[test]
fn a_flag_wins_over_the_environment_and_that_over_the_file_and_each_value_tells_its_origin() {
    let (_folder, path) = file(
        "listen = '127.0.0.1:1'\ntrusted_proxies = ['10.0.0.0/8', '::1']\n[limits]\nconnections = 7\nidle_timeout = '3s'\n",
    );
    let loaded = load(
        &[
            ("KEYHOLT_CONFIG", &path),
            ("KEYHOLT_LISTEN", "127.0.0.1:2"),
            ("KEYHOLT_LIMITS__IDLE_TIMEOUT", "4s"),
        ],
        &[("listen", "127.0.0.1:3")],
    )
    .unwrap();
    assert_eq!(row(&loaded, "listen"), ("127.0.0.1:3".into(), "--listen".into()));
    assert_eq!(
        row(&loaded, "limits.idle_timeout"),
        ("4s".into(), "KEYHOLT_LIMITS__IDLE_TIMEOUT".into())
    );
    assert_eq!(row(&loaded, "limits.connections"), ("7".into(), format!("file {path}")));
    assert_eq!(row(&loaded, "drain"), ("10s".into(), "default".into()));
    assert_eq!(loaded.config.limits.connections, 7);
    assert_eq!(loaded.config.trusted_proxies.len(), 2);
}

#[test]
fn the_same_setting_has_the_same_name_in_file_environment_and_flag() {
    let (_folder, path) = file("[tls]\ncertificate = 'c'\nkey = 'k'\n");
    let want = Some(TlsFiles {
        certificate: "c".into(),
        key: "k".into(),
    });
    for (env, flags) in [
        (vec![("KEYHOLT_CONFIG", path.as_str())], vec![]),
        (
            vec![("KEYHOLT_TLS__CERTIFICATE", "c"), ("KEYHOLT_TLS__KEY", "k")],
            vec![],
        ),
        (vec![], vec![("tls-certificate", "c"), ("--tls-key", "k")]),
        (vec![], vec![("tls.certificate", "c"), ("tls.key", "k")]),
    ] {
        assert_eq!(load(&env, &flags).unwrap().config.tls, want);
    }
}

#[test]
fn an_unknown_setting_is_refused_and_the_nearest_one_named_wherever_it_was_written() {
    let (_folder, path) = file("[limits]\nidle_timout = '3s'\n[tsl]\ncertificate = 'x'\n");
    let found = problems(
        &[
            ("KEYHOLT_CONFIG", &path),
            ("KEYHOLT_LISTN", "x"),
            ("KEYHOLT_URL", "mine"),
            ("HOME", "/"),
        ],
        &[("databse", "x")],
    )
    .join("\n");
    for expected in [
        "KEYHOLT_LISTN; did you mean KEYHOLT_LISTEN?",
        "--databse; did you mean --database?",
        "limits.idle_timout; did you mean limits.idle_timeout?",
        "tsl.certificate; did you mean tls.certificate?",
    ] {
        assert!(found.contains(expected), "{expected} not in\n{found}");
    }
    assert!(!found.contains("KEYHOLT_URL") && !found.contains("HOME"), "{found}");
    let hopeless = problems(&[("KEYHOLT_ZZZZZZ", "x")], &[]).join("\n");
    assert!(hopeless.contains("keyholt config show"), "{hopeless}");
}

#[test]
fn a_wrong_value_is_refused_with_setting_origin_and_what_is_allowed_and_all_are_told_at_once() {
    let found = problems(
        &[
            ("KEYHOLT_DRAIN", "10"),
            ("KEYHOLT_LISTEN", "localhost"),
            ("KEYHOLT_WORKERS", "0"),
        ],
        &[("limits-header-bytes", "1KiB")],
    );
    assert_eq!(
        found,
        [
            "listen = \"localhost\" (from KEYHOLT_LISTEN): write an IP address and a port, like 127.0.0.1:7311 or [::1]:7311",
            "workers = \"0\" (from KEYHOLT_WORKERS): write auto or a whole number from 1 to 1024",
            "drain = \"10\" (from KEYHOLT_DRAIN): write a time from 0s to 1h, like 500ms, 10s or 5m",
            "limits.header_bytes = \"1KiB\" (from --limits-header-bytes): write a size from 8KiB to 1MiB, like 64KiB",
        ]
    );
}

#[test]
fn a_file_that_was_named_must_be_there_and_a_broken_one_is_told_by_line_without_its_text() {
    let missing = problems(&[], &[("config", "/nowhere/keyholt.toml")]).join("\n");
    assert!(
        missing.contains("/nowhere/keyholt.toml") && missing.contains("--config"),
        "{missing}"
    );
    let (_folder, path) = file("drain = '1s'\ndatabase = 'postgres://me:hunter2@db/keys\n");
    let broken = problems(&[("KEYHOLT_CONFIG", &path)], &[]).join("\n");
    assert!(broken.contains("line 2") && !broken.contains("hunter2"), "{broken}");
    let (_folder, path) = file("config = 'other.toml'\ndrain = 1.5\n");
    let found = problems(&[("KEYHOLT_CONFIG", &path)], &[]).join("\n");
    assert!(found.contains("config") && found.contains("drain (from"), "{found}");
}

#[test]
fn a_secret_may_come_from_a_file_and_is_shown_nowhere() {
    let (_folder, path) = file("postgres://me:hunter2@db/keys\n");
    let loaded = load(
        &[
            ("KEYHOLT_DATABASE_FILE", &path),
            ("KEYHOLT_MASTER_KEY", "correct-horse-battery"),
        ],
        &[],
    )
    .unwrap();
    assert_eq!(
        row(&loaded, "database"),
        (
            "postgres://me:•••@db/keys".into(),
            format!("KEYHOLT_DATABASE_FILE ({path})")
        )
    );
    assert_eq!(
        loaded.config.database,
        Database::Postgres("postgres://me:hunter2@db/keys".into())
    );
    assert!(matches!(&loaded.config.master_key, MasterKey::Given(key) if key.as_str() == "correct-horse-battery"));
    let everything = format!("{loaded:?}\n{}", show(&loaded));
    assert!(
        !everything.contains("hunter2") && !everything.contains("correct-horse"),
        "{everything}"
    );
    let refusal = problems(&[("KEYHOLT_DATABASE", "mysql://me:hunter2@db")], &[]).join("\n");
    assert!(
        refusal.starts_with("database (from") && !refusal.contains("hunter2"),
        "{refusal}"
    );
    let as_flag = problems(&[], &[("master-key", "correct-horse-battery")]).join("\n");
    assert!(!as_flag.contains("correct-horse"), "{as_flag}");
}

#[test]
fn settings_that_do_not_go_together_are_refused() {
    for (env, expected) in [
        (
            vec![("KEYHOLT_TLS__KEY", "k")],
            "tls.key (from KEYHOLT_TLS__KEY) needs tls.certificate as well",
        ),
        (
            vec![("KEYHOLT_MASTER_KEY", "x"), ("KEYHOLT_MASTER_KEY_FILE", "y")],
            "master_key (from KEYHOLT_MASTER_KEY) and master_key_file (from KEYHOLT_MASTER_KEY_FILE) are both set; keep one",
        ),
    ] {
        assert_eq!(problems(&env, &[]), [expected]);
    }
    let (_folder, path) = file("sqlite\n");
    let twice = problems(&[("KEYHOLT_DATABASE", "sqlite"), ("KEYHOLT_DATABASE_FILE", &path)], &[]);
    assert!(twice[0].contains("set twice"), "{twice:?}");
}

#[test]
fn a_public_address_needs_tls_or_the_explicit_switch() {
    let verdict = |env: &[(&str, &str)]| load(env, &[]).unwrap().config.check_exposure();
    for local in ["127.0.0.1:0", "127.9.9.9:0", "[::1]:0", "[::ffff:127.0.0.1]:0"] {
        assert!(verdict(&[("KEYHOLT_LISTEN", local)]).is_ok(), "{local}");
    }
    for public in ["0.0.0.0:0", "[::]:0", "192.168.0.1:0", "203.0.113.7:0"] {
        let refusal = verdict(&[("KEYHOLT_LISTEN", public)]).unwrap_err().to_string();
        for word in [public, "tls.certificate", "tls.key", "insecure_public = true"] {
            assert!(refusal.contains(word), "{word} not in {refusal}");
        }
        assert!(verdict(&[("KEYHOLT_LISTEN", public), ("KEYHOLT_INSECURE_PUBLIC", "true")]).is_ok());
        assert!(
            verdict(&[
                ("KEYHOLT_LISTEN", public),
                ("KEYHOLT_TLS__KEY", "k"),
                ("KEYHOLT_TLS__CERTIFICATE", "c")
            ])
            .is_ok()
        );
    }
}

#[test]
fn the_reference_describes_every_setting_and_show_lists_every_setting() {
    let page = reference_markdown();
    let list = show(&load(&[], &[]).unwrap());
    for setting in SETTINGS {
        assert!(page.contains(&format!("\n## `{}`\n\n{}\n", setting.name, setting.about)));
        assert!(page.contains(&format!("`{}`", setting.variable())));
        assert!(
            list.lines().any(|line| line.starts_with(setting.name)),
            "{}",
            setting.name
        );
    }
}

#[test]
fn a_dialect_needs_a_project_and_a_place_of_its_own() {
    let given = |flags: &[(&str, &str)]| load(&[], flags);
    assert_eq!(given(&[]).unwrap().config.dialects, []);
    let on = [
        ("dialects-datalayer-project", "acme"),
        ("dialects-datalayer-mount", "/datalayer"),
        ("dialects-meerschaum-project", "acme"),
        ("dialects-meerschaum-listen", "127.0.0.1:8300"),
    ];
    let dialects = given(&on).unwrap().config.dialects;
    let shown: Vec<_> = dialects
        .iter()
        .map(|dialect| {
            (
                dialect.name,
                dialect.mount.as_ref().map(Mount::as_str),
                dialect.listen.is_some(),
            )
        })
        .collect();
    assert_eq!(
        shown,
        [("meerschaum", None, true), ("datalayer", Some("/datalayer"), false)]
    );
    for (flags, told) in [
        (
            &on[..1],
            "dialects.datalayer.project (from --dialects-datalayer-project) needs dialects.datalayer.mount or",
        ),
        (
            &on[1..2],
            "dialects.datalayer.mount (from --dialects-datalayer-mount) needs dialects.datalayer.project",
        ),
        (
            &[on[0], on[1], on[2], ("dialects-meerschaum-mount", "/datalayer/x")],
            "dialects.datalayer.mount and dialects.meerschaum.mount are in each other's way",
        ),
        (
            &[on[0], ("dialects-datalayer-mount", "/v1/x")],
            "dialects.datalayer.mount = \"/v1/x\"",
        ),
    ] {
        let problems = problems(&[], flags);
        assert!(problems.len() == 1 && problems[0].starts_with(told), "{problems:?}");
    }
    let exposed = [on[2], ("dialects-meerschaum-listen", "0.0.0.0:8300")];
    let address = given(&exposed).unwrap().config.check_exposure().unwrap_err().address;
    assert_eq!(
        address.to_string(),
        "0.0.0.0:8300",
        "a dialect's listener is a way in like the main one"
    );
}
