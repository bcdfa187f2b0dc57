//! How late it ever was: it only grows, unless somebody says that it was wrong.

use keyholt_core::time::{Moment, Span};

use super::world::World;
use crate::{Store, TimeKept};

/// The latest instant that was kept or committed is told, and an earlier one does not change it unless it is to.
pub async fn the_latest_instant_is_kept(store: &dyn Store) {
    let latest = async || store.latest_time().await.expect("a read");
    let keep = async |at: Moment, kept| store.keep_time(at, kept).await.expect("it is kept");
    assert_eq!(latest().await, None, "nothing was written yet");
    let mut world = World::founded(store).await;
    let committed = latest().await.expect("commits tell the time");
    assert!(
        committed <= world.now,
        "{committed:?} is not later than the last commit"
    );

    let (early, late) = (committed.minus(Span::hours(1)), committed.plus(Span::hours(1)));
    keep(early, TimeKept::Onward).await;
    assert_eq!(latest().await, Some(committed), "a commit counts as well");
    keep(late, TimeKept::Onward).await;
    keep(early, TimeKept::Onward).await;
    assert_eq!(latest().await, Some(late), "an earlier instant changes nothing");
    keep(early, TimeKept::Anew).await;
    assert_eq!(
        latest().await,
        Some(early),
        "what was wrong is gone, the commits that told it included"
    );
    let record = world.user(world.acme.id, "ada");
    world.enrolled(store, record).await;
    assert!(latest().await >= Some(committed), "the next commit counts again");
}
