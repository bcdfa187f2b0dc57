//! The answer to a verify, and its JSON.

use std::borrow::Cow;
use std::io::Write;

use keyholt_core::denial::Denial;
use keyholt_core::id::KeyId;
use keyholt_core::key::{About, Kind};
use keyholt_core::owner::Owner;
use keyholt_core::scope::ScopeSet;
use keyholt_core::time::{Expiry, Moment, Rendered};
use keyholt_core::verify::{Dossier, Verification, Warning};
use uuid::fmt::Hyphenated;

use super::AsOf;

/// The answer, borrowing from the keyring.
#[derive(Debug)]
pub struct Answer<'a> {
    /// The verdict.
    pub verification: Verification,
    /// The key that was shown, where possession is proven.
    pub key: Option<KeyShown<'a>>,
    /// How fresh the answer is.
    pub as_of: AsOf,
}

/// The key that was shown.
#[derive(Debug)]
pub struct KeyShown<'a> {
    /// Its id.
    pub id: KeyId,
    /// What sort of key it is.
    pub kind: Kind,
    /// Whom it acts for.
    pub owner: Owner,
    /// How people name its owner.
    pub owner_handle: &'a str,
    /// When it stops by itself.
    pub expiry: Expiry,
    /// What it may do now.
    pub effective: Cow<'a, ScopeSet>,
}

impl<'a> Answer<'a> {
    /// What a verdict says of the key that was shown.
    pub(super) fn of(dossier: &Dossier<'a>, owner_handle: &'a str, verification: Verification, as_of: AsOf) -> Self {
        // SECURITY: nothing is said about a key before possession is proven to a verifier of its own project.
        let proven = !matches!(&verification, Verification::Denied(Denial::Malformed | Denial::Unknown));
        let key = proven.then(|| KeyShown {
            id: dossier.key,
            kind: dossier.kind,
            owner: dossier.owner,
            owner_handle,
            expiry: dossier.expiry,
            effective: dossier.effective(),
        });
        Self {
            verification,
            key,
            as_of,
        }
    }

    /// Writes the answer as the JSON of `VerifyAnswer`; `about` is what the verifier asked to be told besides.
    ///
    /// By hand, because this is most of what a verify costs after the look-up. A test holds it against the schema.
    pub fn write_json(&self, about: Option<&AboutShown<'_>>, out: &mut Vec<u8>) {
        let granted = match &self.verification {
            Verification::Granted(grant) => {
                out.extend_from_slice(br#"{"valid":true,"code":"valid""#);
                Some(grant)
            }
            Verification::Denied(denial) => {
                out.extend_from_slice(br#"{"valid":false,"code":""#);
                out.extend_from_slice(denial.code().as_str().as_bytes());
                out.push(b'"');
                if let Denial::InsufficientScope { missing } = denial {
                    out.extend_from_slice(br#","missing_scopes":"#);
                    write_scopes(missing, out);
                }
                None
            }
        };
        if let Some(key) = &self.key {
            out.extend_from_slice(br#","key":{"id":""#);
            write_uuid(key.id.uuid(), out);
            out.extend_from_slice(br#"","kind":""#);
            out.extend_from_slice(key.kind.as_str().as_bytes());
            out.extend_from_slice(br#"","expires_at":"#);
            match key.expiry {
                Expiry::Never => out.extend_from_slice(b"null"),
                Expiry::At(at) => write_moment(at, out),
            }
            if let Some(about) = about {
                about.write_json(out);
            }
            out.extend_from_slice(br#"},"owner":{"kind":""#);
            out.extend_from_slice(key.owner.kind().as_str().as_bytes());
            out.extend_from_slice(br#"","id":""#);
            write_uuid(key.owner.uuid(), out);
            out.extend_from_slice(br#"","handle":"#);
            write_text(key.owner_handle, out);
            out.push(b'}');
        }
        if let (Some(grant), Some(key)) = (granted, &self.key) {
            out.extend_from_slice(br#","scopes":"#);
            write_scopes(&key.effective, out);
            let mut separator: &[u8] = br#","warnings":["#;
            for warning in grant.warnings() {
                out.extend_from_slice(separator);
                separator = b",";
                let (code, name, at) = match warning {
                    Warning::ExpiresSoon { at } => ("expires_soon", "at", at),
                    Warning::SupersededSecret { until } => ("superseded_secret", "until", until),
                };
                let _ = write!(out, r#"{{"code":"{code}","{name}":"#);
                write_moment(at, out);
                out.push(b'}');
            }
            if separator == b"," {
                out.push(b']');
            }
        }
        out.extend_from_slice(br#","as_of":"#);
        write_rendered(self.as_of.text, self.as_of.moment, out);
        out.push(b'}');
    }
}

/// What a verifier asked to be told about a key besides.
#[derive(Debug)]
pub struct AboutShown<'a> {
    /// What people call the key.
    pub about: &'a About,
    /// Whether the name is wanted.
    pub name: Wish,
    /// Whether the tags are wanted.
    pub tags: Wish,
    /// Whether the metadata is wanted.
    pub metadata: Wish,
}

/// Whether something is wanted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Wish {
    /// It is.
    Wanted,
    /// It is not.
    #[default]
    Unwanted,
}

impl AboutShown<'_> {
    fn write_json(&self, out: &mut Vec<u8>) {
        if self.name == Wish::Wanted {
            out.extend_from_slice(br#","name":"#);
            write_text(self.about.name.as_str(), out);
        }
        if self.tags == Wish::Wanted {
            out.extend_from_slice(br#","tags":"#);
            let _ = serde_json::to_writer(&mut *out, &self.about.tags);
        }
        if self.metadata == Wish::Wanted {
            out.extend_from_slice(br#","metadata":"#);
            let _ = serde_json::to_writer(&mut *out, &self.about.metadata);
        }
    }
}

fn write_scopes(scopes: &ScopeSet, out: &mut Vec<u8>) {
    let mut separator = b'[';
    for scope in scopes.iter() {
        out.push(separator);
        separator = b',';
        // The characters of a scope need no escape in JSON.
        out.push(b'"');
        out.extend_from_slice(scope.as_str().as_bytes());
        out.push(b'"');
    }
    out.extend_from_slice(if separator == b'[' { b"[]" } else { b"]" });
}

fn write_uuid(id: uuid::Uuid, out: &mut Vec<u8>) {
    let mut text = [0; Hyphenated::LENGTH];
    id.hyphenated().encode_lower(&mut text);
    out.extend_from_slice(&text);
}

fn write_text(text: &str, out: &mut Vec<u8>) {
    let is_plain = |byte: &u8| (b' '..=b'~').contains(byte) & (*byte != b'"') & (*byte != b'\\');
    if text.as_bytes().iter().fold(true, |plain, byte| plain & is_plain(byte)) {
        out.push(b'"');
        out.extend_from_slice(text.as_bytes());
        out.push(b'"');
    } else {
        let _ = serde_json::to_writer(&mut *out, text);
    }
}

fn write_moment(at: Moment, out: &mut Vec<u8>) {
    write_rendered(Rendered::of(at), at, out);
}

fn write_rendered(text: Option<Rendered>, at: Moment, out: &mut Vec<u8>) {
    match text {
        Some(rendered) => {
            out.push(b'"');
            out.extend_from_slice(rendered.as_bytes());
            out.push(b'"');
        }
        None => drop(write!(out, "\"{at}\"")),
    }
}
