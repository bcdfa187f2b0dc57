//! Stories of texts from outside: what is kept, what is refused, and that the refusal does not repeat it.

use keyholt_core::id::{KeyId, SYSTEM, looks_like_id};
use keyholt_core::key::Kind;
use keyholt_core::owner::{Owner, OwnerKind};
use keyholt_core::secret::{Prefix, Secret, Visibility};
use keyholt_core::text::{
    Audience, Cause, Description, Email, Environment, ExternalId, METADATA_BYTES_MAX, METADATA_DEPTH_MAX, Metadata,
    Name, Origin, RequestKey, Slug, Tag, TextError,
};
use serde_json::{Map, Value, json};

use crate::support::{NEW_YEAR, Seeded};

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        other => panic!("{other} is no object"),
    }
}

fn secret() -> String {
    let prefix = Prefix::new("acme").unwrap();
    Secret::mint(&prefix, Visibility::Secret, None, &mut Seeded::new(6))
        .reveal()
        .to_string()
}

#[test]
fn a_name_is_one_line_that_shows_what_it_says() {
    for good in [
        "a",
        "Ünïcödé ключ 鍵",
        "deploy 🧑‍🚀",
        "❤️ heart",
        "<script>",
        "=1+1",
        &"é".repeat(64),
    ] {
        assert_eq!(Name::new(good).unwrap().as_str(), good);
    }
    for bad in [
        "",
        " ",
        "a ",
        "\u{a0}a",
        "a\tb",
        "a\nb",
        "a\u{85}b",
        "a\u{2028}b",
        "a\u{2029}b",
        "a\u{61c}b",
        "a\u{ad}b",
        "a\u{202e}b",
        "a\u{2066}b",
        "a\u{200b}b",
        "a\u{206f}b",
        "a\u{e0041}b",
        "\u{3164}",
        "\u{200d}",
        "a\u{200d}",
        "\u{fe0f}",
        &"é".repeat(65),
        &"x".repeat(1_000_000),
    ] {
        assert!(
            Name::new(bad).is_err(),
            "{:?}",
            bad.chars().take(70).collect::<String>()
        );
    }
}

#[test]
fn a_description_may_have_lines_and_be_empty() {
    assert!(Description::new("").is_ok());
    assert!(Description::new("one\n  two\n").is_ok());
    assert!(Description::new(&"x".repeat(1024)).is_ok());
    for bad in ["a\rb", "a\0b", "a\u{2028}b", "a\u{202e}b", &"x".repeat(1025)] {
        assert!(Description::new(bad).is_err());
    }
}

#[test]
fn a_slug_an_environment_and_a_tag_are_plain_ascii() {
    for good in ["acme", "a", "a-1", "a--b"] {
        assert!(Slug::new(good).is_ok(), "{good}");
    }
    for bad in [
        "",
        "-a",
        "a-",
        "1a",
        "A",
        "a_b",
        "a.b",
        "ä",
        &"a".repeat(41),
        &"a".repeat(32).replace('a', "abcd")[..32],
    ] {
        assert!(Slug::new(bad).is_err(), "{bad}");
    }
    assert_eq!(
        Slug::new("abcdabcdabcdabcdabcdabcdabcdabcd").err(),
        Some(TextError::LooksLikeId)
    );
    for good in ["live", "test2", "a"] {
        assert!(Environment::new(good).is_ok(), "{good}");
    }
    for bad in ["", "2a", "Live", "a_b", "a-b", "pub", &"a".repeat(13)] {
        assert!(Environment::new(bad).is_err(), "{bad}");
    }
    for good in ["team:billing", "a/b", "v=1.2-x_y", "1"] {
        assert!(Tag::new(good).is_ok(), "{good}");
    }
    for bad in ["", "A", "a b", "ä", "a,b", &"a".repeat(65)] {
        assert!(Tag::new(bad).is_err(), "{bad}");
    }
}

#[test]
fn addresses_audiences_and_request_keys_have_their_shapes() {
    for good in ["ada@example.org", "a@b", "ä@exämple.org"] {
        assert!(Email::new(good).is_ok(), "{good}");
    }
    for bad in ["ada", "@b.c", "a@", "a@b@c", "a b@c.d", "a@b c", " a@b", "a@b\n"] {
        assert!(Email::new(bad).is_err(), "{bad:?}");
    }
    assert!(Audience::new("https://api.example.org/v1?x#y").is_ok());
    assert!(RequestKey::new("7f3a:retry-1").is_ok());
    for bad in ["", "a b", "ä", "a\n", "a\u{7f}"] {
        assert!(Audience::new(bad).is_err() && RequestKey::new(bad).is_err(), "{bad:?}");
    }
    assert!(RequestKey::new(&"x".repeat(129)).is_err());
}

#[test]
fn an_origin_is_scheme_and_host_as_browsers_send_them() {
    for good in [
        "https://app.example.org",
        "http://localhost:3000",
        "https://[2001:db8::1]:8443",
    ] {
        assert_eq!(Origin::new(good).unwrap().as_str(), good);
    }
    for bad in [
        "",
        "null",
        "app.example.org",
        "https://",
        "https://app.example.org/",
        "https://App.example.org",
        "https://user@host",
        "https://*.example.org",
        "ftp://host",
        "https://a b",
        "https://exämple.org",
        &format!("https://{}", "a".repeat(249)),
    ] {
        assert!(Origin::new(bad).is_err(), "{bad}");
    }
    assert!(Origin::new(&format!("https://{}", "a".repeat(248))).is_ok());
}

#[test]
fn what_people_choose_cannot_stand_in_for_an_id() {
    let id = KeyId::mint(NEW_YEAR, &mut Seeded::new(1)).to_string();
    for spelling in [
        id.clone(),
        id.to_uppercase(),
        id.replace('-', ""),
        format!("{{{id}}}"),
        format!("urn:uuid:{id}"),
    ] {
        assert!(looks_like_id(&spelling), "{spelling}");
        assert_eq!(
            ExternalId::new(&spelling).err(),
            Some(TextError::LooksLikeId),
            "{spelling}"
        );
    }
    assert!(!looks_like_id("u_42"));
    assert!(ExternalId::new("auth0|5f7c8ec7c33c6c004bbafe82").is_ok());
}

#[test]
fn an_id_has_one_spelling_wherever_it_is_read() {
    let id = KeyId::mint(NEW_YEAR, &mut Seeded::new(1));
    let text = id.to_string();
    assert_eq!(serde_json::from_value::<KeyId>(json!(text)).unwrap(), id);
    assert_eq!(serde_json::to_value(id).unwrap(), json!(text));
    for other in [
        text.to_uppercase(),
        text.replace('-', ""),
        format!("{{{text}}}"),
        format!("urn:uuid:{text}"),
    ] {
        assert!(serde_json::from_value::<KeyId>(json!(other)).is_err(), "{other}");
        assert!(other.parse::<KeyId>().is_err(), "{other}");
    }
}

#[test]
fn ids_sort_by_the_time_of_their_making_and_the_systems_own_is_fixed() {
    let mut entropy = Seeded::new(1);
    let early = KeyId::mint(NEW_YEAR, &mut entropy);
    let late = KeyId::mint(NEW_YEAR.plus(keyholt_core::time::Span::millis(1)), &mut entropy);
    assert!(early < late);
    assert_eq!(early.uuid().get_version_num(), 7);
    assert_eq!(SYSTEM.to_string(), "00000000-0000-7000-8000-000000000001");
}

#[test]
fn owners_and_kinds_have_one_word_each() {
    let id = KeyId::mint(NEW_YEAR, &mut Seeded::new(1)).uuid();
    for kind in OwnerKind::ALL {
        let owner = Owner::new(kind, id);
        assert_eq!((owner.kind(), owner.uuid()), (kind, id));
        assert_eq!(OwnerKind::parse(kind.as_str()), Some(kind));
        assert_eq!(serde_json::to_value(kind).unwrap(), kind.as_str());
        assert_eq!(kind.to_string(), kind.as_str());
    }
    for kind in Kind::ALL {
        assert_eq!(Kind::parse(kind.as_str()), Some(kind));
        assert_eq!(serde_json::to_value(kind).unwrap(), kind.as_str());
        assert_eq!(kind.to_string(), kind.as_str());
    }
    assert_eq!((OwnerKind::parse("User"), Kind::parse("")), (None, None));
}

#[test]
fn no_text_keeps_a_secret_and_no_refusal_repeats_it() {
    let secret = secret();
    let sentence = format!("use {secret} here");
    let refusals = [
        Name::new(&secret).unwrap_err(),
        Description::new(&sentence).unwrap_err(),
        ExternalId::new(&secret).unwrap_err(),
        Cause::new(&sentence).unwrap_err(),
        Audience::new(&secret).unwrap_err(),
        RequestKey::new(&secret).unwrap_err(),
        Metadata::new(object(json!({ "key": sentence }))).unwrap_err(),
        Metadata::new(object(json!({ secret.clone(): 1 }))).unwrap_err(),
        Metadata::new(object(json!({ "a": [{ "b": [secret] }] }))).unwrap_err(),
    ];
    for refusal in refusals {
        assert_eq!(refusal, TextError::LooksLikeSecret);
        assert!(!refusal.to_string().contains(&secret));
    }
}

#[test]
fn metadata_is_bounded_in_depth_and_bytes() {
    let nested = |levels: usize| (0..levels).fold(json!(1), |inner, _| json!({ "a": inner }));
    assert!(Metadata::new(object(nested(METADATA_DEPTH_MAX))).is_ok());
    assert!(matches!(
        Metadata::new(object(nested(METADATA_DEPTH_MAX + 1))),
        Err(TextError::Bulk(_))
    ));
    let listed = |levels: usize| json!({ "a": (1..levels).fold(json!(1), |inner, _| json!([inner])) });
    assert!(Metadata::new(object(listed(METADATA_DEPTH_MAX))).is_ok());
    assert!(Metadata::new(object(listed(METADATA_DEPTH_MAX + 1))).is_err());
    let frame = r#"{"a":""}"#.len();
    let sized = |bytes: usize| object(json!({ "a": "x".repeat(bytes - frame) }));
    assert!(Metadata::new(sized(METADATA_BYTES_MAX)).is_ok());
    assert!(matches!(
        Metadata::new(sized(METADATA_BYTES_MAX + 1)),
        Err(TextError::Bulk(_))
    ));
    for nul in [json!({ "a": "b\0c" }), json!({ "a\0": 1 })] {
        assert!(Metadata::new(object(nul)).is_err());
    }
}

#[test]
fn metadata_comes_back_as_it_was_given_numbers_too() {
    for text in [
        "31.245270191439438",
        "0.1",
        "1e308",
        "5e-324",
        "-0.0",
        "9007199254740993",
        "18446744073709551615",
        "-9223372036854775808",
        "1.7976931348623157e308",
    ] {
        let given: Map<String, Value> = serde_json::from_str(&format!(r#"{{"n":{text}}}"#)).unwrap();
        let metadata = Metadata::new(given).unwrap();
        let kept = serde_json::to_string(&metadata).unwrap();
        let read: Metadata = serde_json::from_str(&kept).unwrap();
        assert_eq!(read, metadata, "{text}");
        assert_eq!(serde_json::to_string(&read).unwrap(), kept, "{text}");
        let number: f64 = serde_json::from_str(text).unwrap();
        assert_eq!(number.to_bits(), text.parse::<f64>().unwrap().to_bits(), "{text}");
    }
    assert!(Metadata::default().is_empty());
    let one = Metadata::new(object(json!({ "a": 1 }))).unwrap();
    assert!(!one.is_empty());
    assert_eq!(one.as_map()["a"], 1);
}

#[test]
fn what_is_refused_at_the_door_is_refused_in_stored_text_too() {
    assert!(serde_json::from_value::<Name>(json!("a\u{202e}b")).is_err());
    assert!(serde_json::from_value::<Origin>(json!("null")).is_err());
    assert!(serde_json::from_value::<Metadata>(json!({ "a": "x".repeat(5000) })).is_err());
    let name: Name = serde_json::from_value(json!("Ada")).unwrap();
    assert_eq!(
        (name.to_string().as_str(), format!("{name:?}").as_str()),
        ("Ada", "\"Ada\"")
    );
    assert_eq!(serde_json::to_value(&name).unwrap(), "Ada");
    let origin: Origin = serde_json::from_value(json!("https://a.b")).unwrap();
    assert_eq!(serde_json::to_value(&origin).unwrap(), "https://a.b");
}
