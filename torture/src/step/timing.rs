//! Whether the time an answer takes tells a stranger what is wrong with a key that he shows.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::caller::Caller;
use crate::figure::{Figure, quantile};
use crate::house::{House, KEYS, owner_name, text};
use crate::setting::{Dice, Setting, Start, until};

/// Differences of medians below which nothing is told: a part of the median, or this time.
const PART: f64 = 0.05;
/// The part for the short form, whose program is not optimised: each instruction costs it about ten times as much.
const PART_UNOPTIMISED: f64 = 0.2;
const DIFFERENCE: Duration = Duration::from_micros(20);
/// How long a key lives that is going to be found expired.
const SHORT_LIFE: Duration = Duration::from_millis(800);

pub(super) fn take(setting: &Setting) -> anyhow::Result<Vec<Figure>> {
    let house = House::build(setting)?;
    let folder = house.copy(setting)?;
    let server = setting.start(folder.path(), &Start::patient_with_guesses())?;
    let mut olga = house.people.operator(server.address());
    let mut key = |name: &str, project: &str, owner: &str| {
        let path = format!("/v1/projects/{project}/keys");
        let body = json!({ "name": name, "owner": { "user": owner }, "scopes": ["orders:read"] });
        let made = olga.must("POST", &path, Some(&body), 201)?;
        anyhow::Ok((
            text(&made, "/key/id"),
            text(&made, "/secret"),
            text(&made, "/key/created_at"),
        ))
    };
    let revoked = key("revoked", "acme", "u-0")?;
    let expired = key("expired", "acme", "u-0")?;
    let stopped = key("stopped", "acme", &owner_name(1))?;
    let good = key("good", "acme", "u-0")?;
    olga.must(
        "POST",
        &format!("{KEYS}/{}/revoke", revoked.0),
        Some(&json!({ "cause": "x" })),
        200,
    )?;
    let ends: jiff::Timestamp = expired.2.parse::<jiff::Timestamp>()? + SHORT_LIFE;
    let path = format!("{KEYS}/{}", expired.0);
    olga.must("PATCH", &path, Some(&json!({ "expires_at": ends.to_string() })), 200)?;
    olga.must("POST", "/v1/projects/acme/users/u-1/suspend", None, 200)?;
    let globex = json!({ "slug": "globex", "name": "Globex", "prefix": "acme" });
    olga.must("POST", "/v1/projects", Some(&globex), 201)?;
    let user = json!({ "external_id": "u-0", "name": "Zoe" });
    olga.must("POST", "/v1/projects/globex/users", Some(&user), 201)?;
    let body = json!({ "name": "foreign", "owner": { "user": "u-0" }, "scopes": ["orders:read"] });
    let foreign = text(
        &olga.must("POST", "/v1/projects/globex/keys", Some(&body), 201)?,
        "/secret",
    );
    // A secret that nobody has, but whose check is right: that of a key that was deleted.
    let body = json!({ "name": "unknown", "owner": { "user": "u-0" }, "scopes": ["orders:read"] });
    let made = olga.must("POST", KEYS, Some(&body), 201)?;
    let unknown = text(&made, "/secret");
    olga.must("DELETE", &format!("{KEYS}/{}", text(&made, "/key/id")), None, 204)?;
    setting.register([&revoked.1, &expired.1, &stopped.1, &good.1, &foreign, &unknown])?;

    let address = server.address();
    let status = |secret: &str| {
        Caller::new(address, secret)
            .ask("GET", "/v1/self", None)
            .map(|answer| answer.status)
    };
    anyhow::ensure!(status(&good.1)? == 200, "a good key does not work");
    anyhow::ensure!(
        until(SHORT_LIFE * 20, || status(&expired.1).is_ok_and(|status| status == 401)).is_some(),
        "a key does not expire"
    );
    let as_bearer = [
        ("unknown", &unknown),
        ("revoked", &revoked.1),
        ("expired", &expired.1),
        ("owner suspended", &stopped.1),
    ];
    let callers: Vec<(&str, Caller)> = as_bearer
        .iter()
        .map(|(name, secret)| (*name, Caller::new(address, secret)))
        .collect();
    let strangers = compare(setting, "keys of a stranger who calls", callers, |caller| {
        let answer = caller.ask("GET", "/v1/self", None)?;
        anyhow::ensure!(answer.status == 401, "{} {}", answer.status, answer.body);
        Ok(())
    })?;
    let asked = [("unknown", &unknown), ("of another project", &foreign)];
    let callers: Vec<(&str, (Caller, &String))> = asked
        .iter()
        .map(|(name, secret)| (*name, (house.people.gateway(address), *secret)))
        .collect();
    let foreigners = compare(
        setting,
        "keys that a gateway asks about",
        callers,
        |(caller, secret)| {
            let answer = caller.verdict("/v1/verify", secret, &["orders:read"])?;
            anyhow::ensure!(answer.code() == "unknown", "{}", answer.body);
            Ok(())
        },
    )?;
    server.stop()?;
    Ok(vec![strangers, foreigners])
}

/// Asks in turns, in an order that is thrown anew each time, and compares the medians.
fn compare<T>(
    setting: &Setting,
    what: &str,
    mut classes: Vec<(&str, T)>,
    ask: impl Fn(&mut T) -> anyhow::Result<()>,
) -> anyhow::Result<Figure> {
    let times = setting.form.of(5_000, 20_000);
    let mut dice = Dice::new(setting.seed, 9);
    let mut took: Vec<Vec<Duration>> = classes.iter().map(|_| Vec::with_capacity(times)).collect();
    let mut order: Vec<usize> = (0..classes.len()).collect();
    for _ in 0..times {
        for at in (1..order.len()).rev() {
            order.swap(at, usize::try_from(dice.below(at as u64 + 1))?);
        }
        for class in &order {
            let (Some((_, asked)), Some(took)) = (classes.get_mut(*class), took.get_mut(*class)) else {
                continue;
            };
            let began = Instant::now();
            ask(asked)?;
            took.push(began.elapsed());
        }
    }
    let medians: Vec<Duration> = took
        .iter_mut()
        .map(|took| quantile(took, 0.5).unwrap_or_default())
        .collect();
    let least = medians.iter().min().copied().unwrap_or_default();
    let most = medians.iter().max().copied().unwrap_or_default();
    let part = setting.form.of(PART_UNOPTIMISED, PART);
    let allowed = least.mul_f64(part).max(DIFFERENCE);
    let shown: Vec<String> = classes
        .iter()
        .zip(&medians)
        .map(|((name, _), median)| format!("{name} {:.1} µs", median.as_secs_f64() * 1e6))
        .collect();
    Ok(Figure::new(
        format!("time of an answer about {what}, medians of {times} each, in turns"),
        format!(
            "{}; they differ by {:.1} µs",
            shown.join(", "),
            (most - least).as_secs_f64() * 1e6
        ),
        format!("less than {:.0} % or 20 µs", part * 100.0),
        most - least < allowed,
    ))
}
