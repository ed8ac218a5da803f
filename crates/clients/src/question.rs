//! What Outlook asks: a small XML document, read with narrow bounds.

use quick_xml::Reader;
use quick_xml::events::Event;
use thiserror::Error;
use wardpost_mail::Address;

/// The answer that we can give.
const OUTLOOK: &str =
    "http://schemas.microsoft.com/exchange/autodiscover/outlook/responseschema/2006a";
/// Elements within elements; the real question has four.
const MAX_DEPTH: usize = 8;
/// Pieces of a document; the real question has some twenty.
const MAX_PIECES: usize = 200;
/// Octets of an address (RFC 5321 §4.5.3.1.3) or of a schema's name.
const MAX_TEXT: usize = 320;

/// Why a question gets an error for an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(crate) enum Unanswerable {
    /// It is no such question.
    #[error("Invalid Request")]
    Invalid,
    /// It wants an answer in another form, for ActiveSync mostly.
    #[error("Provider is not available")]
    OtherProvider,
}

impl Unanswerable {
    /// The error's number, as Exchange has it.
    pub(crate) fn code(self) -> u16 {
        match self {
            Self::Invalid => 600,
            Self::OtherProvider => 601,
        }
    }
}

/// The address that a question is about. Document types, and with them entities of one's own, are refused.
pub(crate) fn read(document: &[u8]) -> Result<Address, Unanswerable> {
    let text = std::str::from_utf8(document).map_err(|_| Unanswerable::Invalid)?;
    let text = text.trim_start_matches('\u{feff}');
    let (mut address, mut schema) = (String::new(), String::new());
    let mut reader = Reader::from_str(text);
    let mut open: Vec<String> = Vec::new();
    for _ in 0..MAX_PIECES {
        let event = reader.read_event().map_err(|_| Unanswerable::Invalid)?;
        let piece = match &event {
            Event::Start(start) if open.len() < MAX_DEPTH => {
                open.push(start.local_name().as_ref().to_owned());
                continue;
            }
            Event::End(_) => {
                open.pop();
                continue;
            }
            Event::Text(text) => Some(text.as_ref()),
            Event::CData(text) => Some(text.as_ref()),
            Event::GeneralRef(name) => predefined(name.as_ref()),
            Event::Empty(_) | Event::Comment(_) | Event::Decl(_) => continue,
            Event::Eof if open.is_empty() => return finish(&address, &schema),
            Event::Start(_) | Event::PI(_) | Event::DocType(_) | Event::Eof => None,
        };
        let piece = piece.ok_or(Unanswerable::Invalid)?;
        let place = match open.last().map(String::as_str) {
            Some("EMailAddress") => &mut address,
            Some("AcceptableResponseSchema") => &mut schema,
            _ => continue,
        };
        if place.len() + piece.len() > MAX_TEXT {
            return Err(Unanswerable::Invalid);
        }
        place.push_str(piece);
    }
    Err(Unanswerable::Invalid)
}

fn finish(address: &str, schema: &str) -> Result<Address, Unanswerable> {
    let schema = schema.trim();
    if !schema.is_empty() && schema != OUTLOOK {
        return Err(Unanswerable::OtherProvider);
    }
    Address::parse(address.trim()).map_err(|_| Unanswerable::Invalid)
}

/// The five entities that XML itself has; addresses need no others.
fn predefined(name: &str) -> Option<&'static str> {
    match name {
        "amp" => Some("&"),
        "lt" => Some("<"),
        "gt" => Some(">"),
        "quot" => Some("\""),
        "apos" => Some("'"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(inner: &str) -> String {
        format!(
            "<?xml version=\"1.0\" encoding=\"utf-8\"?>\r\n<Autodiscover \
             xmlns=\"http://schemas.microsoft.com/exchange/autodiscover/outlook/requestschema/2006\">\r\n\
             <Request>{inner}</Request></Autodiscover>"
        )
    }

    fn outlook(address: &str) -> String {
        asked(&format!(
            "<EMailAddress>{address}</EMailAddress><AcceptableResponseSchema>{OUTLOOK}</AcceptableResponseSchema>"
        ))
    }

    #[test]
    fn outlooks_question_is_read() {
        let address = read(outlook("dana@clinic.test").as_bytes()).unwrap();
        assert_eq!(address.to_string(), "dana@clinic.test");
        let bom = format!("\u{feff}{}", outlook("o&apos;neill@clinic.test"));
        assert_eq!(read(bom.as_bytes()).unwrap().to_string(), "o'neill@clinic.test");
        let prefixed = "<a:Autodiscover xmlns:a=\"x\"><a:Request><a:EMailAddress>d@clinic.test\
                        </a:EMailAddress></a:Request></a:Autodiscover>";
        assert!(read(prefixed.as_bytes()).is_ok());
    }

    #[test]
    fn phones_that_want_activesync_are_told_that_there_is_none() {
        let text = asked(
            "<EMailAddress>d@clinic.test</EMailAddress><AcceptableResponseSchema>http://schemas.microsoft.com/\
             exchange/autodiscover/mobilesync/responseschema/2006</AcceptableResponseSchema>",
        );
        assert_eq!(read(text.as_bytes()), Err(Unanswerable::OtherProvider));
    }

    #[test]
    fn nothing_grows_out_of_a_small_document() {
        let bomb =
            "<?xml version=\"1.0\"?><!DOCTYPE x [<!ENTITY a \"dana\"><!ENTITY b \"&a;&a;&a;\">]>";
        let bomb = format!(
            "{bomb}<Autodiscover><Request><EMailAddress>&b;@clinic.test</EMailAddress></Request></Autodiscover>"
        );
        let file = "<!DOCTYPE x [<!ENTITY f SYSTEM \"file:///etc/passwd\">]><Autodiscover/>";
        let unknown = outlook("&f;@clinic.test");
        let deep = "<a>".repeat(100_000);
        let wide = format!("<a>{}</a>", "<b/>".repeat(100_000));
        let long = outlook(&"x".repeat(100_000));
        let texts =
            [&bomb, file, &unknown, &deep, &wide, &long, "", "hello", "<a", "<a></b>", "</a>"];
        for text in texts {
            let shown = text.get(..80).unwrap_or(text);
            assert_eq!(read(text.as_bytes()), Err(Unanswerable::Invalid), "{shown}");
        }
        assert_eq!(read(b"\xff\xfe<\0a\0"), Err(Unanswerable::Invalid));
        assert_eq!(read(outlook("no address").as_bytes()), Err(Unanswerable::Invalid));
    }
}
