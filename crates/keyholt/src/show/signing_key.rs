//! Signing keys, as people read them.

use keyholt_api::signing_key::SigningKey;

use super::{Breadth, Listed};
use crate::printer::Shown;
use crate::printer::table::{Card, Cell, Head};

impl Listed for SigningKey {
    fn heads(_: Breadth) -> Vec<Head> {
        vec![
            Head::whole("KID"),
            Head::words("ALGORITHM"),
            Head::words("PHASE"),
            Head::words("SIGNS FROM"),
            Head::words("RETIRES"),
        ]
    }

    fn row(&self, _: Breadth) -> Vec<Cell> {
        let retires = self.retires_at.map_or("-".to_owned(), |at| at.to_string());
        vec![
            self.kid.as_str().into(),
            self.algorithm.as_str().into(),
            self.phase.as_str().into(),
            self.signs_from.to_string().into(),
            retires.into(),
        ]
    }
}

impl Shown for SigningKey {
    fn card(&self) -> Card {
        Card::default()
            .line("signing key", self.kid.as_str())
            .line("algorithm", self.algorithm.as_str())
            .line("phase", self.phase.as_str())
            .line("created", self.created_at.to_string())
            .line("signs from", self.signs_from.to_string())
    }
}
