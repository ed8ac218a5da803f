//! A report for people who read it on a terminal.

use crate::words::hanging;
use crate::{Finding, Report, State};
use std::fmt;

/// Widest line.
const WIDTH: usize = 100;
/// What stands before each line of a finding that needs words.
const INDENT: &str = "    ";

/// Grouped, worst first; what is good in one line each.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut first = true;
        for state in [State::Bad, State::Warning, State::Unknown, State::Good] {
            let group: Vec<&Finding> =
                self.findings.iter().filter(|finding| finding.state == state).collect();
            if group.is_empty() {
                continue;
            }
            if !first {
                writeln!(f)?;
            }
            first = false;
            writeln!(f, "{}", heading(state))?;
            for finding in group {
                one(f, finding)?;
            }
        }
        Ok(())
    }
}

fn heading(state: State) -> &'static str {
    match state {
        State::Bad => "BAD: mail is lost, late or unsafe until something is done",
        State::Warning => "WARNING: it works, but something should be done",
        State::Unknown => "UNKNOWN: it could not be found out, or does not apply yet",
        State::Good => "GOOD",
    }
}

fn one(f: &mut fmt::Formatter<'_>, finding: &Finding) -> fmt::Result {
    if finding.state == State::Good {
        return wrapped(f, "  ", INDENT, &format!("{}: {}", finding.title, finding.says));
    }
    wrapped(f, "  ", INDENT, &finding.title)?;
    wrapped(f, INDENT, INDENT, &finding.says)?;
    if !finding.to_do.is_empty() {
        wrapped(f, "    To do: ", "           ", &finding.to_do)?;
    }
    Ok(())
}

/// Writes words in lines of no more than [`WIDTH`] characters, save for words that are longer.
fn wrapped(f: &mut fmt::Formatter<'_>, first: &str, rest: &str, text: &str) -> fmt::Result {
    hanging(first, rest, text, WIDTH).iter().try_for_each(|line| writeln!(f, "{line}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(state: State, says: &str, to_do: &str) -> Finding {
        Finding {
            check: "clock".to_owned(),
            about: String::new(),
            title: "The clock".to_owned(),
            state,
            says: says.to_owned(),
            to_do: to_do.to_owned(),
        }
    }

    #[test]
    fn grouped_worst_first_and_wrapped() {
        let long = "word ".repeat(40);
        let report = Report {
            when: 0,
            findings: vec![
                finding(State::Good, "The clock is right.", ""),
                finding(State::Bad, &long, "Call somebody."),
                finding(State::Unknown, "Nobody knows.", ""),
            ],
        };
        let text = report.to_string();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "BAD: mail is lost, late or unsafe until something is done");
        assert_eq!(lines[1], "  The clock");
        assert_eq!(lines[2].len(), 4 + 19 * 5 - 1);
        assert!(text.contains("\n    To do: Call somebody.\n\nUNKNOWN"));
        assert!(text.ends_with("\nGOOD\n  The clock: The clock is right.\n"));
        assert!(lines.iter().all(|line| line.chars().count() <= WIDTH));
    }
}
