//! Watching from another machine: a real Prometheus gets the numbers over TLS with the token or a certificate, and
//! nobody without; the shipped alerts and the dashboard ask only for numbers that are there, and each alert is
//! explained.

use crate::ops_08_metrics_tell_the_day::a_day;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use wardpost_tests::ca::{Ca, Pair};
use wardpost_tests::practice::Practice;
use wardpost_tests::process::Process;
use wardpost_tests::wardpost::{HOSTNAME, Wardpost};
use wardpost_tests::{Lab, Result, run, wait_for};

const TOKEN: &str = "Y2FuYXJ5IHRva2VuIG9mIHRoZSBzY3JhcGVy";
/// Counted only where certificates come from an authority; the ACME flows see it.
const ELSEWHERE: [(&str, &str); 1] =
    [("wardpost_acme_failures_total", include_str!("../../crates/acme/src/metrics.rs"))];

fn shipped(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name)
}

#[test]
fn box_07_the_helper_sees_what_the_alerts_ask_for() -> Result<()> {
    let lab = Lab::start()?;
    let folder = lab.folder("prometheus")?;
    let clients = Ca::create(&folder.join("clients"))?;
    let token = folder.join("wardpost.token");
    fs::write(&token, format!("{TOKEN}\n"))?;
    let guard = format!(
        "[metrics]\ntoken_file = \"{}\"\nclient_ca = \"{}\"\n",
        token.display(),
        clients.root.display()
    );
    let practice = Practice::open_in(lab, &guard)?;
    let _day = a_day(&practice)?;
    let _open = practice.imap(&practice.dana)?;

    in_clear_there_is_nothing(&practice)?;
    let scraped = wait_for("the first examination", Duration::from_secs(120), || {
        let text = scrape(&practice).ok()?;
        text.contains("wardpost_health{").then_some(text)
    })?;
    let prometheus = Prometheus::start(&practice, &folder, &clients)?;
    prometheus.who_is_let_in()?;
    let rules = fs::read_to_string(shipped("config/prometheus/alerts.yml"))?;
    let dashboard: Value =
        serde_json::from_str(&fs::read_to_string(shipped("config/grafana/wardpost.json"))?)?;
    let expressions = expressions(&dashboard);
    assert!(expressions.len() > 30, "{expressions:?}");
    only_what_is_there(&scraped, &rules, &expressions)?;
    prometheus.understands(&expressions)?;
    prometheus.took_the_rules()
}

/// Neither without TLS, nor with it and nothing to show.
fn in_clear_there_is_nothing(practice: &Practice) -> Result<()> {
    let plain = format!("http://{}/metrics", practice.wardpost.metrics());
    assert!(run(Command::new("curl").args(["-sS", "--max-time", "10", &plain])).is_err());
    let code = ["-o", "/dev/null", "-w", "%{http_code}"];
    assert_eq!(run(curl(practice).args(code))?, "401");
    let header = format!("Authorization: Bearer {}", TOKEN.to_lowercase());
    assert_eq!(run(curl(practice).args(code).args(["-H", &header]))?, "401");
    assert!(!practice.wardpost.log().contains(TOKEN));
    Ok(())
}

fn scrape(practice: &Practice) -> Result<String> {
    let text = run(curl(practice).args(["-f", "-H", &format!("Authorization: Bearer {TOKEN}")]))?;
    assert!(!text.contains("dana") && !text.contains("hospital.test"), "{text}");
    Ok(text)
}

fn curl(practice: &Practice) -> Command {
    let port = practice.wardpost.metrics();
    let mut curl = Command::new("curl");
    curl.args(["-sS", "--cacert"])
        .arg(&practice.lab.ca.root)
        .args(["--resolve", &format!("{HOSTNAME}:{}:{}", port.port(), port.ip())])
        .arg(format!("https://{HOSTNAME}:{}/metrics", port.port()));
    curl
}

/// Debian's Prometheus with the shipped configuration and one job more for each way in.
struct Prometheus {
    listen: String,
    log: PathBuf,
    _process: Process,
}

impl Prometheus {
    fn start(practice: &Practice, folder: &Path, clients: &Ca) -> Result<Self> {
        fs::copy(shipped("config/prometheus/alerts.yml"), folder.join("alerts.yml"))?;
        let target = practice.wardpost.metrics().to_string();
        let tls = format!(
            "    tls_config:\n      ca_file: {}\n      server_name: {HOSTNAME}\n",
            practice.lab.ca.root.display()
        );
        let text = fs::read_to_string(shipped("config/prometheus/prometheus.yml"))?;
        let text = text
            .replace("interval: 30s", "interval: 1s")
            .replace("mail.clinic.example:9464", &target)
            .replace(
                "    static_configs:\n      - targets: [\"127",
                &format!("{tls}    static_configs:\n      - targets: [\"127"),
            );
        let (jobs, rest) = text.split_once("\n# Where alerts go").ok_or("another configuration")?;
        let known = clients.issue(&["prometheus"])?;
        let stranger = Ca::create(&folder.join("strangers"))?.issue(&["prometheus"])?;
        let mut jobs = jobs.trim_end().to_owned();
        for (name, extra) in [
            ("nothing", tls.clone()),
            ("wrong-token", format!("    authorization:\n      credentials: {TOKEN}x\n{tls}")),
            ("certificate", format!("{tls}{}", shows(&known))),
            ("stranger", format!("{tls}{}", shows(&stranger))),
        ] {
            jobs.push_str(&format!(
                "\n  - job_name: {name}\n    scheme: https\n{extra}    static_configs:\n      - targets: [\"{target}\"]"
            ));
        }
        fs::write(folder.join("prometheus.yml"), format!("{jobs}\n\n# {rest}"))?;
        let listen = format!("{}:9090", practice.lab.host(40));
        let log = folder.join("log");
        let mut command = Command::new("prometheus");
        command
            .arg(format!("--config.file={}/prometheus.yml", folder.display()))
            .arg(format!("--storage.tsdb.path={}/data", folder.display()))
            .arg(format!("--web.listen-address={listen}"));
        let process = Process::start(&mut command, &log)?;
        Ok(Self { listen, log, _process: process })
    }

    fn ask(&self, what: &str, query: &str) -> Result<Value> {
        let url = format!("http://{}/api/v1/{what}", self.listen);
        let mut curl = Command::new("curl");
        curl.args(["-sS", "-G", &url, "--data-urlencode", &format!("query={query}")]);
        Ok(serde_json::from_str(&run(&mut curl)?)?)
    }

    fn who_is_let_in(&self) -> Result<()> {
        let seen = wait_for("Prometheus to have tried each way", Duration::from_secs(60), || {
            let answer = self.ask("targets", "").ok()?;
            let targets = answer["data"]["activeTargets"].as_array()?.clone();
            let seen: BTreeMap<String, (String, String)> = targets
                .iter()
                .filter_map(|target| {
                    let text = |value: &Value| value.as_str().map(str::to_owned);
                    let job = text(&target["labels"]["job"])?;
                    Some((job, (text(&target["health"])?, text(&target["lastError"])?)))
                })
                .collect();
            (seen.len() == 5 && seen.values().all(|(health, _)| health != "unknown"))
                .then_some(seen)
        })
        .map_err(|e| format!("{e}\n{}", fs::read_to_string(&self.log).unwrap_or_default()))?;
        for (job, (health, error)) in &seen {
            if matches!(job.as_str(), "wardpost" | "certificate") {
                assert_eq!(health, "up", "{job}: {error}");
            } else {
                assert_eq!(health, "down", "{job}");
                assert!(error.contains("401"), "{job}: {error}");
            }
        }
        Ok(())
    }

    /// Every query of the dashboard is one that Prometheus can read, with the dashboard's variables filled in.
    fn understands(&self, expressions: &[String]) -> Result<()> {
        let instances = self.ask("query", "wardpost_build_info{job=\"wardpost\"}")?;
        let instance = instances["data"]["result"][0]["metric"]["instance"].as_str();
        let instance = instance.ok_or_else(|| format!("{instances}"))?;
        for expression in expressions {
            let query = expression.replace("$instance", instance).replace("$__interval", "5m");
            let answer = self.ask("query", &query)?;
            assert_eq!(answer["status"], "success", "{query}: {answer}");
        }
        Ok(())
    }

    fn took_the_rules(&self) -> Result<()> {
        let answer = self.ask("rules", "")?;
        let groups = answer["data"]["groups"].as_array().ok_or("no groups")?;
        let rules: Vec<&Value> =
            groups.iter().filter_map(|group| group["rules"].as_array()).flatten().collect();
        let text = fs::read_to_string(shipped("config/prometheus/alerts.yml"))?;
        assert_eq!(rules.len(), alerts(&text).len());
        for rule in rules {
            assert_eq!(rule["health"], "ok", "{rule}");
        }
        Ok(())
    }
}

fn shows(pair: &Pair) -> String {
    format!(
        "      cert_file: {}\n      key_file: {}\n",
        pair.certificate.display(),
        pair.key.display()
    )
}

/// All queries in the dashboard, wherever they stand.
fn expressions(value: &Value) -> Vec<String> {
    match value {
        Value::Object(fields) => fields
            .iter()
            .flat_map(|(name, value)| match value {
                Value::String(text) if name == "expr" => vec![text.clone()],
                other => expressions(other),
            })
            .collect(),
        Value::Array(values) => values.iter().flat_map(expressions).collect(),
        _ => Vec::new(),
    }
}

/// Every metric that rules and dashboard name is one that was scraped.
fn only_what_is_there(scraped: &str, rules: &str, expressions: &[String]) -> Result<()> {
    let there: BTreeSet<&str> = scraped
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split(['{', ' ']).next())
        .collect();
    let lines = rules.lines().filter(|line| !line.trim_start().starts_with('#'));
    let asked: BTreeSet<&str> =
        lines.chain(expressions.iter().map(String::as_str)).flat_map(metrics).collect();
    assert!(asked.len() > 25, "{asked:?}");
    for name in asked {
        let elsewhere = ELSEWHERE.iter().find(|(known, _)| *known == name);
        let exported = there.contains(name)
            || elsewhere.is_some_and(|(_, source)| source.contains(&format!("\"{name}\"")));
        assert!(exported, "{name} is asked for, but not exported: {there:?}");
    }
    Ok(())
}

fn metrics(text: &str) -> impl Iterator<Item = &str> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(|word| word.starts_with("wardpost_") || word.starts_with("process_"))
}

#[test]
fn box_07_every_alert_is_explained_and_tried_both_ways() -> Result<()> {
    let rules = shipped("config/prometheus/alerts.yml");
    run(Command::new("promtool").args(["check", "rules"]).arg(&rules))?;
    run(Command::new("promtool")
        .args(["test", "rules", "alerts_test.yml"])
        .current_dir(shipped("config/prometheus")))?;
    let rules = fs::read_to_string(rules)?;
    let page = fs::read_to_string(shipped("docs/alerts.md"))?;
    let (mut fires, mut quiet) = (BTreeSet::new(), BTreeSet::new());
    let cases = fs::read_to_string(shipped("config/prometheus/alerts_test.yml"))?;
    let mut name = "";
    for line in cases.lines().map(str::trim) {
        if let Some(asked) = line.strip_prefix("alertname: ") {
            name = asked;
        } else if let Some(expected) = line.strip_prefix("exp_alerts:") {
            let set = if expected.trim() == "[]" { &mut quiet } else { &mut fires };
            set.insert(name);
        }
    }
    let alerts = alerts(&rules);
    assert!(alerts.len() >= 20);
    for alert in alerts {
        assert!(fires.contains(alert) && quiet.contains(alert), "{alert} is not tried both ways");
        let (_, section) = page
            .split_once(&format!("\n## {alert}\n"))
            .ok_or_else(|| format!("docs/alerts.md has no section {alert}"))?;
        let section = section.split("\n#").next().unwrap_or_default();
        for part in ["**What it means.**", "**What to do.**", "**Whom to call.**"] {
            assert!(section.contains(part), "{alert}: {part}");
        }
        let link = format!("runbook_url: docs/alerts.md#{}\n", alert.to_lowercase());
        assert!(rules.contains(&link), "{link}");
    }
    Ok(())
}

fn alerts(rules: &str) -> Vec<&str> {
    rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect()
}

#[test]
fn box_07_a_port_open_to_all_is_refused() -> Result<()> {
    let lab = Lab::start()?;
    let wardpost = Wardpost::prepare(&lab, "")?;
    let text = fs::read_to_string(wardpost.config())?;
    let open =
        text.replace(&format!("metrics = \"{}\"", wardpost.metrics()), "metrics = \"0.0.0.0:0\"");
    assert_ne!(text, open);
    fs::write(wardpost.config(), &open)?;
    let refused = wardpost.cli(&["check"], "").err().ok_or("an open port was taken")?.to_string();
    assert!(refused.contains("[metrics] token_file") && refused.contains("0.0.0.0:0"), "{refused}");
    // A file that is named has to hold a token.
    let token = lab.root().join("metrics.token");
    let guarded = format!("{open}[metrics]\ntoken_file = \"{}\"\n", token.display());
    fs::write(wardpost.config(), guarded)?;
    fs::write(&token, "short\n")?;
    let refused = wardpost.cli(&["check"], "").err().ok_or("a short token was taken")?.to_string();
    assert!(refused.contains("at least 32"), "{refused}");
    fs::write(&token, TOKEN)?;
    wardpost.cli(&["check"], "").map(drop)
}
