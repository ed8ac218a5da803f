//! Runs systemd's tools.

use crate::Failure;
use std::process::{Command, Stdio};

/// Runs a tool to its end and gives what it printed; its complaints stand in the failure.
pub(crate) fn run(program: &str, args: &[&str]) -> Result<String, Failure> {
    let output = Command::new(program)
        .args(args)
        .stdin(Stdio::null())
        .output()
        .map_err(|e| format!("{program} did not start: {e}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let complaint = String::from_utf8_lossy(&output.stderr);
    Err(format!("{program}: {} ({})", complaint.trim(), output.status))
}

/// Whether the firmware, the kernel and the libraries all know of a TPM 2.0.
pub(crate) fn has_tpm() -> bool {
    run("systemd-analyze", &["has-tpm2"]).is_ok()
}
