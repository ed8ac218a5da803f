//! Walks a TOML document key by key and remembers where everything stood.
//!
//! Each key that the program knows is *taken* out of its section; what is left over at the end is
//! unknown, and is compared with all keys that were asked for to find the one that was meant.

use crate::error::Problem;
use std::cell::RefCell;
use std::fmt::Display;
use std::ops::{Range, RangeInclusive};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// What has been learnt about a document while its sections are read.
pub(crate) struct Document<'t> {
    text: &'t str,
    problems: RefCell<Vec<Problem>>,
    known: RefCell<Vec<Known>>,
    left_over: RefCell<Vec<LeftOver>>,
}

/// A key the program asked for.
struct Known {
    section: &'static str,
    key: &'static str,
}

/// A key nobody asked for.
struct LeftOver {
    section: &'static str,
    key: String,
    is_table: bool,
    at: usize,
}

impl<'t> Document<'t> {
    /// Parses the text; the root section has an empty name.
    pub(crate) fn parse(text: &'t str) -> Result<(Self, DeTable<'t>), Problem> {
        let document = Self {
            text,
            problems: RefCell::default(),
            known: RefCell::default(),
            left_over: RefCell::default(),
        };
        match DeTable::parse(text) {
            Ok(table) => Ok((document, table.into_inner())),
            Err(error) => Err(Problem {
                line: error.span().map(|span| document.line(span.start)),
                text: format!("not TOML: {}", error.message()),
            }),
        }
    }

    /// The root section.
    pub(crate) fn root<'d>(&'d self, table: DeTable<'t>) -> Section<'d, 't> {
        Section { document: self, name: "", table }
    }

    /// Notes a mistake at a place in the text.
    pub(crate) fn problem(&self, at: Option<Range<usize>>, text: String) {
        let line = at.map(|span| self.line(span.start));
        self.problems.borrow_mut().push(Problem { line, text });
    }

    /// All mistakes, with unknown keys explained, in the order of their lines.
    pub(crate) fn into_problems(self) -> Vec<Problem> {
        for key in self.left_over.borrow().iter() {
            let problem = Problem { line: Some(self.line(key.at)), text: self.explain(key) };
            self.problems.borrow_mut().push(problem);
        }
        let mut problems = self.problems.into_inner();
        problems.sort_by_key(|problem| problem.line.unwrap_or(usize::MAX));
        problems
    }

    fn line(&self, at: usize) -> usize {
        1 + self.text.as_bytes().iter().take(at).filter(|byte| **byte == b'\n').count()
    }

    fn explain(&self, left: &LeftOver) -> String {
        if left.is_table && left.section.is_empty() {
            let near = self.nearest(&left.key, |known| known.section.is_empty());
            let hint = near.map(|known| format!("; did you mean [{}]?", known.key));
            return format!("unknown section [{}]{}", left.key, hint.unwrap_or_default());
        }
        let wherein = match left.section {
            "" => "before the first section".to_owned(),
            section => format!("in [{section}]"),
        };
        let hint = if let Some(known) = self.nearest(&left.key, |k| k.section == left.section) {
            format!("; did you mean \"{}\"?", known.key)
        } else if let Some(home) = self.home_of(&left.key) {
            format!("; it belongs {home}")
        } else {
            String::new()
        };
        format!("unknown key \"{}\" {wherein}{hint}", left.key)
    }

    /// The known key closest in spelling, unless all are far off.
    fn nearest(&self, key: &str, within: impl Fn(&Known) -> bool) -> Option<Known> {
        let known = self.known.borrow();
        known
            .iter()
            .filter(|known| within(known))
            .map(|known| (strsim::damerau_levenshtein(key, known.key), known))
            .filter(|(distance, known)| *distance <= (known.key.len() / 3).max(2))
            .min_by_key(|(distance, _)| *distance)
            .map(|(_, known)| Known { section: known.section, key: known.key })
    }

    /// The section that does have a key of this name.
    fn home_of(&self, key: &str) -> Option<String> {
        let known = self.known.borrow();
        let home = known.iter().find(|known| known.key == key)?;
        Some(match home.section {
            "" => "before the first section".to_owned(),
            section => format!("in [{section}]"),
        })
    }
}

/// One table of the document.
pub(crate) struct Section<'d, 't> {
    document: &'d Document<'t>,
    name: &'static str,
    table: DeTable<'t>,
}

impl<'d, 't> Section<'d, 't> {
    /// The document, for mistakes found outside a single key.
    pub(crate) fn document(&self) -> &'d Document<'t> {
        self.document
    }

    /// Takes a sub-section; an absent one is empty. The flag says whether it was there.
    pub(crate) fn section(&mut self, key: &'static str) -> (Section<'d, 't>, bool) {
        let (table, present) = match self.take(key).map(|value| (value.span(), value.into_inner()))
        {
            Some((_, DeValue::Table(table))) => (table, true),
            Some((span, _)) => {
                self.document.problem(Some(span), format!("\"{key}\" must be a section, [{key}]"));
                (DeTable::new(), true)
            }
            None => (DeTable::new(), false),
        };
        (Section { document: self.document, name: key, table }, present)
    }

    /// Takes a text and reads it with `parse`.
    pub(crate) fn text<T, E: Display>(
        &mut self,
        key: &'static str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        let value = self.take(key)?;
        match value.get_ref() {
            DeValue::String(text) => self.checked(key, &value, parse(text)),
            other => self.wrong_kind(key, &value, "a text in quotes", other),
        }
    }

    /// Takes a text or a list of texts and reads each with `parse`; an empty text is an empty list.
    pub(crate) fn list<T, E: Display>(
        &mut self,
        key: &'static str,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Option<Vec<T>> {
        let value = self.take(key)?;
        match value.get_ref() {
            DeValue::String(text) if text.is_empty() => Some(Vec::new()),
            DeValue::String(text) => self.checked(key, &value, parse(text)).map(|item| vec![item]),
            DeValue::Array(items) => {
                let mut list = Vec::with_capacity(items.len());
                for item in items.iter() {
                    list.push(match item.get_ref() {
                        DeValue::String(text) => self.checked(key, item, parse(text))?,
                        other => self.wrong_kind(key, item, "a list of texts", other)?,
                    });
                }
                Some(list)
            }
            other => self.wrong_kind(key, &value, "a text or a list of texts", other),
        }
    }

    /// Takes `true` or `false`.
    pub(crate) fn flag(&mut self, key: &'static str) -> Option<bool> {
        let value = self.take(key)?;
        match value.get_ref() {
            DeValue::Boolean(flag) => Some(*flag),
            other => self.wrong_kind(key, &value, "true or false", other),
        }
    }

    /// Takes a whole number within `range`.
    pub(crate) fn number(&mut self, key: &'static str, range: RangeInclusive<u64>) -> Option<u64> {
        let value = self.take(key)?;
        let DeValue::Integer(number) = value.get_ref() else {
            return self.wrong_kind(key, &value, "a whole number", value.get_ref());
        };
        match u64::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) if range.contains(&number) => Some(number),
            _ => {
                let (low, high) = (range.start(), range.end());
                let text = format!("{key} = {number}: must be between {low} and {high}");
                self.document.problem(Some(value.span()), text);
                None
            }
        }
    }

    /// Takes a size in octets: a whole number, or a text such as `"50 MiB"`.
    pub(crate) fn size(&mut self, key: &'static str, range: RangeInclusive<u64>) -> Option<u64> {
        if !self.table.get(key).is_some_and(|value| value.get_ref().is_str()) {
            return self.number(key, range);
        }
        self.text(key, |text| {
            let size = crate::values::size(text)?;
            if range.contains(&size) {
                return Ok(size);
            }
            Err(format!("must be between {} and {} bytes", range.start(), range.end()))
        })
    }

    /// Notes a missing key that has no default.
    pub(crate) fn missing(&self, key: &'static str, what: &str) {
        let wherein = match self.name {
            "" => String::new(),
            section => format!("in [{section}], "),
        };
        self.document.problem(None, format!("{wherein}\"{key}\" is missing: {what}"));
    }

    /// Whether a key is there and not yet taken.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// Closes the section: whatever nobody took is unknown.
    pub(crate) fn finish(self) {
        for (key, value) in self.table {
            self.document.left_over.borrow_mut().push(LeftOver {
                section: self.name,
                at: key.span().start,
                is_table: value.get_ref().is_table(),
                key: key.into_inner().into_owned(),
            });
        }
    }

    fn take(&mut self, key: &'static str) -> Option<Spanned<DeValue<'t>>> {
        self.document.known.borrow_mut().push(Known { section: self.name, key });
        self.table.remove(key)
    }

    fn checked<T, E: Display>(
        &self,
        key: &str,
        value: &Spanned<DeValue<'_>>,
        result: Result<T, E>,
    ) -> Option<T> {
        result
            .map_err(|error| {
                let shown = value.get_ref().as_str().unwrap_or_default().escape_debug();
                let text = format!("{key} = \"{shown}\": {error}");
                self.document.problem(Some(value.span()), text);
            })
            .ok()
    }

    fn wrong_kind<T>(
        &self,
        key: &str,
        value: &Spanned<DeValue<'_>>,
        wanted: &str,
        found: &DeValue<'_>,
    ) -> Option<T> {
        let text = format!("{key} must be {wanted}, not {}", kind(found));
        self.document.problem(Some(value.span()), text);
        None
    }
}

fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number with a point",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a section",
    }
}
