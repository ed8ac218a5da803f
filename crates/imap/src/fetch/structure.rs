//! BODY and BODYSTRUCTURE (RFC 9051 §7.5.2).

use super::envelope;
use wardpost_imap_wire::write;
use wardpost_message::{Disposition, Kind, Parameter, Part};

/// Appends a part's structure; `extended` adds what BODYSTRUCTURE tells beyond BODY. The depth is
/// bounded by whoever made the structure.
pub(crate) fn write(out: &mut Vec<u8>, part: &Part, extended: bool, utf8: bool) {
    let mut writer = Writer { out, extended, utf8 };
    writer.part(part);
}

struct Writer<'a> {
    out: &'a mut Vec<u8>,
    extended: bool,
    utf8: bool,
}

impl Writer<'_> {
    /// ABNF: `body = "(" (body-type-1part / body-type-mpart) ")"`.
    fn part(&mut self, part: &Part) {
        self.out.push(b'(');
        match &part.kind {
            Kind::Multipart(children) => self.multipart(part, children),
            _ => self.single(part),
        }
        self.out.push(b')');
    }

    /// ABNF: `body-type-mpart = 1*body SP media-subtype [SP body-ext-mpart]`,
    /// `body-ext-mpart = body-fld-param [SP body-fld-dsp [SP body-fld-lang [SP body-fld-loc …]]]`.
    fn multipart(&mut self, part: &Part, children: &[Part]) {
        for child in children {
            self.part(child);
        }
        self.out.push(b' ');
        self.string(&part.subtype);
        if self.extended {
            self.out.push(b' ');
            self.parameters(&part.parameters);
            self.trailer(part);
        }
    }

    /// ABNF: `body-type-1part = (body-type-basic / body-type-msg / body-type-text)
    /// [SP body-ext-1part]`, `body-fields = body-fld-param SP body-fld-id SP body-fld-desc SP
    /// body-fld-enc SP body-fld-octets`.
    fn single(&mut self, part: &Part) {
        self.string(&part.media);
        self.out.push(b' ');
        self.string(&part.subtype);
        self.out.push(b' ');
        self.parameters(&part.parameters);
        self.out.push(b' ');
        self.nstring(part.id.as_deref());
        self.out.push(b' ');
        self.nstring(part.description.as_deref());
        self.out.push(b' ');
        self.string(&part.encoding);
        self.out.push(b' ');
        write::number(self.out, part.octets().into());
        if let Some(embedded) = part.embedded() {
            self.out.push(b' ');
            envelope::write(self.out, &embedded.envelope(), self.utf8);
            self.out.push(b' ');
            self.part(&embedded.structure);
            self.lines(part);
        } else if part.media.eq_ignore_ascii_case("text") {
            self.lines(part);
        }
        if self.extended {
            self.out.push(b' ');
            self.nstring(part.md5.as_deref());
            self.trailer(part);
        }
    }

    fn lines(&mut self, part: &Part) {
        self.out.push(b' ');
        write::number(self.out, part.lines.into());
    }

    /// Disposition, language and location.
    fn trailer(&mut self, part: &Part) {
        self.out.push(b' ');
        self.disposition(part.disposition.as_ref());
        self.out.push(b' ');
        self.language(&part.language);
        self.out.push(b' ');
        self.nstring(part.location.as_deref());
    }

    /// ABNF: `body-fld-param = "(" string SP string *(SP string SP string) ")" / nil`.
    fn parameters(&mut self, parameters: &[Parameter]) {
        if parameters.is_empty() {
            self.out.extend_from_slice(b"NIL");
            return;
        }
        self.out.push(b'(');
        for (i, parameter) in parameters.iter().enumerate() {
            if i > 0 {
                self.out.push(b' ');
            }
            self.string(&parameter.name);
            self.out.push(b' ');
            self.string(&parameter.value);
        }
        self.out.push(b')');
    }

    /// ABNF: `body-fld-dsp = "(" string SP body-fld-param ")" / nil`.
    fn disposition(&mut self, disposition: Option<&Disposition>) {
        let Some(disposition) = disposition else {
            self.out.extend_from_slice(b"NIL");
            return;
        };
        self.out.push(b'(');
        self.string(&disposition.kind);
        self.out.push(b' ');
        self.parameters(&disposition.parameters);
        self.out.push(b')');
    }

    /// ABNF: `body-fld-lang = nstring / "(" string *(SP string) ")"`.
    fn language(&mut self, languages: &[String]) {
        match languages {
            [] => self.out.extend_from_slice(b"NIL"),
            [one] => self.string(one),
            many => {
                for (i, language) in many.iter().enumerate() {
                    self.out.push(if i == 0 { b'(' } else { b' ' });
                    self.string(language);
                }
                self.out.push(b')');
            }
        }
    }

    fn string(&mut self, text: &str) {
        write::string(self.out, text.as_bytes(), self.utf8);
    }

    fn nstring(&mut self, text: Option<&str>) {
        write::nstring(self.out, text.map(str::as_bytes), self.utf8);
    }
}
