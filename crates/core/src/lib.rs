//! Keyholt.
