//! A PostgreSQL server of one's own, to be stopped, frozen and brought back.

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

/// A server in a folder of its own; both are gone when it is dropped.
pub struct Server {
    home: TempDir,
    port: u16,
    settings: Vec<String>,
}

impl Server {
    /// Makes a server and starts it.
    pub fn start() -> Self {
        Self::start_with(|_| Vec::new())
    }

    /// Makes a server with these settings; they may name files that are put into the folder first.
    pub fn start_with(settings: impl FnOnce(&Path) -> Vec<String>) -> Self {
        let home = TempDir::new().unwrap();
        std::fs::set_permissions(home.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let settings = settings(home.path());
        if is_root() {
            run(Command::new("chown").args(["-R", "postgres"]).arg(home.path()));
        }
        let data = home.path().join("data");
        run(as_owner("initdb").arg("--pgdata").arg(&data).args([
            "--username",
            "keyholt",
            "--auth",
            "trust",
            "--encoding",
            "UTF8",
            "--no-locale",
            "--no-sync",
        ]));
        let mut server = Self {
            home,
            port: 0,
            settings,
        };
        // A port that is free now may be taken a moment later.
        for _ in 0..5 {
            server.port = TcpListener::bind(("127.0.0.1", 0))
                .unwrap()
                .local_addr()
                .unwrap()
                .port();
            if server.try_start() {
                return server;
            }
        }
        panic!("the server does not start: {}", server.log());
    }

    /// The URL of its first database.
    pub fn url(&self) -> String {
        format!("postgres://keyholt@127.0.0.1:{}/postgres", self.port)
    }

    /// The port it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Stops it as a power failure would.
    pub fn crash(&self) {
        run(self.control("stop").args(["--mode", "immediate"]));
    }

    /// Starts it again.
    pub fn restart(&self) {
        assert!(self.try_start(), "the server does not start again: {}", self.log());
    }

    /// Freezes all of its processes: it is there and says nothing.
    pub fn freeze(&self) {
        self.signal("-STOP");
    }

    /// Lets it go on.
    pub fn thaw(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let file = std::fs::read_to_string(self.data().join("postmaster.pid")).unwrap();
        let postmaster = file.lines().next().unwrap().to_owned();
        // The parent first, so that it makes no more children meanwhile.
        run(Command::new("kill").args([signal, &postmaster]));
        for child in children_of(&postmaster) {
            // One that ended in between needs no signal.
            let _ = Command::new("kill")
                .args([signal, &child])
                .stderr(Stdio::null())
                .status();
        }
    }

    fn try_start(&self) -> bool {
        let options = format!(
            "-c listen_addresses=127.0.0.1 -c port={} -c unix_socket_directories={} {}",
            self.port,
            self.home.path().display(),
            self.settings
                .iter()
                .map(|setting| format!("-c {setting}"))
                .collect::<Vec<_>>()
                .join(" "),
        );
        self.control("start")
            .arg("--log")
            .arg(self.home.path().join("log"))
            .args(["--wait", "--options", &options])
            .status()
            .unwrap()
            .success()
    }

    fn control(&self, what: &str) -> Command {
        let mut command = as_owner("pg_ctl");
        command.args([what, "--silent", "--pgdata"]).arg(self.data());
        command
            .current_dir(self.home.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command
    }

    fn data(&self) -> PathBuf {
        self.home.path().join("data")
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.home.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.data().join("postmaster.pid").exists() {
            self.thaw();
            let _ = self.control("stop").args(["--mode", "immediate"]).status();
        }
    }
}

fn children_of(parent: &str) -> Vec<String> {
    let listed = Command::new("ps")
        .args(["-o", "pid=", "--ppid", parent])
        .output()
        .unwrap();
    String::from_utf8(listed.stdout)
        .unwrap()
        .split_whitespace()
        .map(str::to_owned)
        .collect()
}

/// A program of PostgreSQL, run as somebody whom it accepts: it refuses to be root.
fn as_owner(program: &str) -> Command {
    let program = newest_bin().join(program);
    if is_root() {
        let mut command = Command::new("runuser");
        command.args(["-u", "postgres", "--"]).arg(program);
        command
    } else {
        Command::new(program)
    }
}

fn newest_bin() -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let newest = versions
        .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
        .max();
    let newest = newest.expect("these tests need a PostgreSQL: `make test` says how to install one");
    PathBuf::from(format!("/usr/lib/postgresql/{newest}/bin"))
}

fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0)
}

fn run(command: &mut Command) {
    let outcome = command.output().unwrap();
    assert!(
        outcome.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&outcome.stderr)
    );
}
