//! Which domains a rule is for.

use crate::error::PinError;
use std::fmt;
use std::str::FromStr;
use wardpost_mail::Domain;

/// Which domains a rule is for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Pattern {
    /// `*`: every domain.
    Any,
    /// `*.example`: every domain below this one, however deep, and not the domain itself.
    Below(Domain),
    /// One domain.
    Exactly(Domain),
}

impl Pattern {
    /// The patterns that cover a domain, the most specific first.
    pub(crate) fn that_cover(domain: &Domain) -> impl Iterator<Item = Self> + use<'_> {
        let mut rest = domain.as_str();
        let parents = std::iter::from_fn(move || {
            let (_, parent) = rest.split_once('.')?;
            rest = parent;
            Some(parent)
        });
        // What is left of a domain after its first labels is a domain.
        let below = parents.filter_map(|parent| Domain::parse(parent).ok()).map(Self::Below);
        [Self::Exactly(domain.clone())].into_iter().chain(below).chain([Self::Any])
    }

    /// Whether the rule reaches beyond one organisation: everybody, or all of a top-level domain.
    pub(crate) fn is_sweeping(&self) -> bool {
        match self {
            Self::Any => true,
            Self::Below(parent) => !parent.as_str().contains('.'),
            Self::Exactly(_) => false,
        }
    }
}

impl FromStr for Pattern {
    type Err = PinError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let domain = |text| Domain::parse(text).map_err(|_| PinError::Pattern);
        match text.strip_prefix("*.") {
            _ if text == "*" => Ok(Self::Any),
            Some(parent) => domain(parent).map(Self::Below),
            None => domain(text).map(Self::Exactly),
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("*"),
            Self::Below(parent) => write!(f, "*.{parent}"),
            Self::Exactly(domain) => domain.fmt(f),
        }
    }
}
