//! Sessions, as people read them.

use keyholt_api::session::Session;

use super::{Breadth, Listed, owner_text};
use crate::printer::table::{Cell, Head, Tone};

impl Listed for Session {
    fn heads(breadth: Breadth) -> Vec<Head> {
        let mut heads = vec![
            Head::whole("ID"),
            Head::words("NAME"),
            Head::whole("LOGGED IN"),
            Head::whole("LAST USED"),
            Head::whole("ENDS"),
            Head::whole("THIS ONE"),
        ];
        if breadth == Breadth::Wide {
            heads.extend([Head::words("OWNER"), Head::whole("MODE")]);
        }
        heads
    }

    fn row(&self, breadth: Breadth) -> Vec<Cell> {
        let mut row = vec![
            self.id.to_string().into(),
            self.name.as_str().into(),
            self.created_at.to_string().into(),
            Cell::maybe(self.last_used_at.as_ref()),
            Cell::maybe(self.expires_at.as_ref()),
            if self.current {
                Cell::toned("yes", Tone::Good)
            } else {
                "no".into()
            },
        ];
        if breadth == Breadth::Wide {
            row.push(owner_text(&self.owner).into());
            row.push(self.mode.as_str().into());
        }
        row
    }
}
