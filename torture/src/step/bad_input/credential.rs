//! Bad input 1 to 20: what is shown as a key and is none.

use super::{Case, Secrets, bearer, get, post};

const REFUSED: &[u16] = &[401];
const AMBIGUOUS: &[u16] = &[400];
/// Not sendable in a header, or not a key: both are a refusal.
const REFUSED_OR_MALFORMED: &[u16] = &[400, 401];

pub(super) fn cases(secrets: &Secrets) -> Vec<Case> {
    let good = &secrets.good;
    let this = |headers: &str| get("/v1/self", headers);
    let shown = |credential: &str| this(&format!("Authorization: {credential}\r\n"));
    let last = good.chars().last().unwrap_or('a');
    let swapped = if last.is_ascii_lowercase() {
        last.to_ascii_uppercase()
    } else if last.is_ascii_uppercase() {
        last.to_ascii_lowercase()
    } else {
        'x'
    };
    let cut = good.get(..good.len() - 1).unwrap_or_default();
    let basic = "Basic b2xnYTpzZWNyZXQ=";
    let long = format!("Authorization: Bearer {}\r\n", "a".repeat(1 << 20));
    let many: String = (0..10_000).map(|number| format!("x{number}: y\r\n")).collect();
    let mut cases = vec![
        Case::new(1, "no credential", this(""), REFUSED).code("credential_required"),
        Case::new(1, "an empty header", shown(""), REFUSED),
        Case::new(1, "a scheme alone", shown("Bearer"), REFUSED),
        Case::new(1, "a scheme and a space", shown("Bearer "), REFUSED),
        Case::new(
            2,
            "a lower-case scheme is a scheme",
            shown(&format!("bearer {good}")),
            &[200],
        ),
        Case::new(
            2,
            "an upper-case scheme is a scheme",
            shown(&format!("BEARER {good}")),
            &[200],
        ),
        Case::new(3, "two spaces", shown(&format!("Bearer  {good}")), REFUSED),
        Case::new(3, "a tab", shown(&format!("Bearer\t{good}")), REFUSED),
        Case::new(3, "an encoded line end", shown(&format!("Bearer {good}%0a")), REFUSED),
        // White space at the end of a header is no part of its value, says HTTP; in the middle it is part of what is shown.
        Case::new(
            3,
            "a space after it is HTTP's",
            shown(&format!("Bearer {good} ")),
            &[200],
        ),
        Case::new(3, "a word after it", shown(&format!("Bearer {good} x")), REFUSED),
        Case::new(4, "a character more", shown(&format!("Bearer {good}x")), REFUSED),
        Case::new(4, "a character less", shown(&format!("Bearer {cut}")), REFUSED),
        Case::new(
            4,
            "another case of one character",
            shown(&format!("Bearer {cut}{swapped}")),
            REFUSED,
        ),
        Case::new(
            5,
            "nobody's, with a right check",
            this(&bearer(&secrets.unknown)),
            REFUSED,
        )
        .code("invalid_credential"),
        Case::new(
            8,
            "a key of another product",
            shown("Bearer ghp_16C7e42F292c6912E7710c838347Ae178B4a"),
            REFUSED,
        ),
        Case::new(
            8,
            "a key of a third product",
            shown("Bearer sk_live_4eC39HqLyjWDarjtT1zdp7dc"),
            REFUSED,
        ),
        Case::new(
            8,
            "a JWT",
            shown("Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4In0."),
            REFUSED,
        ),
        Case::new(
            9,
            "a letter that looks like another",
            shown(&format!("Bearer {}", good.replace('a', "а"))),
            REFUSED_OR_MALFORMED,
        ),
        Case::new(
            9,
            "a full-width letter",
            shown(&format!("Bearer ａ{good}")),
            REFUSED_OR_MALFORMED,
        ),
        Case::new(
            9,
            "a zero-width space",
            shown(&format!("Bearer {good}\u{200B}")),
            REFUSED_OR_MALFORMED,
        ),
        Case::new(10, "an encoded NUL", shown(&format!("Bearer {good}%00")), REFUSED),
        Case::new(10, "a NUL", shown(&format!("Bearer {good}\0x")), AMBIGUOUS),
        Case::new(11, "a header of a megabyte", this(&long), &[431]).proxied(&[400, 431]),
        Case::new(11, "ten thousand headers", this(&many), &[431]).proxied(&[400, 431]),
        Case::new(
            12,
            "two headers",
            this(&format!("{}{}", bearer(good), bearer(good))),
            AMBIGUOUS,
        )
        .code("multiple_credentials"),
        Case::new(
            12,
            "two in one header",
            shown(&format!("Bearer {good}, Bearer {good}")),
            REFUSED_OR_MALFORMED,
        ),
        Case::new(
            12,
            "two kinds of header",
            this(&format!("{}X-API-Key: {good}\r\n", bearer(good))),
            AMBIGUOUS,
        )
        .code("multiple_credentials"),
        // Browsers send a cookie along whoever asks: it counts only where no header shows a credential.
        Case::new(
            12,
            "a cookie beside a header is not looked at",
            this(&format!("{}Cookie: __Host-keyholt_session=khs_x\r\n", bearer(good))),
            &[200],
        ),
        Case::new(
            12,
            "the other header twice",
            this(&format!("X-API-Key: {good}\r\nX-API-Key: {good}\r\n")),
            AMBIGUOUS,
        )
        .code("multiple_credentials"),
        Case::new(
            13,
            "in the query",
            get(&format!("/v1/self?api_key={good}"), ""),
            AMBIGUOUS,
        )
        .code("token_in_url"),
        Case::new(
            13,
            "in the query, beside a good one",
            get(&format!("/v1/self?access_token={good}"), &bearer(good)),
            AMBIGUOUS,
        )
        .code("token_in_url"),
        Case::new(13, "in the path", get(&format!("/v1/self/{good}"), ""), &[400, 404]),
        Case::new(
            13,
            "in a form",
            post(
                "/v1/verify",
                "Content-Type: application/x-www-form-urlencoded\r\n",
                &format!("access_token={good}"),
            ),
            &[401, 415],
        ),
        Case::new(15, "a revoked key", this(&bearer(&secrets.revoked)), REFUSED).code("invalid_credential"),
        Case::new(15, "an expired key", this(&bearer(&secrets.expired)), REFUSED).code("invalid_credential"),
        Case::new(
            15,
            "a key of a suspended owner",
            this(&bearer(&secrets.stopped)),
            REFUSED,
        )
        .code("invalid_credential"),
        Case::new(
            17,
            "a key that is bound to other networks",
            this(&bearer(&secrets.elsewhere)),
            &[403],
        )
        .code("address_not_allowed"),
        Case::new(18, "Basic", shown(basic), REFUSED),
        Case::new(
            18,
            "Basic beside Bearer",
            this(&format!("Authorization: {basic}\r\n{}", bearer(good))),
            AMBIGUOUS,
        ),
    ];
    let injections = [
        "' OR '1'='1",
        "{\"$ne\":null}",
        "../../etc/passwd",
        "${jndi:ldap://x}",
        "*",
        "null",
        "undefined",
    ];
    cases.extend(injections.map(|text| Case::new(14, text, shown(&format!("Bearer {text}")), REFUSED)));
    let mut invalid = this("Authorization: Bearer @\r\n").into_bytes();
    invalid
        .iter_mut()
        .filter(|byte| **byte == b'@')
        .for_each(|byte| *byte = 0xff);
    cases.push(Case::new(9, "a byte that is no UTF-8", invalid, REFUSED_OR_MALFORMED));
    cases
}
