//! The disk that this system was started from.

use crate::{Failure, tool};
use std::fs;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The device of the whole disk that holds the verified root.
pub(crate) fn find() -> Result<String, Failure> {
    whole(CLASSES.as_ref(), &root()?)
}

/// The kernel's name of the verified root's device.
fn root() -> Result<String, Failure> {
    let root =
        fs::canonicalize("/dev/mapper/root").map_err(|e| format!("/dev/mapper/root: {e}"))?;
    Ok(root.file_name().unwrap_or_default().to_string_lossy().into_owned())
}

/// Every block device has a folder here.
const CLASSES: &str = "/sys/class/block";

/// The disk below a device-mapper device: the folder that its first partition's folder is in.
fn whole(classes: &Path, mapped: &str) -> Result<String, Failure> {
    let partition = below(classes, mapped)?;
    let disk = partition.parent().and_then(Path::file_name).unwrap_or_default();
    Ok(format!("/dev/{}", disk.to_string_lossy()))
}

/// The folder of the first partition below a device-mapper device.
fn below(classes: &Path, mapped: &str) -> Result<PathBuf, Failure> {
    let slaves = classes.join(mapped).join("slaves");
    let failure = |e: std::io::Error| format!("{}: {e}", slaves.display());
    let partition = fs::read_dir(&slaves).map_err(failure)?.flatten().next();
    let partition = partition.ok_or_else(|| format!("{} is empty", slaves.display()))?;
    fs::canonicalize(partition.path()).map_err(failure)
}

/// Another disk with the same system, which the root's partitions may have come from as well: their ids follow
/// from the system, and a copy of this disk has the ids of the rest, too.
pub(crate) fn twin() -> Option<String> {
    twin_of(CLASSES.as_ref(), UDEV.as_ref(), &root().ok()?)
}

fn twin_of(classes: &Path, udev: &Path, mapped: &str) -> Option<String> {
    let ours = below(classes, mapped).ok()?;
    let id = known(udev, &ours, "ID_PART_ENTRY_UUID")?;
    let devices = fs::read_dir(classes).ok()?.flatten();
    let twin =
        devices.filter_map(|device| fs::canonicalize(device.path()).ok()).find(|device| {
            // Of this disk and of no other: the folder that the partition's is in.
            device.join("partition").exists()
                && device.parent() != ours.parent()
                && known(udev, device, "ID_PART_ENTRY_UUID").as_deref() == Some(&id)
        })?;
    let disk = twin.parent().and_then(Path::file_name).unwrap_or_default();
    Some(format!("/dev/{}", disk.to_string_lossy()))
}

/// What udev knows about the device of a folder.
fn known(udev: &Path, device: &Path, property: &str) -> Option<String> {
    let number = fs::read_to_string(device.join("dev")).ok()?;
    let about = fs::read_to_string(udev.join(format!("b{}", number.trim()))).ok()?;
    let wanted = format!("E:{property}=");
    about.lines().find_map(|line| line.strip_prefix(&wanted)).map(str::to_owned)
}

/// Where the data partition can be found once [`show`] was called. Not by its label, which a second disk (a
/// copy of this one, say) may have too.
pub(crate) const DATA: &str = "/run/wardpost-data";
/// How long a partition that was just made may take to show up.
const PATIENCE: Duration = Duration::from_secs(120);

/// What udev found out about each device.
const UDEV: &str = "/run/udev/data";

/// Waits until udev has seen every device, and every change of a partition table.
pub(crate) fn settle() -> Result<(), Failure> {
    tool::run("udevadm", &["settle", "--timeout=300"]).map(drop)
}

/// Whether `disk` has a partition with this label.
pub(crate) fn has(disk: &str, label: &str) -> bool {
    partition(CLASSES.as_ref(), UDEV.as_ref(), disk, label).is_some()
}

/// Takes the partition with this label out of the table again, if it is there. For one that was made a moment ago.
pub(crate) fn drop_partition(disk: &str, label: &str) -> Result<(), Failure> {
    settle()?;
    let Some(device) = partition(CLASSES.as_ref(), UDEV.as_ref(), disk, label) else {
        return Ok(());
    };
    let name = device.trim_start_matches("/dev/");
    let number =
        number(&format!("{CLASSES}/{name}/partition")).map_err(|e| format!("{device}: {e}"))?;
    let number = number.to_string();
    let _ = fs::remove_file(DATA);
    tool::run("sfdisk", &["--no-reread", "--no-tell-kernel", "--delete", disk, &number])?;
    // The kernel forgets this one alone; the disk is in use.
    tool::run("partx", &["--delete", "--nr", &number, disk])?;
    settle()
}

/// Makes [`DATA`] lead to the partition of `disk` with this label, which is there or will be in a moment.
pub(crate) fn show(disk: &str, label: &str) -> Result<(), Failure> {
    // The table was read anew: names and nodes of its partitions come and go until udev has seen them all.
    settle()?;
    let until = Instant::now() + PATIENCE;
    let partition = loop {
        if let Some(partition) = partition(CLASSES.as_ref(), UDEV.as_ref(), disk, label)
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
    let mut entries = fs::read_dir(folder).ok()?.flatten();
    let labelled = entries
        .find(|entry| known(udev, &entry.path(), "ID_PART_ENTRY_NAME").as_deref() == Some(label));
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

    /// A machine with its disks: kernel's folders, and what udev wrote about each partition.
    fn machine(name: &str, parts: &[(&str, &str, &str, &str)]) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("wardpost-{name}-{}", std::process::id()));
        let (classes, udev) = (folder.join("class"), folder.join("udev"));
        fs::create_dir_all(&classes).unwrap();
        fs::create_dir_all(&udev).unwrap();
        for (number, disk, part, id) in parts {
            let device = folder.join("devices").join(disk).join(part);
            fs::create_dir_all(&device).unwrap();
            fs::write(device.join("dev"), format!("{number}\n")).unwrap();
            fs::write(device.join("partition"), "2\n").unwrap();
            fs::write(udev.join(format!("b{number}")), format!("E:ID_PART_ENTRY_UUID={id}\n"))
                .unwrap();
            std::os::unix::fs::symlink(&device, classes.join(part)).unwrap();
        }
        let slaves = classes.join("dm-0/slaves");
        fs::create_dir_all(&slaves).unwrap();
        std::os::unix::fs::symlink(folder.join("devices/vda/vda2"), slaves.join("vda2")).unwrap();
        folder
    }

    #[test]
    fn a_second_disk_with_the_same_system_is_seen() {
        let one = [("254:2", "vda", "vda2", "aa-1"), ("254:6", "vda", "vda6", "aa-6")];
        let alone = machine("alone", &one);
        let twin = |at: &Path| twin_of(&at.join("class"), &at.join("udev"), "dm-0");
        assert_eq!(twin(&alone), None);
        let mut two = one.to_vec();
        two.push(("254:17", "vdb", "vdb1", "bb-1"));
        let stranger = machine("stranger", &two);
        assert_eq!(twin(&stranger), None);
        two.push(("254:18", "vdb", "vdb2", "aa-1"));
        let copy = machine("copy", &two);
        assert_eq!(twin(&copy).as_deref(), Some("/dev/vdb"));
        for folder in [alone, stranger, copy] {
            fs::remove_dir_all(folder).unwrap();
        }
    }
}
