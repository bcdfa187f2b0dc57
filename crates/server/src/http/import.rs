//! Importing keys that another system issued.

use axum::extract::State;
use axum::response::Response;
use keyholt_api::fault::Faults;
use keyholt_api::import::{IMPORT_MAX, ImportKeys, Imported, RefusedKey};

use super::Door;
use super::body::{BigJson, json};
use super::fail::{Answer, Fail};
use super::keys::named_owner;
use super::place::InProject;
use crate::keeper::{Import, Rehearsal};

/// Import keys
///
/// By the SHA-256 of their secrets, which Keyholt never sees. All or none: when one key is refused, none is taken. With
/// `dry_run` nothing is written and the same is answered.
#[utoipa::path(post, path = "/v1/projects/{project}/keys/import", operation_id = "import_keys", tag = "Keys",
    request_body = ImportKeys,
    responses((status = 200, description = "How many keys were taken, and which are refused.", body = Imported)))]
pub async fn import(State(door): State<Door>, at: InProject, BigJson(body): BigJson<ImportKeys>) -> Answer<Response> {
    if body.keys.is_empty() || body.keys.len() > IMPORT_MAX {
        let reason = keyholt_api::fault::Reason(
            keyholt_api::fault::FaultCode::TooMuch,
            format!("must have 1 to {IMPORT_MAX} entries").into(),
        );
        return Err(Faults::one("keys", reason).into());
    }
    let (mut refused, mut wishes, mut places) = (Vec::new(), Vec::new(), Vec::new());
    for (index, key) in body.keys.into_iter().enumerate() {
        match key.read() {
            Ok(wish) => {
                let owner = named_owner(&door, at.project, wish.owner.as_ref(), at.actor.owner);
                wishes.push(wish.of(owner));
                places.push(index);
            }
            Err(faults) => refused.push(unreadable(index, &faults)),
        }
    }
    // With one key refused already, the others are only looked at: all is told at once and nothing is taken.
    let rehearsal = if body.dry_run || !refused.is_empty() {
        Rehearsal::Yes
    } else {
        Rehearsal::No
    };
    let imported = door
        .keeper
        .import_keys(&at.actor, at.project, Import { wishes, rehearsal })
        .await?;
    refused.extend(imported.refused.into_iter().map(|entry| {
        let fail = Fail::from(entry.refusal);
        RefusedKey {
            index: places.get(entry.index).copied().unwrap_or(entry.index),
            code: fail.code().as_str().to_owned(),
            detail: fail.detail(),
        }
    }));
    refused.sort_by_key(|entry| entry.index);
    Ok(json(&Imported {
        accepted: if refused.is_empty() { imported.keys.len() } else { 0 },
        refused,
    }))
}

fn unreadable(index: usize, faults: &Faults) -> RefusedKey {
    let told: Vec<String> = faults
        .entries()
        .iter()
        .map(|fault| format!("`{}` {}", fault.field, fault.detail))
        .collect();
    RefusedKey {
        index,
        code: faults.code().as_str().to_owned(),
        detail: told.join("; "),
    }
}
