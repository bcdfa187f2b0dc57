//! The printer: the only one who writes to stdout and stderr. Stdout is data, stderr is talk.

pub mod plain;
pub mod table;

use std::io::{self, Write};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::connection::Answer;
use crate::printer::plain::{plain, plain_json};
use crate::printer::table::{Card, Layout, Palette, Table, Tone};
use crate::trouble::Trouble;
use crate::world::{Colours, Reader, Stream};

/// Narrower terminals are treated like this one.
const COLUMNS_MIN: u16 = 20;
/// How often a spinner moves.
const SPINNER_TICK: Duration = Duration::from_millis(120);

/// In which form data is wanted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Form {
    /// Tables and cards, for people.
    Text,
    /// The API's JSON: one document.
    Json,
}

/// Whether talk is wanted. Errors and warnings are always told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Talk {
    /// It is.
    Spoken,
    /// It is not.
    Silent,
}

/// Writes data and talk.
pub struct Printer {
    stdout: Stream,
    stderr: Stream,
    form: Form,
    talk: Talk,
    colours: Colours,
}

/// What a person reads of one thing.
pub trait Shown {
    /// Its card.
    fn card(&self) -> Card;
}

impl Printer {
    /// A printer that talks and prints for people.
    pub fn new(stdout: Stream, stderr: Stream, colours: Colours) -> Self {
        Self {
            stdout,
            stderr,
            form: Form::Text,
            talk: Talk::Spoken,
            colours,
        }
    }

    /// From now on data has this form.
    pub fn set_form(&mut self, form: Form) {
        self.form = form;
    }

    /// From now on talk is wanted or not.
    pub fn set_talk(&mut self, talk: Talk) {
        self.talk = talk;
    }

    /// In which form data is wanted.
    pub fn form(&self) -> Form {
        self.form
    }

    /// Columns of the terminal that help is read on.
    pub fn columns(&self) -> Option<u16> {
        layout_of(self.stdout.reader, self.colours).columns
    }

    /// Whether data goes to a person's eyes rather than into a file or program.
    pub fn data_reader(&self) -> Reader {
        self.stdout.reader
    }

    /// One thing: its JSON as it came, or its card.
    pub fn answer<T: Shown>(&mut self, answer: &Answer<T>) -> Result<(), Trouble> {
        match self.form {
            Form::Json => self.document(&answer.json),
            Form::Text => self.card(&answer.value.card()),
        }
    }

    /// One JSON document, on one line.
    pub fn document(&mut self, json: &str) -> Result<(), Trouble> {
        let json = plain_json(json.trim_end());
        self.data(&[json.as_bytes(), b"\n"])
    }

    /// A table.
    pub fn table(&mut self, table: &Table) -> Result<(), Trouble> {
        let text = table.lay_out(layout_of(self.stdout.reader, self.colours));
        self.data(&[text.as_bytes()])
    }

    /// A card.
    pub fn card(&mut self, card: &Card) -> Result<(), Trouble> {
        let text = card.lay_out(layout_of(self.stdout.reader, self.colours));
        self.data(&[text.as_bytes()])
    }

    /// A line of data.
    pub fn line(&mut self, text: &str) -> Result<(), Trouble> {
        self.data(&[plain(text).as_bytes(), b"\n"])
    }

    /// Data that this program made itself, such as a completion script, as it is.
    pub fn verbatim(&mut self, bytes: &[u8]) -> Result<(), Trouble> {
        self.data(&[bytes])
    }

    /// A new secret, alone on its line: the one time that it is shown.
    pub fn secret(&mut self, secret: &str) -> Result<(), Trouble> {
        if secret.is_empty() || !secret.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Trouble::new("the server gave a secret that cannot be printed")
                .hint("revoke the key, and make sure that the server is Keyholt"));
        }
        self.data(&[secret.as_bytes(), b"\n"])
    }

    /// A line of talk.
    pub fn say(&mut self, text: &str) {
        if self.talk == Talk::Spoken {
            self.speak(&plain(text));
        }
    }

    /// A card beside the data.
    pub fn say_card(&mut self, card: &Card) {
        if self.talk == Talk::Spoken {
            let text = card.lay_out(layout_of(self.stderr.reader, self.colours));
            self.speak(text.trim_end_matches('\n'));
        }
    }

    /// A table beside the data.
    pub fn say_table(&mut self, table: &Table) {
        if self.talk == Talk::Spoken {
            let text = table.lay_out(layout_of(self.stderr.reader, self.colours));
            self.speak(text.trim_end_matches('\n'));
        }
    }

    /// A line that is told even to those who want no talk.
    pub fn warn(&mut self, text: &str) {
        let label = self.stderr_palette().label("warning:", Tone::Wary);
        self.speak(&format!("{label} {}", plain(text)));
    }

    /// What went wrong, why, and what can be done.
    pub fn trouble(&mut self, trouble: &Trouble) {
        if trouble.is_unheard() {
            return;
        }
        if let (Form::Json, Some(json)) = (self.form, trouble.problem_json()) {
            // The API's own document, so that a program can decide by its code. What cannot be written is told below.
            let _ = self.document(json);
        }
        let palette = self.stderr_palette();
        let mut lines = vec![format!(
            "{} {}",
            palette.label("error:", Tone::Bad),
            plain(trouble.says())
        )];
        let causes = trouble.causes().iter();
        lines.extend(causes.map(|cause| format!("{} {}", palette.label("caused by:", Tone::Usual), plain(cause))));
        if !trouble.hints().is_empty() {
            lines.push(String::new());
        }
        let hints = trouble.hints().iter();
        lines.extend(hints.map(|hint| format!("{} {}", palette.label("hint:", Tone::Good), plain(hint))));
        for line in lines {
            self.speak(&line);
        }
    }

    /// What clap has to say about a mistake in the command line.
    pub fn usage(&mut self, error: &clap::Error) {
        let says = error.render();
        let text = match self.stderr_palette() {
            Palette::Colours => says.ansi().to_string(),
            Palette::Monochrome => says.to_string(),
        };
        self.speak(text.trim_end_matches('\n'));
    }

    /// The help that clap made.
    pub fn help(&mut self, help: &clap::Error) -> Result<(), Trouble> {
        let says = help.render();
        let text = match layout_of(self.stdout.reader, self.colours).palette {
            Palette::Colours => says.ansi().to_string(),
            Palette::Monochrome => says.to_string(),
        };
        self.data(&[text.as_bytes()])
    }

    /// A bar for work on `total` things; it shows where a person reads talk, and nowhere else.
    pub fn progress(&self, doing: &'static str, total: u64) -> ProgressBar {
        let bar = ProgressBar::with_draw_target(Some(total), self.draw_target());
        if let Ok(style) = ProgressStyle::with_template("{msg} [{bar:30}] {human_pos}/{human_len}") {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.with_message(doing)
    }

    /// A count of things whose end is not known.
    pub fn spinner(&self, doing: &'static str) -> ProgressBar {
        let bar = ProgressBar::with_draw_target(None, self.draw_target());
        if let Ok(style) = ProgressStyle::with_template("{msg} {human_pos}") {
            bar.set_style(style);
        }
        bar.enable_steady_tick(SPINNER_TICK);
        bar.with_message(doing)
    }

    fn draw_target(&self) -> ProgressDrawTarget {
        match (self.talk, self.stderr.reader) {
            (Talk::Spoken, Reader::Person { .. }) => ProgressDrawTarget::stderr(),
            _ => ProgressDrawTarget::hidden(),
        }
    }

    fn stderr_palette(&self) -> Palette {
        layout_of(self.stderr.reader, self.colours).palette
    }

    fn data(&mut self, parts: &[&[u8]]) -> Result<(), Trouble> {
        let stdout = &mut self.stdout.to;
        parts
            .iter()
            .try_for_each(|part| stdout.write_all(part))
            .and_then(|()| stdout.flush())
            .map_err(|error| match error.kind() {
                io::ErrorKind::BrokenPipe => Trouble::unheard(),
                _ => Trouble::new("cannot write to the output").because(&error),
            })
    }

    fn speak(&mut self, text: &str) {
        // Where stderr is gone there is nobody to tell; the exit code still says how it went.
        let _ = writeln!(self.stderr.to, "{text}").and_then(|()| self.stderr.to.flush());
    }
}

fn layout_of(reader: Reader, colours: Colours) -> Layout {
    match reader {
        Reader::Person { columns } => Layout {
            columns: Some(columns.max(COLUMNS_MIN)),
            palette: match colours {
                Colours::Wanted => Palette::Colours,
                Colours::Unwanted => Palette::Monochrome,
            },
        },
        Reader::Program => Layout {
            columns: None,
            palette: Palette::Monochrome,
        },
    }
}
