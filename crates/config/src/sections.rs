//! Each section of the file: its keys, their defaults and bounds.

use crate::error::Problem;
use crate::reader::{Document, Section};
use crate::values::{self, CleartextException};
use crate::*;

/// Reads the whole file.
pub(crate) fn read(text: &str, file: &Path) -> Result<Config, Vec<Problem>> {
    let (document, table) = Document::parse(text).map_err(|problem| vec![problem])?;
    let base = file.parent().unwrap_or(Path::new("")).to_owned();
    let config = root(document.root(table), file, &Base(base));
    let problems = document.into_problems();
    match config {
        Some(config) if problems.is_empty() => Ok(config),
        _ => Err(problems),
    }
}

/// The directory relative paths count from.
struct Base(PathBuf);

impl Base {
    fn path(&self, section: &mut Section<'_, '_>, key: &'static str) -> Option<PathBuf> {
        section.text(key, |text| {
            if text.is_empty() { Err("the path is empty") } else { Ok(self.0.join(text)) }
        })
    }
}

/// `None` only when a problem was noted.
fn root(mut root: Section<'_, '_>, file: &Path, base: &Base) -> Option<Config> {
    let hostname = required_domain(&mut root, "hostname", "this machine's mail host name");
    let domain = required_domain(&mut root, "domain", "the practice's mail domain");
    let data_dir =
        base.path(&mut root, "data_dir").unwrap_or_else(|| PathBuf::from("/var/lib/wardpost"));
    let listen = listen(&mut root);
    let tls = tls(&mut root, base);
    let acme = acme(&mut root, base);
    if let (Some(_), Some(_)) = (&tls, &acme) {
        let text = "[tls] and [acme] exclude each other: give files or an authority, not both";
        root.document().problem(None, text.to_owned());
    }
    let dns = dns(&mut root, base);
    let transport = transport(&mut root, base);
    let inbound = inbound(&mut root);
    let publish = publish(&mut root);
    let metrics = metrics(&mut root, base, &listen);
    let keys = keys(&mut root, base);
    let practice = practice(&mut root, domain.as_ref());
    let backup = backup(&mut root);
    let portal = portal(&mut root, hostname.as_ref(), &listen);
    let limits = limits(&mut root);
    let queue = queue(&mut root);
    let doctor = doctor(&mut root);
    let log = log(&mut root);
    root.finish();
    Some(Config {
        file: file.to_owned(),
        hostname: hostname?,
        domain: domain?,
        data_dir,
        listen,
        tls,
        acme,
        dns,
        transport,
        inbound,
        publish,
        metrics,
        keys,
        practice,
        backup,
        portal,
        limits,
        queue,
        doctor,
        log,
    })
}

fn required_domain(root: &mut Section<'_, '_>, key: &'static str, what: &str) -> Option<Domain> {
    if !root.has(key) {
        root.missing(key, what);
    }
    root.text(key, |text| match Domain::parse(text) {
        Ok(domain) if !domain.as_str().contains('.') => {
            Err("must be a full name with a dot in it".to_owned())
        }
        other => other.map_err(|error| error.to_string()),
    })
}

fn listen(root: &mut Section<'_, '_>) -> Listen {
    let (mut section, _) = root.section("listen");
    let mut service = |key, default: SocketAddr| {
        section.list(key, values::listen_address).unwrap_or_else(|| vec![default])
    };
    let everywhere = |port| SocketAddr::from(([0, 0, 0, 0], port));
    let listen = Listen {
        mx: service("mx", everywhere(25)),
        submission: service("submission", everywhere(587)),
        submissions: service("submissions", everywhere(465)),
        imaps: service("imaps", everywhere(993)),
        https: service("https", everywhere(443)),
        http: service("http", everywhere(80)),
        metrics: service("metrics", SocketAddr::from(([127, 0, 0, 1], 9464))),
        managesieve: service("managesieve", everywhere(4190)),
    };
    section.finish();
    if let Some(address) = twice(&listen) {
        let text = format!("[listen] names {address} twice: each address has room for one service");
        root.document().problem(None, text);
    }
    listen
}

/// An address that two services, or one service twice, would listen on.
fn twice(listen: &Listen) -> Option<SocketAddr> {
    // ManageSieve is not served yet.
    let Listen { mx, submission, submissions, imaps, https, http, metrics, managesieve: _ } =
        listen;
    let services = [mx, submission, submissions, imaps, https, http, metrics];
    let mut seen = std::collections::HashSet::new();
    // The system chooses port 0's number anew for each.
    let fixed = services.into_iter().flatten().filter(|address| address.port() != 0);
    fixed.copied().find(|address| !seen.insert(*address))
}

fn tls(root: &mut Section<'_, '_>, base: &Base) -> Option<TlsFiles> {
    let (mut section, present) = root.section("tls");
    for (key, what) in [
        ("certificate", "a PEM file with our certificate and its chain"),
        ("private_key", "a PEM file with the certificate's private key"),
    ] {
        if present && !section.has(key) {
            section.missing(key, what);
        }
    }
    let certificate = base.path(&mut section, "certificate");
    let private_key = base.path(&mut section, "private_key");
    section.finish();
    Some(TlsFiles { certificate: certificate?, private_key: private_key? })
}

fn acme(root: &mut Section<'_, '_>, base: &Base) -> Option<Acme> {
    let (mut section, present) = root.section("acme");
    let directory = section.text("directory", values::https_url);
    let contact = section.text("contact", values::line);
    let extra_root = base.path(&mut section, "extra_root");
    for (key, other, what) in [
        (
            "eab_key_id",
            "eab_key_file",
            "the name that the authority gave to the key in eab_key_file",
        ),
        ("eab_key_file", "eab_key_id", "a file with the HMAC key that goes with eab_key_id"),
    ] {
        if section.has(other) && !section.has(key) {
            section.missing(key, what);
        }
    }
    let key_id = section.text("eab_key_id", values::line);
    let key_file = base.path(&mut section, "eab_key_file");
    let external = key_id.zip(key_file).map(|(key_id, key_file)| AcmeExternal { key_id, key_file });
    section.finish();
    let directory =
        directory.unwrap_or_else(|| "https://acme-v02.api.letsencrypt.org/directory".to_owned());
    present.then_some(Acme { directory, contact, extra_root, external })
}

fn dns(root: &mut Section<'_, '_>, base: &Base) -> Dns {
    let (mut section, _) = root.section("dns");
    let dns = Dns {
        servers: section.list("servers", values::dns_server).unwrap_or_default(),
        trust_anchor: base.path(&mut section, "trust_anchor"),
    };
    section.finish();
    dns
}

fn transport(root: &mut Section<'_, '_>, base: &Base) -> Transport {
    let (mut section, _) = root.section("transport");
    let floor = section.text("floor", |text| match text.parse::<TlsGrade>() {
        Ok(grade) if grade >= TlsGrade::T3 => Ok(grade),
        Ok(_) => Err("must be at least T3: below that anybody on the way can read along"),
        Err(_) => Err("must be a TLS grade: T3, T4 or T5"),
    });
    let transport = Transport {
        floor: floor.unwrap_or(TlsGrade::T3),
        honour_tls_required_no: section.flag("honour_tls_required_no").unwrap_or(false),
        extra_roots: base.path(&mut section, "extra_roots"),
        // The range keeps the number within u16.
        smtp_port: section.number("smtp_port", 1..=65535).map_or(25, |port| port as u16),
    };
    section.finish();
    transport
}

fn inbound(root: &mut Section<'_, '_>) -> Inbound {
    let (mut section, _) = root.section("inbound");
    let cleartext = section.text("cleartext", |text| match text {
        "refuse" => Ok(Cleartext::Refuse),
        "accept-and-mark" => Ok(Cleartext::AcceptAndMark),
        _ => Err("must be \"refuse\" or \"accept-and-mark\""),
    });
    let exceptions = section.list("cleartext_exceptions", CleartextException::parse);
    let sealers = section.list("trusted_arc_sealers", Domain::parse);
    section.finish();
    Inbound {
        trusted_arc_sealers: sealers.unwrap_or_default(),
        cleartext: cleartext.unwrap_or(Cleartext::Refuse),
        cleartext_exceptions: exceptions.unwrap_or_default(),
    }
}

fn publish(root: &mut Section<'_, '_>) -> Publish {
    let (mut section, _) = root.section("publish");
    let mta_sts = section.text("mta_sts", |text| match text {
        "enforce" => Ok(MtaSts::Enforce),
        "testing" => Ok(MtaSts::Testing),
        "none" => Ok(MtaSts::None),
        "off" => Ok(MtaSts::Off),
        _ => Err("must be \"enforce\", \"testing\", \"none\" or \"off\""),
    });
    // A year at most (RFC 8461 §3.2).
    let days = section.number("mta_sts_days", 1..=365).unwrap_or(14);
    let addresses = section.list("addresses", values::public_address);
    section.finish();
    Publish {
        addresses: addresses.unwrap_or_default(),
        mta_sts: mta_sts.unwrap_or(MtaSts::Enforce),
        mta_sts_max_age: Duration::from_secs(days * 24 * 3600),
    }
}

fn metrics(root: &mut Section<'_, '_>, base: &Base, listen: &Listen) -> Metrics {
    let (mut section, _) = root.section("metrics");
    let metrics = Metrics {
        token_file: base.path(&mut section, "token_file"),
        client_ca: base.path(&mut section, "client_ca"),
    };
    section.finish();
    let open = listen.metrics.iter().find(|address| !address.ip().is_loopback());
    if let (Some(address), false) = (open, metrics.is_guarded()) {
        let text = format!(
            "[listen] metrics = \"{address}\" can be reached from other machines: say who may read the metrics \
             with [metrics] token_file or client_ca, or listen on 127.0.0.1"
        );
        root.document().problem(None, text);
    }
    metrics
}

fn keys(root: &mut Section<'_, '_>, base: &Base) -> Keys {
    let (mut section, _) = root.section("keys");
    let keys = Keys { system_key_file: base.path(&mut section, "system_key_file") };
    section.finish();
    keys
}

fn practice(root: &mut Section<'_, '_>, domain: Option<&Domain>) -> Practice {
    let (mut section, _) = root.section("practice");
    let name = section.text("name", values::line);
    let phone = section.text("phone", values::line);
    let contact = section.text("contact", Address::parse);
    section.finish();
    Practice {
        name: name.unwrap_or_else(|| domain.map(Domain::to_string).unwrap_or_default()),
        phone,
        contact,
    }
}

fn backup(root: &mut Section<'_, '_>) -> Backup {
    let (mut section, _) = root.section("backup");
    let destination = section.text("destination", values::line);
    section.finish();
    Backup { destination }
}

fn portal(root: &mut Section<'_, '_>, hostname: Option<&Domain>, listen: &Listen) -> Portal {
    let (mut section, _) = root.section("portal");
    let url = section.text("url", values::https_url);
    let days = section.number("parcel_days", 1..=365).unwrap_or(30);
    section.finish();
    let url = url.unwrap_or_else(|| {
        let host = hostname.map(Domain::as_str).unwrap_or_default();
        match listen.https.first().map(SocketAddr::port) {
            Some(port) if port != 443 => format!("https://{host}:{port}"),
            _ => format!("https://{host}"),
        }
    });
    Portal { url, parcel_lifetime: Duration::from_secs(days * 24 * 3600) }
}

fn limits(root: &mut Section<'_, '_>) -> Limits {
    let (mut section, _) = root.section("limits");
    let mut count = |key, least: u64, most: u64, default: usize| {
        // The ranges fit into usize.
        section.number(key, least..=most).map_or(default, |number| number as usize)
    };
    let recipients = count("recipients", 100, 10_000, 200);
    let connections = count("connections", 1, 100_000, 2_000);
    let connections_per_address = count("connections_per_address", 1, 100_000, 1_000);
    let mx_connections_per_address = count("mx_connections_per_address", 1, 100_000, 50);
    let message_bytes = section.size("message_bytes", 64 << 10..=1 << 30);
    section.finish();
    Limits {
        message_bytes: message_bytes.unwrap_or(50 << 20) as usize,
        recipients,
        connections,
        connections_per_address,
        mx_connections_per_address,
    }
}

fn queue(root: &mut Section<'_, '_>) -> Queue {
    let (mut section, _) = root.section("queue");
    let mut hours = |key, range, default| {
        Duration::from_secs(3600 * section.number(key, range).unwrap_or(default))
    };
    let delay_report = hours("delay_report_hours", 1..=72, 4);
    let give_up = hours("give_up_hours", 1..=240, 120);
    let history = 24 * hours("history_days", 0..=3650, 30);
    section.finish();
    Queue { delay_report, give_up, history }
}

fn doctor(root: &mut Section<'_, '_>) -> Doctor {
    let (mut section, _) = root.section("doctor");
    let probe_hosts = section.list("probe_hosts", Domain::parse);
    let time_servers = section.list("time_servers", values::time_server);
    section.finish();
    let domains =
        |names: &[&str]| names.iter().filter_map(|name| Domain::parse(name).ok()).collect();
    let servers = |names: &[&str]| {
        names.iter().map(|host| TimeServer { host: (*host).to_owned(), port: 123 }).collect()
    };
    Doctor {
        probe_hosts: probe_hosts
            .unwrap_or_else(|| domains(&["gmail.com", "outlook.com", "icloud.com", "yahoo.com"])),
        time_servers: time_servers.unwrap_or_else(|| {
            servers(&["time.cloudflare.com", "time.google.com", "ptbtime1.ptb.de"])
        }),
    }
}

fn log(root: &mut Section<'_, '_>) -> Log {
    let (mut section, _) = root.section("log");
    let format = section.text("format", |text| match text {
        "text" => Ok(LogFormat::Text),
        "json" => Ok(LogFormat::Json),
        _ => Err("must be \"text\" or \"json\""),
    });
    let level = section.text("level", |text| {
        use LogLevel::{Debug, Error, Info, Trace, Warn};
        let levels = [Error, Warn, Info, Debug, Trace];
        let level = levels.into_iter().find(|level| level.name() == text);
        level.ok_or("must be \"error\", \"warn\", \"info\", \"debug\" or \"trace\"")
    });
    section.finish();
    Log { format: format.unwrap_or(LogFormat::Text), level: level.unwrap_or(LogLevel::Info) }
}
