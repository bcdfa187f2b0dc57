//! The row's seqlock under loom, which plays every interleaving and every reordering that the
//! memory model allows. `slot.rs` is compiled here a second time, over loom's atomics.

use loom::{sync::Arc, sync::atomic, thread};

use super::Row;

#[expect(
    clippy::duplicate_mod,
    reason = "the model checker needs its own atomics in the same text"
)]
#[path = "slot.rs"]
mod slot;

use slot::Slot;

/// A row whose every field says `n`.
fn pattern(n: u32) -> Row {
    Row {
        digest: [n.into(); 2],
        key: u128::from(n) << 64 | u128::from(n),
        owner: n,
        access: n,
        bounds: n,
        flags: n,
        expires: n.into(),
        revision: n,
    }
}

#[test]
fn no_interleaving_shows_a_mixture_of_two_writes() {
    let mut model = loom::model::Builder::new();
    // Two involuntary switches find every seqlock mistake tried and keep the run to seconds.
    model.preemption_bound = Some(2);
    model.check(|| {
        let slot = Arc::new(Slot::vacant());
        slot.write(&pattern(1));
        let shared = Arc::clone(&slot);
        // The reader is the new thread: loom overlooks stale reads by the thread that made the
        // writer, and with them a missing release or acquire of the stamp.
        let reader = thread::spawn(move || {
            if let Some(row) = shared.try_read() {
                let whole = row == pattern(1) || row == pattern(2);
                assert!(whole, "a mixture was read: {row:?}");
            }
        });
        slot.write(&pattern(2));
        reader.join().expect("reader");
        assert!(slot.try_read() == Some(pattern(2)), "the last write was lost");
    });
}
