//! What keys hang on: users, teams, services, roles, projects; and the operators, of whom one must stay.

mod operators;
mod people;
mod projects;
mod roles;
