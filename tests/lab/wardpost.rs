//! Wardpost itself: the program that was just built, with a configuration and data folder of its own.

use crate::ca::Pair;
use crate::process::Process;
use crate::{DOMAIN, Lab, Result, SMTP_PORT, wait_for};
use std::env;
use std::fs;
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// The name on Wardpost's certificate.
pub const HOSTNAME: &str = "mail.clinic.test";
/// The password of every account a lab makes: long enough for any rule, the same for all.
pub const PASSWORD: &str = "three blind mice on a bus";

/// Whose mail server a Wardpost is.
#[derive(Debug, Clone, Copy)]
pub struct Identity {
    /// Its folder in the lab.
    pub folder: &'static str,
    /// The name on its certificate.
    pub hostname: &'static str,
    /// Its domain.
    pub domain: &'static str,
    /// Its place in the lab's network.
    pub host: u8,
}

/// The practice that every lab is about.
pub const PRACTICE: Identity =
    Identity { folder: "wardpost", hostname: HOSTNAME, domain: DOMAIN, host: 10 };
/// Another practice with a Wardpost of its own. Its zone is for a flow to plan.
pub const PARTNER: Identity =
    Identity { folder: "partner", hostname: "mx.partner.test", domain: "partner.test", host: 30 };

/// A Wardpost of a lab.
#[derive(Debug)]
pub struct Wardpost {
    who: Identity,
    process: Option<Process>,
    folder: PathBuf,
    ip: Ipv4Addr,
    /// The size in MiB of the disk of its own that holds the data folder, if it has one.
    disk: Option<u32>,
    /// It begins with the set-up.
    new: bool,
}

impl Wardpost {
    /// Writes a configuration, starts the daemon and waits until it serves.
    ///
    /// # Errors
    /// When it ends, or does not listen in time; the text ends with its log.
    pub fn start(lab: &Lab) -> Result<Self> {
        Self::start_with(lab, "")
    }

    /// Like [`Wardpost::start`], with `extra` lines of configuration (whole tables).
    ///
    /// # Errors
    /// As [`Wardpost::start`].
    pub fn start_with(lab: &Lab, extra: &str) -> Result<Self> {
        let mut this = Self::prepare(lab, extra)?;
        this.run()?;
        Ok(this)
    }

    /// Starts a Wardpost that is `who`, showing `pair`.
    ///
    /// # Errors
    /// As [`Wardpost::start`].
    pub fn start_as(lab: &Lab, who: Identity, pair: &Pair, extra: &str) -> Result<Self> {
        let mut this = Self::prepare_as(lab, who, pair, extra)?;
        this.run()?;
        Ok(this)
    }

    /// Like [`Wardpost::start`], with the data folder on a disk (tmpfs) of `mib` MiB. The disk is in a
    /// mount namespace of the daemon's and goes with it.
    ///
    /// # Errors
    /// As [`Wardpost::start`]; and when this is not run as root.
    pub fn start_on_small_disk(lab: &Lab, mib: u32) -> Result<Self> {
        let mut this = Self::prepare(lab, "")?;
        fs::create_dir_all(this.data())?;
        this.disk = Some(mib);
        this.run()?;
        Ok(this)
    }

    /// A folder as the daemon sees it, its own disk included.
    ///
    /// # Errors
    /// When it does not run.
    pub fn seen_by_daemon(&self, path: &Path) -> Result<PathBuf> {
        let id = self.process().ok_or("Wardpost does not run")?.id();
        let inner = path.strip_prefix("/")?;
        Ok(Path::new("/proc").join(id.to_string()).join("root").join(inner))
    }

    /// Writes the configuration without starting anything.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn prepare(lab: &Lab, extra: &str) -> Result<Self> {
        Self::prepare_as(lab, PRACTICE, &lab.ca.issue(&[HOSTNAME])?, extra)
    }

    /// Writes the configuration of a Wardpost that is `who`, showing `pair`, without starting anything.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn prepare_as(lab: &Lab, who: Identity, pair: &Pair, extra: &str) -> Result<Self> {
        let folder = lab.folder(who.folder)?;
        let ip = lab.host(who.host);
        fs::write(folder.join("wardpost.toml"), configuration(lab, who, &folder, pair, extra))?;
        Ok(Self { who, process: None, folder, ip, disk: None, new: false })
    }

    /// A server that nobody has set up yet, without starting it: what a machine brings along for the
    /// configuration is there, with the lab's certificate if it is to have one.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn prepare_new(lab: &Lab, certificate: bool) -> Result<Self> {
        let this = Self { new: true, ..Self::prepare(lab, "")? };
        let whole = fs::read_to_string(this.config())?;
        fs::remove_file(this.config())?;
        let mut seed = String::new();
        let mut section = "";
        for line in whole.lines() {
            section = if line.starts_with('[') { line } else { section };
            let asked = line.starts_with("hostname") || line.starts_with("domain");
            if !asked && section != "[practice]" && (certificate || section != "[tls]") {
                seed.push_str(line);
                seed.push('\n');
            }
        }
        if !certificate {
            // Nobody answers there, so the certificate stays self-made.
            seed.push_str(&format!("[acme]\ndirectory = \"https://{}:14000/dir\"\n", this.ip));
        }
        fs::write(this.folder.join("set-up.toml"), seed)?;
        Ok(this)
    }

    /// Where the machine tells about its disk.
    pub fn disk_folder(&self) -> PathBuf {
        self.folder.join("disk")
    }

    /// Waits until the set-up is through and mail is served.
    ///
    /// # Errors
    /// When that does not come.
    pub fn wait_for_ports(&self) -> Result<()> {
        let ports = [self.mx(), self.submission(), self.imaps(), self.https()];
        wait_for("Wardpost to listen", Duration::from_secs(60), || {
            ports.iter().all(|port| TcpStream::connect(port).is_ok()).then_some(())
        })
        .map_err(|e| format!("{e}\n{}", self.log()).into())
    }

    /// Starts the daemon again after [`Wardpost::kill`] or [`Wardpost::stop`].
    ///
    /// # Errors
    /// As [`Wardpost::start`].
    pub fn run(&mut self) -> Result<()> {
        let mut command = match self.disk {
            None => Command::new(program()?),
            Some(mib) => {
                let mut command = Command::new("unshare");
                command
                    .args(["--mount", "--propagation", "private", "sh", "-c"])
                    .arg("mount -t tmpfs -o \"size=$1m,mode=0700\" tmpfs \"$0\" && shift && exec \"$@\"")
                    .arg(self.data())
                    .arg(mib.to_string())
                    .arg(program()?);
                command
            }
        };
        command.arg("serve").arg("--config").arg(self.config());
        if self.new {
            command.arg("--set-up").arg("--disk").arg(self.disk_folder());
        }
        let mut process = Process::start(&mut command, &self.log_file())?;
        let mut ports = vec![self.https(), self.mx(), self.submission(), self.imaps()];
        if self.new && !self.config().exists() {
            ports.truncate(1);
        }
        wait_for("Wardpost to listen", Duration::from_secs(60), || {
            if process.ended().is_some() {
                return Some(false);
            }
            ports.iter().all(|port| TcpStream::connect(port).is_ok()).then_some(true)
        })
        .and_then(|up| if up { Ok(()) } else { Err("Wardpost ended at once".into()) })
        .map_err(|e| format!("{e}\n{}", self.log()))?;
        self.process = Some(process);
        Ok(())
    }

    /// kill -9.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill();
        }
    }

    /// SIGTERM; the daemon must drain and end with success.
    ///
    /// # Errors
    /// When it does not.
    pub fn stop(&mut self) -> Result<()> {
        if let Some(mut process) = self.process.take() {
            let status = process.stop(Duration::from_secs(30))?;
            if !status.success() {
                return Err(format!("Wardpost ended with {status}\n{}", self.log()).into());
            }
        }
        Ok(())
    }

    /// The daemon's process, while it runs.
    pub fn process(&self) -> Option<&Process> {
        self.process.as_ref()
    }

    /// The most memory that the daemon ever held, in MiB.
    ///
    /// # Errors
    /// When it does not run.
    pub fn peak_memory_mib(&self) -> Result<u64> {
        let id = self.process().ok_or("Wardpost does not run")?.id();
        let status = fs::read_to_string(format!("/proc/{id}/status"))?;
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = peak.and_then(|text| text.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
        Ok(kib.ok_or("no VmHWM")? / 1024)
    }

    /// Runs the command line with this configuration; `input` goes to its standard input.
    ///
    /// # Errors
    /// When it does not end with success; the text holds both outputs.
    pub fn cli(&self, words: &[&str], input: &str) -> Result<String> {
        let output = self.cli_output(words, input)?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        if output.status.success() {
            return Ok(said);
        }
        let complained = String::from_utf8_lossy(&output.stderr);
        Err(format!(
            "wardpost {} ended with {}:\n{said}{complained}",
            words.join(" "),
            output.status
        )
        .into())
    }

    /// Runs the command line and gives everything, whatever its exit code.
    ///
    /// # Errors
    /// When it does not start.
    pub fn cli_output(&self, words: &[&str], input: &str) -> Result<std::process::Output> {
        let mut command = match (self.disk, self.process()) {
            (Some(_), Some(process)) => {
                let mut command = Command::new("nsenter");
                command.args(["--mount", "--target", &process.id().to_string()]).arg(program()?);
                command
            }
            _ => Command::new(program()?),
        };
        let mut child = command
            .args(words)
            .arg("--config")
            .arg(self.config())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        if let Some(mut stdin) = child.stdin.take() {
            // A program that ends without reading its input is judged by its output.
            let _ = stdin.write_all(input.as_bytes());
        }
        Ok(child.wait_with_output()?)
    }

    /// Makes an account with [`PASSWORD`]; gives its address.
    ///
    /// # Errors
    /// When the daemon refuses.
    pub fn add_account(&self, local: &str, name: &str) -> Result<String> {
        let address = format!("{local}@{}", self.who.domain);
        self.cli(&["account", "add", &address, "--name", name, "--password-stdin"], PASSWORD)?;
        Ok(address)
    }

    /// The configuration file.
    pub fn config(&self) -> PathBuf {
        self.folder.join("wardpost.toml")
    }

    /// The data folder.
    pub fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    fn log_file(&self) -> PathBuf {
        self.folder.join("log")
    }

    /// What the daemon logged.
    pub fn log(&self) -> String {
        fs::read_to_string(self.log_file()).unwrap_or_default()
    }

    /// Port 25's stand-in.
    pub fn mx(&self) -> SocketAddr {
        (self.ip, SMTP_PORT).into()
    }

    /// Port 587's stand-in.
    pub fn submission(&self) -> SocketAddr {
        (self.ip, 5870).into()
    }

    /// Port 465's stand-in.
    pub fn submissions(&self) -> SocketAddr {
        (self.ip, 4650).into()
    }

    /// Port 993's stand-in.
    pub fn imaps(&self) -> SocketAddr {
        (self.ip, 9930).into()
    }

    /// Port 443's stand-in.
    pub fn https(&self) -> SocketAddr {
        (self.ip, 8443).into()
    }

    /// Port 80's stand-in.
    pub fn http(&self) -> SocketAddr {
        (self.ip, 8080).into()
    }

    /// The metrics listener.
    pub fn metrics(&self) -> SocketAddr {
        (self.ip, 9464).into()
    }
}

fn configuration(lab: &Lab, who: Identity, folder: &Path, pair: &Pair, extra: &str) -> String {
    let (hostname, ip) = (who.hostname, lab.host(who.host));
    // A lab calls nobody outside, unless a flow says whom.
    let doctor = match extra.contains("[doctor]") {
        true => "",
        false => "[doctor]\nprobe_hosts = []\ntime_servers = []\n",
    };
    format!(
        "hostname = \"{hostname}\"\n\
         domain = \"{domain}\"\n\
         data_dir = \"{folder}/data\"\n\
         [listen]\n\
         mx = \"{ip}:{SMTP_PORT}\"\n\
         submission = \"{ip}:5870\"\n\
         submissions = \"{ip}:4650\"\n\
         imaps = \"{ip}:9930\"\n\
         https = \"{ip}:8443\"\n\
         http = \"{ip}:8080\"\n\
         metrics = \"{ip}:9464\"\n\
         managesieve = \"\"\n\
         [tls]\n\
         certificate = \"{certificate}\"\n\
         private_key = \"{key}\"\n\
         [dns]\n\
         servers = [\"{dns}\"]\n\
         trust_anchor = \"{anchor}\"\n\
         [transport]\n\
         extra_roots = \"{root}\"\n\
         smtp_port = {SMTP_PORT}\n\
         [keys]\n\
         system_key_file = \"{folder}/system.key\"\n\
         [practice]\n\
         name = \"Elm Street Clinic\"\n\
         phone = \"+1 555 0100\"\n\
         [portal]\n\
         url = \"https://{hostname}:8443\"\n\
         {doctor}{extra}\n",
        domain = who.domain,
        folder = folder.display(),
        certificate = pair.certificate.display(),
        key = pair.key.display(),
        dns = lab.dns.address,
        anchor = lab.dns.anchor.display(),
        root = lab.ca.root.display(),
    )
}

/// Where programs are built: the running one's folder, or the one above when it is a test.
///
/// # Errors
/// When the running program's place is not known.
pub(crate) fn target_folder() -> Result<PathBuf> {
    let running = env::current_exe()?;
    let folder = running.parent().ok_or("a program in no folder")?;
    let folder = if folder.ends_with("deps") { folder.parent().unwrap_or(folder) } else { folder };
    Ok(folder.to_owned())
}

/// The `wardpost` program: `WARDPOST_PROGRAM`, or the one built beside the running test.
///
/// # Errors
/// When there is none.
pub fn program() -> Result<PathBuf> {
    if let Some(path) = env::var_os("WARDPOST_PROGRAM") {
        return Ok(path.into());
    }
    let running = env::current_exe()?;
    running
        .ancestors()
        .skip(1)
        .take(2)
        .map(|folder| folder.join("wardpost"))
        .find(|path| path.is_file())
        .ok_or_else(|| "wardpost is not built: run `cargo xtask build` first".into())
}
