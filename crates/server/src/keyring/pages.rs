//! Pages of memory: large ones where there are many keys, for they save a few per cent of each look-up among ten million; small
//! ones where there are few, for a large one takes 2 MiB wherever a byte is touched.

use rustix::thread::disable_transparent_huge_pages;

/// So many keys are worth large pages.
pub const MANY: usize = 100_000;

/// Small pages, until there are many keys. A system that does not know the difference goes on as it does.
pub fn small() {
    let _ = disable_transparent_huge_pages(true);
}

/// Large pages from now on, if so many keys are many; what is in memory already stays where it is.
pub fn for_keys(keys: usize) {
    if keys >= MANY {
        let _ = disable_transparent_huge_pages(false);
    }
}
