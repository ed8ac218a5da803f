//! A browser without a screen: curl with a cookie jar.

use crate::wardpost::Wardpost;
use crate::{Lab, Result, run};
use std::path::{Path, PathBuf};
use std::process::Command;

/// One person's browser.
#[derive(Debug)]
pub struct Browser {
    jar: PathBuf,
    root: PathBuf,
    resolve: String,
}

/// What came back.
#[derive(Debug)]
pub struct Page {
    /// HTTP status after redirects.
    pub status: u16,
    /// Where the redirects led.
    pub url: String,
    /// The last answer's body.
    pub body: String,
}

impl Browser {
    /// A fresh browser that trusts the lab's authority and finds Wardpost's pages.
    ///
    /// # Errors
    /// When its folder cannot be made.
    pub fn new(lab: &Lab, wardpost: &Wardpost, name: &str) -> Result<Self> {
        let https = wardpost.https();
        Ok(Self {
            jar: lab.folder("browsers")?.join(name),
            root: lab.ca.root.clone(),
            resolve: format!("mail.clinic.test:{}:{}", https.port(), https.ip()),
        })
    }

    /// Opens a page, following redirects.
    ///
    /// # Errors
    /// When there is no answer.
    pub fn open(&self, url: &str) -> Result<Page> {
        self.request(&["--location"], url)
    }

    /// Asks for the headers only.
    ///
    /// # Errors
    /// When there is no answer.
    pub fn head(&self, url: &str) -> Result<Page> {
        self.request(&["--head"], url)
    }

    /// Posts a form.
    ///
    /// # Errors
    /// When there is no answer.
    pub fn post(&self, url: &str, fields: &[(&str, &str)]) -> Result<Page> {
        let mut words = vec!["--location".to_owned()];
        for (name, value) in fields {
            words.extend(["--data-urlencode".to_owned(), format!("{name}={value}")]);
        }
        self.request(&words.iter().map(String::as_str).collect::<Vec<_>>(), url)
    }

    /// Posts a form with files (`multipart/form-data`).
    ///
    /// # Errors
    /// When there is no answer.
    pub fn post_files(
        &self,
        url: &str,
        fields: &[(&str, &str)],
        files: &[(&str, &Path)],
    ) -> Result<Page> {
        let mut words = vec!["--location".to_owned()];
        for (name, value) in fields {
            words.extend(["--form-string".to_owned(), format!("{name}={value}")]);
        }
        for (name, path) in files {
            words.extend(["--form".to_owned(), format!("{name}=@{}", path.display())]);
        }
        self.request(&words.iter().map(String::as_str).collect::<Vec<_>>(), url)
    }

    fn request(&self, words: &[&str], url: &str) -> Result<Page> {
        const MARK: &str = "\n--wardpost-lab--";
        let said = run(Command::new("curl")
            .args(["--silent", "--show-error", "--max-time", "60"])
            .args(["--cookie".as_ref(), self.jar.as_os_str()])
            .args(["--cookie-jar".as_ref(), self.jar.as_os_str()])
            .args(["--cacert".as_ref(), self.root.as_os_str()])
            .args(["--resolve", &self.resolve])
            .args(["--write-out", &format!("{MARK}%{{http_code}} %{{url_effective}}")])
            .args(words)
            .arg(url))?;
        let (body, trailer) = said.rsplit_once(MARK).ok_or("curl said nothing")?;
        let (status, url) = trailer.split_once(' ').ok_or("curl gave no status")?;
        Ok(Page { status: status.parse()?, url: url.to_owned(), body: body.to_owned() })
    }
}

/// The first link in `text` that starts with `prefix`.
pub fn link(text: &str, prefix: &str) -> Option<String> {
    let start = text.find(prefix)?;
    let rest = &text[start..];
    let end = rest.find(|c: char| c.is_whitespace() || "\"<>)".contains(c)).unwrap_or(rest.len());
    Some(rest[..end].to_owned())
}

/// The first `dddd-dddd` in a text: the form that pickup codes have.
pub fn code(text: &str) -> Option<String> {
    let digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    (0..text.len().saturating_sub(8)).find_map(|i| {
        let word = text.get(i..i + 9)?;
        (digits(&word[..4]) && &word[4..5] == "-" && digits(&word[5..])).then(|| word.to_owned())
    })
}

/// Fills the code into the pickup page's form and sends it, hidden fields included.
///
/// # Errors
/// When there is no answer.
pub fn enter_code(browser: &Browser, page: &Page, code: &str) -> Result<Page> {
    let hidden = hidden_fields(&page.body);
    let mut fields: Vec<(&str, &str)> =
        hidden.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    fields.push(("code", code));
    browser.post(&page.url, &fields)
}

/// Every hidden form field of a page, by name and value.
pub fn hidden_fields(html: &str) -> Vec<(String, String)> {
    html.split("<input")
        .skip(1)
        .filter_map(|rest| rest.split('>').next())
        .filter(|tag| tag.contains("type=\"hidden\""))
        .filter_map(|tag| Some((attribute(tag, "name")?, attribute(tag, "value")?)))
        .collect()
}

fn attribute(tag: &str, name: &str) -> Option<String> {
    let value = tag.split(&format!("{name}=\"")).nth(1)?.split('"').next()?;
    Some(value.replace("&amp;", "&").replace("&#38;", "&"))
}

/// The attribute `name` of the first tag at or around `mark`: of the tag that contains it, or whose text it
/// is.
pub fn attribute_after(html: &str, mark: &str, name: &str) -> Option<String> {
    let at = html.find(mark)?;
    let needle = format!("{name}=\"");
    let before = html[..at].rfind("<a ").map(|start| &html[start..]);
    let from = if mark.is_empty() { html } else { before? };
    let value = from.split(&needle).nth(1)?.split('"').next()?;
    Some(value.replace("&amp;", "&"))
}
