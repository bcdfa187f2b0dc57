//! A data folder with an operator, a project and owners in it, made once and copied for each trial.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use keyholt_rig::process::Process;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::caller::Caller;
use crate::setting::{Setting, Start};

/// The keys of the project.
pub const KEYS: &str = "/v1/projects/acme/keys";
/// Where an operator asks about a key of the project.
pub const VERIFY: &str = "/v1/projects/acme/verify";
/// Where a gateway asks about many keys at once.
pub const BATCH: &str = "/v1/verify/batch";
/// The name of the gateway's key, the only one that is there from the beginning.
pub const GATE: &str = "gate";
/// How many owners there are: each client has its own, so that none reaches its limit of keys.
pub const OWNERS: usize = 8;
/// What every owner may do.
pub const SCOPES: [&str; 3] = ["orders:read", "orders:write", "reports:read"];

/// A house that is not lived in.
pub struct House {
    folder: TempDir,
    /// The secrets of those who ask.
    pub people: People,
}

/// The secrets of those who ask.
#[derive(Clone, Debug, Default)]
pub struct People {
    /// Who may do everything.
    pub operator: String,
    /// Who may verify.
    pub gateway: String,
}

impl People {
    /// A client with the operator's key.
    pub fn operator(&self, address: SocketAddr) -> Caller {
        Caller::new(address, &self.operator)
    }

    /// A client with the gateway's key.
    pub fn gateway(&self, address: SocketAddr) -> Caller {
        Caller::new(address, &self.gateway)
    }
}

impl House {
    /// Makes a house on SQLite.
    pub fn build(setting: &Setting) -> anyhow::Result<Self> {
        let folder = setting.folder()?;
        let mut server = setting.start(folder.path(), &Start::default())?;
        let people = furnish(&mut server)?;
        server.stop()?;
        setting.register([&people.operator, &people.gateway])?;
        Ok(Self { folder, people })
    }

    /// A copy of it to live in.
    pub fn copy(&self, setting: &Setting) -> anyhow::Result<TempDir> {
        let copy = setting.folder()?;
        copy_files(self.folder.path(), copy.path())?;
        Ok(copy)
    }
}

/// Sets an empty server up, and tells the secrets of those who ask.
pub fn furnish(server: &mut Process) -> anyhow::Result<People> {
    let token = server.word("khsetup_")?;
    let mut stranger = Caller::new(server.address(), "");
    let made = stranger.must(
        "POST",
        "/v1/setup",
        Some(&json!({ "token": token, "name": "Olga" })),
        201,
    )?;
    let operator = text(&made, "/secret");
    let mut olga = Caller::new(server.address(), &operator);
    let project = json!({ "slug": "acme", "name": "Acme", "prefix": "acme" });
    olga.must("POST", "/v1/projects", Some(&project), 201)?;
    for owner in 0..OWNERS {
        let user = json!({ "external_id": owner_name(owner), "name": owner_name(owner) });
        olga.must("POST", "/v1/projects/acme/users", Some(&user), 201)?;
    }
    let gate = json!({ "name": "gate", "roles": ["verifier"] });
    olga.must("POST", "/v1/projects/acme/services", Some(&gate), 201)?;
    let key = json!({ "name": GATE, "owner": { "service": "gate" }, "scopes": ["keyholt:verify"] });
    let gateway = text(&olga.must("POST", KEYS, Some(&key), 201)?, "/secret");
    Ok(People { operator, gateway })
}

/// The text at a pointer; empty where there is none.
pub fn text(value: &Value, pointer: &str) -> String {
    value
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned()
}

/// The external id of an owner.
pub fn owner_name(owner: usize) -> String {
    format!("u-{owner}")
}

/// Copies the files of a data folder, with their modes.
pub fn copy_files(from: &Path, to: &Path) -> anyhow::Result<()> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        fs::copy(entry.path(), to.join(entry.file_name()))?;
    }
    Ok(())
}

/// The database in a data folder.
pub fn database(data: &Path) -> PathBuf {
    data.join("keyholt.db")
}
