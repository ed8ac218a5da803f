//! What is typed from the sheet, to show that it is on paper.

use wardpost_mail::Secret;

/// Fewest characters of a secret to be typed from the sheet.
const CONFIRMED: usize = 4;

/// How many groups at the end of a secret are to be typed from the sheet, and which.
pub(crate) fn last_groups(secret: &Secret<String>) -> (usize, &str) {
    let text = secret.expose().trim();
    let (mut groups, mut start) = (0, text.len());
    while let Some(rest) = text.get(..start.saturating_sub(usize::from(groups > 0))) {
        start = rest.rfind('-').map_or(0, |hyphen| hyphen + 1);
        groups += 1;
        if start == 0 || text.len() - start > CONFIRMED {
            break;
        }
    }
    (groups, &text[start..])
}

/// Whether somebody typed the end of a secret, or all of it. Letters that look alike count as the same.
pub(crate) fn is_end(secret: &Secret<String>, typed: &str) -> bool {
    let plain = |text: &str| -> Secret<String> {
        let kept = text.chars().filter(|c| c.is_ascii_alphanumeric()).take(200);
        Secret::new(
            kept.map(|c| match c.to_ascii_lowercase() {
                'o' => '0',
                'i' | 'l' => '1',
                other => other,
            })
            .collect(),
        )
    };
    let typed = plain(typed);
    let is = |expected: &str| {
        let expected = plain(expected);
        !expected.expose().is_empty() && wardpost_web::is_same(expected.expose(), typed.expose())
    };
    is(last_groups(secret).1) || is(secret.expose())
}
