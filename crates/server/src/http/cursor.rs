//! Cursors: where the next page starts, in a form that can be neither read, forged nor used for another list.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keyholt_api::code::Code;
use keyholt_core::id::ProjectId;
use keyholt_store::After;
use serde::Serialize;
use uuid::Uuid;

use super::fail::Fail;
use crate::keeper::Keeper;

/// The value, the id and the MAC.
const CURSOR_BYTES: usize = 8 + 16 + 16;

/// The list that a cursor belongs to.
#[derive(Debug)]
pub struct List {
    route: &'static str,
    project: ProjectId,
    filter: Vec<u8>,
}

impl List {
    /// The list of this operation in this project with these filters.
    pub fn new(route: &'static str, project: ProjectId, filter: &impl Serialize) -> Self {
        Self {
            route,
            project,
            filter: serde_json::to_vec(filter).unwrap_or_default(),
        }
    }

    /// Seals the place where the next page starts.
    pub fn seal(&self, keeper: &Keeper, after: After) -> String {
        let mut bytes = Vec::with_capacity(CURSOR_BYTES);
        bytes.extend_from_slice(&after.value.to_be_bytes());
        bytes.extend_from_slice(after.id.as_bytes());
        let mac = self.mac(keeper, &bytes);
        bytes.extend_from_slice(&mac);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Opens a cursor that was sealed for this very list.
    pub fn open(&self, keeper: &Keeper, cursor: Option<&str>) -> Result<Option<After>, Fail> {
        let Some(cursor) = cursor else {
            return Ok(None);
        };
        self.opened(keeper, cursor)
            .map(Some)
            .ok_or_else(|| Fail::new(Code::InvalidCursor))
    }

    fn opened(&self, keeper: &Keeper, cursor: &str) -> Option<After> {
        let bytes = URL_SAFE_NO_PAD.decode(cursor).ok()?;
        let (place, mac) = bytes.split_at_checked(CURSOR_BYTES - 16)?;
        let same: bool = subtle::ConstantTimeEq::ct_eq(self.mac(keeper, place).as_slice(), mac).into();
        let (value, id) = place.split_at_checked(8)?;
        same.then_some(After {
            value: i64::from_be_bytes(value.try_into().ok()?),
            id: Uuid::from_slice(id).ok()?,
        })
    }

    fn mac(&self, keeper: &Keeper, place: &[u8]) -> [u8; 16] {
        keeper.mac(&[
            b"cursor",
            self.route.as_bytes(),
            self.project.uuid().as_bytes(),
            &self.filter,
            place,
        ])
    }
}
