//! Looking credentials up in steps: there is something else to do while memory is on its way.
//!
//! Among millions of keys a look-up waits twice, for a line of the index and for the row that it leads to; neither is in a cache.
//! An atomic write between the steps would wait for them too, so the index is taken in hand once.

use std::cell::OnceCell;

use keyholt_core::secret::{Digest, Malformed};

use super::{Admitted, Answer, Keeper, Question};
use crate::jose::is_compact;
use crate::keyring::lines::Now;
use crate::keyring::ring::Keyring;

/// Questions of a batch whose look-ups wait for memory together.
const TOGETHER: usize = 16;

/// What a presented credential is looked up by.
#[derive(Debug)]
pub enum Sought {
    /// A secret, by its digest, where it has the form of one; with the row in which it probably is.
    Digest(Result<Digest, Malformed>, Option<u32>),
    /// Something signed, by what it says.
    Claims,
}

impl Sought {
    pub(super) fn by(keeper: &Keeper, credential: &str) -> Self {
        if is_compact(credential) {
            Self::Claims
        } else {
            Self::Digest(keeper.digest(credential), None)
        }
    }
}

/// The look-ups of one request.
pub struct Search<'k> {
    keeper: &'k Keeper,
    /// In hand from the first look-up on: a mistyped secret needs none.
    index: OnceCell<Now>,
}

impl Search<'_> {
    /// First step: asks for the line of the index, without waiting for it.
    pub fn seek(&self, credential: &str) -> Sought {
        let sought = Sought::by(self.keeper, credential);
        if let Sought::Digest(Ok(digest), _) = &sought {
            Keyring::touch_index(self.index(), digest);
        }
        sought
    }

    /// Second step: asks for the row to which the line leads. The last one is [`Keeper::judge_sought`].
    pub fn approach(&self, sought: &mut Sought) {
        if let Sought::Digest(Ok(digest), near) = sought {
            *near = self.keeper.keyring.touch_row(self.index(), digest);
        }
    }

    fn index(&self) -> &Now {
        self.index.get_or_init(|| self.keeper.keyring.index())
    }

    fn seek_all<'a, 'q>(&self, group: Option<&'a [Question<'q>]>) -> Option<(&'a [Question<'q>], [Sought; TOGETHER])> {
        let group = group?;
        let mut all = [const { Sought::Claims }; TOGETHER];
        for (sought, question) in all.iter_mut().zip(group) {
            *sought = self.seek(question.credential);
        }
        Some((group, all))
    }
}

impl Keeper {
    /// Begins to look up what one request is about.
    pub fn search(&self) -> Search<'_> {
        Search {
            keeper: self,
            index: OnceCell::new(),
        }
    }

    /// Judges many, in their order. While some of them wait for memory, the next ones are hashed.
    pub fn judge_all_for(
        &self,
        admitted: &Admitted,
        questions: &[Question<'_>],
        mut with: impl FnMut(usize, &Answer<'_>),
    ) {
        let search = self.search();
        let mut groups = questions.chunks(TOGETHER);
        let mut place = 0;
        let mut now = search.seek_all(groups.next());
        while let Some((group, mut all)) = now {
            for sought in &mut all {
                search.approach(sought);
            }
            let next = search.seek_all(groups.next());
            for (question, sought) in group.iter().zip(all) {
                self.judge_sought(admitted, question, sought, |answer| with(place, answer));
                place += 1;
            }
            now = next;
        }
    }
}
