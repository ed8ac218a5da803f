//! The rules of the house that a compiler does not check.
//!
//! - A crate uses only crates of lower floors (docs/architecture.md).
//! - Every crate takes the workspace's lints, which forbid `unsafe`.
//! - A Markdown link to a file leads to a file.
//! - Every crate appears in docs/architecture.md, and nothing there is missing from the tree.

use crate::{Failure, Outcome};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Which floor each crate stands on; the folder's name under `crates/`.
const FLOORS: &[(u8, &[&str])] = &[
    (0, &["mail"]),
    (1, &["message", "smtp", "imap-wire"]),
    (2, &["policy", "verdict", "keys", "health"]),
    (3, &["config", "store", "dns", "net"]),
    (
        4,
        &[
            "directory",
            "mailbox",
            "queue",
            "parcel",
            "signer",
            "smtp-io",
            "sts",
            "pins",
            "reports",
            "publish",
            "wall",
            "web",
        ],
    ),
    (
        5,
        &[
            "mx",
            "submission",
            "courier",
            "imap",
            "portal",
            "admin",
            "sender-auth",
            "checkup",
            "acme",
            "clients",
            "staff",
            "setup",
        ],
    ),
    (6, &["wardpost", "disk", "xtask"]),
];

pub(crate) fn run() -> Outcome {
    let root = root()?;
    let mut complaints = Vec::new();
    let floors: BTreeMap<&str, u8> =
        FLOORS.iter().flat_map(|(floor, names)| names.iter().map(move |n| (*n, *floor))).collect();
    let crates = folders(&root.join("crates"))?;
    for name in &crates {
        match floors.get(name.as_str()) {
            Some(&floor) => check_crate(&root, name, floor, &floors, &mut complaints)?,
            None => complaints.push(format!("crates/{name} stands on no floor: add it to tidy.rs")),
        }
    }
    for name in floors.keys().filter(|name| !crates.iter().any(|c| c == *name)) {
        complaints.push(format!("crates/{name} is on the list of floors but not in the tree"));
    }
    check_architecture_page(&root, &crates, &mut complaints)?;
    check_links(&root, &mut complaints)?;
    if complaints.is_empty() {
        eprintln!("xtask: tidy: {} crates stand where they should", crates.len());
        return Ok(());
    }
    Err(Failure::new(format!("tidy:\n  {}", complaints.join("\n  "))))
}

/// The checkout that we are in. Not the one that this program was compiled in: checkouts share a target directory.
pub(crate) fn root() -> Result<PathBuf, Failure> {
    let here = std::env::current_dir().map_err(|e| Failure::new(format!("this folder: {e}")))?;
    here.ancestors()
        .find(|folder| folder.join("crates/xtask/Cargo.toml").is_file())
        .map(Path::to_owned)
        .ok_or_else(|| Failure::new("run this in a checkout of Wardpost"))
}

fn check_crate(
    root: &Path,
    name: &str,
    floor: u8,
    floors: &BTreeMap<&str, u8>,
    complaints: &mut Vec<String>,
) -> Outcome {
    let manifest = read(&root.join("crates").join(name).join("Cargo.toml"))?;
    if !manifest.contains("[lints]\nworkspace = true") {
        complaints.push(format!("crates/{name} does not take the workspace's lints"));
    }
    for used in ours_in_dependencies(&manifest) {
        match floors.get(used.as_str()) {
            Some(&below) if below < floor => {}
            Some(&below) => complaints.push(format!(
                "crates/{name} (floor {floor}) uses {used} (floor {below}): only lower floors may be used"
            )),
            None => complaints.push(format!("crates/{name} uses {used}, which stands on no floor")),
        }
    }
    Ok(())
}

/// Our crates named in `[dependencies]` and `[build-dependencies]`. What tests use is their own affair.
fn ours_in_dependencies(manifest: &str) -> Vec<String> {
    let mut section = "";
    let mut names = Vec::new();
    for line in manifest.lines().map(str::trim) {
        if line.starts_with('[') {
            section = line;
        } else if section.ends_with("dependencies]")
            && section != "[dev-dependencies]"
            && let Some(rest) = line.strip_prefix("wardpost-")
        {
            names.extend(rest.split(['.', ' ', '=']).next().map(str::to_owned));
        }
    }
    names
}

fn check_architecture_page(
    root: &Path,
    crates: &[String],
    complaints: &mut Vec<String>,
) -> Outcome {
    let page = read(&root.join("docs/architecture.md"))?;
    for name in crates {
        if !page.contains(&format!("`{name}`")) {
            complaints.push(format!("docs/architecture.md does not name `{name}`"));
        }
    }
    Ok(())
}

/// Every relative link in a Markdown file leads somewhere.
fn check_links(root: &Path, complaints: &mut Vec<String>) -> Outcome {
    for file in markdown_files(root)? {
        let text = read(&file)?;
        let folder = file.parent().unwrap_or(root);
        for target in links(&text) {
            let path = target.split('#').next().unwrap_or_default();
            if !path.is_empty() && !path.contains("://") && !folder.join(path).exists() {
                let shown = file.strip_prefix(root).unwrap_or(&file).display();
                complaints.push(format!("{shown} links to {target}, which is not there"));
            }
        }
    }
    Ok(())
}

fn links(text: &str) -> impl Iterator<Item = &str> {
    text.split("](")
        .skip(1)
        .filter_map(|rest| rest.split(')').next())
        .filter(|target| !target.contains(char::is_whitespace) && !target.starts_with("mailto:"))
}

fn markdown_files(root: &Path) -> Result<Vec<PathBuf>, Failure> {
    let mut found = Vec::new();
    let mut waiting = vec![root.to_owned()];
    while let Some(folder) = waiting.pop() {
        for entry in fs::read_dir(&folder).map_err(|e| unreadable(&folder, &e))?.flatten() {
            let path = entry.path();
            let name = entry.file_name();
            if path.is_dir() {
                if name != "target" && name != ".git" {
                    waiting.push(path);
                }
            } else if path.extension().is_some_and(|e| e == "md") {
                found.push(path);
            }
        }
    }
    Ok(found)
}

fn folders(path: &Path) -> Result<Vec<String>, Failure> {
    let mut names: Vec<String> = fs::read_dir(path)
        .map_err(|e| unreadable(path, &e))?
        .flatten()
        .filter(|entry| entry.path().join("Cargo.toml").exists())
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    names.sort();
    Ok(names)
}

fn read(path: &Path) -> Result<String, Failure> {
    fs::read_to_string(path).map_err(|e| unreadable(path, &e))
}

fn unreadable(path: &Path, e: &std::io::Error) -> Failure {
    Failure::new(format!("{}: {e}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tree_is_tidy() {
        run().unwrap_or_else(|failure| panic!("{failure}"));
    }

    #[test]
    fn a_dependency_upwards_is_found() {
        let manifest = "[dependencies]\nwardpost-mx.workspace = true\nserde.workspace = true\n\
                        [dev-dependencies]\nwardpost-imap.workspace = true\n";
        assert_eq!(ours_in_dependencies(manifest), ["mx"]);
    }

    #[test]
    fn links_are_found_and_mail_addresses_left_alone() {
        let found: Vec<&str> = links("[a](b.md#c) ![i](d.png) [m](mailto:x@y.test)").collect();
        assert_eq!(found, ["b.md#c", "d.png"]);
    }
}
