//! The package on a Debian of its own, under a real systemd: units as tight as promised, the system key sealed by
//! the machine, a firewall without which there is no mail server, and data that outlives the package.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;
use wardpost_tests::machine::{Machine, Running};
use wardpost_tests::{Result, run, wait_for};

/// How exposed a unit may be, in systemd's own points (0 is least, 10 most).
const MOST_EXPOSED: f64 = 1.5;
const UNITS: [&str; 4] = [
    "wardpost.service",
    "wardpost-system-key.service",
    "wardpost-console@tty1.service",
    "wardpost-firewall.service",
];
const KEY: &str = "/var/lib/wardpost-system-key/wardpost.system-key";
/// systemd's key of the machine, which the other is sealed by.
const SECRET: &str = "/var/lib/systemd/credential.secret";
const CONFIGURATION: &str = "hostname = \"mail.clinic.test\"\ndomain = \"clinic.test\"\n\
                             [dns]\nservers = [\"127.0.0.1:53\"]\n[publish]\nmta_sts = \"off\"\n";

/// A Debian with the package that was just built on it.
fn installed(folder: &Path) -> Result<Machine> {
    let machine = Machine::unpack(folder)?;
    fs::copy(package()?, machine.path("/root/wardpost.deb"))?;
    machine.chroot(&["dpkg", "-i", "/root/wardpost.deb"])?;
    Ok(machine)
}

/// The package with the program that was built beside this test; made once.
fn package() -> Result<&'static Path> {
    static PACKAGE: OnceLock<std::result::Result<PathBuf, String>> = OnceLock::new();
    let package = PACKAGE.get_or_init(|| make_package().map_err(|e| e.to_string()));
    Ok(package.as_deref().map_err(Clone::clone)?)
}

fn make_package() -> Result<PathBuf> {
    let running = std::env::current_exe()?;
    let xtask = running.parent().and_then(|deps| deps.parent()).ok_or("no folder")?.join("xtask");
    let said = run(Command::new(xtask).args(["deb", "--built"]))?;
    Ok(PathBuf::from(said.lines().last().ok_or("no package")?))
}

#[test]
fn box_03_package_serves_and_keeps_its_data() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let machine = installed(folder.path())?;
    units_are_sound(&machine)?;

    // Fresh from the package it asks its questions, and the status screen knows the code for them.
    let running = machine.boot()?;
    asking(&running)?;
    all_goes_and_comes_back(&running)?;
    running.power_off()?;

    machine.write("/etc/wardpost/wardpost.toml", CONFIGURATION)?;

    let running = machine.boot()?;
    serving(&running)?;
    sandboxed(&running)?;
    // The key came from the machine: nothing of it lies about in the clear.
    assert!(!machine.path("/etc/wardpost/system.key").exists());
    let key = fs::read(machine.path(KEY))?;
    assert!(fs::read_to_string(machine.path("/var/lib/wardpost/FORMAT")).is_ok());
    let added = [
        "sh",
        "-c",
        "echo three blind mice on a bus | setpriv --reuid wardpost --regid wardpost \
                  --clear-groups wardpost account add dana@clinic.test --password-stdin",
    ];
    running.run(&added)?;
    running.run(&["systemctl", "reload", "wardpost"])?;
    wait_for("the reload", Duration::from_secs(30), || {
        running.journal("wardpost").contains("the certificate was read again").then_some(())
    })?;
    running.power_off()?;

    // The same key opens the same data after a restart.
    let running = machine.boot()?;
    serving(&running)?;
    assert_eq!(fs::read(machine.path(KEY))?, key, "the key was made again");
    let accounts = running.run(&["wardpost", "account", "list"])?;
    assert!(accounts.contains("dana@clinic.test"), "{accounts}");
    running.power_off()?;

    another_id(&machine, &key)?;

    // Data without its key: no new key hides that the right one is missing.
    fs::rename(machine.path(KEY), machine.path("/root/key"))?;
    let running = machine.boot()?;
    running.output(&["systemctl", "start", "wardpost"])?;
    assert!(!machine.path(KEY).exists(), "a key was made for data that it does not open");
    let said = running.journal("wardpost-system-key");
    assert!(said.contains("none is made"), "{said}");
    let said = running.journal("wardpost");
    assert!(said.contains("there is no system key"), "{said}");
    running.power_off()?;

    // The package goes, the mail stays; until somebody says that it may go.
    machine.chroot(&["dpkg", "-P", "wardpost"])?;
    assert!(machine.path("/var/lib/wardpost/keyring").exists());
    assert!(machine.path("/etc/wardpost/wardpost.toml").exists());
    assert!(!machine.path("/usr/bin/wardpost").exists());
    machine.chroot(&["dpkg", "-i", "/root/wardpost.deb"])?;
    let answer = "echo wardpost wardpost/delete-mail boolean true | debconf-set-selections";
    machine.chroot(&["sh", "-c", answer])?;
    machine.chroot(&["dpkg", "-P", "wardpost"])?;
    assert!(!machine.path("/var/lib/wardpost").exists() && !machine.path("/etc/wardpost").exists());
    Ok(())
}

#[test]
fn box_03_no_firewall_no_mail_server() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let machine = installed(folder.path())?;
    machine.write("/etc/wardpost/wardpost.toml", CONFIGURATION)?;
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let drop_in = "systemd/appliance/wardpost.service.d/10-appliance.conf";
    let text = fs::read_to_string(repository.join(drop_in))?;
    machine.write("/etc/systemd/system/wardpost.service.d/10-appliance.conf", &text)?;

    let running = machine.boot()?;
    serving(&running)?;
    let rules = running.run(&["nft", "list", "ruleset"])?;
    assert!(rules.contains("policy drop") && rules.contains("465"), "{rules}");
    // Whoever stops the firewall stops the mail server, and the rules hold on.
    running.run(&["systemctl", "stop", "wardpost-firewall"])?;
    assert_eq!(running.output(&["systemctl", "is-active", "wardpost"])?.trim(), "inactive");
    assert_eq!(running.run(&["nft", "list", "ruleset"])?, rules);
    running.power_off()?;

    // Rules that nft does not take: no mail server.
    let rules = fs::read_to_string(machine.path("/usr/lib/wardpost/firewall.nft"))?;
    let broken = rules.replace("tcp dport @services", "tcp dport @servces");
    assert_ne!(rules, broken);
    machine.write("/usr/lib/wardpost/firewall.nft", &broken)?;
    let running = machine.boot()?;
    assert_eq!(running.output(&["systemctl", "is-failed", "wardpost-firewall"])?.trim(), "failed");
    assert_eq!(running.output(&["systemctl", "is-active", "wardpost"])?.trim(), "inactive");
    let ports = running.run(&["cat", "/proc/net/tcp"])?;
    assert!(!ports.contains(" 0A "), "something listens: {ports}");
    running.power_off()
}

#[test]
fn box_03_the_firewall_lets_in_what_it_should() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let script = folder.path().join("firewall.py");
    fs::write(&script, include_str!("box_03_firewall.py"))?;
    let rules = Path::new(env!("CARGO_MANIFEST_DIR")).join("../systemd/firewall.nft");
    let mut world = Command::new("unshare");
    let said = run(world.args(["--net", "python3"]).arg(script).arg(rules))?;
    let said: serde_json::Value = serde_json::from_str(&said)?;
    let wanted = serde_json::json!({
        "unreached_before": [], "wrongly_shut": [], "wrongly_open": [], "ping": true, "out": true,
    });
    assert_eq!(said, wanted);
    Ok(())
}

/// Purged with all data and installed again while the machine runs: there is a new key, and the service has it.
fn all_goes_and_comes_back(running: &Running<'_>) -> Result<()> {
    let before = running.run(&["cat", KEY])?;
    let again = "export DEBIAN_FRONTEND=noninteractive
        echo wardpost wardpost/delete-mail boolean true | debconf-set-selections
        dpkg -P wardpost && test ! -e /var/lib/wardpost-system-key && dpkg -i /root/wardpost.deb";
    running.run(&["sh", "-ec", again])?;
    wait_for("the service again", Duration::from_secs(60), || {
        let state = running.output(&["systemctl", "is-active", "wardpost"]).ok()?;
        (state.trim() == "active").then_some(())
    })?;
    let after = running.run(&["cat", KEY])?;
    assert_ne!(before, after, "the key of what was purged is back");
    running.run(&["test", "-s", "/run/credentials/wardpost.service/wardpost.system-key"])?;
    Ok(())
}

/// Restored from a backup, a machine has another id until somebody puts the old one back: systemd would delete its
/// key over that, and all mail with it.
fn another_id(machine: &Machine, key: &[u8]) -> Result<()> {
    let (id, secret) = (fs::read_to_string(machine.path("/etc/machine-id"))?, machine.path(SECRET));
    let kept = fs::read(&secret)?;
    machine.write("/etc/machine-id", "0123456789abcdef0123456789abcdef\n")?;
    let running = machine.boot()?;
    assert_eq!(running.output(&["systemctl", "is-active", "wardpost"])?.trim(), "inactive");
    let said = running.journal("wardpost-system-key");
    assert!(said.contains(&format!("write {} into /etc/machine-id", id.trim())), "{said}");
    running.power_off()?;
    assert_eq!(fs::read(&secret)?, kept, "systemd's key is gone");

    // The old one again; and though systemd's key was deleted, there is a copy of it.
    machine.write("/etc/machine-id", &id)?;
    fs::remove_file(&secret)?;
    let running = machine.boot()?;
    serving(&running)?;
    let accounts = running.run(&["wardpost", "account", "list"])?;
    assert!(accounts.contains("dana@clinic.test"), "{accounts}");
    assert_eq!((fs::read(&secret)?, fs::read(machine.path(KEY))?), (kept.clone(), key.to_vec()));

    // A new machine has made a key of its own before the old one's came.
    fs::remove_file(&secret)?;
    running.run(&["systemd-creds", "setup"])?;
    let own = fs::read(&secret)?;
    running.power_off()?;
    let running = machine.boot()?;
    serving(&running)?;
    running.power_off()?;
    assert_eq!(
        (fs::read(&secret)?, fs::read(secret.with_extension("secret.before"))?),
        (kept, own)
    );
    Ok(())
}

/// systemd's own judgement of the units, and nft's of the rules, both on a small system without `/etc/protocols`.
fn units_are_sound(machine: &Machine) -> Result<()> {
    assert!(!machine.path("/etc/protocols").exists(), "netbase would hide what it is needed for");
    machine.chroot(&[
        "unshare",
        "--net",
        "nft",
        "--check",
        "--file",
        "/usr/lib/wardpost/firewall.nft",
    ])?;
    for unit in UNITS {
        let complaints = machine.chroot(&["systemd-analyze", "verify", unit])?;
        assert_eq!(complaints.trim(), "", "{unit}");
        let installed = unit.replace("tty1", "");
        let file = format!("/usr/lib/systemd/system/{installed}");
        let said = machine.chroot(&[
            "systemd-analyze",
            "security",
            "--offline=true",
            "--no-pager",
            &file,
        ])?;
        let exposed = said.lines().rev().find_map(|line| {
            line.split_once("Overall exposure level for")?.1.split_whitespace().nth(1)?.parse().ok()
        });
        let exposed: f64 = exposed.ok_or_else(|| format!("no number in {said}"))?;
        assert!(exposed <= MOST_EXPOSED, "{unit}: {said}");
    }
    Ok(())
}

/// The set-up waits for its five answers.
fn asking(running: &Running<'_>) -> Result<()> {
    let page =
        ["curl", "-sS", "--insecure", "--location", "--max-time", "20", "https://127.0.0.1/"];
    let page =
        wait_for("the set-up", Duration::from_secs(60), || running.in_its_network(&page).ok())
            .map_err(|e| format!("{e}\n{}", running.journal("wardpost")))?;
    assert!(page.contains("<form") && page.contains("code"), "{page}");
    // nspawn's console stands in for a terminal; its getty would take it back.
    running.run(&["systemctl", "stop", "console-getty"])?;
    for words in [
        "ip link add wp0 type veth peer name wp1",
        "ip address add 192.0.2.7/24 dev wp0",
        "ip link set wp0 up",
        "ip link set wp1 up",
    ] {
        running.in_its_network(&words.split(' ').collect::<Vec<_>>())?;
    }
    running.run(&["systemctl", "start", "wardpost-console@console"])?;
    wait_for("the status screen", Duration::from_secs(30), || {
        let screen = running.console();
        (screen.contains("https://192.0.2.7/") && screen.contains("type this code")).then_some(())
    })
    .map_err(|e| {
        let journal = running.journal("wardpost-console@console");
        format!("{e}\n{journal}\n{}", running.console())
    })?;
    Ok(())
}

fn serving(running: &Running<'_>) -> Result<()> {
    wait_for("wardpost.service", Duration::from_secs(60), || {
        let state = running.output(&["systemctl", "is-active", "wardpost"]).ok()?;
        (state.trim() == "active").then_some(())
    })
    .map_err(|e| {
        let units = ["wardpost", "wardpost-system-key", "wardpost-firewall"];
        let journals: String = units.iter().map(|unit| running.journal(unit)).collect();
        format!("{e}\n{journals}")
    })?;
    // It answers as the mail server it is, on a port that needs the one privilege.
    let ask = "exec 3<>/dev/tcp/127.0.0.1/25; read -r line <&3; echo \"$line\"";
    let greeting = running.run(&["bash", "-c", ask])?;
    assert!(greeting.starts_with("220 mail.clinic.test"), "{greeting}");
    Ok(())
}

/// What the kernel says of the process.
fn sandboxed(running: &Running<'_>) -> Result<()> {
    let id = running.run(&["systemctl", "show", "--property=MainPID", "--value", "wardpost"])?;
    let id = id.trim();
    let status = running.run(&["cat", &format!("/proc/{id}/status")])?;
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.map(str::trim).unwrap_or_default().to_owned()
    };
    // CAP_NET_BIND_SERVICE is number 10.
    for name in ["CapEff:", "CapBnd:", "CapAmb:"] {
        assert_eq!(field(name), "0000000000000400", "{status}");
    }
    assert_eq!(field("NoNewPrivs:"), "1");
    assert_eq!(field("Seccomp:"), "2");
    assert_ne!(field("Uid:").split_whitespace().next(), Some("0"));
    let limits = running.run(&["cat", &format!("/proc/{id}/limits")])?;
    let core = limits.lines().find(|line| line.starts_with("Max core file size"));
    assert!(core.is_some_and(|line| line.split_whitespace().nth(4) == Some("0")), "{limits}");
    // Its view of the disk: nothing to write but its own, nothing to run but itself.
    let mounts = running.run(&["cat", &format!("/proc/{id}/mounts")])?;
    let options = |place: &str| {
        let line = mounts.lines().rev().find(|line| line.split(' ').nth(1) == Some(place));
        line.and_then(|line| line.split(' ').nth(3)).unwrap_or_default().to_owned()
    };
    assert!(options("/").starts_with("ro") && options("/").contains("noexec"), "{mounts}");
    assert!(options("/var/lib/wardpost").starts_with("rw"), "{mounts}");
    assert!(!options("/usr/bin/wardpost").contains("noexec"), "{mounts}");
    Ok(())
}
