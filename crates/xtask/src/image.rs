//! `cargo xtask image`: the appliance, from the declarations in `image/` and the units in `systemd/`.
//!
//! Everything happens in a folder beside the target directory: `stage` is what goes into the image besides
//! Debian's packages, `keys` what it is signed with, `out` the result.

use crate::stage::failure;
use crate::tools::{self, Tools};
use crate::{Failure, Outcome, cargo, packages, stage, tidy};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

/// Files of the repository that only the image has.
const OWN: &[(&str, &str, u32)] = &[
    ("systemd/appliance/wardpost.sysusers", "usr/lib/sysusers.d/wardpost.conf", 0o644),
    (
        "systemd/appliance/wardpost.service.d/10-appliance.conf",
        "usr/lib/systemd/system/wardpost.service.d/10-appliance.conf",
        0o644,
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
    let tools = ready()?;
    let image = make(&tools, options)?;
    let (tree, folder) = (tools.tree().display().to_string(), Tools::folder().join("test"));
    let (image, folder) = (image.display().to_string(), folder.display().to_string());
    let mut words = vec!["--tools", &tree, "--image", &image, "--folder", &folder];
    if options.all {
        words.push("--all");
    }
    // Whoever ends this program ends the machines, too.
    let mut test = tools::ending_with_us();
    test.arg(cargo::target_dir().join("release/wardpost-image-test")).args(words);
    cargo::checked(test)
}

/// Builds the programs and then the image.
pub(crate) fn build(options: &Options) -> Outcome {
    let tools = ready()?;
    make(&tools, options).map(drop)
}

fn ready() -> Result<Tools, Failure> {
    if fs::metadata("/proc/self").is_ok_and(|me| me.uid() != 0) {
        return Err(Failure::new("the image's tools need root: run this as root"));
    }
    packages::install(packages::BUILD)?;
    Tools::ready()
}

/// Gives the image for hypervisors.
fn make(tools: &Tools, options: &Options) -> Result<PathBuf, Failure> {
    if options.programs.is_none() {
        cargo::run(&["build", "--workspace"])?;
    }
    let start = Instant::now();
    let work = Tools::folder();
    let built = cargo::target_dir().join("release");
    fill_stage(&work, options.programs.as_deref().unwrap_or(&built))?;
    let keys = sign_with(tools, &work, options.keys.as_deref())?;
    let version = env!("CARGO_PKG_VERSION");
    mkosi(tools, &work, version, keys, options)?;
    let qcow2 = pack(tools, &work, version)?;
    tell(&work, version, start)?;
    if options.keys.is_none() {
        eprintln!(
            "  signed with keys made for development: for trials, not for a practice (docs/image.md)"
        );
    }
    Ok(qcow2)
}

/// Lays out what goes into the image besides Debian's packages.
fn fill_stage(work: &Path, programs: &Path) -> Outcome {
    let tree = work.join("stage");
    if tree.exists() {
        fs::remove_dir_all(&tree).map_err(|e| failure(&tree, &e))?;
    }
    let root = tidy::root()?;
    stage::lay_out(stage::UNITS, &root, &tree)?;
    stage::lay_out(OWN, &root, &tree)?;
    stage::put(&programs.join("wardpost"), &tree.join("usr/bin/wardpost"), 0o755)?;
    stage::put(
        &programs.join("wardpost-disk"),
        &tree.join("usr/lib/wardpost/wardpost-disk"),
        0o755,
    )?;
    let mut strip = Command::new("strip");
    strip.arg("--strip-all");
    strip.arg(tree.join("usr/bin/wardpost")).arg(tree.join("usr/lib/wardpost/wardpost-disk"));
    cargo::checked(strip)?;
    let declarations = work.join("declarations");
    if declarations.exists() {
        fs::remove_dir_all(&declarations).map_err(|e| failure(&declarations, &e))?;
    }
    stage::copy_folder(&root.join("image"), &declarations)
}

/// The folder of the keys that sign, as the tools see it: a release's own, or a pair made for development.
fn sign_with(tools: &Tools, work: &Path, given: Option<&Path>) -> Result<&'static str, Failure> {
    if given.is_some() {
        return Ok("release-keys");
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
    Ok("keys")
}

fn mkosi(tools: &Tools, work: &Path, version: &str, keys: &str, options: &Options) -> Outcome {
    for folder in ["out", "packages", "space", "cache"] {
        let folder = work.join(folder);
        fs::create_dir_all(&folder).map_err(|e| failure(&folder, &e))?;
    }
    let mut mkosi = tools.command(work, "mkosi");
    mkosi.args(["--directory", "declarations", "--force", "--image-version", version]);
    mkosi.args(["--extra-tree", "/srv/stage", "--output-directory", "/srv/out"]);
    mkosi.args(["--package-cache-dir", "/srv/packages", "--workspace-directory", "/srv/space"]);
    mkosi.args(["--source-date-epoch", &stage::commit_time(&tidy::root()?)]);
    if let Some(given) = &options.keys {
        // Shown to this one program, and never copied.
        let given = fs::canonicalize(given).map_err(|e| failure(given, &e))?;
        mkosi.env("release_keys", given);
    }
    if options.quick {
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
