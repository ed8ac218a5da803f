//! The program as its users meet it: exit codes and words.

// A test that cannot go on says so by panicking.
#![allow(clippy::unwrap_used)]

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

struct Place {
    directory: tempfile::TempDir,
}

impl Place {
    fn new(configuration: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("wardpost.toml"), configuration).unwrap();
        Self { directory }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn run(&self, arguments: &[&str], input: &str) -> Output {
        let mut child = Command::new(env!("CARGO_BIN_EXE_wardpost"))
            .args(arguments)
            .arg("--config")
            .arg(self.path("wardpost.toml"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // A command that fails early does not read its input.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        child.wait_with_output().unwrap()
    }
}

fn said(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

const LEAST: &str = "hostname = \"mail.clinic.test\"\ndomain = \"clinic.test\"\ndata_dir = \"data\"\n\
                     [keys]\nsystem_key_file = \"system.key\"\n";

#[test]
fn a_mistake_in_the_configuration_is_wrong_usage_and_told_by_line() {
    let place = Place::new("hostnme = \"mail.clinic.test\"\ndomain = \"clinic.test\"\n");
    for command in [&["check"][..], &["serve"], &["account", "list"]] {
        let output = place.run(command, "");
        assert_eq!(output.status.code(), Some(2), "{command:?}");
        let expected = "wardpost.toml:1: unknown key \"hostnme\" before the first section; did you \
                        mean \"hostname\"?";
        assert!(said(&output).contains(expected), "{}", said(&output));
    }
}

#[test]
fn a_configuration_that_is_not_there_is_wrong_usage() {
    let place = Place::new(LEAST);
    std::fs::remove_file(place.path("wardpost.toml")).unwrap();
    let output = place.run(&["check"], "");
    assert_eq!(output.status.code(), Some(2));
    assert!(said(&output).contains("cannot read the configuration"));
}

#[test]
fn a_daemon_that_is_not_running_is_a_failure_before_any_password_is_asked_for() {
    let place = Place::new(LEAST);
    let output = place.run(&["account", "add", "dana@clinic.test"], "");
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("the Wardpost daemon is not running"), "{}", said(&output));
}

#[test]
fn check_says_fine_or_everything_that_is_wrong() {
    let place = Place::new(LEAST);
    assert_eq!(place.run(&["check"], "").status.code(), Some(0));

    let tls = "[tls]\ncertificate = \"c.pem\"\nprivate_key = \"k.pem\"\n\
               [transport]\nextra_roots = \"r.pem\"\n";
    let place = Place::new(&format!("{LEAST}{tls}"));
    let output = place.run(&["check"], "");
    assert_eq!(output.status.code(), Some(1));
    assert!(
        said(&output).contains("c.pem") && said(&output).contains("r.pem"),
        "{}",
        said(&output)
    );
}

#[test]
fn check_says_what_is_wrong_with_a_trust_anchor() {
    let place = Place::new(&format!("{LEAST}[dns]\ntrust_anchor = \"root.key\"\n"));
    let output = place.run(&["check"], "");
    assert_eq!(output.status.code(), Some(1));
    assert!(
        said(&output).contains("root.key: the trust anchor cannot be read"),
        "{}",
        said(&output)
    );
    std::fs::write(place.path("root.key"), "; ours\n. IN A 127.0.0.1\n").unwrap();
    let output = place.run(&["check"], "");
    assert_eq!(output.status.code(), Some(1));
    let mistake = "line 2 of the trust anchor: \"A\" is neither DNSKEY nor DS";
    assert!(said(&output).contains(mistake), "{}", said(&output));
    let digest = "00".repeat(32);
    std::fs::write(place.path("root.key"), format!(". IN DS 4711 13 2 {digest}\n")).unwrap();
    assert_eq!(place.run(&["check"], "").status.code(), Some(0));
}

#[test]
fn a_lost_key_is_refused_and_nothing_is_touched() {
    let place = Place::new(LEAST);
    std::fs::create_dir(place.path("data")).unwrap();
    std::fs::write(place.path("data/CURRENT"), "x").unwrap();
    for command in ["check", "serve", "setup"] {
        let output = place.run(&[command], "");
        assert_eq!(output.status.code(), Some(1), "{command}");
        assert!(said(&output).contains("Nothing was touched"), "{}", said(&output));
    }
    assert!(!place.path("system.key").exists());
    assert_eq!(names(&place.path("data")), ["CURRENT"]);
}

#[test]
fn a_port_in_use_is_named_with_a_way_to_find_who_has_it() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let listen = format!(
        "[listen]\nmx = \"{address}\"\nsubmission = \"\"\nsubmissions = \"\"\nimaps = \"\"\n\
         https = \"\"\nhttp = \"\"\nmetrics = \"\"\n"
    );
    let place = Place::new(&format!("{LEAST}{listen}"));
    let output = place.run(&["serve"], "");
    assert_eq!(output.status.code(), Some(1));
    let text = said(&output);
    assert!(text.contains(&address.to_string()) && text.contains("ss -ltnp"), "{text}");
    assert!(!place.path("data/admin.sock").exists());
}

#[test]
fn a_new_system_key_opens_what_the_old_one_did_and_the_old_one_no_longer_does() {
    let place = Place::new(LEAST);
    let output = place.run(&["setup"], "");
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert!(said(&output).contains("recovery kit"));
    let new = place.path("new.key");
    let output = place.run(&["rotate-system-key", new.to_str().unwrap()], "");
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));

    assert_eq!(place.run(&["setup"], "").status.code(), Some(1));
    std::fs::rename(&new, place.path("system.key")).unwrap();
    let output = place.run(&["setup"], "");
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert!(said(&output).contains("everything was set up before"), "{}", said(&output));
}

fn names(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}
