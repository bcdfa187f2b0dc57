//! Meerschaum's tongue.

use axum::body::Body;
use http::{Method, Request};
use keyholt_server::dialects::Meerschaum;
use keyholt_server::http::Operation;
use serde_json::Value;

use super::village::{Complaint, Speaker, Village};
use crate::wire::{Reply, request};

pub const SPEAKER: Speaker = Speaker {
    dialect: &Meerschaum,
    example,
    doer: |village| &village.adas,
    complaint,
    canary: |_| {},
};

fn example(_: &Village, operation: &Operation, secret: &str) -> Request<Body> {
    let method: Method = operation.method.parse().unwrap();
    match operation.id {
        "version" | "chaining" => request(method, operation.path, secret, Body::empty()),
        other => panic!("no request for {other}"),
    }
}

/// FastAPI's form: `detail` is a text, or a list of what is wrong where.
fn complaint(reply: &Reply) -> Complaint {
    let body = reply.json();
    let detail = &body["detail"];
    match reply.status.as_u16() {
        422 => {
            for complaint in detail.as_array().unwrap() {
                assert!(complaint["msg"].is_string() && complaint["type"].is_string(), "{body}");
                assert_eq!(complaint["loc"][0], Value::from("body"), "{body}");
            }
            Complaint::Wrong
        }
        status => {
            assert!(detail.is_string(), "{body}");
            match status {
                401 => {
                    assert_eq!(reply.header("www-authenticate"), "Bearer");
                    Complaint::NotKnown
                }
                403 => Complaint::NotAllowed,
                404 => Complaint::NotThere,
                400..500 => Complaint::Wrong,
                _ => panic!("{body}"),
            }
        }
    }
}
