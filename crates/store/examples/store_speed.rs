//! Durable commits a second: `cargo run --release --example store_speed [directory]`.

use std::time::{Duration, Instant};
use wardpost_keys::SystemKey;
use wardpost_store::{Batch, Column, Store};

fn run(store: &Store, size: usize, writers: usize) {
    let before = store.metrics();
    let start = Instant::now();
    let until = start + Duration::from_secs(2);
    let commits: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..writers)
            .map(|writer| {
                scope.spawn(move || {
                    let mut count = 0usize;
                    while Instant::now() < until {
                        let mut batch = Batch::new();
                        let key = [writer.to_be_bytes(), count.to_be_bytes()].concat();
                        batch.put(Column::Message, key.clone(), vec![1; size]);
                        batch.put(Column::Mailbox, key, [1; 300]);
                        store.commit_blocking(batch).expect("committed");
                        count += 1;
                    }
                    count
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().expect("finished")).sum()
    });
    let rate = commits as f64 / start.elapsed().as_secs_f64();
    let after = store.metrics();
    let syncs = after.sync_latency.count - before.sync_latency.count;
    let waited = (after.sync_latency.sum - before.sync_latency.sum).as_secs_f64();
    println!(
        "{size:>8} bytes, {writers:>2} writers: {rate:>7.0} commits/s, {syncs:>6} syncs of {:.2} ms",
        waited * 1e3 / syncs as f64
    );
}

/// What Linux says of this process's memory.
fn resident() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    status.lines().filter(|line| line.starts_with("VmRSS")).collect()
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let directory = std::env::args_os().nth(1).unwrap_or_else(|| "speed-test-data".into());
    let store = Store::open(directory.as_ref(), &SystemKey::generate())?;
    println!("opened: {}", resident());
    for size in [4 << 10, 50 << 10, 1 << 20] {
        for writers in [1, 8, 32] {
            run(&store, size, writers);
        }
    }
    println!("after the load: {}", resident());
    store.close();
    std::fs::remove_dir_all(&directory)?;
    Ok(())
}
