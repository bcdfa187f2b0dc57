//! Databases for a while in the PostgreSQL that the bench was given.

use anyhow::Context;

use crate::setting::Setting;

/// A database that is gone when it is dropped.
pub struct Scratch<'a> {
    setting: &'a Setting,
    server: String,
    name: String,
    /// Where it is.
    pub url: String,
}

impl<'a> Scratch<'a> {
    /// Makes one.
    pub fn make(setting: &'a Setting, purpose: &str) -> anyhow::Result<Self> {
        let server = setting
            .postgres
            .as_deref()
            .context("no PostgreSQL: run this under tools/with-postgres")?;
        let name = format!("keyholt_bench_{}_{purpose}", std::process::id());
        let (base, _) = server
            .rsplit_once('/')
            .context("the URL of PostgreSQL names no database")?;
        let scratch = Self {
            setting,
            server: server.to_owned(),
            url: format!("{base}/{name}"),
            name,
        };
        scratch.run(&format!("CREATE DATABASE {}", scratch.name))?;
        Ok(scratch)
    }

    fn run(&self, sql: &str) -> anyhow::Result<()> {
        self.setting.runtime.block_on(async {
            let (client, connection) = tokio_postgres::connect(&self.server, tokio_postgres::NoTls).await?;
            let connection = tokio::spawn(connection);
            client.batch_execute(sql).await?;
            drop(client);
            connection.await??;
            anyhow::Ok(())
        })
    }
}

impl Drop for Scratch<'_> {
    fn drop(&mut self) {
        if let Err(error) = self.run(&format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name)) {
            crate::say::talk(&format!("the database {} stays behind: {error:#}", self.name));
        }
    }
}
