//! Servers of others in `bench/peers`: installed from their registries, with keys that they made for themselves.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use anyhow::{Context, ensure};

use crate::load::{Outlook, Words};
use crate::setting::Setting;

/// Present once everything is installed.
const INSTALLED: &str = "installed";

/// The keys that a server of others has made for itself.
pub fn keys(folder: &Path) -> anyhow::Result<Arc<Words>> {
    let text = fs::read_to_string(folder.join("keys")).context("the others' keys")?;
    Ok(Arc::new(Words::new(Outlook::Good, text.lines())?))
}

/// The folder in which a server of others is installed; made once for each version of what is in `bench/peers`.
pub fn installed(
    setting: &Setting,
    name: &str,
    install: impl Fn(&Path) -> anyhow::Result<()>,
) -> anyhow::Result<PathBuf> {
    let (source, home) = (setting.peers.join(name), setting.home.join("peers").join(name));
    let mut contents = Vec::new();
    fs::create_dir_all(&home)?;
    for entry in fs::read_dir(&source).with_context(|| format!("no server in {}", source.display()))? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            let bytes = fs::read(entry.path())?;
            fs::write(home.join(entry.file_name()), &bytes)?;
            contents.push((entry.file_name(), bytes));
        }
    }
    contents.sort();
    let wanted: Vec<u8> = contents.into_iter().flat_map(|(_, bytes)| bytes).collect();
    let mark = home.join(INSTALLED);
    if fs::read(&mark).ok().as_deref() != Some(wanted.as_slice()) {
        crate::say::talk(&format!("installing {name}"));
        install(&home)?;
        fs::write(&mark, wanted)?;
    }
    Ok(home)
}

/// Runs a program to its end, which must be a good one.
pub fn run(command: &mut Command) -> anyhow::Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    // What installers say is talk; stdout is for the table.
    let status = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .status()
        .with_context(|| format!("cannot run {name}"))?;
    ensure!(status.success(), "{name} ended with {status}");
    Ok(())
}
