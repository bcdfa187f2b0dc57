//! Verification: the question that everybody asks all the time.

use axum::extract::State;
use axum::response::Response;
use keyholt_api::code::Code;
use keyholt_api::fault::{FaultCode, Faults, Reason};
use keyholt_api::reference::OwnerName;
use keyholt_api::verify::{
    BATCH_MAX, Counting, Explanation, Include, RuleOutcome, VALID, Verdict, Verdicts, VerifiedKey, Verify, VerifyBatch,
};
use keyholt_core::actor::Actor;
use keyholt_core::denial::Denial;
use keyholt_core::id::ProjectId;
use keyholt_core::scope::{Scope, ScopeSet};
use keyholt_core::text::Tag;
use keyholt_core::verify::Verification;

use super::Door;
use super::body::{BatchJson, Json, json};
use super::fail::{Answer, Fail};
use super::place::{Caller, InProject};
use crate::keeper::{self, Keeper, Question};

/// Verify a credential
///
/// Is this key good for that? 200 for every verdict: a denial is an answer. The caller holds a key with the scope
/// `keyholt:verify`, and asks about keys of its own project; another project's key is `unknown`.
#[utoipa::path(post, path = "/v1/verify", operation_id = "verify", tag = "Verify",
    request_body = Verify, responses((status = 200, description = "The verdict.", body = Verdict)))]
pub async fn verify(State(door): State<Door>, Caller(actor): Caller, Json(body): Json<Verify>) -> Answer<Response> {
    let verdict = ask(&door.keeper, &actor, actor.home, &body).await?;
    Ok(json(&verdict))
}

/// Verify many credentials
///
/// As many questions as there are items, answered in their order.
#[utoipa::path(post, path = "/v1/verify/batch", operation_id = "verify_batch", tag = "Verify",
    request_body = VerifyBatch, responses((status = 200, description = "The verdicts.", body = Verdicts)))]
pub async fn batch(
    State(door): State<Door>,
    Caller(actor): Caller,
    BatchJson(body): BatchJson<VerifyBatch>,
) -> Answer<Response> {
    door.keeper.may_verify(&actor, actor.home)?;
    if body.items.len() > BATCH_MAX {
        let reason = format!("may have at most {BATCH_MAX} entries");
        return Err(Faults::one("items", Reason(FaultCode::TooMuch, reason.into())).into());
    }
    let mut faults = Faults::default();
    // All of them are read before one is asked, so that a bad one counts no use of the others.
    for (index, item) in body.items.iter().enumerate() {
        faults.nest(format_args!("items[{index}]"), item.read());
    }
    faults.finish(|| Some(()))?;
    let mut results = Vec::with_capacity(body.items.len());
    for item in &body.items {
        results.push(ask(&door.keeper, &actor, actor.home, item).await?);
    }
    Ok(json(&Verdicts { results }))
}

/// Verify a credential of a project
///
/// For operators, who belong to no project of the product.
#[utoipa::path(post, path = "/v1/projects/{project}/verify", operation_id = "verify_in_project", tag = "Verify",
    request_body = Verify, responses((status = 200, description = "The verdict.", body = Verdict)))]
pub async fn in_project(State(door): State<Door>, at: InProject, Json(body): Json<Verify>) -> Answer<Response> {
    let verdict = ask(&door.keeper, &at.actor, at.project, &body).await?;
    Ok(json(&verdict))
}

/// Explain a verdict
///
/// Each rule in the order in which it is looked at, with what it says, whatever the ones before it said. Counts nothing.
#[utoipa::path(post, path = "/v1/projects/{project}/explain", operation_id = "explain", tag = "Verify",
    request_body = Verify, responses((status = 200, description = "The verdict with its reasons.", body = Explanation)))]
pub async fn explain(State(door): State<Door>, at: InProject, Json(body): Json<Verify>) -> Answer<Response> {
    let question = body.read()?;
    let asked = Question {
        credential: question.credential,
        ask: question.ask(),
        counting: keeper::Counting::DryRun,
    };
    let mut explanation = door
        .keeper
        .explain(&at.actor, at.project, &asked, |answer, rules| Explanation {
            verdict: verdict(answer),
            rules: rules
                .into_iter()
                .map(|(name, denial)| RuleOutcome {
                    name: name.to_owned(),
                    outcome: denial.map_or("passed", |denial| denial.code().as_str()).to_owned(),
                })
                .collect(),
        })?;
    tell_about(&door.keeper, at.project, &question, &mut explanation.verdict).await?;
    Ok(json(&explanation))
}

async fn ask(keeper: &Keeper, actor: &Actor, project: ProjectId, body: &Verify) -> Result<Verdict, Fail> {
    keeper.may_verify(actor, project)?;
    let question = body.read()?;
    let asked = Question {
        credential: question.credential,
        ask: question.ask(),
        counting: match question.counting {
            Counting::Counted => keeper::Counting::Counted,
            Counting::DryRun => keeper::Counting::DryRun,
        },
    };
    let mut verdict = keeper.verify(project, &asked, verdict)?;
    tell_about(keeper, project, &question, &mut verdict).await?;
    Ok(verdict)
}

/// Adds what `include` asks for. Only this may have to read the store; a verdict alone never does.
async fn tell_about(
    keeper: &Keeper,
    project: ProjectId,
    question: &keyholt_api::verify::Question<'_>,
    verdict: &mut Verdict,
) -> Result<(), Fail> {
    let Some(key) = verdict.key.as_mut().filter(|_| !question.include.is_empty()) else {
        return Ok(());
    };
    // Deleted between the two looks: the verdict was true when it was made.
    let Some(stored) = keeper.about(project, key.id).await? else {
        return Ok(());
    };
    let about = &stored.about;
    for include in &question.include {
        match include {
            Include::Name => key.name = Some(about.name.to_string()),
            Include::Tags => key.tags = Some(about.tags.iter().map(Tag::to_string).collect()),
            Include::Metadata => key.metadata = Some(about.metadata.as_map().clone()),
        }
    }
    Ok(())
}

/// The keeper's answer as a body.
pub fn verdict(answer: &keeper::Answer<'_>) -> Verdict {
    let texts = |scopes: &ScopeSet| scopes.iter().map(Scope::to_string).collect::<Vec<_>>();
    let (grant, denial) = match &answer.verification {
        Verification::Granted(grant) => (Some(grant), None),
        Verification::Denied(denial) => (None, Some(denial)),
    };
    let key = answer.key.as_ref();
    Verdict {
        valid: grant.is_some(),
        code: denial.map_or(VALID, |denial| denial.code().as_str()).to_owned(),
        missing_scopes: denial.and_then(|denial| match denial {
            Denial::InsufficientScope { missing } => Some(texts(missing)),
            _ => None,
        }),
        key: key.map(|key| VerifiedKey {
            id: key.id,
            kind: key.kind,
            expires_at: key.expiry.at(),
            name: None,
            tags: None,
            metadata: None,
        }),
        owner: key.map(|key| OwnerName {
            kind: key.owner.kind(),
            id: key.owner.uuid(),
            handle: Some(key.owner_handle.to_owned()),
        }),
        scopes: grant.and(key).map(|key| texts(&key.effective)),
        warnings: grant
            .map(|grant| grant.warnings().map(Into::into).collect())
            .unwrap_or_default(),
        as_of: answer.as_of.moment,
    }
}

/// A failure for callers that may not verify, in the words of every other door.
pub fn inadmissible(error: keeper::Inadmissible) -> Fail {
    match error {
        keeper::Inadmissible::Gone => Fail::new(Code::InvalidCredential),
        keeper::Inadmissible::Lacks { scope } => keeper::Refusal::Lacks { scope }.into(),
        keeper::Inadmissible::AddressNotAllowed => Fail::new(Code::AddressNotAllowed),
        keeper::Inadmissible::CannotKnow => Fail::new(Code::CannotKnow),
    }
}
