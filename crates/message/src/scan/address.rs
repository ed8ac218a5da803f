//! Address lists (RFC 5322 §3.4 and the obsolete forms of §4.4), taken apart but not decoded.

use std::borrow::Cow;

/// What stands in an address list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Item<'a> {
    /// A mailbox. Where the text is broken, missing pieces are empty.
    Mailbox {
        name: Option<Cow<'a, [u8]>>,
        route: Option<Cow<'a, [u8]>>,
        local: Vec<u8>,
        host: Vec<u8>,
    },
    /// The beginning of a group, with its name.
    GroupStart(Vec<u8>),
    /// The end of a group.
    GroupEnd,
}

/// Reads an address list. Everything that is there comes out as something; nothing is skipped but
/// comments and separators.
pub(crate) fn parse(value: &[u8]) -> Vec<Item<'_>> {
    let mut parser = Parser { rest: value, items: Vec::new(), in_group: false };
    while parser.item() {}
    if parser.in_group {
        parser.items.push(Item::GroupEnd);
    }
    parser.items
}

struct Parser<'a> {
    rest: &'a [u8],
    items: Vec<Item<'a>>,
    in_group: bool,
}

/// Words read so far: as a phrase, with single spaces, and as a dot-atom, with none.
#[derive(Default)]
struct Words {
    phrase: Vec<u8>,
    spec: Vec<u8>,
    comment: Option<Vec<u8>>,
    any: bool,
}

impl Words {
    fn push(&mut self, word: &[u8], spaced: bool) {
        if spaced && !self.phrase.is_empty() {
            self.phrase.push(b' ');
        }
        self.phrase.extend_from_slice(word);
        self.spec.extend_from_slice(word);
        self.any = true;
    }
}

impl<'a> Parser<'a> {
    /// Reads up to the next separator; false at the end.
    fn item(&mut self) -> bool {
        let mut words = Words::default();
        let mut spaced = false;
        loop {
            let Some(&byte) = self.rest.first() else {
                self.bare(words);
                return false;
            };
            match byte {
                b' ' | b'\t' | b'\r' | b'\n' | 0 => {
                    self.rest = &self.rest[1..];
                    spaced = true;
                    continue;
                }
                b'(' => words.comment = Some(self.comment()),
                b'"' => {
                    let quoted = self.quoted();
                    words.push(&quoted, spaced);
                }
                b'<' => {
                    self.rest = &self.rest[1..];
                    self.angle(words);
                    return true;
                }
                b'@' => {
                    self.rest = &self.rest[1..];
                    let host = self.host();
                    let name = self.trailing_comment().or(words.comment);
                    self.mailbox(name, None, words.spec, host);
                    return true;
                }
                b':' if !self.in_group => {
                    self.rest = &self.rest[1..];
                    self.in_group = true;
                    self.items.push(Item::GroupStart(words.phrase));
                    return true;
                }
                b',' => {
                    self.rest = &self.rest[1..];
                    self.bare(words);
                    return true;
                }
                b';' => {
                    self.rest = &self.rest[1..];
                    self.bare(words);
                    if std::mem::take(&mut self.in_group) {
                        self.items.push(Item::GroupEnd);
                    }
                    return true;
                }
                _ => {
                    let word = self.atom();
                    words.push(word, spaced);
                }
            }
            spaced = false;
        }
    }

    /// Words that no `@` followed: a local part alone.
    fn bare(&mut self, words: Words) {
        if words.any {
            let name = words.comment;
            self.mailbox(name, None, words.spec, Vec::new());
        }
    }

    /// What follows `<`.
    fn angle(&mut self, words: Words) {
        let end = self.angle_end();
        let inside = &self.rest[..end];
        self.rest = self.rest.get(end + 1..).unwrap_or_default();
        let mut inner = Parser { rest: inside, items: Vec::new(), in_group: false };
        let route = inner.route();
        let (local, host) = inner.addr_spec();
        let name =
            (words.any && !words.phrase.is_empty()).then_some(words.phrase).or(words.comment);
        self.mailbox(name, route, local, host);
    }

    /// Where the `>` stands that ends what `<` began, quoted strings passed over.
    fn angle_end(&self) -> usize {
        let mut quoted = false;
        let mut bytes = self.rest.iter().enumerate();
        while let Some((at, &byte)) = bytes.next() {
            match byte {
                b'\\' if quoted => {
                    bytes.next();
                }
                b'"' => quoted = !quoted,
                b'>' if !quoted => return at,
                _ => {}
            }
        }
        self.rest.len()
    }

    /// `obs-route = "@" domain *("," "@" domain) ":"` (RFC 5322 §4.4).
    fn route(&mut self) -> Option<Cow<'a, [u8]>> {
        let rest = self.rest.trim_ascii_start();
        if rest.first() != Some(&b'@') {
            return None;
        }
        let end = memchr::memchr(b':', rest)?;
        self.rest = &rest[end + 1..];
        Some(super::field::unfold(&rest[..end]))
    }

    fn addr_spec(&mut self) -> (Vec<u8>, Vec<u8>) {
        let mut local = Vec::new();
        while let Some(&byte) = self.rest.first() {
            match byte {
                b'@' => {
                    self.rest = &self.rest[1..];
                    let mut host = self.host();
                    while self.white() || self.rest.first() == Some(&b'(') {
                        if self.rest.first() == Some(&b'(') {
                            self.comment();
                        }
                    }
                    // Whatever else is inside the brackets belongs to the host, so that it cannot hide.
                    host.extend(self.rest.iter().filter(|b| !b.is_ascii_whitespace()));
                    return (local, host);
                }
                b'"' => local.extend(self.quoted()),
                b'(' => {
                    self.comment();
                }
                b' ' | b'\t' | b'\r' | b'\n' | 0 => self.rest = &self.rest[1..],
                b'<' | b',' | b';' | b':' => {
                    local.push(byte);
                    self.rest = &self.rest[1..];
                }
                _ => local.extend_from_slice(self.atom()),
            }
        }
        (local, Vec::new())
    }

    /// A domain or address literal, with comments and white space around its dots dropped.
    fn host(&mut self) -> Vec<u8> {
        let mut host = Vec::new();
        loop {
            let skipped = self.white();
            match self.rest.first() {
                Some(b'(') if host.is_empty() || host.ends_with(b".") => {
                    self.comment();
                }
                Some(b'[') if host.is_empty() => {
                    let end = memchr::memchr(b']', self.rest).map_or(self.rest.len(), |at| at + 1);
                    host.extend(
                        self.rest[..end].iter().filter(|b| !matches!(b, b'\r' | b'\n' | 0)),
                    );
                    self.rest = &self.rest[end..];
                    return host;
                }
                None | Some(b',' | b';' | b'<' | b'>' | b':' | b'(' | b'"' | b'@') => return host,
                // White space ends the domain unless a dot stands beside it.
                Some(&b) if skipped && !host.is_empty() && b != b'.' && !host.ends_with(b".") => {
                    return host;
                }
                Some(_) => host.extend_from_slice(self.atom()),
            }
        }
    }

    /// `a@b.test (Name)`: the old way to give a name.
    fn trailing_comment(&mut self) -> Option<Vec<u8>> {
        self.white();
        (self.rest.first() == Some(&b'(')).then(|| self.comment()).filter(|c| !c.is_empty())
    }

    fn white(&mut self) -> bool {
        let before = self.rest.len();
        while let [b' ' | b'\t' | b'\r' | b'\n' | 0, rest @ ..] = self.rest {
            self.rest = rest;
        }
        self.rest.len() != before
    }

    /// A run of anything that has no meaning of its own here; at least one byte.
    fn atom(&mut self) -> &'a [u8] {
        let end = self.rest[1..]
            .iter()
            .position(|b| b" \t\r\n\0()<>\",:;@[".contains(b))
            .map_or(self.rest.len(), |at| at + 1);
        let (atom, rest) = self.rest.split_at(end);
        self.rest = rest;
        atom
    }

    fn quoted(&mut self) -> Vec<u8> {
        self.delimited(|depth, byte| match byte {
            b'"' => depth ^ 1,
            _ => depth,
        })
    }

    fn comment(&mut self) -> Vec<u8> {
        self.delimited(|depth, byte| match byte {
            b'(' => depth + 1,
            b')' => depth - 1,
            _ => depth,
        })
    }

    /// Reads from an opening delimiter to the one that closes it, and gives what is between, with
    /// quoted pairs resolved and line ends dropped.
    fn delimited(&mut self, depth_after: impl Fn(u32, u8) -> u32) -> Vec<u8> {
        let mut content = Vec::new();
        let mut depth = 0;
        let mut at = 0;
        while let Some(&byte) = self.rest.get(at) {
            at += 1;
            if byte == b'\\' {
                content.extend(self.rest.get(at).filter(|b| !matches!(b, b'\r' | b'\n' | 0)));
                at += 1;
                continue;
            }
            let after = depth_after(depth, byte);
            if after == 0 {
                break;
            }
            if depth > 0 && !matches!(byte, b'\r' | b'\n' | 0) {
                content.push(byte);
            }
            depth = after;
        }
        self.rest = self.rest.get(at..).unwrap_or_default();
        content
    }

    fn mailbox(
        &mut self,
        name: Option<Vec<u8>>,
        route: Option<Cow<'a, [u8]>>,
        local: Vec<u8>,
        host: Vec<u8>,
    ) {
        self.items.push(Item::Mailbox { name: name.map(Cow::Owned), route, local, host });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shown(value: &str) -> Vec<String> {
        parse(value.as_bytes())
            .into_iter()
            .map(|item| match item {
                Item::GroupStart(name) => format!("{}:", String::from_utf8_lossy(&name)),
                Item::GroupEnd => ";".into(),
                Item::Mailbox { name, route, local, host } => format!(
                    "{}|{}|{}|{}",
                    name.map_or("-".into(), |n| String::from_utf8_lossy(&n).into_owned()),
                    route.map_or("-".into(), |n| String::from_utf8_lossy(&n).into_owned()),
                    String::from_utf8_lossy(&local),
                    String::from_utf8_lossy(&host),
                ),
            })
            .collect()
    }

    #[test]
    fn reads_the_forms_of_rfc_5322_appendix_a() {
        for (value, expected) in [
            ("John Doe <jdoe@machine.example>", vec!["John Doe|-|jdoe|machine.example"]),
            ("\"Joe Q. Public\" <john.q@x.test>", vec!["Joe Q. Public|-|john.q|x.test"]),
            (
                "jdoe@one.test, \"Giant; \\\"Big\\\" Box\" <a@b.test>",
                vec!["-|-|jdoe|one.test", "Giant; \"Big\" Box|-|a|b.test"],
            ),
            (
                "A Group:Ed Jones <joe@a.test>,john@b.test;",
                vec!["A Group:", "Ed Jones|-|joe|a.test", "-|-|john|b.test", ";"],
            ),
            ("Undisclosed recipients:;", vec!["Undisclosed recipients:", ";"]),
            (
                "Pete(A nice \\) chap) <pete(his account)@silly.test(his host)>",
                vec!["Pete|-|pete|silly.test"],
            ),
            (
                "Joe <@node.test,@b.test:jdoe@machine.example>",
                vec!["Joe|@node.test,@b.test|jdoe|machine.example"],
            ),
            ("jdoe@test  . example (Joe)", vec!["Joe|-|jdoe|test.example"]),
            ("=?utf-8?q?J=C3=BCrgen?= <j@b.test>", vec!["=?utf-8?q?J=C3=BCrgen?=|-|j|b.test"]),
            ("a@[192.0.2.1]", vec!["-|-|a|[192.0.2.1]"]),
            ("\"a b\"@c.test", vec!["-|-|a b|c.test"]),
        ] {
            assert_eq!(shown(value), expected, "{value}");
        }
    }

    #[test]
    fn hides_nothing_in_broken_lists() {
        assert_eq!(shown("good@a.test evil@b.test"), ["-|-|good|a.test", "-|-|evil|b.test"]);
        assert_eq!(shown("<good@a.test> evil@b.test"), ["-|-|good|a.test", "-|-|evil|b.test"]);
        assert_eq!(shown("<good@a.test@b.test>"), ["-|-|good|a.test@b.test"]);
        assert_eq!(shown("nobody"), ["-|-|nobody|"]);
        assert_eq!(shown("<>"), ["-|-||"]);
        assert_eq!(shown(",, ,"), Vec::<String>::new());
        assert_eq!(shown("open: a@b.test"), ["open:", "-|-|a|b.test", ";"]);
    }

    proptest! {
        #[test]
        fn never_panics_and_always_ends(value in proptest::collection::vec(any::<u8>(), 0..200)) {
            let items = parse(&value);
            prop_assert!(items.len() <= value.len() + 1);
        }

        #[test]
        fn pieces_of_syntax_in_any_order_do_no_harm(value in "[a@<>:;,\"\\\\() \\[\\].\r\n]{0,60}") {
            parse(value.as_bytes());
        }
    }
}
