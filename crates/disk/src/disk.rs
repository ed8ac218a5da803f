//! The disk that this system was started from.

use crate::{Failure, tool};
use std::fs;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::time::{Duration, Instant};

/// The device of the whole disk that holds the verified root.
pub(crate) fn find() -> Result<String, Failure> {
    let root =
        fs::canonicalize("/dev/mapper/root").map_err(|e| format!("/dev/mapper/root: {e}"))?;
    let name = root.file_name().unwrap_or_default().to_string_lossy().into_owned();
    whole(Path::new("/sys/class/block"), &name)
}

/// The disk below a device-mapper device: the folder that its first partition's folder is in.
fn whole(classes: &Path, mapped: &str) -> Result<String, Failure> {
    let slaves = classes.join(mapped).join("slaves");
    let failure = |e: std::io::Error| format!("{}: {e}", slaves.display());
    let partition = fs::read_dir(&slaves).map_err(failure)?.flatten().next();
    let partition = partition.ok_or_else(|| format!("{} is empty", slaves.display()))?;
    let partition = fs::canonicalize(partition.path()).map_err(failure)?;
    let disk = partition.parent().and_then(Path::file_name).unwrap_or_default();
    Ok(format!("/dev/{}", disk.to_string_lossy()))
}

/// Where the data partition can be found once [`show`] was called. Not by its label, which a second disk (a
/// copy of this one, say) may have too.
pub(crate) const DATA: &str = "/run/wardpost-data";
/// How long a partition that was just made may take to show up.
const PATIENCE: Duration = Duration::from_secs(120);

/// What udev found out about each device.
const UDEV: &str = "/run/udev/data";

/// Makes [`DATA`] lead to the partition of `disk` with this label, which is there or will be in a moment.
pub(crate) fn show(disk: &str, label: &str) -> Result<(), Failure> {
    // The table was read anew: names and nodes of its partitions come and go until udev has seen them all.
    tool::run("udevadm", &["settle", "--timeout=300"])?;
    let until = Instant::now() + PATIENCE;
    let partition = loop {
        if let Some(partition) =
            partition(Path::new("/sys/class/block"), UDEV.as_ref(), disk, label)
            && Path::new(&partition).exists()
        {
            break partition;
        }
        if Instant::now() > until {
            return Err(format!("there is no partition {label} on {disk}"));
        }
        std::thread::sleep(Duration::from_millis(100));
    };
    let _ = fs::remove_file(DATA);
    std::os::unix::fs::symlink(&partition, DATA).map_err(|e| format!("{DATA}: {e}"))
}

/// The device of a disk's partition with this label, as udev knows them. The kernel itself knows no label of a
/// partition that was added to a table in use.
fn partition(classes: &Path, udev: &Path, disk: &str, label: &str) -> Option<String> {
    let folder = classes.join(disk.trim_start_matches("/dev/"));
    let name = format!("E:ID_PART_ENTRY_NAME={label}");
    let mut entries = fs::read_dir(folder).ok()?.flatten();
    let labelled = entries.find(|entry| {
        let number = fs::read_to_string(entry.path().join("dev")).unwrap_or_default();
        let about = fs::read_to_string(udev.join(format!("b{}", number.trim())));
        about.is_ok_and(|about| about.lines().any(|line| line == name))
    });
    labelled.map(|entry| format!("/dev/{}", entry.file_name().to_string_lossy()))
}

/// Moves the partition table's second half to the end of a disk that is larger than the image was: only then
/// does the rest of it count as free. Written only where that is needed.
pub(crate) fn take_whole(disk: &str) -> Result<(), Failure> {
    if !is_longer(disk).map_err(|e| format!("{disk}: {e}"))? {
        return Ok(());
    }
    let relocate = ["--no-reread", "--no-tell-kernel", "--relocate", "gpt-bak-std", disk];
    tool::run("sfdisk", &relocate).map(drop)
}

fn is_longer(disk: &str) -> std::io::Result<bool> {
    let name = disk.trim_start_matches("/dev/");
    let sector = number(&format!("/sys/class/block/{name}/queue/logical_block_size"))?.max(512);
    // In units of 512 bytes, whatever the disk's own are.
    let sectors = number(&format!("/sys/class/block/{name}/size"))? * 512 / sector;
    let mut header = [0; 92];
    let mut file = fs::File::open(disk)?;
    file.seek(SeekFrom::Start(sector))?;
    file.read_exact(&mut header)?;
    Ok(second_half(&header).is_some_and(|at| at + 1 < sectors))
}

/// Where a GPT header says that its second half is (UEFI 2.10 §5.3.2).
fn second_half(header: &[u8; 92]) -> Option<u64> {
    let (signature, rest) = header.split_at(8);
    let at = rest.get(24..32)?.try_into().ok()?;
    (signature == b"EFI PART").then(|| u64::from_le_bytes(at))
}

fn number(path: &str) -> std::io::Result<u64> {
    let text = fs::read_to_string(path)?;
    text.trim().parse().map_err(std::io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_tells_where_the_other_is() {
        let mut header = [0; 92];
        assert_eq!(second_half(&header), None);
        header[..8].copy_from_slice(b"EFI PART");
        header[32..40].copy_from_slice(&3_213_351_u64.to_le_bytes());
        assert_eq!(second_half(&header), Some(3_213_351));
    }

    #[test]
    fn the_partition_of_this_disk_and_of_no_other() {
        let classes = std::env::temp_dir().join(format!("wardpost-parts-{}", std::process::id()));
        let udev = classes.join("udev");
        fs::create_dir_all(&udev).unwrap();
        for (number, disk, part, label) in [
            ("254:5", "vda", "vda5", "root-b"),
            ("254:6", "vda", "vda6", "wardpost-data"),
            ("254:22", "vdb", "vdb6", "wardpost-data"),
        ] {
            let folder = classes.join(disk).join(part);
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join("dev"), format!("{number}\n")).unwrap();
            let about = format!("S:disk/by-partlabel/{label}\nE:ID_PART_ENTRY_NAME={label}\n");
            fs::write(udev.join(format!("b{number}")), about).unwrap();
        }
        let of = |disk| partition(&classes, &udev, disk, "wardpost-data");
        assert_eq!(of("/dev/vda").as_deref(), Some("/dev/vda6"));
        assert_eq!(of("/dev/vdb").as_deref(), Some("/dev/vdb6"));
        assert_eq!(of("/dev/vdc"), None);
        fs::remove_dir_all(&classes).unwrap();
    }

    #[test]
    fn the_disk_of_a_partition() {
        let folder = std::env::temp_dir().join(format!("wardpost-disk-{}", std::process::id()));
        let partition = folder.join("devices/vda/vda2");
        fs::create_dir_all(&partition).unwrap();
        fs::create_dir_all(folder.join("class/dm-0/slaves")).unwrap();
        std::os::unix::fs::symlink(&partition, folder.join("class/dm-0/slaves/vda2")).unwrap();
        assert_eq!(whole(&folder.join("class"), "dm-0").unwrap(), "/dev/vda");
        assert!(whole(&folder.join("class"), "dm-1").is_err());
        fs::remove_dir_all(&folder).unwrap();
    }
}
