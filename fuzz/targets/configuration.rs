//! Whatever stands in a configuration file or behind a flag: settings, or a list of what is wrong with them.
#![no_main]

use keyholt_server::config::Config;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    // Each line is a flag, name and value; the file is fuzzed through the same reader of values.
    let flags = text.lines().filter_map(|line| line.split_once('='));
    let flags: Vec<(String, String)> = flags.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let folder = std::env::temp_dir().join(format!("keyholt-fuzz-config-{}.toml", std::process::id()));
    std::fs::write(&folder, text).expect("a file");
    let file = ("config".to_owned(), folder.to_string_lossy().into_owned());
    // A refusal is as good an answer as settings; what counts is that there is one.
    let _ = Config::load([], [file], &[]);
    let _ = Config::load([], flags, &[]);
});
