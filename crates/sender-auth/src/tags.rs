//! `name=value; …`: the form of DKIM signatures, DKIM keys and DMARC records (RFC 6376 §3.2).

/// The tags of a record, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tags(Vec<(String, String)>);

impl Tags {
    /// Reads what can be read; what is no tag is left out.
    pub(crate) fn parse(text: &[u8]) -> Self {
        let text = String::from_utf8_lossy(text);
        let tag = |part: &str| {
            let (name, value) = part.split_once('=')?;
            Some((name.trim().to_owned(), value.trim().to_owned()))
        };
        Self(text.split(';').filter_map(tag).collect())
    }

    /// The value of a tag. Names are case-sensitive.
    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The same without the white space that folding may put anywhere.
    pub(crate) fn compact(&self, name: &str) -> Option<String> {
        self.value(name).map(|value| value.split_ascii_whitespace().collect())
    }

    /// The first tag.
    pub(crate) fn first(&self) -> Option<(&str, &str)> {
        self.0.first().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Whether a tag stands twice, which makes a DKIM signature invalid (RFC 6376 §3.2).
    pub(crate) fn has_twins(&self) -> bool {
        let mut names: Vec<&str> = self.0.iter().map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        names.windows(2).any(|pair| pair[0] == pair[1])
    }

    /// Whether a colon-separated list holds one of these words; a list that is absent holds everything.
    pub(crate) fn allows(&self, name: &str, words: &[&str]) -> bool {
        self.value(name).is_none_or(|list| {
            list.split(':').any(|item| words.iter().any(|word| item.trim() == *word))
        })
    }
}
