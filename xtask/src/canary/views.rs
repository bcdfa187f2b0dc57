//! Other ways to read the same bytes: as hex, as base64 in any alignment, as percent-encoding.
//!
//! The bytes are decoded rather than the secrets encoded, so that a part of a secret inside an
//! encoded longer text is found too, and one search serves every encoding.

use std::collections::BTreeMap;

use super::secrets::{Found, Secrets};

/// Encodings are followed this deep: base64 of base64 is found, a third layer is not.
const DEPTH_MAX: usize = 2;
/// The shortest run of letters that can hide twelve characters: their base64.
const RUN_LEN_MIN: usize = 16;
/// The same for hex, which is longer.
const HEX_LEN_MIN: usize = 24;

/// How the bytes had to be read for a secret to show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum View {
    /// As they are.
    Raw,
    /// As pairs of hex digits.
    Hex,
    /// As base64, standard or URL-safe.
    Base64,
    /// As percent-encoding.
    Percent,
}

/// Every secret in `bytes` under any view: where it starts and what it looks like there.
///
/// The offset of an encoded secret is that of the run of letters that hides it.
pub(super) fn find(bytes: &[u8], secrets: &Secrets) -> BTreeMap<Found, View> {
    let mut found = BTreeMap::new();
    look(bytes, secrets, DEPTH_MAX, &mut |hit, view| {
        // The plainest view wins: a raw secret may show in another reading by its neighbours.
        let known = found.entry(hit).or_insert(view);
        *known = view.min(*known);
    });
    found
}

fn look(bytes: &[u8], secrets: &Secrets, depth: usize, tell: &mut dyn FnMut(Found, View)) {
    for hit in secrets.find(bytes) {
        tell(hit, View::Raw);
    }
    if depth == 0 {
        return;
    }
    for (start, run) in runs(bytes, |it| it.is_ascii_alphanumeric() || b"+/-_".contains(&it)) {
        let mut below = |view: View, read: Vec<u8>| {
            look(&read, secrets, depth - 1, &mut |hit, _| {
                tell(
                    Found {
                        offset: start,
                        line: hit.line,
                    },
                    view,
                );
            });
        };
        for shift in 0..4 {
            below(View::Base64, base64(&run[shift..]));
        }
        if run.len() >= HEX_LEN_MIN {
            for shift in 0..2 {
                below(View::Hex, hex(&run[shift..]));
            }
        }
    }
    for (start, run) in runs(bytes, |it| it.is_ascii_graphic()) {
        if run.contains(&b'%') {
            look(&percent(run), secrets, depth - 1, &mut |hit, _| {
                tell(
                    Found {
                        offset: start,
                        line: hit.line,
                    },
                    View::Percent,
                );
            });
        }
    }
}

/// The runs of at least [`RUN_LEN_MIN`] bytes that all satisfy `belongs`, with their offsets.
fn runs(bytes: &[u8], belongs: impl Fn(u8) -> bool) -> impl Iterator<Item = (usize, &[u8])> {
    let mut at = 0;
    bytes.split(move |it| !belongs(*it)).filter_map(move |run| {
        let start = at;
        at += run.len() + 1;
        (run.len() >= RUN_LEN_MIN).then_some((start, run))
    })
}

/// Reads hex digits in pairs; a pair that is none reads as NUL, which is in no secret.
fn hex(digits: &[u8]) -> Vec<u8> {
    digits
        .chunks_exact(2)
        .map(|pair| match (digit(pair[0]), digit(pair[1])) {
            (Some(high), Some(low)) => high << 4 | low,
            _ => 0,
        })
        .collect()
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|it| u8::try_from(it).ok())
}

/// Reads base64 of either alphabet in groups of four; a last group may be short.
fn base64(letters: &[u8]) -> Vec<u8> {
    let mut read = Vec::with_capacity(letters.len() / 4 * 3 + 3);
    for group in letters.chunks(4) {
        let bits = group
            .iter()
            .fold(0_u32, |bits, letter| bits << 6 | u32::from(sextet(*letter)));
        let whole = bits << (6 * (4 - group.len()));
        // Four letters hold three bytes, three hold two, two hold one.
        read.extend_from_slice(&whole.to_be_bytes()[1..group.len().max(1)]);
    }
    read
}

fn sextet(letter: u8) -> u8 {
    match letter {
        b'A'..=b'Z' => letter - b'A',
        b'a'..=b'z' => letter - b'a' + 26,
        b'0'..=b'9' => letter - b'0' + 52,
        b'+' | b'-' => 62,
        _ => 63,
    }
}

/// Reads percent-encoding, and `+` as the space it stands for in forms.
fn percent(text: &[u8]) -> Vec<u8> {
    let mut read = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&first, tail)) = rest.split_first() {
        let pair = tail
            .first()
            .and_then(|it| digit(*it))
            .zip(tail.get(1).and_then(|it| digit(*it)));
        match (first, pair) {
            (b'%', Some((high, low))) => {
                read.push(high << 4 | low);
                rest = &tail[2..];
            }
            (b'+', _) => {
                read.push(b' ');
                rest = tail;
            }
            _ => {
                read.push(first);
                rest = tail;
            }
        }
    }
    read
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &str = "q7XwB2mZt9LcR4vNy8KdPs3HgJ6fTa5W";
    const PASSWORD: &str = "correct horse + battery?";

    fn seen(text: impl AsRef<[u8]>) -> Vec<(usize, View)> {
        let secrets = Secrets::parse(&format!("kh_{BODY}k3f2aB\n{PASSWORD}\n")).unwrap();
        find(text.as_ref(), &secrets)
            .into_iter()
            .map(|(hit, view)| (hit.offset, view))
            .collect()
    }

    /// An encoder written apart from the decoder under test.
    fn encode(text: &[u8], alphabet: &[u8; 64]) -> String {
        let bits: String = text.iter().map(|byte| format!("{byte:08b}")).collect();
        let letters = bits.as_bytes().chunks(6).map(|six| {
            let six = format!("{:0<6}", std::str::from_utf8(six).unwrap());
            char::from(alphabet[usize::from_str_radix(&six, 2).unwrap()])
        });
        letters.collect()
    }

    const STANDARD: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const URL_SAFE: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

    #[test]
    fn the_encoder_of_these_tests_is_right() {
        assert_eq!(encode(b"kh_~~?", STANDARD), "a2hffn4/");
        assert_eq!(encode(b"kh_~~?", URL_SAFE), "a2hffn4_");
        assert_eq!(encode(b"a", STANDARD), "YQ");
    }

    #[test]
    fn a_raw_secret_is_seen_where_it_stands() {
        assert_eq!(seen(format!("key: kh_{BODY}k3f2aB.")), [(8, View::Raw)]);
    }

    #[test]
    fn hex_is_seen_in_both_cases_and_alignments() {
        let digits: String = BODY.bytes().map(|it| format!("{it:02x}")).collect();
        assert_eq!(seen(format!("\\x{digits}")), [(1, View::Hex)]);
        assert_eq!(seen(format!("0{digits}")), [(0, View::Hex)]);
        assert_eq!(seen(digits.to_uppercase()), [(0, View::Hex)]);
        assert_eq!(seen(format!("GET /v1/{digits}/x")), [(4, View::Hex)]);
    }

    #[test]
    fn a_window_in_hex_is_enough() {
        let digits: String = BODY[7..19].bytes().map(|it| format!("{it:02x}")).collect();
        assert_eq!(seen(digits), [(0, View::Hex)]);
    }

    #[test]
    fn base64_is_seen_in_both_alphabets_and_every_alignment() {
        for before in ["", "~", "~~", "~~?", "client:~"] {
            for alphabet in [STANDARD, URL_SAFE] {
                let text = encode(format!("{before}kh_{BODY}k3f2aB~~~").as_bytes(), alphabet);
                assert_eq!(seen(format!("Basic {text}==")), [(6, View::Base64)], "after `{before}`");
            }
        }
    }

    #[test]
    fn a_window_at_the_end_of_base64_is_seen_whatever_its_padding() {
        for before in ["", "~", "~~"] {
            let text = encode(format!("{before}{}", &BODY[20..]).as_bytes(), STANDARD);
            assert_eq!(seen(text), [(0, View::Base64)], "after `{before}`");
        }
    }

    #[test]
    fn base64_glued_to_other_letters_is_seen() {
        let text = encode(BODY.as_bytes(), URL_SAFE);
        for glue in ["a", "ab", "abc"] {
            assert_eq!(seen(format!("{glue}{text}")), [(0, View::Base64)]);
        }
    }

    #[test]
    fn base64_of_base64_is_seen() {
        let text = encode(encode(BODY.as_bytes(), STANDARD).as_bytes(), STANDARD);
        assert_eq!(seen(text), [(0, View::Base64)]);
    }

    #[test]
    fn percent_encoding_is_seen_of_some_characters_or_of_all() {
        assert_eq!(seen("pw=correct%20horse%20%2b%20battery%3F"), [(0, View::Percent)]);
        assert_eq!(seen("pw=correct+horse+%2B+battery%3F"), [(0, View::Percent)]);
        let all: String = BODY.bytes().map(|it| format!("%{it:02X}")).collect();
        assert_eq!(seen(format!("/?k={all}")), [(0, View::Percent)]);
    }

    #[test]
    fn bytes_without_a_secret_show_nothing() {
        let digest = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
        assert_eq!(seen(format!("{digest} {} 100%zz %", "A".repeat(5000))), []);
    }
}
