//! Structured MIME values, `token *(";" name "=" value)` (RFC 2045 §5.1, RFC 2183 §2).

/// Most parameters that are kept of one field.
const MAX_PARAMETERS: usize = 32;

/// A token and its parameters: values unquoted, nothing decoded.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Structured {
    pub(crate) token: Vec<u8>,
    pub(crate) parameters: Vec<(Vec<u8>, Vec<u8>)>,
}

/// Reads such a value; what cannot be read is left out.
pub(crate) fn parse(value: &[u8]) -> Structured {
    let mut cursor = Cursor { rest: value };
    let token = cursor.until(b";");
    let mut parameters = Vec::new();
    while cursor.rest.first() == Some(&b';') {
        cursor.rest = &cursor.rest[1..];
        let name = cursor.until(b";=");
        if cursor.rest.first() != Some(&b'=') {
            continue;
        }
        cursor.rest = &cursor.rest[1..];
        let content = cursor.value();
        if !name.is_empty() && parameters.len() < MAX_PARAMETERS {
            parameters.push((name, content));
        }
        cursor.until(b";");
    }
    Structured { token, parameters }
}

struct Cursor<'a> {
    rest: &'a [u8],
}

impl Cursor<'_> {
    /// Reads to one of `stops`, leaving white space, comments and NUL out.
    fn until(&mut self, stops: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        while let Some(&byte) = self.rest.first() {
            match byte {
                _ if stops.contains(&byte) => break,
                b'(' => self.skip_comment(),
                b' ' | b'\t' | b'\r' | b'\n' | 0 => self.rest = &self.rest[1..],
                _ => {
                    out.push(byte);
                    self.rest = &self.rest[1..];
                }
            }
        }
        out
    }

    fn value(&mut self) -> Vec<u8> {
        while let [b' ' | b'\t' | b'\r' | b'\n', rest @ ..] = self.rest {
            self.rest = rest;
        }
        if self.rest.first() != Some(&b'"') {
            return self.until(b";");
        }
        let mut out = Vec::new();
        let mut at = 1;
        while let Some(&byte) = self.rest.get(at) {
            at += 1;
            match byte {
                b'"' => break,
                b'\\' => {
                    out.extend(self.rest.get(at).filter(|b| !matches!(b, b'\r' | b'\n' | 0)));
                    at += 1;
                }
                b'\r' | b'\n' | 0 => {}
                _ => out.push(byte),
            }
        }
        self.rest = self.rest.get(at..).unwrap_or_default();
        out
    }

    fn skip_comment(&mut self) {
        let mut depth = 0_u32;
        let mut at = 0;
        while let Some(&byte) = self.rest.get(at) {
            at += 1;
            match byte {
                b'\\' => at += 1,
                b'(' => depth += 1,
                b')' if depth == 1 => break,
                b')' => depth -= 1,
                _ => {}
            }
        }
        self.rest = self.rest.get(at..).unwrap_or_default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shown(value: &str) -> String {
        let read = parse(value.as_bytes());
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        read.parameters.iter().fold(text(&read.token), |all, (name, value)| {
            format!("{all};{}={}", text(name), text(value))
        })
    }

    #[test]
    fn reads_tokens_quoted_strings_comments_and_folding() {
        for (value, expected) in [
            (" text/plain; charset=utf-8", "text/plain;charset=utf-8"),
            ("text/plain; charset=us-ascii (Plain text)", "text/plain;charset=us-ascii"),
            (
                "multipart/mixed;\r\n boundary=\"a \\\"b; c\"; x=y",
                "multipart/mixed;boundary=a \"b; c;x=y",
            ),
            (
                "attachment; filename*0*=utf-8''a%20; filename*1=b.pdf",
                "attachment;filename*0*=utf-8''a%20;filename*1=b.pdf",
            ),
            ("text / plain;;;charset", "text/plain"),
            ("x; a=\"unclosed", "x;a=unclosed"),
            ("", ""),
        ] {
            assert_eq!(shown(value), expected, "{value}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(value in "[a/;=\"\\\\() \r\n]{0,60}") {
            prop_assert!(parse(value.as_bytes()).parameters.len() <= MAX_PARAMETERS);
        }
    }
}
