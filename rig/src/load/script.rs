//! What a load asks: a prepared request with slots, and the words that go into them.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::ensure;

/// Marks the place of a word in a request; it stands in no request otherwise.
pub const SLOT: &str = "\u{1}";

/// Texts of one width, used one after the other by all connections, so that each is presented before any is again.
#[derive(Debug)]
pub struct Words {
    width: usize,
    bytes: Arc<Vec<u8>>,
    outlook: Outlook,
    next: AtomicUsize,
}

/// Which words a server that is right says yes to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outlook {
    /// All.
    Good,
    /// None.
    Bad,
    /// All but every tenth, which nobody knows.
    NineInTen,
}

impl Words {
    /// Keeps words, which must be of one width.
    pub fn new<W: AsRef<[u8]>>(outlook: Outlook, words: impl IntoIterator<Item = W>) -> anyhow::Result<Self> {
        let mut words = words.into_iter();
        let mut bytes = words.next().map(|word| word.as_ref().to_vec()).unwrap_or_default();
        let width = bytes.len();
        ensure!(width > 0, "a load needs words");
        for word in words {
            ensure!(word.as_ref().len() == width, "words of a load have one width");
            bytes.extend_from_slice(word.as_ref());
        }
        Ok(Self {
            width,
            bytes: Arc::new(bytes),
            outlook,
            next: AtomicUsize::new(0),
        })
    }

    /// The same words for another subject, from the first one on.
    pub fn again(&self) -> Self {
        Self {
            width: self.width,
            bytes: Arc::clone(&self.bytes),
            outlook: self.outlook,
            next: AtomicUsize::new(0),
        }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.bytes.len() / self.width
    }

    /// How many different ones were presented.
    pub fn presented(&self) -> usize {
        self.next.load(Ordering::Relaxed).min(self.count())
    }

    /// Whether a server that is right says yes to the word at a place.
    pub fn is_good(&self, at: usize) -> bool {
        match self.outlook {
            Outlook::Good => true,
            Outlook::Bad => false,
            Outlook::NineInTen => at % 10 != 9,
        }
    }

    /// The word at a place.
    pub fn word(&self, at: usize) -> &[u8] {
        self.bytes
            .get(at * self.width..(at + 1) * self.width)
            .unwrap_or_default()
    }

    fn take(&self, words: usize) -> impl Iterator<Item = usize> {
        let first = self.next.fetch_add(words, Ordering::Relaxed);
        (first..first + words).map(|at| at % self.count())
    }
}

/// A request in the making. [`SLOT`] may stand in every text.
#[derive(Clone, Debug, Default)]
pub struct Request<'a> {
    /// The method.
    pub method: &'a str,
    /// Path and query.
    pub path: &'a str,
    /// Headers beside `Host` and `Content-Length`.
    pub headers: Vec<(&'a str, String)>,
    /// The body, which is JSON unless a header says otherwise.
    pub body: Option<String>,
}

/// What an answer must be; anything else ends the run, because the speed of wrong answers means nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Expected {
    /// This status.
    Status(u16),
    /// 200, and `"valid":true` exactly as often as good words were asked about.
    Verdicts,
    /// The same of introspection, which says `"active":true`.
    Active,
}

/// A prepared request: copied into each connection once, after which only its words change.
#[derive(Clone, Debug)]
pub struct Script {
    template: Vec<u8>,
    slots: Vec<usize>,
    words: Option<Arc<Words>>,
    expected: Expected,
}

impl Script {
    /// A request that is the same each time.
    pub fn fixed(request: &Request<'_>, expected: Expected) -> Self {
        let template = spell(request, "");
        Self {
            template,
            slots: Vec::new(),
            words: None,
            expected,
        }
    }

    /// A request with other words each time.
    pub fn with_words(request: &Request<'_>, words: &Arc<Words>, expected: Expected) -> anyhow::Result<Self> {
        let template = spell(request, &SLOT.repeat(words.width));
        let mut slots = Vec::new();
        let mut at = 0;
        while let Some(found) = memchr::memchr(SLOT.as_bytes()[0], template.get(at..).unwrap_or_default()) {
            slots.push(at + found);
            at += found + words.width;
        }
        ensure!(!slots.is_empty(), "the request has no slot for the words");
        Ok(Self {
            template,
            slots,
            words: Some(Arc::clone(words)),
            expected,
        })
    }

    /// The request before any word is in it.
    pub fn template(&self) -> &[u8] {
        &self.template
    }

    /// Puts the next words into a copy of the template, and tells how many of them are good.
    pub fn fill(&self, request: &mut [u8]) -> usize {
        let Some(words) = &self.words else { return 0 };
        let mut good = 0;
        for (slot, at) in self.slots.iter().zip(words.take(self.slots.len())) {
            if let Some(place) = request.get_mut(*slot..slot + words.width) {
                place.copy_from_slice(words.word(at));
            }
            good += usize::from(words.is_good(at));
        }
        good
    }

    /// What is wrong with an answer, if anything is.
    pub fn fault(&self, status: u16, body: &[u8], good: usize) -> Option<String> {
        let right = match self.expected {
            Expected::Status(expected) => status == expected,
            Expected::Verdicts => status == 200 && times(body, b"\"valid\":true") == good,
            Expected::Active => status == 200 && times(body, b"\"active\":true") == good,
        };
        (!right).then(|| {
            let shown: Range<usize> = 0..body.len().min(400);
            let body = String::from_utf8_lossy(body.get(shown).unwrap_or_default());
            format!("expected {:?} ({good} valid), got {status}: {body}", self.expected)
        })
    }
}

/// How often something stands in an answer.
fn times(body: &[u8], said: &[u8]) -> usize {
    memchr::memmem::find_iter(body, said).count()
}

fn spell(request: &Request<'_>, word: &str) -> Vec<u8> {
    let with_word = |text: &str| text.replace(SLOT, word);
    let mut text = format!(
        "{} {} HTTP/1.1\r\nHost: bench\r\n",
        request.method,
        with_word(request.path)
    );
    for (name, value) in &request.headers {
        text.push_str(&format!("{name}: {}\r\n", with_word(value)));
    }
    if let Some(body) = &request.body {
        let body = with_word(body);
        let is_kind = |(name, _): &(&str, String)| name.eq_ignore_ascii_case("content-type");
        if !request.headers.iter().any(is_kind) {
            text.push_str("Content-Type: application/json\r\n");
        }
        text.push_str(&format!("Content-Length: {}\r\n\r\n{body}", body.len()));
    } else {
        text.push_str("\r\n");
    }
    text.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(count: usize) -> (Arc<Words>, Script) {
        let words = Arc::new(Words::new(Outlook::NineInTen, (0..count).map(|at| format!("w{at:03}"))).unwrap());
        let body = Some(format!(r#"["{SLOT}","{SLOT}"]"#));
        let request = Request {
            method: "POST",
            path: "/v",
            body,
            ..Request::default()
        };
        let script = Script::with_words(&request, &words, Expected::Verdicts).unwrap();
        (words, script)
    }

    #[test]
    fn words_go_into_their_slots_one_after_the_other_and_from_the_start_again() {
        let (words, script) = asked(3);
        let mut request = script.template().to_vec();
        let mut bodies = Vec::new();
        for _ in 0..2 {
            script.fill(&mut request);
            let text = String::from_utf8(request.clone()).unwrap();
            assert!(text.contains("Content-Length: 15\r\n"), "{text}");
            bodies.push(text.split("\r\n\r\n").nth(1).unwrap().to_owned());
        }
        assert_eq!(bodies, [r#"["w000","w001"]"#, r#"["w002","w000"]"#]);
        assert_eq!(words.presented(), 3);
    }

    #[test]
    fn every_tenth_word_is_one_that_nobody_knows() {
        let (_, script) = asked(20);
        let mut request = script.template().to_vec();
        let good: Vec<usize> = (0..10).map(|_| script.fill(&mut request)).collect();
        assert_eq!(good, [2, 2, 2, 2, 1, 2, 2, 2, 2, 1]);
    }

    #[test]
    fn a_wrong_verdict_is_a_fault() {
        let (_, script) = asked(3);
        assert_eq!(script.fault(200, br#"[{"valid":true},{"valid":false}]"#, 1), None);
        assert!(script.fault(200, br#"[{"valid":true},{"valid":true}]"#, 1).is_some());
        assert!(script.fault(503, b"", 0).is_some());
    }

    #[test]
    fn a_body_is_json_unless_a_header_says_otherwise() {
        let kinds = |headers| {
            let request = Request {
                method: "POST",
                path: "/",
                headers,
                body: Some("a=b".into()),
            };
            let script = Script::fixed(&request, Expected::Status(200));
            let text = String::from_utf8(script.template().to_vec()).unwrap();
            let kinds = text.lines().filter_map(|line| line.strip_prefix("Content-Type: "));
            kinds.map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(kinds(vec![]), ["application/json"]);
        assert_eq!(kinds(vec![("Content-Type", "text/plain".into())]), ["text/plain"]);
    }

    #[test]
    fn words_of_different_widths_are_refused() {
        assert!(Words::new(Outlook::Good, ["a", "bc"]).is_err());
    }
}
