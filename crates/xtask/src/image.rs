//! `cargo xtask image`: the appliance, from the declarations in `image/` and the units in `systemd/`.
//!
//! Everything happens in a folder beside the target directory: `stage` is what goes into the image besides
//! Debian's packages, `keys` what it is signed with, `out` the result.

use crate::tools::{Tools, failure};
use crate::{Failure, Outcome, cargo, packages};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

/// Files of `systemd/`, and where they go (systemd/README.md).
const UNITS: &[(&str, &str)] = &[
    ("wardpost.service", "usr/lib/systemd/system/wardpost.service"),
    ("wardpost-system-key.service", "usr/lib/systemd/system/wardpost-system-key.service"),
    ("wardpost-console@.service", "usr/lib/systemd/system/wardpost-console@.service"),
    ("wardpost-firewall.service", "usr/lib/systemd/system/wardpost-firewall.service"),
    ("firewall.nft", "usr/lib/wardpost/firewall.nft"),
    ("system-key", "usr/lib/wardpost/system-key"),
    ("wardpost.tmpfiles", "usr/lib/tmpfiles.d/wardpost.conf"),
    ("appliance/wardpost.sysusers", "usr/lib/sysusers.d/wardpost.conf"),
    (
        "appliance/wardpost.service.d/10-appliance.conf",
        "usr/lib/systemd/system/wardpost.service.d/10-appliance.conf",
    ),
];

/// What the command line may say.
#[derive(Default)]
pub(crate) struct Options {
    /// A folder with a release's keys, instead of those made for development.
    keys: Option<PathBuf>,
    /// A folder with programs that were built before, instead of building them.
    programs: Option<PathBuf>,
    /// Begin with the packages that the build before installed, though Debian may have newer ones.
    quick: bool,
    /// Of the test: everything, not only what every change is checked with.
    all: bool,
}

impl Options {
    /// Reads `--keys DIR`, `--programs DIR`, `--quick` and `--all`.
    pub(crate) fn read(words: &[&str]) -> Option<Self> {
        let mut options = Self::default();
        let mut words = words.iter();
        while let Some(word) = words.next() {
            match *word {
                "--keys" => options.keys = Some(words.next()?.into()),
                "--programs" => options.programs = Some(words.next()?.into()),
                "--quick" => options.quick = true,
                "--all" => options.all = true,
                _ => return None,
            }
        }
        Some(options)
    }
}

/// Builds the image, boots it in a virtual machine and checks what a practice relies on.
pub(crate) fn test(options: &Options) -> Outcome {
    packages::install(packages::TEST)?;
    // All of it: single packages would be built with other features, and RocksDB perhaps once more.
    cargo::run(&["build", "--workspace"])?;
    let image = build(options)?;
    let tools = Tools::ready()?;
    let (tree, folder) = (tools.tree().display().to_string(), Tools::folder().join("test"));
    let (image, folder) = (image.display().to_string(), folder.display().to_string());
    let mut words = vec!["--tools", &tree, "--image", &image, "--folder", &folder];
    if options.all {
        words.push("--all");
    }
    cargo::run_program("wardpost-image-test", &words)
}

/// Builds the programs and then the image; gives the one for hypervisors.
pub(crate) fn build(options: &Options) -> Result<PathBuf, Failure> {
    if fs::metadata("/proc/self").is_ok_and(|me| me.uid() != 0) {
        return Err(Failure::new("the image's tools need root: run this as root"));
    }
    packages::install(packages::BUILD)?;
    if options.programs.is_none() {
        cargo::run(&["build", "--workspace"])?;
    }
    let start = Instant::now();
    let tools = Tools::ready()?;
    let work = Tools::folder();
    let built = cargo::target_dir().join("release");
    stage(&work, options.programs.as_deref().unwrap_or(&built))?;
    let (keys, _lent) = sign_with(&tools, &work, options.keys.as_deref())?;
    let version = env!("CARGO_PKG_VERSION");
    mkosi(&tools, &work, version, keys, options.quick)?;
    let qcow2 = pack(&tools, &work, version)?;
    tell(&work, version, start)?;
    Ok(qcow2)
}

/// Lays out what goes into the image besides Debian's packages.
fn stage(work: &Path, programs: &Path) -> Outcome {
    let stage = work.join("stage");
    if stage.exists() {
        fs::remove_dir_all(&stage).map_err(|e| failure(&stage, &e))?;
    }
    for (from, to) in UNITS {
        let mode = if *from == "system-key" { 0o755 } else { 0o644 };
        put(&Path::new("systemd").join(from), &stage.join(to), mode)?;
    }
    put(&programs.join("wardpost"), &stage.join("usr/bin/wardpost"), 0o755)?;
    put(&programs.join("wardpost-disk"), &stage.join("usr/lib/wardpost/wardpost-disk"), 0o755)?;
    let mut strip = Command::new("strip");
    strip.arg("--strip-all");
    strip.arg(stage.join("usr/bin/wardpost")).arg(stage.join("usr/lib/wardpost/wardpost-disk"));
    cargo::checked(strip)?;
    let declarations = work.join("declarations");
    if declarations.exists() {
        fs::remove_dir_all(&declarations).map_err(|e| failure(&declarations, &e))?;
    }
    copy_folder(Path::new("image"), &declarations)
}

fn put(from: &Path, to: &Path, mode: u32) -> Outcome {
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder).map_err(|e| failure(folder, &e))?;
    }
    fs::copy(from, to).map_err(|e| failure(from, &e))?;
    fs::set_permissions(to, fs::Permissions::from_mode(mode)).map_err(|e| failure(to, &e))
}

/// Copies files with the modes that the image wants: a checkout's may be narrower.
fn copy_folder(from: &Path, to: &Path) -> Outcome {
    fs::create_dir_all(to).map_err(|e| failure(to, &e))?;
    fs::set_permissions(to, fs::Permissions::from_mode(0o755)).map_err(|e| failure(to, &e))?;
    for entry in fs::read_dir(from).map_err(|e| failure(from, &e))? {
        let entry = entry.map_err(|e| failure(from, &e))?;
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() {
            copy_folder(&path, &target)?;
        } else {
            put(&path, &target, 0o644)?;
        }
    }
    Ok(())
}

/// A release's own signing keys while they are used: gone from the work folder when this ends, so that no
/// later build signs with them.
struct Lent(PathBuf);

impl Drop for Lent {
    fn drop(&mut self) {
        // Not there is gone, too.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// What the signing keys are called.
const KEYS: [&str; 4] = ["boot.key", "boot.crt", "pcr.key", "pcr.crt"];

/// Puts the signing keys where mkosi can read them: a release's own for as long as the answer lives, or a
/// pair made for development. The answer names their folder within the work folder.
fn sign_with(
    tools: &Tools,
    work: &Path,
    given: Option<&Path>,
) -> Result<(&'static str, Option<Lent>), Failure> {
    if let Some(given) = given {
        let lent = Lent(work.join("release-keys"));
        for name in KEYS {
            put(&given.join(name), &lent.0.join(name), 0o600)?;
        }
        return Ok(("release-keys", Some(lent)));
    }
    let keys = work.join("keys");
    fs::create_dir_all(&keys).map_err(|e| failure(&keys, &e))?;
    for name in ["boot", "pcr"] {
        if keys.join(format!("{name}.crt")).exists() {
            continue;
        }
        let mut openssl = tools.command(work, "openssl");
        openssl.args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "3650", "-sha256"]);
        openssl.arg("-subj").arg(format!("/CN=Wardpost development ({name})/"));
        openssl.arg("-keyout").arg(format!("keys/{name}.key"));
        openssl.arg("-out").arg(format!("keys/{name}.crt"));
        cargo::checked(openssl)?;
    }
    Ok(("keys", None))
}

fn mkosi(tools: &Tools, work: &Path, version: &str, keys: &str, quick: bool) -> Outcome {
    for folder in ["out", "packages", "space", "cache"] {
        let folder = work.join(folder);
        fs::create_dir_all(&folder).map_err(|e| failure(&folder, &e))?;
    }
    let mut mkosi = tools.command(work, "mkosi");
    mkosi.args(["--directory", "declarations", "--force", "--image-version", version]);
    mkosi.args(["--extra-tree", "/srv/stage", "--output-directory", "/srv/out"]);
    mkosi.args(["--package-cache-dir", "/srv/packages", "--workspace-directory", "/srv/space"]);
    mkosi.args(["--source-date-epoch", &commit_time()]);
    if quick {
        mkosi.args(["--incremental", "yes", "--cache-directory", "/srv/cache"]);
    }
    for (option, file) in [
        ("--secure-boot-key", "boot.key"),
        ("--secure-boot-certificate", "boot.crt"),
        ("--sign-expected-pcr-key", "pcr.key"),
        ("--sign-expected-pcr-certificate", "pcr.crt"),
    ] {
        mkosi.arg(option).arg(format!("/srv/{keys}/{file}"));
    }
    cargo::checked(mkosi)
}

/// The time stamp of all files in the image: that of the commit it is made from, unless one is given.
fn commit_time() -> String {
    if let Ok(given) = std::env::var("SOURCE_DATE_EPOCH") {
        return given;
    }
    let told = Command::new("git").args(["log", "-1", "--format=%ct"]).output();
    let told =
        told.map(|o| String::from_utf8_lossy(&o.stdout).trim().to_owned()).unwrap_or_default();
    // Sources without a history, from an archive: any time will do that is always the same.
    if told.is_empty() { "1767225600".to_owned() } else { told }
}

/// Packs the image for hypervisors, and leaves the sparse one for disks beside it.
fn pack(tools: &Tools, work: &Path, version: &str) -> Result<PathBuf, Failure> {
    let out = work.join("out");
    let name = |kind: &str| format!("wardpost-{version}.{kind}");
    for kind in ["raw", "efi", "manifest"] {
        let made = out.join(format!("wardpost.{kind}"));
        fs::rename(&made, out.join(name(kind))).map_err(|e| failure(&made, &e))?;
    }
    // What mkosi leaves besides: a link, and the initrd, which is in the kernel image.
    for besides in ["wardpost", "initrd", "initrd.cpio.zst"] {
        let _ = fs::remove_file(out.join(besides));
    }
    // Not written over: a test that still runs may hold the one before by a link.
    let _ = fs::remove_file(out.join(name("qcow2")));
    let mut convert = tools.command(work, "qemu-img");
    convert.args(["convert", "-c", "-f", "raw", "-O", "qcow2", "-o", "compression_type=zstd"]);
    convert.arg(format!("out/{}", name("raw"))).arg(format!("out/{}", name("qcow2")));
    cargo::checked(convert)?;
    Ok(out.join(name("qcow2")))
}

/// Says what was made.
fn tell(work: &Path, version: &str, start: Instant) -> Outcome {
    let out = work.join("out");
    let seconds = start.elapsed().as_secs();
    eprintln!("xtask: image {version} made in {seconds} s, in {}", out.display());
    for kind in ["qcow2", "raw", "efi", "manifest"] {
        let path = out.join(format!("wardpost-{version}.{kind}"));
        let data = fs::metadata(&path).map_err(|e| failure(&path, &e))?;
        let (long, taken) = (data.len() as f64 / 1e6, data.blocks() as f64 * 512.0 / 1e6);
        eprintln!("  {long:>8.1} MB ({taken:.1} on disk)  {}", path.display());
    }
    let kernel = out.join(format!("wardpost-{version}.efi"));
    let kernel = fs::read(&kernel).map_err(|e| failure(&kernel, &e))?;
    let hash =
        root_hash(&kernel).ok_or_else(|| Failure::new("the kernel image knows no root hash"))?;
    eprintln!("  root hash {hash}");
    Ok(())
}

/// The root hash among the kernel image's arguments.
fn root_hash(kernel: &[u8]) -> Option<String> {
    let mark = b"roothash=";
    let at = kernel.windows(mark.len()).position(|window| window == mark)? + mark.len();
    let digits: Vec<u8> = kernel[at..].iter().copied().take_while(u8::is_ascii_hexdigit).collect();
    (digits.len() == 64).then(|| String::from_utf8_lossy(&digits).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read() {
        let options = Options::read(&["--keys", "a", "--all"]).unwrap();
        assert!(options.all && !options.quick);
        assert_eq!(options.keys, Some("a".into()));
        assert!(Options::read(&["--keys"]).is_none());
        assert!(Options::read(&["--other"]).is_none());
    }

    #[test]
    fn the_root_hash_is_found() {
        let hash = "0123456789abcdef".repeat(4);
        let kernel = format!("..ro roothash={hash} quiet");
        assert_eq!(root_hash(kernel.as_bytes()), Some(hash));
        assert_eq!(root_hash(b"roothash=abc"), None);
    }
}
