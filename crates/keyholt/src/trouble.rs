//! What a person is told when a command does not come to its end: what failed, why, and what can be done.

use std::error::Error;

use keyholt_api::code::Code;
use keyholt_api::problem::Problem;

use crate::exit::Exit;
use crate::person::Unanswered;

/// Most causes that are told of one error.
const CAUSES_MAX: usize = 12;

/// Why a command did not come to its end.
pub struct Trouble(Box<Told>);

struct Told {
    exit: Exit,
    says: String,
    causes: Vec<String>,
    hints: Vec<String>,
    refusal: Option<(Problem, String)>,
    silent: Silence,
}

#[derive(PartialEq, Eq)]
enum Silence {
    Spoken,
    Kept,
}

impl Trouble {
    /// Trouble, told in one sentence: lower case, no full stop.
    pub fn new(says: impl Into<String>) -> Self {
        Self(Box::new(Told {
            exit: Exit::Trouble,
            says: says.into(),
            causes: Vec::new(),
            hints: Vec::new(),
            refusal: None,
            silent: Silence::Spoken,
        }))
    }

    /// Whoever read the output has gone; there is nobody left to tell.
    pub fn unheard() -> Self {
        let mut trouble = Self::new("the output was closed");
        trouble.0.silent = Silence::Kept;
        trouble
    }

    /// The server refused what the command is for (`purpose`, such as "show key `…`").
    ///
    /// `json` is the problem as it came; `page` is where the server explains its code.
    pub fn refused(purpose: &str, problem: Problem, json: String, page: Option<String>) -> Self {
        let code = Code::parse(&problem.code);
        let mut trouble = Self::new(format!("cannot {purpose}")).caused_by(problem.detail.clone());
        for fault in &problem.errors {
            trouble = trouble.caused_by(format!("`{}`: {}", fault.field, fault.detail));
        }
        if let Some(code) = code {
            trouble = trouble.hint(code.entry().remedy);
        }
        let see = page.map(|page| format!("; see {page}")).unwrap_or_default();
        trouble = trouble.hint(format!(
            "code `{}`, request `{}`{see}",
            problem.code, problem.request_id
        ));
        trouble.0.exit = match code {
            Some(code) if is_a_no(code) => Exit::No,
            _ => Exit::Trouble,
        };
        trouble.0.refusal = Some((problem, json));
        trouble
    }

    /// With what lies behind it.
    #[must_use]
    pub fn caused_by(mut self, cause: impl Into<String>) -> Self {
        if self.0.causes.len() < CAUSES_MAX {
            self.0.causes.push(cause.into());
        }
        self
    }

    /// With this error and all that lies behind it.
    #[must_use]
    pub fn because(mut self, error: &dyn Error) -> Self {
        let mut cause = Some(error);
        while let Some(error) = cause {
            let says = error.to_string();
            // Many errors repeat what is behind them; said once is enough.
            if self.0.causes.last().is_none_or(|last| !last.ends_with(&says)) {
                self = self.caused_by(says);
            }
            if self.0.causes.len() >= CAUSES_MAX {
                break;
            }
            cause = error.source();
        }
        self
    }

    /// With something that can be done.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hints.push(hint.into());
        self
    }

    /// The same as a well-asked no.
    #[must_use]
    pub fn into_no(mut self) -> Self {
        self.0.exit = Exit::No;
        self
    }

    /// The same where "no" is reserved for a verdict: whatever went wrong is then no answer at all.
    #[must_use]
    pub fn no_verdict(mut self) -> Self {
        self.0.exit = Exit::Trouble;
        self
    }

    /// How the run ends.
    pub fn exit(&self) -> Exit {
        self.0.exit
    }

    /// What failed.
    pub fn says(&self) -> &str {
        &self.0.says
    }

    /// Why, the nearest cause first.
    pub fn causes(&self) -> &[String] {
        &self.0.causes
    }

    /// What can be done.
    pub fn hints(&self) -> &[String] {
        &self.0.hints
    }

    /// What the server answered, if it was the server that refused.
    pub fn problem(&self) -> Option<&Problem> {
        self.0.refusal.as_ref().map(|(problem, _)| problem)
    }

    /// The same as the server wrote it.
    pub fn problem_json(&self) -> Option<&str> {
        self.0.refusal.as_ref().map(|(_, json)| json.as_str())
    }

    /// The catalogue's code, if it was the server that refused.
    pub fn code(&self) -> Option<Code> {
        Code::parse(&self.problem()?.code)
    }

    /// Whether there is nobody left to tell.
    pub fn is_unheard(&self) -> bool {
        self.0.silent == Silence::Kept
    }
}

/// Whether a refusal answers a well-asked question. All else is about the way it was asked, or about nobody answering.
fn is_a_no(code: Code) -> bool {
    // This program and the server do not speak the same version of the interface.
    let is_misunderstanding = matches!(code, Code::NoSuchRoute | Code::UnknownMember | Code::UnknownParameter);
    matches!(code.entry().status, 403 | 404 | 409 | 412 | 422) && !is_misunderstanding
}

impl From<Unanswered> for Trouble {
    fn from(unanswered: Unanswered) -> Self {
        match unanswered {
            Unanswered::Cancelled => Self::new("cancelled; nothing was done").into_no(),
            Unanswered::Broken(says) => Self::new("cannot ask at this terminal").caused_by(says),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_no_is_a_refusal_of_the_thing_and_never_an_outage() {
        let exit = |code| Trouble::refused("try", Problem::new(code, "r"), String::new(), None).exit();
        for code in [
            Code::NotFound,
            Code::BeyondOwnRights,
            Code::HandleTaken,
            Code::InvalidFields,
        ] {
            assert_eq!(exit(code), Exit::No, "{code:?}");
        }
        for code in [
            Code::NoSuchRoute,
            Code::UnknownMember,
            Code::InvalidCredential,
            Code::CannotKnow,
            Code::TooManyRequests,
            Code::Internal,
            Code::OutcomeUnknown,
        ] {
            assert_eq!(exit(code), Exit::Trouble, "{code:?}");
        }
    }

    #[test]
    fn a_code_of_a_newer_server_is_trouble() {
        let mut problem = Problem::new(Code::NotFound, "r");
        problem.code = "word_of_tomorrow".to_owned();
        assert_eq!(
            Trouble::refused("try", problem, String::new(), None).exit(),
            Exit::Trouble
        );
    }
}
