//! HTML from a mail, made safe to show.
//!
//! Two walls: what is left after sanitising has no script, no style, no form, and no reference that a
//! browser would fetch; and the frame it is shown in has a policy of its own that would allow none
//! of that either. Pictures that came with the mail become part of the page.

use ammonia::{Builder, UrlRelative};
use aws_lc_rs::digest;
use data_encoding::BASE64;
use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use wardpost_message::render::Attachment;

/// Most octets of HTML that are looked at; letters are far smaller.
const MAX_HTML: usize = 2 * 1024 * 1024;
/// Most tags, those apart that have no content or are closed by what follows.
const MAX_TAGS: usize = 20_000;
/// Most tags open at a time.
const MAX_DEPTH: usize = 200;
/// Most tags for bold, colour and the like open at a time.
const MAX_FORMATTING: usize = 40;
/// Most octets of pictures put into the page.
const MAX_PICTURES: usize = 16 * 1024 * 1024;

/// The frame's own style; its hash stands in the frame's policy.
const STYLE: &str = "body{font:1.0625rem/1.5 system-ui,sans-serif;margin:1rem;color:#1b1b1f;\
     background:#fff;overflow-wrap:anywhere}img{max-width:100%;height:auto}\
     table{border-collapse:collapse;max-width:100%}td,th{padding:.25rem .5rem;vertical-align:top}\
     pre{white-space:pre-wrap}blockquote{margin:0 0 0 .5rem;padding-left:.75rem;\
     border-left:3px solid #8a8f98}";

/// The policy of the frame: nothing runs, nothing is fetched; links open in a window of their own.
pub(crate) static FRAME_POLICY: LazyLock<String> = LazyLock::new(|| {
    let hash = BASE64.encode(digest::digest(&digest::SHA256, STYLE.as_bytes()).as_ref());
    format!(
        "sandbox allow-popups allow-popups-to-escape-sandbox; default-src 'none'; img-src data:; \
         style-src 'sha256-{hash}'; form-action 'none'; frame-ancestors 'self'; base-uri 'none'"
    )
});

/// Sanitised HTML.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Clean {
    /// What goes into the frame's body.
    pub(crate) body: String,
    /// Pictures on the Internet that are not shown.
    pub(crate) blocked: usize,
    /// There are pictures that came with the mail.
    pub(crate) has_pictures: bool,
}

impl Clean {
    /// The frame's whole document.
    pub(crate) fn document(&self) -> String {
        format!(
            "<!DOCTYPE html><html lang=\"en\"><head><meta charset=\"utf-8\">\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
             <title>Message</title><style>{STYLE}</style></head><body>{}</body></html>",
            self.body
        )
    }
}

/// Sanitises HTML; `inline` are the pictures that came with it, by Content-ID. `None` when it is larger
/// or more deeply nested than letters are: parsing that as the HTML standard demands takes time and
/// memory that grow with the square of its size.
pub(crate) fn clean(html: &str, inline: &[(String, Attachment)]) -> Option<Clean> {
    if html.len() > MAX_HTML || !is_modest(html) {
        return None;
    }
    let pictures = Arc::new(Pictures::new(inline));
    let body = builder(Arc::clone(&pictures)).clean(html).to_string();
    Some(Clean {
        body,
        blocked: pictures.blocked.load(Ordering::Relaxed),
        has_pictures: pictures.shown.load(Ordering::Relaxed) > 0,
    })
}

/// Counts tags as a parser would see them: not too many in all, not too many open at a time, and few
/// open ones of the kind that the standard opens again in each new block (HTML §13.2.4.3).
fn is_modest(html: &str) -> bool {
    let mut open: HashMap<&[u8], usize> = HashMap::new();
    let (mut tags, mut depth, mut formatting) = (0_usize, 0_usize, 0_usize);
    let mut rest = html.as_bytes();
    while let Some(at) = rest.iter().position(|&b| b == b'<') {
        rest = &rest[at + 1..];
        let closing = rest.first() == Some(&b'/');
        let name = &rest[usize::from(closing)..];
        let end = name.iter().take(24).position(|b| !b.is_ascii_alphanumeric());
        let name = &name[..end.unwrap_or(name.len().min(24))];
        let Some(kind) = Kind::of(name) else { continue };
        tags += 1;
        if closing {
            if let Some(count) = open.get_mut(name).filter(|count| **count > 0) {
                *count -= 1;
                depth -= 1;
                formatting -= usize::from(kind == Kind::Formatting);
            }
        } else {
            *open.entry(name).or_default() += 1;
            depth += 1;
            formatting += usize::from(kind == Kind::Formatting);
        }
        if tags > MAX_TAGS || depth > MAX_DEPTH || formatting > MAX_FORMATTING {
            return false;
        }
    }
    true
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Formatting,
    Block,
}

impl Kind {
    /// `None` for what is no tag, has no content, or is closed by its successor.
    fn of(name: &[u8]) -> Option<Self> {
        const IMPLIED: [&str; 24] = [
            "area", "base", "br", "col", "dd", "dt", "embed", "hr", "img", "input", "li", "link",
            "meta", "option", "p", "param", "source", "tbody", "td", "th", "thead", "tr", "track",
            "wbr",
        ];
        const FORMATTING: [&str; 14] = [
            "a", "b", "big", "code", "em", "font", "i", "nobr", "s", "small", "strike", "strong",
            "tt", "u",
        ];
        let is = |list: &[&str]| list.iter().any(|tag| name.eq_ignore_ascii_case(tag.as_bytes()));
        match name {
            [] => None,
            _ if is(&FORMATTING) => Some(Self::Formatting),
            _ if is(&IMPLIED) => None,
            _ => Some(Self::Block),
        }
    }
}

fn builder(pictures: Arc<Pictures>) -> Builder<'static> {
    let mut builder = Builder::default();
    builder
        .add_tags(["center", "font", "u", "big"])
        .add_tag_attributes("font", ["color", "size"])
        .add_tag_attributes("td", ["valign", "width"])
        .url_schemes(HashSet::from(["http", "https", "mailto", "tel", "cid", "data"]))
        .url_relative(UrlRelative::Deny)
        .link_rel(Some("noopener noreferrer nofollow"))
        .set_tag_attribute_value("a", "target", "_blank")
        .attribute_filter(move |element, attribute, value| match (element, attribute) {
            ("img", "src") => pictures.source(value),
            (_, "href" | "cite") => is_link(value).then_some(Cow::Borrowed(value)),
            (_, "src" | "srcset" | "background" | "longdesc") => None,
            _ => Some(Cow::Borrowed(value)),
        });
    builder
}

/// Links a reader may follow. `data:` and `cid:` are for pictures only.
fn is_link(value: &str) -> bool {
    let value = value.trim_start().to_ascii_lowercase();
    ["https:", "http:", "mailto:", "tel:"].iter().any(|scheme| value.starts_with(scheme))
}

/// The pictures that may be shown, and how many were and were not.
struct Pictures {
    by_id: HashMap<String, String>,
    blocked: AtomicUsize,
    shown: AtomicUsize,
}

impl Pictures {
    fn new(inline: &[(String, Attachment)]) -> Self {
        let mut room = MAX_PICTURES;
        let mut by_id = HashMap::new();
        for (id, picture) in inline {
            if is_picture(&picture.mime) && picture.bytes.len() <= room {
                room -= picture.bytes.len();
                let data = BASE64.encode(&picture.bytes);
                by_id.insert(id.clone(), format!("data:{};base64,{data}", picture.mime));
            }
        }
        Self { by_id, blocked: AtomicUsize::new(0), shown: AtomicUsize::new(0) }
    }

    fn source(&self, value: &str) -> Option<Cow<'static, str>> {
        let value = value.trim();
        let found = match value.split_once(':') {
            Some((scheme, id)) if scheme.eq_ignore_ascii_case("cid") => self.by_id.get(id).cloned(),
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("data") => {
                let mime = rest.split([';', ',']).next().unwrap_or_default();
                is_picture(&mime.to_ascii_lowercase()).then(|| value.to_owned())
            }
            _ => {
                self.blocked.fetch_add(1, Ordering::Relaxed);
                None
            }
        };
        if found.is_some() {
            self.shown.fetch_add(1, Ordering::Relaxed);
        }
        found.map(Cow::Owned)
    }
}

/// Kinds of picture that cannot carry script.
fn is_picture(mime: &str) -> bool {
    matches!(mime, "image/png" | "image/jpeg" | "image/gif" | "image/webp")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn clean(html: &str, inline: &[(String, Attachment)]) -> Clean {
        super::clean(html, inline).unwrap()
    }

    fn picture() -> Vec<(String, Attachment)> {
        let bytes = b"png".to_vec();
        let file = Attachment { name: "a.png".into(), mime: "image/png".into(), bytes };
        vec![("a@b".into(), file)]
    }

    #[test]
    fn pictures_of_the_mail_are_shown_and_others_are_not() {
        let clean = clean(
            "<p>Hi<img src=\"cid:a@b\" alt=x><img src=\"https://evil.test/pixel.gif?id=1\">\
             <img src=cid:none><img src=\"data:image/svg+xml,<svg onload=alert(1)>\">",
            &picture(),
        );
        assert!(clean.body.contains("data:image/png;base64,cG5n"), "{}", clean.body);
        assert!(!clean.body.contains("evil.test") && !clean.body.contains("svg"));
        assert_eq!((clean.blocked, clean.has_pictures), (1, true));
    }

    #[test]
    fn nothing_that_acts_is_left() {
        for html in [
            "<script>alert(1)</script>",
            "<p onclick=alert(1) style='background:url(https://evil.test/x)'>x</p>",
            "<a href=\"javascript:alert(1)\">x</a><a href=\"data:text/html,<script>\">y</a>",
            "<form action=https://evil.test><input name=p><button>Go</button></form>",
            "<iframe src=https://evil.test></iframe><object data=x></object><embed src=x>",
            "<link rel=stylesheet href=https://evil.test><style>@import url(https://evil.test)</style>",
            "<meta http-equiv=refresh content='0;url=https://evil.test'><base href=https://evil.test>",
            "<svg><script>alert(1)</script></svg><math><mi xlink:href=javascript:alert(1)>",
            "<td background=https://evil.test>x</td><video src=https://evil.test poster=x></video>",
            "<img srcset=\"https://evil.test/x 2x\">",
        ] {
            let clean = clean(html, &[]).body.to_lowercase();
            for forbidden in [
                "script",
                "evil.test",
                "onclick",
                "<form",
                "<input",
                "<iframe",
                "<style",
                "<meta",
                "javascript",
                "data:",
                "<svg",
                "style=",
                "srcset",
            ] {
                assert!(!clean.contains(forbidden), "{forbidden} in {clean}");
            }
        }
    }

    #[test]
    fn links_open_elsewhere_and_tell_nothing() {
        let clean = clean("<a href=\"https://example.test/\">x</a>", &[]);
        assert!(clean.body.contains("noreferrer") && clean.body.contains("_blank"));
    }

    #[test]
    fn html_that_would_take_for_ever_is_not_parsed() {
        let many_attributes: String = (0..10_000).map(|n| format!("<b a{n}>")).collect();
        for html in [
            "<div>".repeat(200_000),
            "<b><i>".repeat(20_000),
            "<div></span>".repeat(20_000),
            "x".repeat(3_000_000),
            format!("{many_attributes}{}", "<p>".repeat(10_000)),
        ] {
            assert_eq!(super::clean(&html, &[]), None);
        }
        let newsletter =
            "<table><tr><td><p><b>x</b><br><img src=cid:x><li>y<p>z</table>".repeat(2_000);
        let begun = std::time::Instant::now();
        assert!(super::clean(&newsletter, &[]).is_some());
        assert!(begun.elapsed().as_secs() < 10, "{:?}", begun.elapsed());
    }

    proptest! {
        #[test]
        fn no_tag_soup_brings_back_a_script(soup in "[<>/a-z =\"'!:;&#x0-9-]{0,200}") {
            let body = clean(&format!("{soup}<script>alert(1)</script>"), &[]).body.to_lowercase();
            prop_assert!(!body.contains("<script"));
        }
    }
}
