//! What the clients' pages ask about payments before they show anything. Keyholt sells nothing: nobody is a customer, and
//! nobody has bought anything.

use axum::response::Response;
use keyholt_core::owner::OwnerKind;
use serde_json::json;

use super::complaint::{self, Answer};
use super::visitor::{Level, Visitor};
use super::{people, shape, teams};
use crate::dialects::Desk;
use crate::http::body;

/// How somebody pays: not at all.
pub async fn billing(desk: Desk, visitor: Visitor, customer: [String; 2]) -> Answer<Response> {
    known(&desk, &visitor, &customer)?;
    Ok(body::json(
        &json!({ "has_customer": false, "default_payment_method": null }),
    ))
}

/// What somebody has bought: nothing.
pub async fn products(desk: Desk, visitor: Visitor, customer: [String; 2]) -> Answer<Response> {
    known(&desk, &visitor, &customer)?;
    Ok(body::json(&shape::page(Vec::new(), None)))
}

/// Sees that the customer is somebody whom the visitor may know of.
fn known(desk: &Desk, visitor: &Visitor, [kind, id]: &[String; 2]) -> Answer<()> {
    visitor.actor()?;
    match kind.as_str() {
        word if word == OwnerKind::User.as_str() => {
            let user = people::named(desk, visitor, id)?;
            if visitor.level == Level::Client && visitor.person().is_none_or(|(_, own)| own != user) {
                visitor.at_least(Level::Server)?;
            }
            Ok(())
        }
        word if word == OwnerKind::Team.as_str() => teams::found(desk, visitor, id).map(drop),
        _ => Err(complaint::schema("customers are users and teams")),
    }
}
