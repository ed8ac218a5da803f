//! `cargo xtask deb`: the Debian package, from a staged tree.
//!
//! What goes where is one table ([`PLACES`]). Everything else is what Debian's policy asks for: control fields with
//! the libraries that the program really needs (dpkg-shlibdeps), checksums, changelog, copyright. Two builds of
//! one commit give the same file, as far as the program in it is the same.

use crate::{Failure, Outcome, cargo};
use std::fs;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Files of the repository and where they go: source, target (a final slash: into that folder), mode.
const PLACES: &[(&str, &str, u32)] = &[
    ("systemd/wardpost.service", "usr/lib/systemd/system/", 0o644),
    ("systemd/wardpost-system-key.service", "usr/lib/systemd/system/", 0o644),
    ("systemd/wardpost-console@.service", "usr/lib/systemd/system/", 0o644),
    ("systemd/wardpost-firewall.service", "usr/lib/systemd/system/", 0o644),
    ("systemd/wardpost.preset", "usr/lib/systemd/system-preset/80-wardpost.preset", 0o644),
    ("systemd/wardpost.sysusers", "usr/lib/sysusers.d/wardpost.conf", 0o644),
    ("systemd/wardpost.tmpfiles", "usr/lib/tmpfiles.d/wardpost.conf", 0o644),
    ("systemd/system-key", "usr/lib/wardpost/", 0o755),
    ("systemd/firewall.nft", "usr/lib/wardpost/", 0o644),
    ("packaging/deb/copyright", "usr/share/doc/wardpost/", 0o644),
    ("packaging/deb/wardpost.lintian-overrides", "usr/share/lintian/overrides/wardpost", 0o644),
    ("README.md", "usr/share/doc/wardpost/", 0o644),
    ("config/wardpost.toml", "usr/share/doc/wardpost/examples/", 0o644),
];
/// Whole folders, in which every file is readable by all.
const FOLDERS: &[(&str, &str)] = &[
    ("docs", "usr/share/doc/wardpost/docs"),
    ("config/prometheus", "usr/share/doc/wardpost/examples/prometheus"),
    ("config/grafana", "usr/share/doc/wardpost/examples/grafana"),
];
/// Files that are packed with gzip, as policy wants it.
const PACKED: &[(&str, &str)] = &[
    ("CHANGELOG.md", "usr/share/doc/wardpost/changelog.gz"),
    ("LICENSE", "usr/share/doc/wardpost/LICENSE.gz"),
    ("packaging/deb/wardpost.8", "usr/share/man/man8/wardpost.8.gz"),
];
const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), "-1");
const MAINTAINER: &str = "Wardpost maintainers <maintainers@users.noreply.h-seed-2a8bf760.example>";

/// Builds the package from the program that lies in the target directory; gives its path.
pub(crate) fn package() -> Result<PathBuf, Failure> {
    let root = crate::tidy::root()?;
    let home = cargo::target_dir().join("deb");
    // A folder of its own, so that two of us can work at once.
    let staging = home.join(format!("staging-{}", std::process::id()));
    let tree = staging.join("tree");
    let when = said(Command::new("git").args(["log", "-1", "--format=%ct"]).current_dir(&root))?;
    let stage = Stage { root: &root, tree: &tree, when: when.trim() };
    stage.program()?;
    for (from, to, mode) in PLACES {
        stage.file(&root.join(from), to, *mode)?;
    }
    for (from, to) in FOLDERS {
        stage.folder(&root.join(from), to)?;
    }
    for (from, to) in PACKED {
        stage.packed(&read(&root.join(from))?, to)?;
    }
    stage.packed(&stage.changelog()?, "usr/share/doc/wardpost/changelog.Debian.gz")?;
    stage.control()?;
    let architecture = architecture()?;
    let name = format!("wardpost_{VERSION}_{architecture}.deb");
    let (new, package) = (staging.join(&name), home.join(&name));
    let mut build = Command::new("dpkg-deb");
    build.args(["--root-owner-group", "-Zxz", "--build"]).arg(&tree).arg(&new);
    said(build.env("SOURCE_DATE_EPOCH", stage.when))?;
    fs::rename(&new, &package).map_err(at(&package))?;
    fs::remove_dir_all(&staging).map_err(at(&staging))?;
    Ok(package)
}

/// Complains about what lintian calls an error or a warning.
pub(crate) fn lint(package: &Path) -> Outcome {
    let mut lintian = Command::new("lintian");
    lintian.args(["--allow-root", "--tag-display-limit", "0", "--fail-on", "error,warning"]);
    said(lintian.arg(package)).map(|text| eprint!("{text}"))
}

struct Stage<'a> {
    root: &'a Path,
    tree: &'a Path,
    /// When the commit was made, Unix seconds: the time of everything in the package.
    when: &'a str,
}

impl Stage<'_> {
    /// The program without its symbol table, which makes up a third of it.
    fn program(&self) -> Outcome {
        let to = self.place("usr/bin/wardpost")?;
        let from = cargo::target_dir().join("release/wardpost");
        let mut strip = Command::new("strip");
        strip.args(["--strip-unneeded", "--remove-section=.comment", "-o"]).arg(&to).arg(&from);
        said(&mut strip)?;
        fs::set_permissions(&to, fs::Permissions::from_mode(0o755)).map_err(at(&to))
    }

    fn file(&self, from: &Path, to: &str, mode: u32) -> Outcome {
        let name = from.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let to = if to.ends_with('/') { format!("{to}{name}") } else { to.to_owned() };
        self.write(&to, &fs::read(from).map_err(at(from))?, mode)
    }

    fn folder(&self, from: &Path, to: &str) -> Outcome {
        for entry in fs::read_dir(from).map_err(at(from))?.flatten() {
            let path = entry.path();
            let name = entry.file_name().to_string_lossy().into_owned();
            let to = format!("{to}/{name}");
            if path.is_dir() {
                self.folder(&path, &to)?;
            } else {
                self.file(&path, &to, 0o644)?;
            }
        }
        Ok(())
    }

    fn packed(&self, text: &str, to: &str) -> Outcome {
        self.write(to, &filtered(Command::new("gzip").args(["-9n"]), text.as_bytes())?, 0o644)
    }

    fn write(&self, to: &str, content: &[u8], mode: u32) -> Outcome {
        let path = self.place(to)?;
        fs::write(&path, content).map_err(at(&path))?;
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).map_err(at(&path))
    }

    /// The path in the tree, its folder made.
    fn place(&self, to: &str) -> Result<PathBuf, Failure> {
        let path = self.tree.join(to);
        let folder = path.parent().unwrap_or(self.tree);
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true).mode(0o755).create(folder).map_err(at(folder))?;
        Ok(path)
    }

    /// Policy §4.4's form; what changed is in the project's own changelog.
    fn changelog(&self) -> Result<String, Failure> {
        let date = said(Command::new("date").args(["-R", "-u", "-d", &format!("@{}", self.when)]))?;
        Ok(format!(
            "wardpost ({VERSION}) unstable; urgency=medium\n\n  * See changelog.gz.\n\n \
             -- {MAINTAINER}  {}\n",
            date.trim()
        ))
    }

    /// `DEBIAN/`: what dpkg reads.
    fn control(&self) -> Outcome {
        let sums = "find usr -type f -print0 | LC_ALL=C sort -z | xargs -0 md5sum";
        let sums = said(Command::new("sh").args(["-c", sums]).current_dir(self.tree))?;
        self.write("DEBIAN/md5sums", sums.as_bytes(), 0o644)?;
        let size = said(Command::new("du").args(["-sk", "--exclude=DEBIAN"]).arg(self.tree))?;
        let control = read(&self.root.join("packaging/deb/control"))?
            .replace("@VERSION@", VERSION)
            .replace("@ARCHITECTURE@", &architecture()?)
            .replace("@SIZE@", size.split_whitespace().next().unwrap_or("0"))
            .replace("@DEPENDS@", &self.libraries()?);
        self.write("DEBIAN/control", control.as_bytes(), 0o644)?;
        let scripts =
            [("postinst", 0o755), ("prerm", 0o755), ("postrm", 0o755), ("templates", 0o644)];
        for (name, mode) in scripts {
            let from = self.root.join("packaging/deb").join(name);
            self.file(&from, "DEBIAN/", mode)?;
        }
        Ok(())
    }

    /// The packages that hold the libraries the program is linked to, with the versions it needs.
    fn libraries(&self) -> Result<String, Failure> {
        let beside = self.tree.with_file_name("shlibdeps");
        let debian = beside.join("debian");
        fs::create_dir_all(&debian).map_err(at(&debian))?;
        let file = debian.join("control");
        fs::write(&file, "Source: wardpost\n\nPackage: wardpost\nArchitecture: any\n")
            .map_err(at(&file))?;
        let mut find = Command::new("dpkg-shlibdeps");
        find.arg("-O").arg(self.tree.join("usr/bin/wardpost")).current_dir(&beside);
        let found = said(&mut find)?;
        let depends = found.trim().strip_prefix("shlibs:Depends=").map(str::to_owned);
        depends.ok_or_else(|| Failure::new(format!("dpkg-shlibdeps said: {found}")))
    }
}

fn architecture() -> Result<String, Failure> {
    let text = said(Command::new("dpkg").arg("--print-architecture"))?;
    Ok(text.trim().to_owned())
}

fn read(path: &Path) -> Result<String, Failure> {
    fs::read_to_string(path).map_err(at(path))
}

fn at(path: &Path) -> impl FnOnce(std::io::Error) -> Failure {
    let path = path.display().to_string();
    move |error| Failure::new(format!("{path}: {error}"))
}

/// Runs a command and gives what it said.
fn said(command: &mut Command) -> Result<String, Failure> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output =
        command.output().map_err(|e| Failure::new(format!("{name} did not start: {e}")))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(text);
    }
    let complaint = String::from_utf8_lossy(&output.stderr);
    Err(Failure::new(format!("{name} ended with {}:\n{text}{complaint}", output.status)))
}

/// What a command makes of `input`.
fn filtered(command: &mut Command, input: &[u8]) -> Result<Vec<u8>, Failure> {
    let failure = |e: std::io::Error| Failure::new(format!("gzip: {e}"));
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().map_err(failure)?;
    let stdin = child.stdin.take();
    // Written aside: a pipe that is full on both ends would wait for ever.
    std::thread::scope(|scope| {
        scope.spawn(move || stdin.map(|mut stdin| stdin.write_all(input)));
        child.wait_with_output().map(|output| output.stdout).map_err(failure)
    })
}
