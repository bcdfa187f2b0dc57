//! Where dialects are: off, below a path of the main listener, on listeners of their own; all at once in one process.

use std::ffi::OsString;
use std::time::Duration;

use keyholt_server::config::Config;
use keyholt_server::keeper::FirstStart;
use keyholt_server::serve::{Running, start};
use serde_json::{Value, json};

use crate::house::canary;

/// A process with these settings, and an operator's key.
async fn running(settings: &[(&str, &str)]) -> (Running, String, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().to_str().unwrap();
    let mut flags = vec![("listen", "127.0.0.1:0"), ("database", "memory"), ("data", data)];
    flags.extend(settings);
    let flags = flags
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.to_owned()));
    let config = Config::load(Vec::<(OsString, OsString)>::new(), flags, &[])
        .unwrap()
        .config;
    let (running, first) = start(&config).await.unwrap();
    let FirstStart::Token(token) = first else {
        panic!("set up already")
    };
    let token = token.reveal();
    canary(&token);
    let answer = call(
        &format!("{}/v1/setup", running.url),
        "",
        json!({"token": *token, "name": "Olga"}),
    )
    .await;
    let operator = answer.1["secret"].as_str().unwrap().to_owned();
    canary(&operator);
    (running, operator, folder)
}

async fn call(url: &str, secret: &str, body: Value) -> (u16, Value) {
    let client = reqwest::Client::new();
    let request = match body {
        Value::Null => client.get(url),
        body => client.post(url).json(&body),
    };
    let request = if secret.is_empty() {
        request
    } else {
        request.bearer_auth(secret)
    };
    let answer = request.send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dialect_is_where_the_settings_say_and_nowhere_else() {
    let (running, operator, _folder) = running(&[
        ("dialects.datalayer.project", "acme"),
        ("dialects.datalayer.mount", "/data/layer"),
        ("dialects.datalayer.listen", "127.0.0.1:0"),
        ("dialects.meerschaum.project", "acme"),
        ("dialects.meerschaum.listen", "127.0.0.1:0"),
    ])
    .await;
    let main = running.url.clone();
    let url = |name: &str| {
        let of_name = running.dialects.iter().filter(|(dialect, _)| *dialect == name);
        of_name.map(|(_, url)| url.clone()).collect::<Vec<_>>()
    };
    let (layers, meerschaum) = (url("datalayer"), url("meerschaum")[0].clone());
    assert_eq!(layers[0], format!("{main}/data/layer"));

    // The project need not be there yet.
    let (status, told) = call(&format!("{}/api/iam/v1/whoami", layers[1]), &operator, Value::Null).await;
    assert_eq!((status, &told["success"]), (404, &json!(false)));
    call(
        &format!("{main}/v1/projects"),
        &operator,
        json!({"slug": "acme", "name": "Acme"}),
    )
    .await;
    call(
        &format!("{main}/v1/projects/acme/users"),
        &operator,
        json!({"external_id": "ada"}),
    )
    .await;
    let wish = json!({"name": "k", "owner": {"user": "ada"}, "scopes": "everything"});
    let (_, made) = call(&format!("{main}/v1/projects/acme/keys"), &operator, wish).await;
    let secret = made["secret"].as_str().unwrap();
    canary(secret);

    for layer in &layers {
        let (status, me) = call(&format!("{layer}/api/iam/v1/whoami"), secret, Value::Null).await;
        assert_eq!((status, &me["profile"]["handle_s"]), (200, &json!("ada")), "{layer}");
    }
    assert_eq!(
        call(&format!("{meerschaum}/version/mrsm"), "", Value::Null).await,
        (200, json!("4.1.7"))
    );

    // Each door answers what is its own.
    let question = json!({"credential": secret});
    let (status, told) = call(&format!("{meerschaum}/v1/verify"), &operator, question).await;
    assert_eq!((status, told), (404, json!({"detail": "Not Found"})));
    let (status, told) = call(&format!("{main}/version/mrsm"), "", Value::Null).await;
    assert_eq!((status, &told["code"]), (404, &json!("no_such_route")), "not mounted");
    let (status, told) = call(&format!("{main}/data/layer/v1/self"), secret, Value::Null).await;
    assert_eq!((status, &told["success"]), (404, &json!(false)));
    let (status, _) = call(&format!("{main}/v1/self"), secret, Value::Null).await;
    assert_eq!(status, 200);

    // What the accept loop refuses is told in the dialect's words too.
    let long = format!("{meerschaum}/{}", "x".repeat(9000));
    let (status, told) = call(&long, "", Value::Null).await;
    assert_eq!((status, told["detail"].is_string()), (414, true));

    assert_eq!(running.stop(Duration::from_secs(5)).await.cut, 0);
    assert!(
        reqwest::get(format!("{meerschaum}/version/mrsm")).await.is_err(),
        "it has stopped with the rest"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dialect_that_is_not_configured_is_not_there() {
    let (running, operator, _folder) = running(&[]).await;
    assert!(running.dialects.is_empty());
    for path in [
        "/datalayer/api/iam/v1/whoami",
        "/api/iam/v1/whoami",
        "/version/mrsm",
        "/tokens",
    ] {
        let (status, told) = call(&format!("{}{path}", running.url), &operator, Value::Null).await;
        assert_eq!((status, &told["code"]), (404, &json!("no_such_route")), "{path}");
    }
    running.stop(Duration::from_secs(5)).await;
}
