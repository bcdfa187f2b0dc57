//! A client without a network: requests straight into the router or to the desk, answers taken apart.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::Router;
use axum::body::Body;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt;
use keyholt_core::owner::Owner;
use keyholt_server::dialects::{Desk, Dialect};
use keyholt_server::http::{Arrival, Encryption, RequestIds, Settings, router};
use keyholt_server::keeper::Keeper;
use serde_json::Value;
use tower::ServiceExt;

use crate::house::{Held, House, Wishes, wish};

/// Where requests come from, unless they say otherwise.
pub const PEER: &str = "192.0.2.7";

/// The door of a house.
#[derive(Clone)]
pub enum Wire {
    /// To the native API.
    Native(Router),
    /// To a dialect.
    Dialect(Desk),
}

/// An answer, taken apart.
#[derive(Clone, Debug)]
pub struct Reply {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub bytes: Vec<u8>,
}

impl Wire {
    /// The door, with `10.0.0.0/8` as trusted proxies.
    pub fn to(keeper: &Arc<Keeper>) -> Self {
        Self::with(keeper, Encryption::Optional)
    }

    /// The same door, where clients are promised an encrypted connection or not.
    pub fn with(keeper: &Arc<Keeper>, encryption: Encryption) -> Self {
        Self::settled(keeper, settings(encryption))
    }

    /// The same door, as the operator settled it.
    pub fn settled(keeper: &Arc<Keeper>, settings: Arc<Settings>) -> Self {
        Self::Native(router(Arc::clone(keeper), settings))
    }

    /// The same door, with pages of these origins let in.
    pub fn letting_in(keeper: &Arc<Keeper>, origins: &[&str]) -> Self {
        let settings = Settings {
            cors_origins: origins.iter().map(|origin| (*origin).to_owned()).collect(),
            ..Settings::clone(&settings(Encryption::Optional))
        };
        Self::settled(keeper, Arc::new(settings))
    }

    /// What a dialect answers for a project.
    pub fn speaking(keeper: &Arc<Keeper>, dialect: &'static dyn Dialect, project: &str) -> Self {
        Self::speaking_where(keeper, dialect, project, Encryption::Optional)
    }

    /// The same where TLS is promised, or not.
    pub fn speaking_where(
        keeper: &Arc<Keeper>,
        dialect: &'static dyn Dialect,
        project: &str,
        encryption: Encryption,
    ) -> Self {
        Self::behind(Desk::new(Arc::clone(keeper), dialect, project, settings(encryption)))
    }

    /// What is answered at a desk.
    pub fn behind(desk: Desk) -> Self {
        Self::Dialect(desk)
    }

    pub async fn send(&self, mut request: Request<Body>) -> Reply {
        if request.extensions().get::<Arrival>().is_none() {
            request = from(request, PEER);
        }
        let response = match self {
            Self::Native(router) => router.clone().oneshot(request).await.unwrap(),
            Self::Dialect(desk) => {
                let arrival = request.extensions_mut().remove().unwrap();
                desk.answer(request, None, arrival).await
            }
        };
        let (parts, body) = response.into_parts();
        Reply {
            status: parts.status,
            headers: parts.headers,
            bytes: body.collect().await.unwrap().to_bytes().to_vec(),
        }
    }

    /// Asks without a body.
    pub async fn get(&self, secret: &str, path: &str) -> Reply {
        self.send(request(Method::GET, path, secret, Body::empty())).await
    }

    /// Asks with a JSON body.
    pub async fn post(&self, secret: &str, path: &str, body: Value) -> Reply {
        self.send(with_json(Method::POST, path, secret, body)).await
    }

    /// Asks with a JSON body and a method.
    pub async fn call(&self, method: Method, secret: &str, path: &str, body: Value) -> Reply {
        self.send(with_json(method, path, secret, body)).await
    }
}

impl Reply {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The code of a problem, after a look at the form of the problem itself.
    pub fn code(&self) -> String {
        assert_eq!(self.header("content-type"), "application/problem+json", "{self:?}");
        let problem = self.json();
        assert_eq!(problem["status"], self.status.as_u16());
        assert_eq!(problem["request_id"], self.header("x-request-id"));
        let code = problem["code"].as_str().unwrap().to_owned();
        assert_eq!(problem["type"], format!("/docs/errors#{code}"));
        code
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map(|value| value.to_str().unwrap())
            .unwrap_or_default()
    }

    /// The answer, which must be a success.
    pub fn ok(self) -> Self {
        assert!(
            self.status.is_success(),
            "{}: {}",
            self.status,
            String::from_utf8_lossy(&self.bytes)
        );
        self
    }
}

/// A request as it comes from that address, with an id that no other one has.
pub fn from(mut request: Request<Body>, peer: &str) -> Request<Body> {
    static STARTS: AtomicU64 = AtomicU64::new(0);
    let start = STARTS.fetch_add(1, Ordering::Relaxed).to_be_bytes();
    request.extensions_mut().insert(Arrival {
        peer: peer.parse().unwrap(),
        id: RequestIds::new(start).next(),
    });
    request
}

/// A request with a Bearer credential; an empty one is none.
pub fn request(method: Method, path: &str, secret: &str, body: Body) -> Request<Body> {
    let mut request = Request::builder().method(method).uri(path);
    if !secret.is_empty() {
        request = request.header("authorization", format!("Bearer {secret}"));
    }
    request.body(body).unwrap()
}

/// A request with a JSON body.
pub fn with_json(method: Method, path: &str, secret: &str, body: Value) -> Request<Body> {
    let mut request = request(method, path, secret, Body::from(body.to_string()));
    request
        .headers_mut()
        .insert("content-type", "application/json".parse().unwrap());
    request
}

/// A key of Ada's, who administers the project.
pub async fn administrator(house: &House) -> Held {
    let ada = house.user_with("ada", &["admin"]).await;
    house.issue(wish(Owner::User(ada.id), "laptop").everything()).await
}

fn settings(encryption: Encryption) -> Arc<Settings> {
    Arc::new(Settings {
        trusted_proxies: vec!["10.0.0.0/8".parse().unwrap()],
        encryption,
        ..Settings::default()
    })
}
