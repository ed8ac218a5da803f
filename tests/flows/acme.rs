//! What the flows about certificates share: a practice whose Wardpost gets them from Pebble.

use crate::published::{start, without_files};
use serde_json::Value;
use std::process::{Command, Stdio};
use std::time::Duration;
use wardpost_tests::knot::{Proof, Zone};
use wardpost_tests::pebble::{DIRECTORY, Manners, Pebble, zone};
use wardpost_tests::wardpost::{HOSTNAME, Wardpost};
use wardpost_tests::{DOMAIN, Lab, Result, wait_for};

/// How long a certificate may take that is asked for at once.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A practice and its authority. Wardpost stops first.
pub(crate) struct Certified {
    pub(crate) wardpost: Wardpost,
    pub(crate) pebble: Pebble,
    pub(crate) lab: Lab,
}

impl Certified {
    /// A world with the authority running, and a Wardpost that knows it.
    pub(crate) fn open(manners: Manners) -> Result<Self> {
        Self::open_with(manners, "", |text| text)
    }

    /// The same, with more lines in `[acme]`, and `edit` applied to the configuration.
    pub(crate) fn open_with(
        manners: Manners,
        more: &str,
        edit: impl FnOnce(String) -> String,
    ) -> Result<Self> {
        let lab = world()?;
        let pebble = Pebble::start(&lab, manners)?;
        let wardpost = start(&lab, |text| edit(with_acme(&text, &lab, more)))?;
        Ok(Self { wardpost, pebble, lab })
    }

    /// Waits for the first certificate.
    pub(crate) fn certified(&self) -> Result<Value> {
        wait_for("a certificate", PATIENCE, || {
            let view = show(&self.wardpost).ok()?;
            view["acme"]["since"].is_string().then_some(view)
        })
        .map_err(|e| format!("{e}\n{}\n{}", self.wardpost.log(), self.pebble.log()).into())
    }

    /// Waits for a failure of this kind; what is said about it.
    pub(crate) fn failed(&self, kind: &str) -> Result<String> {
        failed(&self.wardpost, kind)
            .map_err(|e| format!("{e}\n{}\n{}", self.wardpost.log(), self.pebble.log()).into())
    }
}

/// Waits for a failure of this kind; what is said about it.
pub(crate) fn failed(wardpost: &Wardpost, kind: &str) -> Result<String> {
    let failure = wait_for("a failure", PATIENCE, || {
        let view = show(wardpost).ok()?;
        let failure = view["acme"]["last_failure"].clone();
        failure.is_object().then_some((failure, view))
    });
    let (failure, view) = failure?;
    if failure["kind"] != kind {
        return Err(format!("another failure than {kind}: {failure}").into());
    }
    if !view["acme"]["next_try"].is_string() || !view["self_signed"].is_boolean() {
        return Err(format!("nobody says when it is tried again: {view}").into());
    }
    let text = |name: &str| failure[name].as_str().unwrap_or_default().to_owned();
    if text("to_do").is_empty() {
        return Err(format!("nobody says what to do: {failure}").into());
    }
    Ok(text("says"))
}

/// A world in which the authority has a name.
pub(crate) fn world() -> Result<Lab> {
    Lab::start_with(|plan| {
        let authority = zone(plan);
        plan.zones.push(authority);
        Ok(())
    })
}

/// The configuration with an authority in place of files.
pub(crate) fn with_acme(text: &str, lab: &Lab, more: &str) -> String {
    format!(
        "{}\n[acme]\ndirectory = \"{DIRECTORY}\"\nextra_root = \"{}\"\n{more}\n",
        without_files(text),
        lab.ca.root.display()
    )
}

/// `wardpost tls show`.
pub(crate) fn show(wardpost: &Wardpost) -> Result<Value> {
    Ok(serde_json::from_str(&wardpost.cli(&["tls", "show", "--json"], "")?)?)
}

/// Whether a name is in the certificate.
pub(crate) fn has_name(view: &Value, name: &str) -> bool {
    view["names"].as_array().is_some_and(|names| names.iter().any(|known| known == name))
}

/// Puts names of services into the practice's zone that lead to the host.
pub(crate) fn lead_here(lab: &Lab, labels: &[&str]) -> Result<()> {
    let mut records =
        vec![format!("{HOSTNAME}. A {}", lab.host(10)), format!("{DOMAIN}. MX 10 {HOSTNAME}.")];
    records.extend(labels.iter().map(|label| format!("{label}.{DOMAIN}. CNAME {HOSTNAME}.")));
    lab.dns.change(&Zone::new(DOMAIN, Proof::Signed, &records))
}

/// The serial number of the certificate that port 993 shows.
pub(crate) fn serial(wardpost: &Wardpost) -> Result<String> {
    let output = Command::new("sh")
        .args([
            "-c",
            "openssl s_client -connect \"$0\" </dev/null 2>/dev/null | openssl x509 -noout -serial",
        ])
        .arg(wardpost.imaps().to_string())
        .stdin(Stdio::null())
        .output()?;
    let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    match said.starts_with("serial=") {
        true => Ok(said),
        false => Err(format!("no certificate: {}", String::from_utf8_lossy(&output.stderr)).into()),
    }
}
