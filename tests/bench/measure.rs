//! What is measured: wall time, the servers' CPU time, latencies, memory.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

/// CPU time of everything on this machine but this program, between two points.
pub(crate) struct CpuClock {
    machine: f64,
    own: f64,
}

impl CpuClock {
    pub(crate) fn start() -> Self {
        Self { machine: machine_busy(), own: own_busy() }
    }

    /// Seconds that others have computed since.
    pub(crate) fn elapsed(&self) -> f64 {
        (machine_busy() - self.machine) - (own_busy() - self.own)
    }
}

/// The kernel counts in hundredths of a second (USER_HZ).
const TICKS: f64 = 100.0;

/// user + nice + system + irq + softirq of all CPUs, in seconds (proc(5), /proc/stat).
fn machine_busy() -> f64 {
    let text = fs::read_to_string("/proc/stat").unwrap_or_default();
    let fields: Vec<f64> = text
        .lines()
        .next()
        .map(|line| line.split_whitespace().skip(1).filter_map(|w| w.parse().ok()).collect())
        .unwrap_or_default();
    [0, 1, 2, 5, 6].iter().filter_map(|&i| fields.get(i)).sum::<f64>() / TICKS
}

/// This program's own user + system time, in seconds (proc(5), /proc/self/stat fields 14 and 15).
fn own_busy() -> f64 {
    let text = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = text.rsplit(')').next().unwrap_or_default();
    after_name
        .split_whitespace()
        .skip(11)
        .take(2)
        .filter_map(|w| w.parse::<f64>().ok())
        .sum::<f64>()
        / TICKS
}

/// Proportional set size, in MiB, of every process whose command line begins with one of `programs`.
pub(crate) fn memory_mib(programs: &[&str]) -> f64 {
    let Ok(entries) = fs::read_dir("/proc") else { return 0.0 };
    let kib: u64 = entries
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().bytes().all(|b| b.is_ascii_digit()))
        .filter(|entry| is_one_of(&entry.path(), programs))
        .filter_map(|entry| pss_kib(&entry.path()))
        .sum();
    kib as f64 / 1024.0
}

fn is_one_of(process: &Path, programs: &[&str]) -> bool {
    let Ok(command) = fs::read(process.join("cmdline")) else { return false };
    let first = command.split(|&b| b == 0).next().unwrap_or_default();
    let first = String::from_utf8_lossy(first).into_owned();
    let name = first.rsplit('/').next().unwrap_or_default();
    programs.iter().any(|p| first.starts_with(p) || name == *p)
}

fn pss_kib(process: &Path) -> Option<u64> {
    let text = fs::read_to_string(process.join("smaps_rollup")).ok()?;
    text.lines().find_map(|l| l.strip_prefix("Pss:"))?.trim().strip_suffix(" kB")?.parse().ok()
}

/// How long `f` takes, in milliseconds.
pub(crate) fn millis<T>(
    f: impl FnOnce() -> wardpost_tests::Result<T>,
) -> wardpost_tests::Result<(f64, T)> {
    let start = Instant::now();
    let value = f()?;
    Ok((as_millis(start.elapsed()), value))
}

pub(crate) fn as_millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

/// The value that `share` of the sorted values do not exceed.
pub(crate) fn percentile(sorted: &[f64], share: f64) -> f64 {
    let last = sorted.len().saturating_sub(1);
    sorted.get((last as f64 * share).round() as usize).copied().unwrap_or_default()
}

pub(crate) fn size_name(bytes: usize) -> String {
    if bytes >= 1 << 20 { format!("{} MiB", bytes >> 20) } else { format!("{} KiB", bytes >> 10) }
}
