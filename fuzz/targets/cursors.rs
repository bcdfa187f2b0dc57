//! Whatever somebody sends as a query: a page, or a refusal; no cursor is good that was not given out.
#![no_main]

use libfuzzer_sys::fuzz_target;

const LISTS: [&str; 4] = ["keys", "users", "events", "roles"];

fuzz_target!(|bytes: &[u8]| {
    let Some((list, query)) = bytes.split_first() else { return };
    let list = LISTS[usize::from(*list) % LISTS.len()];
    // What cannot stand in a request line is another harness's business.
    let query: String = query.iter().filter(|byte| byte.is_ascii_graphic() && **byte != b'#').map(|byte| char::from(*byte)).collect();
    let status = keyholt_fuzz::ask("GET", &format!("/v1/projects/acme/{list}?cursor={query}"), "application/json", b"");
    assert_ne!(status, 200, "a cursor was taken that was never given out: {query}");
    keyholt_fuzz::ask("GET", &format!("/v1/projects/acme/{list}?{query}"), "application/json", b"");
});
