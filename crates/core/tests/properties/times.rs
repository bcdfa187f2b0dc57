//! Properties of instants and spans: what is written can be read, and nothing wraps.

use proptest::prelude::*;

use keyholt_core::time::{Expiry, LATEST, LONGEST, Lifetime, Moment, Rendered, Span};

use super::cases;

fn moment() -> impl Strategy<Value = Moment> {
    (0..=LATEST.ms()).prop_map(Moment::from_ms)
}

fn span() -> impl Strategy<Value = Span> {
    prop_oneof![0..=LONGEST.ms(), 0..100_000_000u64].prop_map(Span::millis)
}

proptest! {
    #![proptest_config(cases(4000))]

    #[test]
    fn an_instant_is_read_as_it_was_written(at in moment()) {
        prop_assert_eq!(at.to_string().parse::<Moment>(), Ok(at));
        let stored = serde_json::to_string(&Expiry::At(at)).unwrap();
        prop_assert_eq!(serde_json::from_str::<Expiry>(&stored).unwrap(), Expiry::At(at));
    }

    #[test]
    fn a_span_is_read_as_it_was_written(span in span()) {
        prop_assert_eq!(span.to_string().parse::<Span>(), Ok(span));
        let stored = serde_json::to_string(&Lifetime::For(span)).unwrap();
        prop_assert_eq!(serde_json::from_str::<Lifetime>(&stored).unwrap(), Lifetime::For(span));
    }

    #[test]
    fn time_goes_forward_and_never_wraps(at in moment(), ms in any::<u64>()) {
        let span = Span::millis(ms);
        prop_assert!(at <= at.plus(span) && at.plus(span) <= LATEST);
        prop_assert!(at.minus(span) <= at);
        prop_assert!(!Lifetime::For(span).from(at).is_past(at) || ms == 0 || at == LATEST);
        let end = Expiry::At(at.plus(span));
        prop_assert_eq!(serde_json::from_str::<Expiry>(&serde_json::to_string(&end).unwrap()).unwrap(), end);
    }

    #[test]
    fn there_and_back_is_where_it_was(at in moment(), span in 0..LONGEST.ms()) {
        let span = Span::millis(span);
        prop_assert_eq!(at.minus(span).plus(span), at);
        let later = at.plus(span);
        prop_assert_eq!(at.plus(later.since(at)), later);
        prop_assert_eq!(at.since(later), if later == at { later.since(at) } else { Span::ZERO });
    }

    #[test]
    fn outliving_is_an_order(a in proptest::option::of(moment()), b in proptest::option::of(moment())) {
        let expiry = |at: Option<Moment>| at.map_or(Expiry::Never, Expiry::At);
        let (one, other) = (expiry(a), expiry(b));
        prop_assert!(!(one.outlives(other) && other.outlives(one)));
        prop_assert!(!one.outlives(one) && !one.outlives(Expiry::Never));
        let now = a.or(b).unwrap_or(LATEST);
        if one.outlives(other) && one.is_past(now) {
            prop_assert!(other.is_past(now), "what dies earlier is dead");
        }
        prop_assert_eq!(one.at(), a);
    }

    #[test]
    fn an_hour_is_counted_down_not_towards_zero(ms in -LATEST.ms()..LATEST.ms()) {
        let hour = Moment::from_ms(ms).hour();
        prop_assert!(hour * 3_600_000 <= ms && ms < (hour + 1) * 3_600_000);
    }

    #[test]
    fn any_text_is_an_instant_in_rfc_3339_or_none(text in "[0-9TtZz:+.,W -]{0,32}|[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z") {
        if let Ok(at) = text.parse::<Moment>() {
            prop_assert!(at >= Moment::from_ms(0) && at <= LATEST);
            prop_assert_eq!(text.as_bytes()[4], b'-');
            prop_assert_eq!(at.to_string().parse::<Moment>(), Ok(at));
        }
        let _ = text.parse::<Span>();
    }
}

#[test]
fn an_instant_is_written_as_rfc_3339_says_and_in_no_other_notation() {
    for (text, same) in [
        ("2030-01-01T12:00:00Z", "2030-01-01T12:00:00Z"),
        ("2030-01-01t12:00:00z", "2030-01-01T12:00:00Z"),
        ("2030-01-01T12:00:00.5Z", "2030-01-01T12:00:00.5Z"),
        ("2030-01-01T12:00:00.123999Z", "2030-01-01T12:00:00.123Z"),
        ("2030-01-01T12:00:00+05:30", "2030-01-01T06:30:00Z"),
        ("2030-01-01T12:00:00-00:00", "2030-01-01T12:00:00Z"),
        ("2030-01-01T12:00:00.123456789+23:59", "2029-12-31T12:01:00.123Z"),
        ("1970-01-01T00:00:00Z", "1970-01-01T00:00:00Z"),
        ("2999-12-31T23:59:59.999Z", "2999-12-31T23:59:59.999Z"),
    ] {
        assert_eq!(
            text.parse::<Moment>().map(|at| at.to_string()),
            Ok(same.to_owned()),
            "{text}"
        );
    }
    for text in [
        "20300101T120000.000Z",
        "20300101T235960.000Z",
        "2030-01-01T120000.0000Z",
        "+002030-01-01T12:00:00Z",
        "+002030-01-01T23:59:60Z",
        "2030-01-01T12:00:00,5Z",
        "2030-01-01T12:00:00.Z",
        "2030-01-01T12:00:00.5.5Z",
        "2030-01-01T12:00:00.5,5Z",
        "2030-01-01T12:00:00.5 Z",
        "2030-01-01T12:00:00.٥Z",
        "2030-01-01T12:00:00.5[UTC]Z",
        "2030-01-01T12:00:00+00",
        "2030-01-01T12:00:00+0130",
        "2030-01-01T12:00:00+24:00",
        "2030-01-01T12:00:00+25:59",
        "2030-01-01T12:00:00+00:00:30",
        "2030-01-01T12:00:00Z[UTC]",
        "2030-01-01 12:00:00Z",
        "2030-01-01T12:00:00 Z",
        "2030-01-01T23:59:60Z",
        "2030-12-31T24:00:00Z",
        "2030-02-29T12:00:00Z",
        "1969-12-31T23:59:59.9999Z",
        "3000-01-01T00:00:00Z",
        "2030-01-01T12:00:00.1234567891Z",
        "２030-01-01T12:00:00Z",
    ] {
        assert!(text.parse::<Moment>().is_err(), "{text}");
    }
}

#[test]
fn an_instant_that_no_answer_holds_is_written_all_the_same() {
    let next = Moment::from_ms(LATEST.ms() + 1);
    for (at, short, text) in [
        (Moment::from_ms(0), true, "1970-01-01T00:00:00Z"),
        (LATEST, true, "2999-12-31T23:59:59.999Z"),
        (Moment::from_ms(-1), false, "1969-12-31T23:59:59.999Z"),
        (next, false, "3000-01-01T00:00:00Z"),
        (Moment::from_ms(i64::MAX), false, "9223372036854775807ms"),
    ] {
        assert_eq!(at.to_string(), text);
        let rendered = Rendered::of(at);
        assert_eq!(rendered.as_ref().map(Rendered::as_str), short.then_some(text));
        assert_eq!(
            rendered.as_ref().map(Rendered::as_bytes),
            short.then_some(text.as_bytes())
        );
    }
}

#[test]
fn a_span_is_not_looked_for_in_a_long_text() {
    let wide = |bytes: usize| format!("1d{}2h", " ".repeat(bytes - 4)).parse::<Span>();
    assert_eq!(wide(64), Ok(Span::hours(26)));
    assert!(wide(65).is_err());
    assert!(wide(100).is_err());
}

#[test]
fn nothing_shorter_than_nothing_is_a_span() {
    for text in [
        "-1ms",
        "-0.5ms",
        "-PT0.0001S",
        "1d ago",
        "0.5d",
        "1mo",
        "1 year",
        &"1d ".repeat(30),
    ] {
        assert!(text.parse::<Span>().is_err(), "{text}");
    }
    assert_eq!("1.5h".parse::<Span>(), Ok(Span::secs(5400)));
    assert_eq!("365000d".parse::<Span>(), Ok(LONGEST));
    assert!("365000d 1ms".parse::<Span>().is_err());
    assert_eq!(Span::days(u64::MAX), Span::millis(u64::MAX), "it saturates");
}

#[test]
fn a_lifetime_is_told_in_words_and_begins_now() {
    assert_eq!(
        (
            Lifetime::Unlimited.to_string().as_str(),
            Span::ZERO.to_string().as_str()
        ),
        ("unlimited", "0s")
    );
    assert_eq!(Lifetime::For(Span::days(90)).to_string(), "90d");
    let now = Moment::from_ms(1);
    assert_eq!(Lifetime::Unlimited.from(now), Expiry::Never);
    assert_eq!(Lifetime::For(Span::millis(2)).from(now), Expiry::At(Moment::from_ms(3)));
}
