//! The binary.
mod serve;
fn main() -> std::process::ExitCode {
    let mut args = std::env::args();
    let program = args.next().unwrap_or_default();
    let verb = args.next().unwrap_or_default();
    let mut flags = Vec::new();
    while let (Some(name), Some(value)) = (args.next(), args.next()) {
        flags.push((name.trim_start_matches("--").to_owned(), value));
    }
    let given = serve::Given {
        program,
        environment: std::env::vars_os().collect(),
        flags,
        foreign: &[],
    };
    let run = if verb == "config" {
        serve::show(given)
    } else {
        serve::run(given)
    };
    run.unwrap_or_else(|e| {
        eprintln!("error: {e:#}");
        std::process::ExitCode::from(2)
    })
}
