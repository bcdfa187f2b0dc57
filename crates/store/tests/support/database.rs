//! An empty database of its own for every test, on the server that the test command starts.

use std::sync::atomic::{AtomicU32, Ordering};

use keyholt_store::Postgres;
use tokio_postgres::NoTls;

use super::world::Seeded;

static NEXT: AtomicU32 = AtomicU32::new(0);

/// A database that goes when the server does.
pub struct Database {
    pub url: String,
}

impl Database {
    /// Makes an empty database.
    pub async fn make() -> Self {
        Self::make_on(&server_url()).await
    }

    /// Makes an empty database on this server.
    pub async fn make_on(server: &str) -> Self {
        let place = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("keyholt_test_{}_{place}", std::process::id());
        let admin = plain(server).await;
        admin
            .batch_execute(&format!("CREATE DATABASE {name}"))
            .await
            .expect("the role of the tests may make databases");
        let (base, query) = server.split_once('?').unwrap_or((server, ""));
        let (host, _) = base.rsplit_once('/').expect("the URL names a database");
        let joint = if query.is_empty() { "" } else { "?" };
        Self {
            url: format!("{host}/{name}{joint}{query}"),
        }
    }

    /// One more node on this database.
    pub async fn node(&self) -> Postgres {
        Postgres::connect(&self.url, &mut Seeded::new(1))
            .await
            .expect("the database is there")
    }

    /// A node on an empty database of its own.
    pub async fn with_node() -> (Postgres, Self) {
        let database = Self::make().await;
        (database.node().await, database)
    }

    /// A connection beside the store.
    pub async fn plain(&self) -> tokio_postgres::Client {
        plain(&self.url).await
    }
}

async fn plain(url: &str) -> tokio_postgres::Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.expect("the server is there");
    tokio::spawn(connection);
    client
}

#[expect(
    clippy::disallowed_methods,
    reason = "the test command says in the environment where its server is"
)]
fn server_url() -> String {
    std::env::var("KEYHOLT_TEST_POSTGRES").unwrap_or_else(|_| {
        panic!(
            "these tests need a PostgreSQL: run them with `make test`, which starts one and sets KEYHOLT_TEST_POSTGRES"
        )
    })
}
