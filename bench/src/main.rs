//! `keyholt-bench`.

fn main() {}
