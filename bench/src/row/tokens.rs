//! Access tokens shown: verify and introspection of tokens never seen before, against the bare answer and one check of a
//! signature; and of tokens seen before, against the opaque keys that they hang on.

use std::sync::Arc;

use anyhow::Context;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::{Findings, Table, Turn};
use crate::data::{DataSet, Minter};
use crate::figure::{Figure, Limit, Unit, ratio};
use crate::load::{Expected, Outlook, Request, SLOT, Script, Words};
use crate::setting::{Extent, Setting, answer_to, by_turns, free_address, rest, started, verify_script};
use crate::signature::Es256;

const CONNECTIONS: usize = 32;
/// Keys whose tokens are shown, and tokens that are shown again and again. Few enough that hardly two of them share a place
/// in the server's memory of signatures.
const SEEN: usize = 200;

pub(super) fn measure(setting: &Setting) -> anyhow::Result<Findings> {
    let size = setting.extent.large;
    let copy = setting.set(size)?.copy(&setting.home)?;
    let set = &copy.set;
    let fresh = usize::try_from(size.distinct)?;
    let address = free_address()?;
    let minted = setting.runtime.block_on(async {
        let minter = Minter::open(set, address, SEEN).await?;
        minter.mint(SEEN + fresh).await
    })?;
    let (seen, fresh) = minted.tokens.split_at_checked(SEEN).context("tokens to be shown")?;
    let es256 = Es256::over(seen.first().map(String::as_bytes).unwrap_or_default())?;
    let good = |texts: &[String]| anyhow::Ok(Arc::new(Words::new(Outlook::Good, texts)?));
    let keys: Vec<String> = minted.clients.iter().map(|client| client.secret.clone()).collect();
    // Verify and introspection take their turns with the same words, so that a token is new to both.
    let (fresh, seen, keys) = (good(fresh)?, good(seen)?, good(&keys)?);
    let others = Arc::new(fresh.again());

    let keyholt = started(&mut setting.serve_at(address, &set.folder))?;
    let verify = |words, expected| verify_script(set, words, expected);
    let introspect = |words, expected| introspect_script(set, words, expected);
    let (verdicts, active, any) = (Expected::Verdicts, Expected::Active, Expected::Status(200));
    let bare_verify = setting.start_bare(&answer_to(&keyholt, &verify(&seen, verdicts)?)?)?;
    let bare_introspect = setting.start_bare(&answer_to(&keyholt, &introspect(&seen, active)?)?)?;
    let subjects = [
        ("verify, token never seen", &keyholt, verify(&fresh, verdicts)?),
        ("verify, token seen before", &keyholt, verify(&seen, verdicts)?),
        ("verify, opaque key", &keyholt, verify(&keys, verdicts)?),
        ("bare answer to verify", &bare_verify, verify(&others, any)?),
        ("introspection, token never seen", &keyholt, introspect(&fresh, active)?),
        ("introspection, token seen before", &keyholt, introspect(&seen, active)?),
        ("introspection, opaque key", &keyholt, introspect(&keys, active)?),
        (
            "bare answer to introspection",
            &bare_introspect,
            introspect(&others, any)?,
        ),
    ];
    rest();
    let turns = by_turns(setting.extent.rounds, subjects.len() + 1, |at| {
        Ok(match subjects.get(at) {
            Some((what, server, script)) => Turn::from(setting.closed(server, CONNECTIONS, script).context(*what)?),
            None => Turn::from(es256.checking(setting.extent.time)?),
        })
    })?;

    let cpu = |at: usize| turns[at].iter().map(|turn| turn.cpu_us).collect::<Vec<f64>>();
    let least = |bare: usize| -> Vec<f64> {
        let checks = cpu(subjects.len());
        cpu(bare).iter().zip(checks).map(|(bare, check)| bare + check).collect()
    };
    let (alone, opaque) = ("the bare answer and one check of a signature", "that of its opaque key");
    let figures = [
        (
            "verify-new",
            "verify of an access token never seen",
            ratio(&cpu(0), &least(3)),
            alone,
        ),
        (
            "verify-seen",
            "verify of an access token seen before",
            ratio(&cpu(1), &cpu(2)),
            opaque,
        ),
        (
            "introspect-new",
            "introspection of an access token never seen",
            ratio(&cpu(4), &least(7)),
            alone,
        ),
        (
            "introspect-seen",
            "introspection of an access token seen before",
            ratio(&cpu(5), &cpu(6)),
            opaque,
        ),
    ]
    .map(|(name, what, value, other)| {
        let what = format!("{what}: server CPU against {other}");
        Figure::limited(&format!("tokens-{name}"), &what, value, Unit::Times, Limit::AtMost(1.3))
    })
    .into();
    let remark = format!(
        "{CONNECTIONS} connections, {} keys held, tokens of {SEEN} of them. {} tokens were shown that were new, each before any was \
         shown again. Signatures are checked in process, over as many bytes, on every processor at once.",
        Extent::word(size),
        fresh.presented()
    );
    let mut table = Table::new("Access tokens shown", &Turn::COLUMNS, remark);
    let whats = subjects.iter().map(|(what, ..)| *what);
    for (what, turns) in whats.chain(["one check of an ES256 signature"]).zip(&turns) {
        table.line(Turn::cells(what, turns));
    }
    drop(subjects);
    for server in [keyholt, bare_verify, bare_introspect] {
        server.stop()?;
    }
    Ok(Findings {
        figures,
        tables: vec![table],
    })
}

/// A question of the gateway's about the next word, as an OAuth client asks it.
fn introspect_script(set: &DataSet, words: &Arc<Words>, expected: Expected) -> anyhow::Result<Script> {
    let facts = &set.facts;
    let pair = STANDARD.encode(format!("{}:{}", facts.gateway_key, facts.gateway));
    let request = Request {
        method: "POST",
        path: "/oauth/introspect",
        headers: vec![
            ("Authorization", format!("Basic {pair}")),
            ("Content-Type", "application/x-www-form-urlencoded".to_owned()),
        ],
        body: Some(format!("token={SLOT}")),
    };
    Script::with_words(&request, words, expected)
}
