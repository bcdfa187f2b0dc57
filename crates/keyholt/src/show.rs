//! What people read of the things that the API answers with.

mod event;
mod key;
mod owner;
mod project;
mod role;
mod session;
mod signing_key;
mod verdict;

use keyholt_api::reference::OwnerName;
use keyholt_core::time::Moment;
use serde::de::DeserializeOwned;

use crate::printer::table::{Cell, Head, Tone};

pub use verdict::rules_table;

/// How much a list shows of each thing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Breadth {
    /// What fits a usual terminal.
    Usual,
    /// More columns.
    Wide,
}

/// Something that stands in a list.
pub trait Listed {
    /// The titles of the columns.
    fn heads(breadth: Breadth) -> Vec<Head>;
    /// Its row.
    fn row(&self, breadth: Breadth) -> Vec<Cell>;
}

/// A page of a list.
pub trait Page: DeserializeOwned {
    /// What is in it.
    type Item: Listed;
    /// The member of the JSON that holds the list; also what people call the things.
    const NOUN: &'static str;
    /// What is in it, and where the next page starts.
    fn into_parts(self) -> (Vec<Self::Item>, Option<String>);
}

macro_rules! pages {
    ($($page:path, $member:ident, $item:path;)*) => {$(
        impl Page for $page {
            type Item = $item;
            const NOUN: &'static str = stringify!($member);

            fn into_parts(self) -> (Vec<Self::Item>, Option<String>) {
                (self.$member, self.next_cursor)
            }
        }
    )*};
}

pages! {
    keyholt_api::key::KeyPage, keys, keyholt_api::key::Key;
    keyholt_api::owner::UserPage, users, keyholt_api::owner::User;
    keyholt_api::owner::TeamPage, teams, keyholt_api::owner::Team;
    keyholt_api::owner::ServicePage, services, keyholt_api::owner::Service;
    keyholt_api::project::ProjectPage, projects, keyholt_api::project::Project;
    keyholt_api::role::RolePage, roles, keyholt_api::role::Role;
    keyholt_api::event::EventPage, events, keyholt_api::event::Event;
}

/// An owner in the words of the filters: `user:u_42`.
pub fn owner_text(owner: &OwnerName) -> String {
    match &owner.handle {
        Some(handle) => format!("{}:{handle}", owner.kind.as_str()),
        None => format!("{}:{} (removed)", owner.kind.as_str(), owner.id),
    }
}

/// A number of things: `1 key`, `3 keys`.
pub fn counted(count: u64, one: &str) -> String {
    if count == 1 {
        format!("{count} {one}")
    } else {
        format!("{count} {one}s")
    }
}

/// The day of an instant, for lists: `2030-01-31`.
fn day(moment: Moment) -> String {
    moment.to_string().chars().take(10).collect()
}

fn standing(suspended_since: Option<Moment>) -> Cell {
    match suspended_since {
        None => Cell::toned("good", Tone::Good),
        Some(since) => Cell::toned(format!("suspended since {since}"), Tone::Wary),
    }
}

fn standing_word(suspended_since: Option<Moment>) -> Cell {
    match suspended_since {
        None => Cell::toned("good", Tone::Good),
        Some(_) => Cell::toned("suspended", Tone::Wary),
    }
}

fn words(words: &[String]) -> String {
    words.join(" ")
}
