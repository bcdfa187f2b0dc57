//! Stories of deleting: the record goes, the audit trail stays.

use keyholt_core::commit::{Change, Record};
use keyholt_core::remove::delete;

use crate::support::{World, cause, wish};

#[test]
fn a_deleted_key_leaves_its_story_behind() {
    let mut world = World::new();
    let member = world.member();
    let key = world.held(&member, wish(member.owner)).key;
    let leave = world.leave(&member, member.owner);
    let commit = delete(&leave, &key, Some(cause("tidy up")), world.now);
    assert!(
        matches!(commit.changes(), [Change::Remove { record: Record::Key(gone) }] if gone.id == key.id && gone.revision == key.revision),
        "it goes as it was last, provided that nobody changed it meanwhile"
    );
    let event = commit.event();
    assert_eq!(
        (event.action.as_str(), event.cause.clone()),
        ("key.delete", Some(cause("tidy up")))
    );
    assert_eq!(event.before, Some(Record::Key(Box::new(key)).view()));
    assert_eq!(event.after, None);
}
