//! What must not start, or not without somebody's help.

use crate::START;
use crate::story::{DISK, END, SERVES, TPM};
use crate::vm::{Hooks, Parts, Place, Vm};
use std::fs;
use std::io::{Read, Seek, SeekFrom};
use std::time::Duration;
use wardpost_tests::{Result, run};

/// What the console says when nothing opens the disk by itself.
pub(crate) const ASKS: &str = "Please enter";

/// A thief's machine, or a new mainboard: its TPM does not open the disk. Somebody with the recovery key does,
/// and from then on this TPM does, too.
pub(crate) fn strange_tpm(place: &Place, recovery_key: &str) -> Result<()> {
    place.disk("moved.qcow2", DISK, 0)?;
    let parts = Parts { disk: "moved.qcow2", tpm: Some("strange-tpm"), ..Parts::new("moved") };
    let mut vm = Vm::start(place, parts, &Hooks::default())?;
    vm.wait_for(ASKS, START)?;
    if vm.said().contains(SERVES) || vm.said().contains("Mounted var.mount") {
        return Err("a strange TPM opened the disk".into());
    }
    vm.picture("asks")?;
    vm.type_line("not-the-recovery-key")?;
    vm.wait_until("to be asked again", Duration::from_secs(180), |vm| {
        (vm.said().matches(ASKS).count() > 1).then_some(())
    })?;
    vm.type_line(recovery_key)?;
    vm.wait_for("this machine's TPM opens the disk from now on", START)?;
    vm.wait_for(SERVES, START)?;
    vm.shut_down(END)?;
    Ok(())
}

/// Where the root partition begins: behind the first mebibyte and the boot loader's partition (image/mkosi.repart).
const ROOT: u64 = 513 << 20;
/// Where erofs has its superblock, what it begins with, and where in it the volume's name is, which nothing
/// depends on: only dm-verity can mind.
const SUPERBLOCK: u64 = 1024;
const MAGIC: [u8; 4] = 0xE0F5_E1E2_u32.to_le_bytes();
const VOLUME_NAME: u64 = 64;

/// One byte of the system is not what it was: the machine must not get as far as the data.
pub(crate) fn flipped_byte(place: &Place) -> Result<()> {
    place.disk("flipped.qcow2", DISK, 0)?;
    run(place.tool("qemu-img").args(["convert", "-O", "raw", "image.qcow2", "image.raw"]))?;
    let mut raw = fs::File::open(place.folder.join("image.raw"))?;
    let mut magic = [0; 4];
    raw.seek(SeekFrom::Start(ROOT + SUPERBLOCK))?;
    raw.read_exact(&mut magic)?;
    if magic != MAGIC {
        return Err("the root partition is not where it was".into());
    }
    let at = ROOT + SUPERBLOCK + VOLUME_NAME;
    let write = format!("write -P 0x58 {at} 1");
    run(place.tool("qemu-io").args(["-f", "qcow2", "-c", &write, "flipped.qcow2"]))?;
    fs::remove_file(place.folder.join("image.raw"))?;
    let parts = Parts { disk: "flipped.qcow2", tpm: Some(TPM), ..Parts::new("flipped") };
    let mut vm = Vm::start(place, parts, &Hooks::default())?;
    vm.wait_for("dm-verity device corrupted", START)?;
    if vm.said().contains("Mounted var.mount") || vm.said().contains(SERVES) {
        return Err("a changed system got at the data".into());
    }
    vm.picture("panic")?;
    Ok(())
}
