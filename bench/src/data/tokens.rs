//! Access tokens of the keys of a data set, made by a keeper in process before the server starts that is to judge them.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context;
use keyholt_core::id::KeyId;
use keyholt_core::project::TOKEN_LIFETIME_MAX;
use keyholt_core::token::{Subject, TokenWish, Wished};
use keyholt_server::keeper::{Keeper, Parent};
use keyholt_store::{Sqlite, Store};

use super::DataSet;
use super::house::{keeper_at, source};
use super::secrets::Secrets;

/// A key as an OAuth client.
pub struct Client {
    /// The key: its id is the client's.
    pub key: KeyId,
    /// The secret of both.
    pub secret: String,
    parent: Parent,
}

/// Makes tokens of a data set's keys.
pub struct Minter {
    keeper: Keeper,
    store: Arc<Sqlite>,
    /// Keys whose tokens are of one width, so that a load can put one in the place of another.
    pub clients: Vec<Client>,
}

/// What was made.
pub struct Minted {
    /// The keys that it hangs on.
    pub clients: Vec<Client>,
    /// Access tokens, no two alike; neighbours hang on different keys.
    pub tokens: Vec<String>,
}

impl Minter {
    /// Sits down at a data set, which will be served at this address and is not yet, and looks for so many keys.
    pub async fn open(set: &DataSet, address: SocketAddr, keys: usize) -> anyhow::Result<Self> {
        let store = Arc::new(Sqlite::open(&set.database())?);
        let keeper = keeper_at(&format!("http://{address}"), Arc::clone(&store) as Arc<dyn Store>).await?;
        let clients = clients(&keeper, set, keys).await?;
        Ok(Self { keeper, store, clients })
    }

    /// Makes so many tokens, each for as long as a token may live, and lets go of the data set.
    pub async fn mint(self, tokens: usize) -> anyhow::Result<Minted> {
        let Self { keeper, store, clients } = self;
        let mut texts = Vec::with_capacity(tokens);
        for client in clients.iter().cycle().take(tokens) {
            texts.push(minted(&keeper, &client.parent).await?);
        }
        drop(keeper);
        store.close().await;
        Ok(Minted { clients, tokens: texts })
    }
}

/// Keys whose tokens are of one width: they differ in the digits of a place in the status list and in scopes.
async fn clients(keeper: &Keeper, set: &DataSet, keys: usize) -> anyhow::Result<Vec<Client>> {
    let secrets = Secrets::new()?;
    let mut by_width: BTreeMap<usize, Vec<Client>> = BTreeMap::new();
    for number in set.working(set.facts.count) {
        let secret = secrets.text(number);
        let parent = keeper.subject(&secret, &source()?)?;
        let width = minted(keeper, &parent).await?.len();
        let alike = by_width.entry(width).or_default();
        alike.push(Client {
            key: parent.key(),
            secret,
            parent,
        });
        if alike.len() == keys {
            return by_width.remove(&width).context("the keys that were just found");
        }
    }
    anyhow::bail!("the data set has no {keys} keys with tokens of one width")
}

async fn minted(keeper: &Keeper, parent: &Parent) -> anyhow::Result<String> {
    let wish = TokenWish {
        scopes: Wished::All,
        audience: None,
        lifetime: Some(TOKEN_LIFETIME_MAX),
        subject: Subject::Client,
        actors: Vec::new(),
    };
    Ok(keeper.mint_token(parent, wish).await?.text.to_string())
}
