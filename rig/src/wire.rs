//! One request and its answer, for everything that is asked once.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::ensure;

use crate::load::{Expected, Progress, Reply, Request, Script};

/// How long an answer may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);

/// Sends a request that is written out and reads its answer.
pub fn fetch(address: SocketAddr, request: &[u8]) -> anyhow::Result<Reply> {
    let mut stream = TcpStream::connect_timeout(&address, ANSWER_WITHIN)?;
    stream.set_read_timeout(Some(ANSWER_WITHIN))?;
    stream.set_nodelay(true)?;
    stream.write_all(request)?;
    let mut reply = Reply::default();
    ensure!(
        reply.read_from(&mut stream)? == Progress::Whole,
        "no answer within {ANSWER_WITHIN:?}"
    );
    Ok(reply)
}

/// Sends a request and reads the JSON of its answer, which must have this status.
pub fn ask(address: SocketAddr, request: &Request<'_>, status: u16) -> anyhow::Result<serde_json::Value> {
    let script = Script::fixed(request, Expected::Status(status));
    let reply = fetch(address, script.template())?;
    if let Some(fault) = script.fault(reply.status(), reply.body(), 0) {
        anyhow::bail!("{} {}: {fault}", request.method, request.path);
    }
    Ok(serde_json::from_slice(reply.body())?)
}
