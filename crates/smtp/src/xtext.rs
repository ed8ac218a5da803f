//! xtext (RFC 3461 §4): how DSN parameters carry bytes that command lines do not take.

/// Whether a byte stands for itself in xtext: `"!"`–`"~"` without `"+"` and `"="`.
fn is_xchar(byte: u8) -> bool {
    (0x21..=0x7e).contains(&byte) && byte != b'+' && byte != b'='
}

/// Encodes bytes as xtext.
pub(crate) fn encode(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for &byte in bytes {
        if is_xchar(byte) {
            out.push(byte as char);
        } else {
            out.push_str(&format!("+{byte:02X}"));
        }
    }
    out
}

/// Decodes xtext; `None` when the text is not xtext.
pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'+' => out.push(hex(bytes.next()?)? << 4 | hex(bytes.next()?)?),
            byte if is_xchar(byte) => out.push(byte),
            _ => return None,
        }
    }
    Some(out)
}

/// `hexchar` takes upper case only (RFC 3461 §4).
fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn refuses_what_is_not_xtext() {
        for bad in ["+", "+4", "+4g", "+3d", "a=b", "a b", "é"] {
            assert_eq!(decode(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn what_is_encoded_decodes_to_itself(bytes in any::<Vec<u8>>()) {
            prop_assert_eq!(decode(&encode(&bytes)), Some(bytes));
        }
    }
}
