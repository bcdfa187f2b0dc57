//! Tables and cards: many things in columns, one thing line by line. Both fit the width that there is.

use comfy_table::presets::NOTHING;
use comfy_table::{Attribute, Cell as LaidOut, Color, ColumnConstraint, ContentArrangement};
use unicode_width::UnicodeWidthStr;

use super::plain::plain;

/// What stands where there is nothing to say.
const NOTHING_TO_SAY: &str = "-";
/// Narrower than this a column of words cannot be read.
const COLUMN_CHARS_MIN: u16 = 10;
/// Spaces between columns.
const GAP: u16 = 2;

/// A title of a column.
#[derive(Clone, Copy, Debug)]
pub struct Head {
    title: &'static str,
    wrap: Wrap,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Wrap {
    Never,
    Words,
}

impl Head {
    /// A column of words, which may go on in the next line.
    pub const fn words(title: &'static str) -> Self {
        Self {
            title,
            wrap: Wrap::Words,
        }
    }

    /// A column of things to copy, which are never broken.
    pub const fn whole(title: &'static str) -> Self {
        Self {
            title,
            wrap: Wrap::Never,
        }
    }
}

/// How a cell sounds. The words say it too: colour alone carries no meaning.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Tone {
    /// Like any other.
    #[default]
    Usual,
    /// Well.
    Good,
    /// Not well.
    Bad,
    /// To be looked at.
    Wary,
    /// Less important.
    Faint,
}

/// A cell: one printable line, whatever was given.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Cell {
    text: String,
    tone: Tone,
}

impl Cell {
    /// A cell with a tone.
    pub fn toned(text: impl AsRef<str>, tone: Tone) -> Self {
        let text = plain(text.as_ref());
        if text.is_empty() {
            Self {
                text: NOTHING_TO_SAY.to_owned(),
                tone: Tone::Faint,
            }
        } else {
            Self { text, tone }
        }
    }

    /// A cell with what there is, if anything.
    pub fn maybe(text: Option<impl ToString>) -> Self {
        Self::from(text.map(|text| text.to_string()).unwrap_or_default())
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self::toned(text, Tone::Usual)
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::toned(text, Tone::Usual)
    }
}

/// How a table or card is laid out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Layout {
    /// Columns of the terminal; `None` is a file or program, where nothing is broken.
    pub columns: Option<u16>,
    /// Whether colours may be used.
    pub palette: Palette,
}

/// Whether colours may be used.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Palette {
    /// They may.
    Colours,
    /// They may not.
    Monochrome,
}

impl Palette {
    /// The text in that tone and bold, for labels such as `error:`.
    pub fn label(self, text: &str, tone: Tone) -> String {
        match tone {
            Tone::Usual => self.styled(text, "1"),
            Tone::Good => self.styled(text, "1;32"),
            Tone::Bad => self.styled(text, "1;31"),
            Tone::Wary => self.styled(text, "1;33"),
            Tone::Faint => self.styled(text, "2"),
        }
    }

    /// The text in that tone.
    fn value(self, text: &str, tone: Tone) -> String {
        match tone {
            Tone::Usual => text.to_owned(),
            Tone::Good => self.styled(text, "32"),
            Tone::Bad => self.styled(text, "31"),
            Tone::Wary => self.styled(text, "33"),
            Tone::Faint => self.styled(text, "2"),
        }
    }

    fn styled(self, text: &str, code: &str) -> String {
        match self {
            Self::Colours => format!("\u{1b}[{code}m{text}\u{1b}[0m"),
            Self::Monochrome => text.to_owned(),
        }
    }
}

/// Many things of a kind.
#[derive(Clone, Debug)]
pub struct Table {
    heads: Vec<Head>,
    rows: Vec<Vec<Cell>>,
}

impl Table {
    /// An empty table.
    pub fn new(heads: impl Into<Vec<Head>>) -> Self {
        Self {
            heads: heads.into(),
            rows: Vec::new(),
        }
    }

    /// Adds a row: one cell for each head.
    pub fn row(&mut self, cells: impl IntoIterator<Item = Cell>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// The lines. Where columns would become unreadable, each row becomes a card.
    pub fn lay_out(&self, layout: Layout) -> String {
        if self.rows.is_empty() {
            return String::new();
        }
        let mut grid = grid(layout);
        let heads = self.heads.iter().map(|head| LaidOut::new(head.title));
        grid.set_header(heads.map(|cell| cell.add_attribute(Attribute::Bold)));
        for row in &self.rows {
            grid.add_row(row.iter().map(laid_out));
        }
        close_up(&mut grid);
        let natural = grid.column_max_content_widths();
        let least: u32 = self
            .heads
            .iter()
            .zip(&natural)
            .map(|(head, natural)| match head.wrap {
                Wrap::Never => *natural,
                Wrap::Words => (*natural).min(COLUMN_CHARS_MIN),
            })
            .map(|width| u32::from(width) + u32::from(GAP))
            .sum();
        if layout.columns.is_some_and(|columns| least > u32::from(columns)) {
            return self.cards(layout);
        }
        for (index, head) in self.heads.iter().enumerate() {
            if let (Wrap::Never, Some(column)) = (head.wrap, grid.column_mut(index)) {
                column.set_constraint(ColumnConstraint::ContentWidth);
            }
        }
        lines(&grid)
    }

    fn cards(&self, layout: Layout) -> String {
        let card = |row: &Vec<Cell>| {
            let mut card = Card::default();
            for (head, cell) in self.heads.iter().zip(row) {
                card.cell(head.title, cell.clone());
            }
            card.lay_out(layout)
        };
        self.rows.iter().map(card).collect::<Vec<_>>().join("\n")
    }
}

/// One thing, line by line.
#[derive(Clone, Debug, Default)]
pub struct Card {
    lines: Vec<(&'static str, Cell)>,
}

impl Card {
    /// Adds a line.
    #[must_use]
    pub fn line(mut self, title: &'static str, cell: impl Into<Cell>) -> Self {
        self.cell(title, cell.into());
        self
    }

    /// Adds a line if there is something to say.
    #[must_use]
    pub fn line_if_any(self, title: &'static str, text: Option<impl ToString>) -> Self {
        match text.map(|text| text.to_string()).filter(|text| !text.is_empty()) {
            Some(text) => self.line(title, text),
            None => self,
        }
    }

    fn cell(&mut self, title: &'static str, cell: Cell) {
        self.lines.push((title, cell));
    }

    /// The lines. A word that is longer than the terminal is wide stays whole, so that it can be copied.
    pub fn lay_out(&self, layout: Layout) -> String {
        let longest = self.lines.iter().map(|(title, _)| title.width()).max().unwrap_or(0);
        let indent = longest + usize::from(GAP);
        let room = layout
            .columns
            .map(|columns| usize::from(columns).saturating_sub(indent));
        let hanging = " ".repeat(indent);
        let mut text = String::new();
        for (title, cell) in &self.lines {
            let gap = " ".repeat(indent - title.width());
            text.push_str(&layout.palette.label(title, Tone::Usual));
            for (number, line) in wrapped(&cell.text, room).iter().enumerate() {
                text.push_str(if number == 0 { &gap } else { &hanging });
                text.push_str(&layout.palette.value(line, cell.tone));
                text.push('\n');
            }
        }
        text
    }
}

/// The words of a text in lines that fit the room, where there is one.
fn wrapped(text: &str, room: Option<usize>) -> Vec<String> {
    let Some(room) = room else {
        return vec![text.to_owned()];
    };
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.width() + 1 + word.width() <= room => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

fn grid(layout: Layout) -> comfy_table::Table {
    let mut grid = comfy_table::Table::new();
    grid.load_style(NOTHING).force_no_tty();
    if layout.palette == Palette::Colours {
        grid.enforce_styling();
    }
    if let Some(columns) = layout.columns {
        grid.set_content_arrangement(ContentArrangement::Dynamic)
            .set_width(columns);
    }
    grid
}

fn close_up(grid: &mut comfy_table::Table) {
    let last = grid.column_count().saturating_sub(1);
    for column in grid.column_iter_mut() {
        let gap = if column.index == last { 0 } else { GAP };
        column.set_padding((0, gap));
    }
}

fn laid_out(cell: &Cell) -> LaidOut {
    let laid_out = LaidOut::new(&cell.text);
    match cell.tone {
        Tone::Usual => laid_out,
        Tone::Good => laid_out.fg(Color::Green),
        Tone::Bad => laid_out.fg(Color::Red),
        Tone::Wary => laid_out.fg(Color::Yellow),
        Tone::Faint => laid_out.add_attribute(Attribute::Dim),
    }
}

fn lines(grid: &comfy_table::Table) -> String {
    let mut text = grid.trim_fmt();
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys() -> Table {
        let mut table = Table::new([Head::whole("ID"), Head::words("NAME"), Head::words("STATE")]);
        table.row([
            "0199a3c4-7b1e".into(),
            "the key of the nightly build".into(),
            Cell::toned("active", Tone::Good),
        ]);
        table.row(["0199a3c4-7b1f".into(), "\u{1b}[31mred\nname".into(), "".into()]);
        table
    }

    fn at(columns: Option<u16>) -> Layout {
        Layout {
            columns,
            palette: Palette::Monochrome,
        }
    }

    #[test]
    fn a_program_gets_one_line_for_each_row() {
        assert_eq!(
            keys().lay_out(at(None)),
            "ID             NAME                          STATE\n\
             0199a3c4-7b1e  the key of the nightly build  active\n\
             0199a3c4-7b1f  [31mred name                  -\n"
        );
    }

    #[test]
    fn words_go_on_in_the_next_line_and_ids_never() {
        let text = keys().lay_out(at(Some(44)));
        assert!(text.lines().all(|line| line.chars().count() <= 44), "{text}");
        assert!(text.contains("\n0199a3c4-7b1e  the key of the"), "{text}");
        assert!(text.lines().count() > 3, "{text}");
    }

    #[test]
    fn where_columns_do_not_fit_each_row_is_a_card() {
        assert_eq!(
            keys().lay_out(at(Some(30))),
            "ID     0199a3c4-7b1e\n\
             NAME   the key of the nightly\n\
             \x20      build\n\
             STATE  active\n\
             \n\
             ID     0199a3c4-7b1f\n\
             NAME   [31mred name\n\
             STATE  -\n"
        );
    }

    #[test]
    fn colours_add_nothing_that_the_words_do_not_say() {
        let coloured = keys().lay_out(Layout {
            columns: None,
            palette: Palette::Colours,
        });
        let mut words = String::new();
        let mut rest = coloured.as_str();
        while let Some((before, after)) = rest.split_once('\u{1b}') {
            words.push_str(before);
            rest = after.split_once('m').map_or("", |(_, after)| after);
        }
        words.push_str(rest);
        let words: Vec<&str> = words.lines().map(str::trim_end).collect();
        assert_eq!(words, keys().lay_out(at(None)).lines().collect::<Vec<_>>());
        assert!(
            coloured.contains("\u{1b}[38;5;10m") || coloured.contains("\u{1b}[32m"),
            "{coloured:?}"
        );
    }
}
