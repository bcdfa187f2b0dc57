//! The audit trail: every change and its event are one; where the event cannot be written nothing changes.

mod attempts;
mod causes;
mod deeds;
mod outage;
mod refused;
mod trail;
