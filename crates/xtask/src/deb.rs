//! `cargo xtask deb`: the Debian package, from a staged tree.
//!
//! What goes where is in tables ([`stage::UNITS`], [`OWN`]). Everything else is what Debian's policy asks for: control fields with
//! the libraries that the program really needs (dpkg-shlibdeps), checksums, changelog, copyright. Two builds of
//! one commit give the same file, as far as the program in it is the same.

use crate::{Failure, Outcome, cargo, stage};
use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Files of the repository that only the package has: source, target, mode.
const OWN: &[(&str, &str, u32)] = &[
    ("systemd/wardpost.preset", "usr/lib/systemd/system-preset/80-wardpost.preset", 0o644),
    ("systemd/wardpost.sysusers", "usr/lib/sysusers.d/wardpost.conf", 0o644),
    ("packaging/deb/copyright", "usr/share/doc/wardpost/copyright", 0o644),
    ("packaging/deb/wardpost.lintian-overrides", "usr/share/lintian/overrides/wardpost", 0o644),
    ("README.md", "usr/share/doc/wardpost/README.md", 0o644),
    ("config/wardpost.toml", "usr/share/doc/wardpost/examples/wardpost.toml", 0o644),
    ("packaging/deb/postinst", "DEBIAN/postinst", 0o755),
    ("packaging/deb/prerm", "DEBIAN/prerm", 0o755),
    ("packaging/deb/postrm", "DEBIAN/postrm", 0o755),
    ("packaging/deb/templates", "DEBIAN/templates", 0o644),
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
const MAINTAINER: &str = "Wardpost maintainers <maintainers@wardpost.example>";

/// Builds the package from the program that lies in the target directory; gives its path.
pub(crate) fn package() -> Result<PathBuf, Failure> {
    let root = crate::tidy::root()?;
    let home = cargo::target_dir().join("deb");
    // A folder of its own, so that two of us can work at once.
    let staging = home.join(format!("staging-{}", std::process::id()));
    let tree = staging.join("tree");
    let when = stage::commit_time(&root);
    let stage = Stage { root: &root, tree: &tree, when: &when };
    stage.program()?;
    stage::lay_out(stage::UNITS, &root, &tree)?;
    stage::lay_out(OWN, &root, &tree)?;
    for (from, to) in FOLDERS {
        stage::copy_folder(&root.join(from), &tree.join(to))?;
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
        let to = self.tree.join("usr/bin/wardpost");
        stage::make_folder(&self.tree.join("usr/bin"))?;
        let from = cargo::target_dir().join("release/wardpost");
        let mut strip = Command::new("strip");
        strip.args(["--strip-unneeded", "--remove-section=.comment", "-o"]).arg(&to).arg(&from);
        said(&mut strip)?;
        fs::set_permissions(&to, fs::Permissions::from_mode(0o755)).map_err(at(&to))
    }

    fn packed(&self, text: &str, to: &str) -> Outcome {
        self.write(to, &filtered(Command::new("gzip").args(["-9n"]), text.as_bytes())?, 0o644)
    }

    fn write(&self, to: &str, content: &[u8], mode: u32) -> Outcome {
        stage::write(&self.tree.join(to), content, mode)
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
        self.write("DEBIAN/control", control.as_bytes(), 0o644)
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
    move |error| stage::failure(path, &error)
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
        let output = child.wait_with_output().map_err(failure)?;
        match output.status.success() {
            true => Ok(output.stdout),
            false => Err(Failure::new(format!("gzip ended with {}", output.status))),
        }
    })
}
