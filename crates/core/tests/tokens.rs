//! Stories of access tokens: what one claims, how it narrows its key, and how it is recalled.

mod judged;
mod minted;
mod recalled;

use keyholt_core::key::Key;
use keyholt_core::owner::{Owner, OwnerKind};
use keyholt_core::scope::ScopeSet;
use keyholt_core::text::Audience;
use keyholt_core::time::{Expiry, Span};
use keyholt_core::token::{
    Bearer, ComponentWish, Generation, Mint, MintError, Subject, Token, TokenWish, Wished, mint, mint_component,
};
use keyholt_core::verify::{Dossier, Shown};

use crate::support::{NEW_YEAR, Wishing, World, scopes, wish as key_wish};

const ISSUER: &str = "https://keyholt.example";

/// A back end of Acme, its key, and where its tokens are made.
struct Backend {
    world: World,
    key: Key,
    permissions: ScopeSet,
    shown: Shown,
    ends: Expiry,
    longest: Span,
}

impl Backend {
    fn new() -> Self {
        Self::with(&["orders:*", "users:read"])
    }

    /// One whose key may do this, and whose owner may do everything.
    fn with(may: &[&str]) -> Self {
        let mut world = World::new();
        let owner = world.owner(OwnerKind::Service, &["*", "keyholt:*"]);
        let admin = world.admin();
        let key = world.held(&admin, key_wish(owner).scopes(may)).key;
        Self {
            permissions: world.permissions(owner).into_owned(),
            shown: Shown::Current,
            ends: Expiry::Never,
            longest: Span::secs(900),
            world,
            key,
        }
    }

    fn dossier(&self) -> Dossier<'_> {
        self.world.dossier(&self.key, &self.permissions, self.shown)
    }

    fn mint(&mut self, wish: TokenWish) -> Result<Token, MintError> {
        let dossier = self.world.dossier(&self.key, &self.permissions, self.shown);
        let World {
            project, now, entropy, ..
        } = &mut self.world;
        let world = Mint {
            policy: &project.policy.tokens,
            issuer: ISSUER,
            owner_handle: "billing",
            generation: Some(Generation::from_number(7)),
            ends: self.ends,
            longest: self.longest,
        };
        mint(&dossier, wish, world, *now, entropy)
    }

    /// A token for all that the key may do.
    fn token(&mut self) -> Token {
        self.mint(wish()).unwrap()
    }

    /// A component session for somebody.
    fn lend(&mut self, owner: Owner, bearer: Bearer<'_>, wish: ComponentWish) -> Result<Token, MintError> {
        let dossier = self.world.dossier(&self.key, &self.permissions, self.shown);
        let World {
            project, now, entropy, ..
        } = &mut self.world;
        let world = Mint {
            policy: &project.policy.tokens,
            issuer: ISSUER,
            owner_handle: "ada",
            generation: None,
            ends: self.ends,
            longest: self.longest,
        };
        mint_component(&dossier, owner, bearer, wish, world, *now, entropy)
    }
}

/// All that the key may do, for nobody in particular.
fn wish() -> TokenWish {
    TokenWish {
        scopes: Wished::All,
        audience: None,
        lifetime: None,
        subject: Subject::Client,
        actors: Vec::new(),
    }
}

fn component_wish() -> ComponentWish {
    ComponentWish {
        scopes: Wished::All,
        audience: None,
        lifetime: None,
        keys_last_at_most: None,
    }
}

fn audience(text: &str) -> Audience {
    Audience::new(text).unwrap()
}
