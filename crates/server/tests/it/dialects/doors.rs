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

    // Whoever writes the address with a slash at its end is understood too.
    for layer in layers.iter().chain([&format!("{}/", layers[0])]) {
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
    // A mount is the dialect's with all that is below it, and with nothing that only begins like it.
    for path in ["/data/layer", "/data/layer/", "/data/layer?x=1"] {
        let (status, told) = call(&format!("{main}{path}"), secret, Value::Null).await;
        assert_eq!((status, &told["success"]), (404, &json!(false)), "{path}");
    }
    for path in [
        "/data",
        "/data/layers",
        "/data/layer%2Fapi/iam/v1/whoami",
        "/x/data/layer",
    ] {
        let (status, told) = call(&format!("{main}{path}"), secret, Value::Null).await;
        assert_eq!((status, &told["code"]), (404, &json!("no_such_route")), "{path}");
    }

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
async fn all_dialects_are_spoken_at_once_for_one_project_and_know_the_same_key() {
    let (running, operator, _folder) = running(&[
        ("dialects.datalayer.project", "acme"),
        ("dialects.datalayer.mount", "/datalayer"),
        ("dialects.directus.project", "acme"),
        ("dialects.directus.mount", "/directus"),
        ("dialects.meerschaum.project", "acme"),
        ("dialects.meerschaum.listen", "127.0.0.1:0"),
        ("dialects.stackauth.project", "acme"),
        ("dialects.stackauth.mount", "/stackauth"),
    ])
    .await;
    let main = running.url.clone();
    let at = |name: &str| {
        running
            .dialects
            .iter()
            .find(|(dialect, _)| *dialect == name)
            .unwrap()
            .1
            .clone()
    };
    let acme = format!("{main}/v1/projects/acme");
    let (_, project) = call(
        &format!("{main}/v1/projects"),
        &operator,
        json!({"slug": "acme", "name": "Acme"}),
    )
    .await;
    let (_, ada) = call(&format!("{acme}/users"), &operator, json!({"external_id": "ada"})).await;
    call(
        &format!("{acme}/services"),
        &operator,
        json!({"name": "server", "roles": ["admin"]}),
    )
    .await;
    let key = async |owner: Value| {
        let wish = json!({"name": "k", "owner": owner, "scopes": "everything"});
        let (_, made) = call(&format!("{acme}/keys"), &operator, wish).await;
        let secret = made["secret"].as_str().unwrap().to_owned();
        canary(&secret);
        (made["key"]["id"].clone(), secret)
    };
    let (id, adas) = key(json!({"user": "ada"})).await;
    let (_, servers) = key(json!({"service": "server"})).await;
    // Each tongue in turn: whose key is it?
    let whose = async || {
        let (_, directus) = call(&format!("{}/users/me?fields=id", at("directus")), &adas, Value::Null).await;
        let (_, datalayer) = call(&format!("{}/api/iam/v1/whoami", at("datalayer")), &adas, Value::Null).await;
        let (_, meerschaum) = call(&format!("{}/users/ada/id", at("meerschaum")), &adas, Value::Null).await;
        let check = reqwest::Client::new()
            .post(format!("{}/api/v1/user-api-keys/check", at("stackauth")))
            .header("x-stack-project-id", project["id"].as_str().unwrap())
            .header("x-stack-access-type", "server")
            .header("x-stack-secret-server-key", &servers)
            .json(&json!({ "api_key": adas }));
        let stackauth: Value = check.send().await.unwrap().json().await.unwrap_or_default();
        [
            directus["data"]["id"].clone(),
            datalayer["profile"]["uid"].clone(),
            meerschaum,
            stackauth["user_id"].clone(),
        ]
    };
    assert_eq!(whose().await, [(); 4].map(|()| ada["id"].clone()));
    // What ends it natively ends it in all of them.
    let ended = format!("{acme}/keys/{}/revoke", id.as_str().unwrap());
    assert_eq!(call(&ended, &operator, json!({"cause": "lost"})).await.0, 200);
    for known in whose().await {
        assert_ne!(known, ada["id"]);
    }
    running.stop(Duration::from_secs(5)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dialect_that_is_not_configured_is_not_there() {
    let (running, operator, _folder) = running(&[]).await;
    assert!(running.dialects.is_empty());
    for path in [
        "/datalayer/api/iam/v1/whoami",
        "/api/iam/v1/whoami",
        "/directus/users/me",
        "/users/me",
        "/meerschaum/version/mrsm",
        "/version/mrsm",
        "/tokens",
        "/stackauth/api/v1/projects/current",
        "/api/v1/projects/current",
        "/api/latest/users/me",
    ] {
        let (status, told) = call(&format!("{}{path}", running.url), &operator, Value::Null).await;
        assert_eq!((status, &told["code"]), (404, &json!("no_such_route")), "{path}");
    }
    running.stop(Duration::from_secs(5)).await;
}
