//! Questions to a person at the terminal.

use inquire::{Confirm, InquireError, Password, PasswordDisplayMode, Text};
use zeroize::Zeroizing;

/// Somebody who can answer questions.
pub trait Person {
    /// A yes or a no; nothing typed is a no.
    fn confirm(&mut self, question: &str) -> Result<Consent, Unanswered>;
    /// A line of text.
    fn text(&mut self, question: &str) -> Result<String, Unanswered>;
    /// A line that is not shown while it is typed.
    fn secret(&mut self, question: &str) -> Result<Zeroizing<String>, Unanswered>;
}

/// The answer to a question whether to go on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Consent {
    /// Go on.
    Given,
    /// Do not.
    Withheld,
}

/// Why a question has no answer.
#[derive(Debug, PartialEq, Eq)]
pub enum Unanswered {
    /// The person walked away: Ctrl-C or Escape.
    Cancelled,
    /// The terminal does not work.
    Broken(String),
}

/// The person at this process's terminal.
#[derive(Debug)]
pub struct AtTerminal;

impl Person for AtTerminal {
    fn confirm(&mut self, question: &str) -> Result<Consent, Unanswered> {
        let answer = Confirm::new(question).with_default(false).prompt()?;
        Ok(if answer { Consent::Given } else { Consent::Withheld })
    }

    fn text(&mut self, question: &str) -> Result<String, Unanswered> {
        Ok(Text::new(question).prompt()?)
    }

    fn secret(&mut self, question: &str) -> Result<Zeroizing<String>, Unanswered> {
        let hidden = Password::new(question)
            .with_display_mode(PasswordDisplayMode::Hidden)
            .without_confirmation();
        Ok(Zeroizing::new(hidden.prompt()?))
    }
}

impl From<InquireError> for Unanswered {
    fn from(error: InquireError) -> Self {
        match error {
            InquireError::OperationCanceled | InquireError::OperationInterrupted => Self::Cancelled,
            other => Self::Broken(other.to_string()),
        }
    }
}
