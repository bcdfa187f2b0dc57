//! The verbs that are the same for every kind of record: show, create, change, suspend, resume, remove.

use keyholt_api::key::Because;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::arguments::ActArguments;
use crate::connection::Answer;
use crate::connection::request::{Path, Request};
use crate::context::Context;
use crate::exit::Exit;
use crate::printer::{Form, Shown};
use crate::trouble::Trouble;

/// A kind of record: how people call one, and the word of the path.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    /// One of them.
    pub one: &'static str,
    /// All of them, in paths.
    pub many: &'static str,
}

/// Users.
pub const USER: Kind = Kind {
    one: "user",
    many: "users",
};
/// Teams.
pub const TEAM: Kind = Kind {
    one: "team",
    many: "teams",
};
/// Services.
pub const SERVICE: Kind = Kind {
    one: "service",
    many: "services",
};
/// Roles.
pub const ROLE: Kind = Kind {
    one: "role",
    many: "roles",
};
/// Keys.
pub const KEY: Kind = Kind {
    one: "key",
    many: "keys",
};

impl Kind {
    /// The path of the list of them.
    pub fn all(self, context: &Context) -> Result<Path, Trouble> {
        context.in_project(&[self.many])
    }

    /// The path of one of them.
    pub fn at(self, context: &Context, word: &str) -> Result<Path, Trouble> {
        self.all(context)?.and(word)
    }

    /// What is done to one of them, for errors: "suspend user `u_42`".
    pub fn purpose(self, verb: &str, word: &str) -> String {
        format!("{verb} {} `{word}`", self.one)
    }

    /// A request for the list of them.
    pub fn list(self, context: &Context) -> Result<Request, Trouble> {
        Ok(Request::read(self.all(context)?, format!("list the {}", self.many)))
    }
}

/// Prints one record.
pub async fn show<T: Shown + DeserializeOwned>(context: &mut Context, kind: Kind, word: &str) -> Result<Exit, Trouble> {
    let request = Request::read(kind.at(context, word)?, kind.purpose("show", word));
    let answer = context.send::<T>(&request).await?;
    context.printer.answer(&answer)?;
    Ok(Exit::Yes)
}

/// Makes a record and prints it.
pub async fn create<T: Shown + DeserializeOwned>(
    context: &mut Context,
    kind: Kind,
    word: &str,
    body: &impl Serialize,
) -> Result<Exit, Trouble> {
    let path = kind.all(context)?;
    let request = Request::act(path, kind.purpose("create", word)).body(body)?;
    let answer = context.send::<T>(&request).await?;
    context.printer.say(&format!("Created {} `{word}`.", kind.one));
    context.printer.answer(&answer)?;
    Ok(Exit::Yes)
}

/// Changes a record and prints it.
pub async fn change<T: Shown + DeserializeOwned>(
    context: &mut Context,
    kind: Kind,
    word: &str,
    body: &impl Serialize,
    revision: Option<u32>,
) -> Result<Exit, Trouble> {
    let request = Request::change(kind.at(context, word)?, kind.purpose("change", word))
        .body(body)?
        .at_revision(revision);
    if is_empty(body) {
        return Err(
            Trouble::new(format!("nothing of {} `{word}` is to be changed", kind.one))
                .hint("name what shall change; `--help` lists the options"),
        );
    }
    let answer = context.send::<T>(&request).await?;
    context.printer.say(&format!("Changed {} `{word}`.", kind.one));
    context.printer.answer(&answer)?;
    Ok(Exit::Yes)
}

/// Does something to a record, such as `suspend`, and says that it was done.
pub async fn act(context: &mut Context, act: Act<'_>) -> Result<Exit, Trouble> {
    let path = act.kind.at(context, act.word)?.then(act.step);
    let request = Request::act(path, act.kind.purpose(act.verb, act.word))
        .body(&act.because)?
        .at_revision(act.revision);
    let answer = context.send_act::<Value>(&request).await?;
    done(
        context,
        answer.as_ref(),
        &format!("{} {} `{}`{}", act.done, act.kind.one, act.word, act.so),
    )
}

/// Stops the keys of a user, team or service.
pub async fn suspend(context: &mut Context, kind: Kind, word: &str, how: ActArguments) -> Result<Exit, Trouble> {
    let so = format!("; the {0}'s keys do not work until the {0} is resumed.", kind.one);
    pause(context, kind, word, ("suspend", "Suspended", &so), how).await
}

/// Lets the keys of a user, team or service work again.
pub async fn resume(context: &mut Context, kind: Kind, word: &str, how: ActArguments) -> Result<Exit, Trouble> {
    let so = format!("; the {}'s keys are again what they were.", kind.one);
    pause(context, kind, word, ("resume", "Resumed", &so), how).await
}

async fn pause(
    context: &mut Context,
    kind: Kind,
    word: &str,
    (verb, done, so): (&str, &str, &str),
    how: ActArguments,
) -> Result<Exit, Trouble> {
    let act = Act {
        kind,
        word,
        step: verb,
        verb,
        done,
        so,
        because: how.cause.into(),
        revision: how.revision.if_revision,
    };
    self::act(context, act).await
}

/// Removes a user, team or service, and all its keys.
pub async fn remove_owner(context: &mut Context, kind: Kind, word: &str, how: ActArguments) -> Result<Exit, Trouble> {
    let removal = Removal {
        kind,
        word,
        so: ", and with it all its keys",
        because: how.cause.into(),
        revision: how.revision.if_revision,
    };
    remove(context, removal).await
}

/// Something to be done to a record.
pub struct Act<'a> {
    /// To which kind.
    pub kind: Kind,
    /// To which.
    pub word: &'a str,
    /// The last word of the path.
    pub step: &'a str,
    /// What is done, for errors: "suspend".
    pub verb: &'a str,
    /// What was done, for talk: "Suspended".
    pub done: &'a str,
    /// What follows from it, and the full stop.
    pub so: &'a str,
    /// Why.
    pub because: Because,
    /// At which revision the record must still be.
    pub revision: Option<u32>,
}

/// Something to be removed.
pub struct Removal<'a> {
    /// Of which kind.
    pub kind: Kind,
    /// Which.
    pub word: &'a str,
    /// What goes with it.
    pub so: &'a str,
    /// Why.
    pub because: Because,
    /// At which revision the record must still be.
    pub revision: Option<u32>,
}

/// Removes a record after the person agreed.
pub async fn remove(context: &mut Context, removal: Removal<'_>) -> Result<Exit, Trouble> {
    let Removal { kind, word, so, .. } = removal;
    let request = Request::remove(kind.at(context, word)?, kind.purpose("remove", word))
        .query(&removal.because)?
        .at_revision(removal.revision);
    context.confirm(&format!("Remove {} `{word}`{so}?", kind.one))?;
    let answer = context.send_act::<Value>(&request).await?;
    done(context, answer.as_ref(), &format!("Removed {} `{word}`{so}.", kind.one))
}

/// Prints the JSON that came, or says what was done.
pub fn done(context: &mut Context, answer: Option<&Answer<Value>>, says: &str) -> Result<Exit, Trouble> {
    if let (Form::Json, Some(answer)) = (context.printer.form(), answer) {
        context.printer.document(&answer.json)?;
    }
    context.printer.say(says);
    Ok(Exit::Yes)
}

/// Whether a change would change nothing; a cause alone is no change.
fn is_empty(body: &impl Serialize) -> bool {
    match serde_json::to_value(body) {
        Ok(Value::Object(members)) => members.keys().all(|member| member == "cause"),
        _ => false,
    }
}
