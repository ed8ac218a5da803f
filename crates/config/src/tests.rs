//! What is taken, what is refused, and with which words.

use super::*;

const LEAST: &str = "hostname = \"mail.clinic.test\"\ndomain = \"clinic.test\"\n";

fn parse(text: &str) -> Result<Config, ConfigError> {
    Config::parse(text, Path::new("/etc/wardpost/wardpost.toml"))
}

/// What is said about `LEAST` (two lines) followed by `more`.
fn complaint(more: &str) -> String {
    parse(&format!("{LEAST}{more}")).expect_err(more).to_string()
}

#[test]
fn two_keys_are_enough_and_the_rest_has_documented_defaults() {
    let config = parse(LEAST).unwrap();
    assert_eq!(config.hostname.as_str(), "mail.clinic.test");
    assert_eq!(config.data_dir, Path::new("/var/lib/wardpost"));
    assert_eq!(config.listen.mx, ["0.0.0.0:25".parse().unwrap()]);
    assert_eq!(config.listen.metrics, ["127.0.0.1:9464".parse().unwrap()]);
    assert_eq!(config.tls, None);
    assert_eq!(config.acme, None);
    assert_eq!(config.transport.floor, TlsGrade::T3);
    assert_eq!(config.transport.smtp_port, 25);
    assert_eq!(config.inbound.cleartext, Cleartext::Refuse);
    assert_eq!(config.practice.name, "clinic.test");
    assert_eq!(config.portal.url, "https://mail.clinic.test");
    assert_eq!(config.portal.parcel_lifetime, Duration::from_secs(30 * 86_400));
    assert_eq!(config.limits.message_bytes, 50 << 20);
    assert_eq!(config.queue.give_up, Duration::from_secs(5 * 86_400));
    assert_eq!(config.log.level, LogLevel::Info);
    assert_eq!(config.admin_socket(), Path::new("/var/lib/wardpost/admin.sock"));
}

#[test]
fn the_example_configuration_is_valid_as_shipped_and_with_every_line_uncommented() {
    let example = include_str!("../../../config/wardpost.toml");
    parse(example).unwrap_or_else(|error| panic!("{error}"));
    let mut all = String::new();
    let mut acme = false;
    for line in example.lines() {
        // `#key = …` and `#[section]` are settings commented out; `# text` is explanation.
        let setting = line.strip_prefix('#').filter(|rest| !rest.starts_with([' ', '#']));
        let line = setting.unwrap_or(line);
        if line.starts_with('[') {
            acme = line == "[acme]"; // Excludes [tls], which the example has.
        }
        if !acme {
            all.push_str(line);
            all.push('\n');
        }
    }
    parse(&all).unwrap_or_else(|error| panic!("{error}\n{all}"));
}

#[test]
fn an_authority_that_knows_its_customers_needs_name_and_key() {
    let example = include_str!("../../../config/wardpost.toml");
    let section = example.split("\n#[acme]").nth(1).unwrap().split("\n\n").next().unwrap();
    let lines = section.lines().filter_map(|line| line.strip_prefix('#'));
    let settings = lines.filter(|line| !line.starts_with(' '));
    let text: String = settings.map(|line| format!("{line}\n")).collect();
    let acme = parse(&format!("{LEAST}[acme]\n{text}")).unwrap().acme.unwrap();
    let external = acme.external.unwrap();
    assert_eq!(external.key_id, "kid-1");
    assert_eq!(external.key_file, Path::new("/etc/wardpost/acme-eab.key"));
    assert_eq!(parse(&format!("{LEAST}[acme]\n")).unwrap().acme.unwrap().external, None);
    assert!(complaint("[acme]\neab_key_id = \"k\"\n").contains("\"eab_key_file\" is missing"));
    assert!(complaint("[acme]\neab_key_file = \"k\"\n").contains("\"eab_key_id\" is missing"));
}

#[test]
fn relative_paths_count_from_the_file() {
    let text = format!(
        "data_dir = \"data\"\n{LEAST}[tls]\ncertificate = \"tls/cert.pem\"\nprivate_key = \"/k.pem\"\n"
    );
    let config = parse(&text).unwrap();
    assert_eq!(config.data_dir, Path::new("/etc/wardpost/data"));
    let tls = config.tls.unwrap();
    assert_eq!(tls.certificate, Path::new("/etc/wardpost/tls/cert.pem"));
    assert_eq!(tls.private_key, Path::new("/k.pem"));
}

#[test]
fn metrics_for_other_machines_need_a_guard() {
    let open =
        |more: &str| format!("[listen]\nmetrics = [\"127.0.0.1:9464\", \"0.0.0.0:9464\"]\n{more}");
    let words = complaint(&open(""));
    assert!(words.contains("0.0.0.0:9464") && words.contains("[metrics] token_file"), "{words}");
    for guard in ["token_file = \"metrics.token\"", "client_ca = \"clients.pem\""] {
        let config = parse(&format!("{LEAST}{}", open(&format!("[metrics]\n{guard}\n")))).unwrap();
        assert!(config.metrics.is_guarded());
    }
    for loopback in ["127.3.2.1:9464", "[::1]:9464"] {
        let text = format!("{LEAST}[listen]\nmetrics = \"{loopback}\"\n");
        assert!(!parse(&text).unwrap().metrics.is_guarded());
    }
}

#[test]
fn listen_takes_one_address_a_list_or_nothing() {
    let more = "[listen]\nmx = [\"127.0.0.1:2525\", \"[::1]:2525\"]\nhttps = \"127.0.0.1:8443\"\nhttp = \"\"\nimaps = []\n";
    let config = parse(&format!("{LEAST}{more}")).unwrap();
    let expected: Vec<SocketAddr> =
        vec!["127.0.0.1:2525".parse().unwrap(), "[::1]:2525".parse().unwrap()];
    assert_eq!(config.listen.mx, expected);
    assert!(config.listen.http.is_empty() && config.listen.imaps.is_empty());
    assert_eq!(config.portal.url, "https://mail.clinic.test:8443");
    assert_eq!(config.listen.submission.len(), 1);
}

#[test]
fn a_mistake_is_told_with_its_line_and_what_was_probably_meant() {
    let file = "/etc/wardpost/wardpost.toml";
    for (more, said) in [
        (
            "hostnme = \"x\"",
            ":3: unknown key \"hostnme\" before the first section; did you mean \"hostname\"?",
        ),
        ("[listen]\n\nmix = \"\"", ":5: unknown key \"mix\" in [listen]; did you mean \"mx\"?"),
        ("[lisen]\nmx = \"\"", ":3: unknown section [lisen]; did you mean [listen]?"),
        (
            "certificate = \"x\"",
            ":3: unknown key \"certificate\" before the first section; it belongs in [tls]",
        ),
        (
            "[listen]\nsmtp_port = 25",
            ":4: unknown key \"smtp_port\" in [listen]; it belongs in [transport]",
        ),
        ("zzyzx = 1", ":3: unknown key \"zzyzx\" before the first section"),
        (
            "[listen]\nmx = \"25\"",
            ":4: mx = \"25\": must be an address and a port, such as \"0.0.0.0:25\" or \"[::]:25\"",
        ),
        ("[listen]\nmx = 25", ":4: mx must be a text or a list of texts, not a whole number"),
        ("[listen]\nmx = [\n 25]", ":5: mx must be a list of texts, not a whole number"),
        ("listen = 3", ":3: \"listen\" must be a section, [listen]"),
        (
            "[transport]\nfloor = \"T2\"",
            ":4: floor = \"T2\": must be at least T3: below that anybody on the way can read along",
        ),
        (
            "[transport]\nfloor = \"high\"",
            ":4: floor = \"high\": must be a TLS grade: T3, T4 or T5",
        ),
        ("[transport]\nsmtp_port = 0", ":4: smtp_port = 0: must be between 1 and 65535"),
        ("[transport]\nsmtp_port = \"25\"", ":4: smtp_port must be a whole number, not a text"),
        (
            "[inbound]\ncleartext = \"yes\"",
            ":4: cleartext = \"yes\": must be \"refuse\" or \"accept-and-mark\"",
        ),
        (
            "[limits]\nmessage_bytes = \"5 kB\"",
            ":4: message_bytes = \"5 kB\": must be between 65536 and 1073741824 bytes",
        ),
        ("[limits]\nrecipients = 50", ":4: recipients = 50: must be between 100 and 10000"),
        (
            "[log]\nlevel = \"loud\"",
            ":4: level = \"loud\": must be \"error\", \"warn\", \"info\", \"debug\" or \"trace\"",
        ),
        (
            "[dns]\nservers = [\"one.one.one.one\"]",
            ":4: servers = \"one.one.one.one\": must be an IP address, with or without a port, such as \"127.0.0.1:53\"",
        ),
        (
            "[tls]\ncertificate = \"c\"",
            ": in [tls], \"private_key\" is missing: a PEM file with the certificate's private key",
        ),
        (
            "[practice]\nname = \"a\\nb\"",
            ":4: name = \"a\\nb\": must be one line without control characters",
        ),
    ] {
        assert_eq!(complaint(more), format!("{file}{said}"), "{more}");
    }
}

#[test]
fn public_addresses_are_addresses() {
    let config =
        parse(&format!("{LEAST}[publish]\naddresses = [\"203.0.113.7\", \"2001:db8::7\"]"));
    let addresses: Vec<String> =
        config.unwrap().publish.addresses.iter().map(ToString::to_string).collect();
    assert_eq!(addresses, ["203.0.113.7", "2001:db8::7"]);
    for wrong in ["203.0.113.7:25", "0.0.0.0", "ff02::1", "mail.clinic.test"] {
        let said = complaint(&format!("[publish]\naddresses = \"{wrong}\""));
        assert!(said.contains("must be an IP address without a port"), "{said}");
    }
}

#[test]
fn the_doctor_asks_whom_it_is_told_to() {
    let server = |host: &str, port| TimeServer { host: host.to_owned(), port };
    let config = parse(&format!(
        "{LEAST}[doctor]\nprobe_hosts = [\"colleague.test\"]\n\
         time_servers = [\"192.0.2.1\", \"time.test\", \"[2001:db8::1]:1123\", \"time.test:124\"]"
    ));
    let doctor = config.unwrap().doctor;
    assert_eq!(doctor.probe_hosts.len(), 1);
    let servers =
        [("192.0.2.1", 123), ("time.test", 123), ("2001:db8::1", 1123), ("time.test", 124)];
    assert_eq!(doctor.time_servers, servers.map(|(host, port)| server(host, port)));
    let none = parse(&format!("{LEAST}[doctor]\nprobe_hosts = \"\"\ntime_servers = []")).unwrap();
    assert!(none.doctor.probe_hosts.is_empty() && none.doctor.time_servers.is_empty());
    let usual = parse(LEAST).unwrap().doctor;
    assert_eq!((usual.probe_hosts.len(), usual.time_servers.len()), (4, 3));
    assert!(complaint("[doctor]\ntime_servers = \"a:b\"").contains("must be a host name"));
}

#[test]
fn what_set_up_asks_for_is_kept() {
    let config = parse(&format!(
        "{LEAST}[practice]\ncontact = \"office@clinic.test\"\n[backup]\ndestination = \"the NAS\""
    ));
    let config = config.unwrap();
    assert_eq!(config.practice.contact.unwrap().to_string(), "office@clinic.test");
    assert_eq!(config.backup.destination.as_deref(), Some("the NAS"));
    assert_eq!(parse(LEAST).unwrap().backup, Backup::default());
    assert!(complaint("[practice]\ncontact = \"office\"").contains(":4: contact = \"office\""));
}

#[test]
fn what_is_missing_or_not_a_name_is_told() {
    let error = parse("domain = \"clinic\"\n").unwrap_err().to_string();
    assert!(error.contains("\"hostname\" is missing: this machine's mail host name"), "{error}");
    assert!(error.contains(":1: domain = \"clinic\": must be a full name"), "{error}");
}

#[test]
fn all_mistakes_are_told_at_once_in_the_order_of_their_lines() {
    let error = complaint("[listn]\n[log]\nformat = 3\n[tls]\nx = 1");
    let lines: Vec<&str> = error.lines().collect();
    assert_eq!(lines.len(), 5, "{error}");
    assert!(lines[0].contains(":3: unknown section [listn]"), "{error}");
    assert!(lines[1].contains(":5: format must be a text"), "{error}");
    assert!(lines[2].contains(":7: unknown key \"x\" in [tls]"), "{error}");
}

#[test]
fn what_is_not_toml_is_told_with_its_line() {
    for (more, line) in [
        ("= 3", 3),
        ("[log]\n[log]\n", 4),
        ("domain = \"b.test\"", 3),
        ("a = \"\u{1}\"", 3),
        ("a = [", 3),
    ] {
        let error = complaint(more);
        let at = ["", "1", "2", "3", "4", "5"][line];
        assert!(
            error.starts_with(&format!("/etc/wardpost/wardpost.toml:{at}: not TOML")),
            "{error}"
        );
    }
}

#[test]
fn an_address_has_room_for_one_service() {
    for more in
        ["[listen]\nimaps = \"0.0.0.0:25\"", "[listen]\nmx = [\"[::1]:2525\", \"[::1]:2525\"]"]
    {
        let error = complaint(more);
        assert!(error.contains("[listen] names ") && error.contains(" twice"), "{error}");
    }
    let free = "[listen]\nimaps = \"127.0.0.1:0\"\nhttps = \"127.0.0.1:0\"\nmx = \"127.0.0.1:25\"";
    let text = format!("hostname = \"mail.clinic.test\"\ndomain = \"clinic.test\"\n{free}");
    assert!(parse(&text).is_ok());
}

#[test]
fn files_and_an_authority_exclude_each_other() {
    let error = complaint("[tls]\ncertificate = \"c\"\nprivate_key = \"k\"\n[acme]\n");
    assert!(error.contains("exclude each other"), "{error}");
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let error = Config::load(Path::new("/nonexistent/w.toml")).unwrap_err().to_string();
    assert!(error.starts_with("/nonexistent/w.toml: cannot read the configuration"), "{error}");
}

proptest::proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "[a-z\\[\\]=\" \n.0-9#-]{0,200}") {
        let _ = parse(&text);
    }
}
