//! Who may not do what, and what is told about it: to the caller, and to the audit trail.

mod attenuation;
mod elsewhere;
mod matrix;
mod personas;
