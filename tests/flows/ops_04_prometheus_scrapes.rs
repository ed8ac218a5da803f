//! A real Prometheus scrapes the daemon; what happened shows in the numbers, and nobody's name does.

use std::fs;
use std::process::Command;
use std::time::Duration;
use wardpost_tests::practice::{Practice, message};
use wardpost_tests::process::Process;
use wardpost_tests::smtp::Smtp;
use wardpost_tests::{Result, run, wait_for};

#[test]
fn ops_04_prometheus_scrapes() -> Result<()> {
    let practice = Practice::open()?;
    let text = message("a@hospital.test", &practice.dana, "x", "y");
    practice.stranger()?.send("a@hospital.test", &[&practice.dana], &text)?;
    let mut clear = Smtp::connect(practice.wardpost.mx())?;
    clear.must("EHLO x.test", 250)?;
    clear.must("MAIL FROM:<a@plainmail.test>", 530)?;

    let url = format!("http://{}/metrics", practice.wardpost.metrics());
    let metrics = run(Command::new("curl").args(["-sS", &url]))?;
    assert!(!metrics.contains("dana") && !metrics.contains("hospital.test"), "{metrics}");
    run(Command::new("sh").args(["-c", &format!("curl -sS {url} | promtool check metrics")]))?;

    let folder = practice.lab.folder("prometheus")?;
    let config = folder.join("prometheus.yml");
    fs::write(
        &config,
        format!(
            "global:\n  scrape_interval: 1s\nscrape_configs:\n  - job_name: wardpost\n    static_configs:\n      - targets: ['{}']\n",
            practice.wardpost.metrics()
        ),
    )?;
    let listen = format!("{}:9090", practice.lab.host(40));
    let mut command = Command::new("prometheus");
    command
        .arg(format!("--config.file={}", config.display()))
        .arg(format!("--storage.tsdb.path={}/data", folder.display()))
        .arg(format!("--web.listen-address={listen}"));
    let _prometheus = Process::start(&mut command, &folder.join("log"))?;
    wait_for("Prometheus to know Wardpost", Duration::from_secs(60), || {
        let query = format!("http://{listen}/api/v1/query?query=up");
        let answer = run(Command::new("curl").args(["-sS", &query])).ok()?;
        answer.contains("\"1\"").then_some(())
    })
    .map_err(|e| {
        format!("{e}\n{}", fs::read_to_string(folder.join("log")).unwrap_or_default()).into()
    })
}
