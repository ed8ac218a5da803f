//! One virtual machine: QEMU without hardware help (TCG), UEFI firmware, a software TPM, a disk over the
//! image, a serial console and ports on 127.0.0.1. All of it ends with the value that holds it.

use crate::qmp::Qmp;
use serde_json::json;
use std::fs;
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use wardpost_tests::process::Process;
use wardpost_tests::{Result, run, wait_for};

/// The ports of the machine that can be reached, by their numbers there.
pub(crate) const PORTS: [u16; 6] = [25, 80, 443, 587, 993, 9464];

/// Enters the tree of image tools, as `cargo xtask image` does.
const ENTER: &str = include_str!("../../crates/xtask/src/enter.sh");

/// Kernel arguments of every start. The first two lines are for speed without hardware help, and patience for want
/// of it; the others put the messages and the console where this program reads them.
const ARGUMENTS: &str = "mitigations=off init_on_alloc=0 tsc=unstable no_timer_check \
     systemd.default_device_timeout_sec=900 \
     console=ttyS0 systemd.wants=wardpost-console@ttyS0.service systemd.show_status=yes \
     systemd.journald.forward_to_console=1 systemd.journald.max_level_console=info";

/// What emergency.service says.
const GAVE_UP: &str = "Wardpost could not start";

/// Where tools, image and results are.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    /// The tree of image tools.
    pub(crate) tools: PathBuf,
    /// The folder of this run; `image.qcow2` in it is the image.
    pub(crate) folder: PathBuf,
}

impl Place {
    /// A program of the tools that sees this run's folder as `/srv`.
    pub(crate) fn tool(&self, program: &str) -> Command {
        // Whoever kills the test, before it can, ends its machines.
        let mut command = Command::new("setpriv");
        command.args([
            "--pdeathsig",
            "KILL",
            "unshare",
            "--mount",
            "--propagation",
            "private",
            "sh",
            "-ec",
            ENTER,
            "sh",
        ]);
        command.arg(&self.tools).arg(&self.folder).arg(program).env_remove("TMPDIR");
        command
    }

    /// A new disk over the image, `gigabytes` long. Several may lie over one image.
    pub(crate) fn disk(&self, name: &str, over: &str, gigabytes: u32) -> Result<()> {
        let mut create = self.tool("qemu-img");
        create.args(["create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", over, name]);
        if gigabytes > 0 {
            create.arg(format!("{gigabytes}G"));
        }
        run(&mut create).map(drop)
    }
}

/// What a machine is made of.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Parts<'a> {
    /// The name of this start: its log and screenshots bear it.
    pub(crate) name: &'a str,
    /// The disk's file in the run's folder.
    pub(crate) disk: &'a str,
    /// The folder of the TPM's state, or no TPM.
    pub(crate) tpm: Option<&'a str>,
}

impl Parts<'_> {
    /// A machine without a disk and without a TPM.
    pub(crate) fn new(name: &str) -> Parts<'_> {
        Parts { name, disk: "", tpm: None }
    }
}

/// Files that a start finds in the machine, handed in from outside as a credential for systemd-tmpfiles.
#[derive(Debug, Default, Clone)]
pub(crate) struct Hooks(String);

impl Hooks {
    /// One more file, for everybody to read. Its folder must be there.
    pub(crate) fn file(mut self, path: &str, text: &str) -> Self {
        let text = text.replace('\\', "\\\\").replace('\n', "\\n").replace('%', "%%");
        self.0.push_str(&format!("f {path} 0644 root root - {text}\n"));
        self
    }
}

/// How long the firmware and the boot loader may take.
const FIRMWARE: Duration = Duration::from_secs(240);
/// What these two say at most, in octets; the kernel says more.
const SILENCE: usize = 1500;

/// A machine that runs.
#[derive(Debug)]
pub(crate) struct Vm {
    place: Place,
    name: String,
    qemu: Process,
    _tpm: Option<Process>,
    qmp: Qmp,
    serial: UnixStream,
    ports: Vec<(u16, SocketAddr)>,
}

impl Vm {
    /// Switches a machine on, and waits until its kernel starts. QEMU, emulating, has been seen to stand still in
    /// the firmware, with no thread doing anything: then once more.
    pub(crate) fn start(place: &Place, parts: Parts<'_>, hooks: &Hooks) -> Result<Self> {
        let mut tries = 2;
        loop {
            let mut vm = Self::switch_on(place, parts, hooks)?;
            tries -= 1;
            let what = "the kernel to start";
            match vm.wait_until(what, FIRMWARE, |vm| (vm.said().len() > SILENCE).then_some(())) {
                Ok(()) => return Ok(vm),
                Err(e) if tries == 0 => return Err(e),
                Err(e) => println!("  {e}; once more"),
            }
        }
    }

    fn switch_on(place: &Place, parts: Parts<'_>, hooks: &Hooks) -> Result<Self> {
        let name = parts.name.to_owned();
        let file = |kind: &str| place.folder.join(format!("{name}.{kind}"));
        let tpm = parts.tpm.map(|state| swtpm(place, &name, state)).transpose()?;
        let ports: Vec<(u16, SocketAddr)> =
            PORTS.iter().map(|&port| Ok((port, free_port()?))).collect::<Result<_>>()?;
        // The firmware's variables: like a machine that was never started.
        fs::copy(
            place.tools.join("usr/share/OVMF/OVMF_VARS_4M.fd"),
            place.folder.join(format!("{name}.vars")),
        )?;
        let mut qemu = place.tool("qemu-system-x86_64");
        qemu.args(["-machine", "q35,smm=off", "-accel", "tcg,thread=multi,tb-size=1024"]);
        qemu.args(["-cpu", "max,erms=off,fsrm=off,la57=off,pku=off", "-smp", "2", "-m", "1024"]);
        qemu.args(["-vga", "std", "-display", "none", "-no-user-config", "-nodefaults"]);
        let code = "/usr/share/OVMF/OVMF_CODE_4M.fd";
        qemu.arg("-drive").arg(format!("if=pflash,format=raw,unit=0,readonly=on,file={code}"));
        qemu.arg("-drive").arg(format!("if=pflash,format=raw,unit=1,file={name}.vars"));
        let disk = parts.disk;
        qemu.arg("-drive").arg(format!("if=none,id=disk,file={disk},discard=unmap,cache=unsafe"));
        qemu.args(["-device", "virtio-blk-pci,drive=disk", "-device", "virtio-rng-pci"]);
        let forwards: String = ports
            .iter()
            .map(|(port, here)| format!(",hostfwd=tcp:127.0.0.1:{}-:{port}", here.port()))
            .collect();
        qemu.arg("-netdev").arg(format!("user,id=net{forwards}"));
        qemu.args(["-device", "virtio-net-pci,netdev=net"]);
        if tpm.is_some() {
            qemu.arg("-chardev").arg(format!("socket,id=tpm,path={name}.tpm"));
            qemu.args(["-tpmdev", "emulator,id=tpm0,chardev=tpm"]);
            qemu.args(["-device", "tpm-crb,tpmdev=tpm0"]);
        }
        qemu.arg("-chardev").arg(format!(
            "socket,id=serial,path={name}.serial,server=on,wait=off,logfile={name}.log"
        ));
        qemu.args(["-serial", "chardev:serial"]);
        qemu.arg("-qmp").arg(format!("unix:{name}.qmp,server=on,wait=off"));
        let arguments = format!("io.systemd.stub.kernel-cmdline-extra={ARGUMENTS}");
        let files = format!(
            "io.systemd.credential.binary:tmpfiles.extra={}",
            data_encoding::BASE64.encode(hooks.0.as_bytes())
        );
        // A comma ends an option of QEMU's; there is none in either.
        qemu.arg("-smbios").arg(format!("type=11,value={arguments}"));
        if !hooks.0.is_empty() {
            qemu.arg("-smbios").arg(format!("type=11,value={files}"));
        }
        // It tells how much memory is in use.
        qemu.args(["-device", "virtio-balloon-pci,id=balloon"]);
        let mut qemu = Process::start(&mut qemu, &file("qemu"))?;
        let qmp = wait_for("QEMU to listen", Duration::from_secs(60), || {
            if qemu.ended().is_some() {
                Some(Err(()))
            } else {
                Qmp::connect(&file("qmp")).ok().map(Ok)
            }
        })?
        .map_err(|()| fs::read_to_string(file("qemu")).unwrap_or_default())?;
        let serial = UnixStream::connect(file("serial"))?;
        // QEMU writes the log, and stands still when nobody takes what the line says.
        let mut line = serial.try_clone()?;
        std::thread::spawn(move || std::io::copy(&mut line, &mut std::io::sink()));

        Ok(Self { place: place.clone(), name, qemu, _tpm: tpm, qmp, serial, ports })
    }

    /// Where a port of the machine is reached.
    pub(crate) fn port(&self, port: u16) -> Result<SocketAddr> {
        let found = self.ports.iter().find(|(there, _)| *there == port);
        Ok(found.ok_or("a port that is not forwarded")?.1)
    }

    /// Everything that the serial line has said, colours and cursor movements taken out.
    pub(crate) fn said(&self) -> String {
        let raw =
            fs::read(self.place.folder.join(format!("{}.log", self.name))).unwrap_or_default();
        plain(&String::from_utf8_lossy(&raw))
    }

    /// Waits until the serial line has said something.
    pub(crate) fn wait_for(&mut self, text: &str, limit: Duration) -> Result<()> {
        let what = format!("{text:?} on the serial line");
        self.wait_until(&what, limit, |vm| {
            let said = vm.said();
            match said.contains(text) {
                true => Some(Ok(())),
                // Nothing will come of this start.
                false if said.contains(GAVE_UP) => Some(Err(format!("{GAVE_UP:?} before {what}"))),
                false => None,
            }
        })?
        .map_err(Into::into)
    }

    /// Waits for anything, and gives up at once when the machine is gone.
    pub(crate) fn wait_until<T>(
        &mut self,
        what: &str,
        limit: Duration,
        mut ready: impl FnMut(&mut Self) -> Option<T>,
    ) -> Result<T> {
        let name = self.name.clone();
        let outcome = wait_for(&format!("{what} ({name})"), limit, || {
            if let Some(found) = ready(self) {
                return Some(Ok(found));
            }
            self.qemu
                .ended()
                .map(|status| Err(format!("{name}: QEMU ended ({status}) before {what}")))
        });
        match outcome {
            Ok(found) => Ok(found?),
            Err(e) => {
                // What somebody would have seen then.
                let _ = self.picture("failed");
                Err(e)
            }
        }
    }

    /// The kernel's clock when the journal said something, in seconds since the kernel's start.
    pub(crate) fn since_kernel(&mut self, text: &str) -> Result<f64> {
        let clock = |line: &str| {
            let clock = line.trim_start().strip_prefix('[')?.split(']').next()?.trim();
            // Not the "[  OK  ]" of the same news, which may come before.
            clock.parse::<f64>().ok()
        };
        self.wait_until(&format!("{text:?} in the journal"), Duration::from_secs(60), |vm| {
            vm.said().lines().filter(|line| line.contains(text)).find_map(clock)
        })
    }

    /// The memory that is in use: what the kernel could not give to a program that asked for it.
    pub(crate) fn memory_used(&mut self) -> Result<u64> {
        let balloon = "/machine/peripheral/balloon";
        self.qmp.ask(
            "qom-set",
            json!({ "path": balloon, "property": "guest-stats-polling-interval", "value": 1 }),
        )?;
        self.wait_until("the machine to tell of its memory", Duration::from_secs(60), |vm| {
            let ask = json!({ "path": balloon, "property": "guest-stats" });
            let stats = vm.qmp.ask("qom-get", ask).ok()?;
            let stats = &stats["stats"];
            let (total, free) =
                (stats["stat-total-memory"].as_u64()?, stats["stat-available-memory"].as_u64()?);
            (total > free).then(|| total - free)
        })
    }

    /// Types on the serial line.
    pub(crate) fn type_line(&mut self, text: &str) -> Result<()> {
        Ok(self.serial.write_all(format!("{text}\r").as_bytes())?)
    }

    /// A picture of the screen, in the run's folder.
    pub(crate) fn picture(&mut self, what: &str) -> Result<PathBuf> {
        let file = format!("{}-{what}.png", self.name);
        let there = format!("/srv/{file}");
        self.qmp.ask("screendump", json!({ "filename": there, "format": "png" }))?;
        Ok(self.place.folder.join(file))
    }

    /// Whether it has ended by itself.
    pub(crate) fn is_off(&mut self) -> bool {
        self.qemu.ended().is_some()
    }

    /// Presses the power button, as a hypervisor's "shut down" does, and waits until the machine is off.
    pub(crate) fn shut_down(mut self, limit: Duration) -> Result<Duration> {
        self.qmp.ask("system_powerdown", json!({}))?;
        self.ends(limit)
    }

    /// Waits until it is off, as somebody has told it; how long that took.
    pub(crate) fn ends(mut self, limit: Duration) -> Result<Duration> {
        let start = Instant::now();
        let name = self.name.clone();
        wait_for(&format!("{name} to switch itself off"), limit, || self.is_off().then_some(()))
            .inspect_err(|_| {
                let _ = self.picture("failed");
            })?;
        Ok(start.elapsed())
    }
}

fn swtpm(place: &Place, name: &str, state: &str) -> Result<Process> {
    fs::create_dir_all(place.folder.join(state))?;
    let socket = place.folder.join(format!("{name}.tpm"));
    let mut swtpm = place.tool("swtpm");
    swtpm.args(["socket", "--tpm2", "--tpmstate"]).arg(format!("dir=/srv/{state}"));
    swtpm.arg("--ctrl").arg(format!("type=unixio,path=/srv/{name}.tpm"));
    let process = Process::start(&mut swtpm, &place.folder.join(format!("{name}.swtpm")))?;
    wait_for("the TPM to listen", Duration::from_secs(20), || socket.exists().then_some(()))?;
    Ok(process)
}

/// A port of 127.0.0.1 that nobody has. Somebody could take it before QEMU does; the start then fails.
fn free_port() -> Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}

/// Takes terminal control sequences (ECMA-48) out of a text.
fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '\u{1b}' => match rest.next() {
                Some('[') => while rest.next().is_some_and(|c| !('@'..='~').contains(&c)) {},
                // An operating system command ends with a bell or ESC \.
                Some(']') => while rest.next().is_some_and(|c| c != '\u{7}' && c != '\u{1b}') {},
                _ => {}
            },
            '\r' => {}
            c => out.push(c),
        }
    }
    out
}

/// Copies a file so that only what is written later takes space.
pub(crate) fn link_or_copy(from: &Path, to: &Path) -> Result<()> {
    if fs::hard_link(from, to).is_err() {
        fs::copy(from, to)?;
    }
    Ok(())
}
