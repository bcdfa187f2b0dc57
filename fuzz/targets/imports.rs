//! Whatever somebody sends as an import: all of it, or a refusal that names what is wrong.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    keyholt_fuzz::ask("POST", "/v1/projects/acme/keys/import", "application/json", bytes);
});
