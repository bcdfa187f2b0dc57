//! What can be done with keys, and what comes of it.

mod change;
mod create;
mod descendants;
mod end;
mod import;
mod list;
mod remembered;
