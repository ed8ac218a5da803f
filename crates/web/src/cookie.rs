//! Cookies that browsers take over TLS only and give to no script.

use axum::http::{HeaderMap, HeaderValue, header};

/// Cookies of one name that are looked at in one request.
const MOST: usize = 16;

/// A cookie by its name. Browsers never send it with requests that another site caused.
#[derive(Debug, Clone, Copy)]
pub struct Cookie {
    name: &'static str,
}

impl Cookie {
    /// A cookie for all paths of this host and no other: its name must begin with `__Host-`, which
    /// browsers take over TLS only, with the path `/` and without a domain (RFC 6265bis §4.1.3.2).
    ///
    /// # Panics
    /// When the name begins otherwise: at compile time, in a constant.
    pub const fn for_host(name: &'static str) -> Self {
        assert!(begins_with(name, b"__Host-"), "the name must begin with __Host-");
        Self { name }
    }

    /// A cookie that belongs to some paths: its name must begin with `__Secure-`, which browsers take
    /// over TLS only (RFC 6265bis §4.1.3.1).
    ///
    /// # Panics
    /// When the name begins otherwise: at compile time, in a constant.
    pub const fn for_paths(name: &'static str) -> Self {
        assert!(begins_with(name, b"__Secure-"), "the name must begin with __Secure-");
        Self { name }
    }

    /// The `Set-Cookie` value that gives the cookie `value`, for `path` and what is below it, until the
    /// browser ends. `value` is of [`random`](crate::random())'s making.
    pub fn set(&self, path: &str, value: &str) -> HeaderValue {
        self.header(path, value, "")
    }

    /// The `Set-Cookie` value that removes it.
    pub fn remove(&self, path: &str) -> HeaderValue {
        self.header(path, "", " Max-Age=0;")
    }

    fn header(&self, path: &str, value: &str, age: &str) -> HeaderValue {
        let name = self.name;
        let text = format!("{name}={value}; Path={path};{age} Secure; HttpOnly; SameSite=Strict");
        HeaderValue::from_str(&text).unwrap_or_else(|_| unreachable!("base64url in a cookie"))
    }

    /// The cookie's values in a request; there may be several, for different paths.
    pub fn values<'a>(&self, headers: &'a HeaderMap) -> impl Iterator<Item = &'a str> + use<'a> {
        let name = self.name;
        headers
            .get_all(header::COOKIE)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(';'))
            .filter_map(move |pair| pair.trim().strip_prefix(name)?.strip_prefix('='))
            .take(MOST)
    }

    /// The cookie's value in a request.
    pub fn value<'a>(&self, headers: &'a HeaderMap) -> Option<&'a str> {
        self.values(headers).next()
    }
}

const fn begins_with(name: &str, prefix: &[u8]) -> bool {
    let name = name.as_bytes();
    let mut at = 0;
    while at < prefix.len() {
        if at >= name.len() || name[at] != prefix[at] {
            return false;
        }
        at += 1;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    const COOKIE: Cookie = Cookie::for_host("__Host-test");

    #[test]
    fn a_cookie_is_found_among_others() {
        let mut headers = HeaderMap::new();
        headers.append(header::COOKIE, HeaderValue::from_static("a=b; __Host-test=one; c=d"));
        headers
            .append(header::COOKIE, HeaderValue::from_static("__Host-testing=no; __Host-test=two"));
        assert_eq!(COOKIE.values(&headers).collect::<Vec<_>>(), ["one", "two"]);
        assert_eq!(COOKIE.value(&HeaderMap::new()), None);
    }

    #[test]
    fn a_cookie_is_kept_from_scripts_and_clear_text() {
        assert_eq!(
            COOKIE.set("/", "x"),
            "__Host-test=x; Path=/; Secure; HttpOnly; SameSite=Strict"
        );
        assert_eq!(
            COOKIE.remove("/"),
            "__Host-test=; Path=/; Max-Age=0; Secure; HttpOnly; SameSite=Strict"
        );
    }
}
