//! Text from elsewhere, made harmless: nothing in a name may move the cursor, change colours or turn the writing round.

use std::borrow::Cow;

/// A text as one printable line: white space becomes a space, and what steers a terminal is left out.
pub fn plain(text: &str) -> String {
    text.chars()
        .filter_map(|c| match c {
            '\n' | '\r' | '\t' | '\u{2028}' | '\u{2029}' => Some(' '),
            c if steers(c) => None,
            c => Some(c),
        })
        .collect()
}

/// JSON text with the same meaning, in which nothing steers a terminal: JSON itself leaves some such characters alone.
pub fn plain_json(json: &str) -> Cow<'_, str> {
    // Outside strings JSON has no such character but line ends, which are no danger.
    let odd = |c: char| steers(c) && !matches!(c, '\n' | '\r' | '\t');
    if !json.contains(odd) {
        return Cow::Borrowed(json);
    }
    let mut out = String::with_capacity(json.len() + 16);
    for c in json.chars() {
        if odd(c) {
            let mut units = [0; 2];
            for unit in c.encode_utf16(&mut units) {
                out.push_str(&format!("\\u{unit:04x}"));
            }
        } else {
            out.push(c);
        }
    }
    Cow::Owned(out)
}

/// Whether a terminal, or the reader's eye, would be led astray by this character.
fn steers(c: char) -> bool {
    c.is_control()
        || matches!(c,
            // Marks and overrides of the writing direction.
            '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
            // Invisible: two different names would look the same.
            | '\u{00ad}' | '\u{200b}' | '\u{2060}'..='\u{2065}' | '\u{206a}'..='\u{206f}' | '\u{feff}'
            | '\u{2028}' | '\u{2029}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escape_sequences_lose_their_escape() {
        assert_eq!(plain("\u{1b}[2Jci\u{9b}31m\u{7}"), "[2Jci31m");
        assert_eq!(plain("two\r\nlines\tand\0"), "two  lines and");
        assert_eq!(plain("abc\u{202e}fed\u{2069}"), "abcfed");
        assert_eq!(plain("Zoë – 鍵 👩\u{200d}💻"), "Zoë – 鍵 👩\u{200d}💻");
    }

    #[test]
    fn json_keeps_its_meaning() {
        let json = "{\"name\":\"a\u{9b}2J\u{202e}\u{e0041}\"}";
        let tamed = plain_json(json);
        assert_eq!(tamed, r#"{"name":"a\u009b2J\u202e\udb40\udc41"}"#);
        let before: serde_json::Value = serde_json::from_str(json).unwrap();
        let after: serde_json::Value = serde_json::from_str(&tamed).unwrap();
        assert_eq!(before, after);
        assert!(matches!(plain_json("{\"name\":\"ci\"}\n"), Cow::Borrowed(_)));
    }
}
