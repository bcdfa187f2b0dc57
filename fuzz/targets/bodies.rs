//! Whatever somebody sends as a body: an answer that is not "something went wrong inside".
#![no_main]

use libfuzzer_sys::fuzz_target;

const PLACES: [(&str, &str); 12] = [
    ("POST", "/v1/projects/acme/verify"),
    ("POST", "/v1/verify/batch"),
    ("POST", "/v1/projects/acme/keys"),
    ("POST", "/v1/projects/acme/keys/find"),
    ("POST", "/v1/projects/acme/keys/revoke-matching"),
    ("POST", "/v1/projects/acme/users"),
    ("POST", "/v1/projects/acme/teams"),
    ("POST", "/v1/projects/acme/services"),
    ("POST", "/v1/projects/acme/roles"),
    ("PATCH", "/v1/projects/acme/users/u"),
    ("PATCH", "/v1/projects/acme"),
    ("POST", "/v1/projects/acme/explain"),
];

fuzz_target!(|bytes: &[u8]| {
    let Some((place, body)) = bytes.split_first() else { return };
    let (method, path) = PLACES[usize::from(*place) % PLACES.len()];
    keyholt_fuzz::ask(method, path, "application/json", body);
});
