//! Client credentials: a client's id and secret become an ES256 access token, against the bare answer and one signature.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::{Findings, Table, Turn};
use crate::data::Minter;
use crate::figure::{Figure, Limit, Unit, median, ratio};
use crate::load::{Expected, Outlook, Request, SLOT, Script, Words};
use crate::setting::{Extent, Setting, answer_to, by_turns, free_address, rest, started};
use crate::signature::Es256;

const CONNECTIONS: usize = 32;
/// Clients that ask.
const CLIENTS: usize = 200;
/// What a form says it is.
const FORM: &str = "application/x-www-form-urlencoded";

pub(super) fn measure(setting: &Setting) -> anyhow::Result<Findings> {
    let size = setting.extent.large;
    let copy = setting.set(size)?.copy(&setting.home)?;
    let address = free_address()?;
    let minted = setting.runtime.block_on(async {
        let minter = Minter::open(&copy.set, address, CLIENTS).await?;
        minter.mint(1).await
    })?;
    let clients = minted.clients.iter();
    let pairs = clients.map(|client| STANDARD.encode(format!("{}:{}", client.key, client.secret)));
    let words = Arc::new(Words::new(Outlook::Good, pairs)?);
    let request = Request {
        method: "POST",
        path: "/oauth/token",
        headers: vec![
            ("Authorization", format!("Basic {SLOT}")),
            ("Content-Type", FORM.to_owned()),
        ],
        body: Some("grant_type=client_credentials".to_owned()),
    };
    let script = Script::with_words(&request, &words, Expected::Status(200))?;
    let keyholt = started(&mut setting.serve_at(address, &copy.set.folder))?;
    let bare = setting.start_bare(&answer_to(&keyholt, &script)?)?;
    let es256 = Es256::over(minted.tokens.first().map(String::as_bytes).unwrap_or_default())?;
    rest();
    let whats = ["an access token", "bare answer", "one ES256 signature"];
    let turns = by_turns(setting.extent.rounds, whats.len(), |at| {
        Ok(match at {
            0 => Turn::from(setting.closed(&keyholt, CONNECTIONS, &script)?),
            1 => Turn::from(setting.closed(&bare, CONNECTIONS, &script)?),
            _ => Turn::from(es256.signing(setting.extent.time)?),
        })
    })?;
    let cpu = |at: usize| turns[at].iter().map(|turn| turn.cpu_us).collect::<Vec<f64>>();
    let least: Vec<f64> = cpu(1).iter().zip(cpu(2)).map(|(bare, one)| bare + one).collect();
    let speed: Vec<f64> = turns[0].iter().map(|turn| turn.per_second).collect();
    let figures = vec![
        Figure::limited(
            "client-credentials-cpu",
            "client credentials become an ES256 access token: server CPU against the bare answer and one signature",
            ratio(&cpu(0), &least),
            Unit::Times,
            Limit::AtMost(1.3),
        ),
        Figure::told(
            "client-credentials-speed",
            "access tokens for client credentials in a second",
            median(&speed).round(),
            Unit::Count,
        ),
    ];
    let remark = format!(
        "{CONNECTIONS} connections, {CLIENTS} clients, {} keys held. The signature is made in process, over as many bytes, on \
         every processor at once.",
        Extent::word(size)
    );
    let mut table = Table::new("Access tokens for client credentials", &Turn::COLUMNS, remark);
    for (what, turns) in whats.iter().zip(&turns) {
        table.line(Turn::cells(what, turns));
    }
    keyholt.stop()?;
    bare.stop()?;
    Ok(Findings {
        figures,
        tables: vec![table],
    })
}
