//! Asking for secrets and for confirmation.

use crate::failure::Failure;
use std::io::{BufRead, IsTerminal, Write};
use wardpost_mail::Secret;

/// Longest line taken, in octets.
const MAX_LINE: usize = 4096;

/// Where secrets come from.
pub(crate) enum Source {
    /// Lines of standard input.
    Stdin,
    /// The terminal.
    Terminal,
}

impl Source {
    pub(crate) fn new(stdin: bool) -> Self {
        if stdin { Self::Stdin } else { Self::Terminal }
    }

    /// A secret that exists.
    pub(crate) fn secret(&self, prompt: &str) -> Result<Secret<String>, Failure> {
        match self {
            Self::Stdin => read_line(&mut std::io::stdin().lock()),
            Self::Terminal => ask(prompt),
        }
    }

    /// A new password: typed twice on a terminal, where a slip would go unseen.
    pub(crate) fn new_password(&self, prompt: &str) -> Result<Secret<String>, Failure> {
        let first = self.secret(prompt)?;
        if let Self::Terminal = self {
            let again = ask("The same again")?;
            if first.expose() != again.expose() {
                return Err(Failure::Failed(
                    "the two passwords differ; nothing was done".to_owned(),
                ));
            }
        }
        Ok(first)
    }
}

fn ask(prompt: &str) -> Result<Secret<String>, Failure> {
    rpassword::prompt_password(format!("{prompt}: ")).map(Secret::new).map_err(|error| {
        Failure::Usage(format!(
            "cannot ask for a password here ({error}); give it with --password-stdin"
        ))
    })
}

/// Reads one line without its end.
fn read_line(input: &mut impl BufRead) -> Result<Secret<String>, Failure> {
    let mut line = Secret::new(Vec::with_capacity(MAX_LINE));
    loop {
        let buffer = input.fill_buf().map_err(Failure::during("reading a password"))?;
        let end = buffer.iter().position(|octet| *octet == b'\n');
        let piece = &buffer[..end.unwrap_or(buffer.len())];
        if line.expose().len() + piece.len() > MAX_LINE {
            return Err(Failure::Failed("the password is too long".to_owned()));
        }
        line.expose_mut().extend_from_slice(piece);
        let (taken, finished) = (piece.len() + usize::from(end.is_some()), buffer.is_empty());
        input.consume(taken);
        if end.is_some() || finished {
            break;
        }
    }
    if line.expose().last() == Some(&b'\r') {
        line.expose_mut().pop();
    }
    if line.expose().is_empty() {
        return Err(Failure::Usage("standard input has no password (left)".to_owned()));
    }
    let text = String::from_utf8(line.expose().clone())
        .map_err(|_| Failure::Failed("the password is not UTF-8 text".to_owned()))?;
    Ok(Secret::new(text))
}

/// Asks for a yes on the terminal.
pub(crate) fn confirm(question: &str) -> Result<(), Failure> {
    if !std::io::stdin().is_terminal() {
        return Err(Failure::Usage(format!("{question} Say --yes if it is meant")));
    }
    eprint!("{question} Type yes: ");
    std::io::stderr().flush().map_err(Failure::during("asking"))?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer).map_err(Failure::during("asking"))?;
    if answer.trim() == "yes" {
        return Ok(());
    }
    Err(Failure::Failed("nothing was done".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_taken_one_by_one_as_they_are() {
        let mut input = &b"first pass phrase \r\nsecond\nlast"[..];
        for expected in ["first pass phrase ", "second", "last"] {
            assert_eq!(read_line(&mut input).unwrap().expose(), expected);
        }
        assert!(matches!(read_line(&mut input), Err(Failure::Usage(_))));
    }

    #[test]
    fn endless_and_broken_lines_are_refused() {
        assert!(read_line(&mut vec![b'x'; 5000].as_slice()).is_err());
        assert!(read_line(&mut &b"\xff\xfe\n"[..]).is_err());
        assert!(read_line(&mut &b"\n"[..]).is_err());
    }
}
