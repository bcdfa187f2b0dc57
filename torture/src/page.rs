//! The page: the figures of the last long run, between two marks in `docs/explanation/reliability.md`.

use std::fs;
use std::path::Path;

use anyhow::Context;
use keyholt_rig::machine::{Machine, Run};

use crate::figure::{Figure, Holds};
use crate::setting::Setting;

const FROM: &str = "<!-- figures: written by `make torture` -->";
const TO: &str = "<!-- end of the figures -->";

/// Puts the figures of a whole run in the place of those before.
pub fn write(page: &Path, found: &[(&str, Vec<Figure>)], run: &Run, setting: &Setting) -> anyhow::Result<()> {
    let text = fs::read_to_string(page).with_context(|| format!("cannot read {}", page.display()))?;
    let (before, rest) = text.split_once(FROM).context("the page has no place for figures")?;
    let (_, after) = rest.split_once(TO).context("the place for figures has no end")?;
    fs::write(
        page,
        format!("{before}{FROM}\n\n{}\n{TO}{after}", table(found, run, setting)),
    )?;
    Ok(())
}

fn table(found: &[(&str, Vec<Figure>)], run: &Run, setting: &Setting) -> String {
    let machine = Machine::here();
    let mut text = format!(
        "{}{}, `--seed {}`, measured {} on {} × {}, {} GiB, {}.\n\n| Step | What was done | What came of it | Holds |\n|---|---|---|---|\n",
        setting.form.of("Short form", "Long form"),
        if setting.percent == 100 {
            String::new()
        } else {
            format!(", `--percent {}`", setting.percent)
        },
        setting.seed,
        run.words(),
        machine.processors,
        machine.processor,
        machine.memory_gib,
        machine.system
    );
    for (step, figures) in found {
        for figure in figures {
            let holds = match figure.holds {
                Holds::Yes => "yes",
                Holds::No => "**no**",
                Holds::NotTried => "not tried",
            };
            let cell = |text: &str| text.replace('|', "\\|").replace('\n', " ");
            text.push_str(&format!(
                "| `{step}` | {} | {} | {holds} |\n",
                cell(&figure.what),
                cell(&figure.found)
            ));
        }
    }
    text
}
