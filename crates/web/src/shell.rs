//! What stands around every page.

/// What stands around every page: the field `shell` of each template that extends `base.html`.
#[derive(Debug, Clone)]
pub struct Shell {
    /// The practice's name, or what takes its place while there is none.
    pub practice: String,
    /// Its telephone number.
    pub phone: Option<String>,
    /// The telephone number as a link takes it (RFC 3966).
    pub dial: String,
}

impl Shell {
    /// The frame of a practice's pages.
    pub fn new(practice: &str, phone: Option<&str>) -> Self {
        let dial = phone.unwrap_or_default().chars();
        let dial = dial.filter(|c| c.is_ascii_digit() || *c == '+').collect();
        Self { practice: practice.to_owned(), phone: phone.map(str::to_owned), dial }
    }
}
