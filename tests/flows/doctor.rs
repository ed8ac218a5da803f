//! What the flows about the doctor share: asking it, and reading what it says.

use wardpost_tests::Result;
use wardpost_tests::wardpost::Wardpost;

/// What an examination found.
#[derive(Debug)]
pub(crate) struct Found(serde_json::Value);

impl Found {
    /// The findings of a check: state, sentence, what to do.
    pub(crate) fn of(&self, check: &str) -> Vec<(&str, &str, &str)> {
        let findings = self.0["findings"].as_array().map(Vec::as_slice).unwrap_or_default();
        let of_check = findings.iter().filter(|finding| finding["check"] == check);
        of_check
            .map(|finding| {
                let text = |name: &str| finding[name].as_str().unwrap_or_default();
                (text("state"), text("says"), text("to_do"))
            })
            .collect()
    }
}

/// Examines. The exit code must say whether something is bad.
pub(crate) fn examine(wardpost: &Wardpost, words: &[&str]) -> Result<Found> {
    let words = [&["doctor", "--json"], words].concat();
    let output = wardpost.cli_output(&words, "")?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let complained = String::from_utf8_lossy(&output.stderr).into_owned();
    let report: serde_json::Value = serde_json::from_str(&said)
        .map_err(|e| format!("{e}: {said}{complained}\n{}", wardpost.log()))?;
    let findings = report["findings"].as_array().ok_or("no findings")?;
    let bad = findings.iter().any(|finding| finding["state"] == "bad");
    if output.status.code() != Some(i32::from(bad)) || !complained.is_empty() {
        return Err(format!("{}: {said}{complained}", output.status).into());
    }
    for finding in findings {
        let text = |name: &str| finding[name].as_str().unwrap_or_default();
        let needs_words = ["bad", "warning"].contains(&text("state"));
        if text("says").is_empty()
            || text("title").is_empty()
            || (needs_words && text("to_do").is_empty())
        {
            return Err(format!("a finding without words: {finding}").into());
        }
    }
    Ok(Found(report))
}
