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

/// One byte of the system is not what it was: the machine must not get as far as the data.
pub(crate) fn flipped_byte(place: &Place) -> Result<()> {
    place.disk("flipped.qcow2", DISK, 0)?;
    run(place.tool("qemu-img").args(["convert", "-O", "raw", "image.qcow2", "image.raw"]))?;
    // A sentence out of systemd itself, which is read on each start.
    let at = find(place, b"Welcome to \0")
        .or_else(|_| find(place, b"systemd running in system mode"))?;
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

/// Where in the image the text stands, behind the first partition.
fn find(place: &Place, text: &[u8]) -> Result<u64> {
    const STEP: usize = 1 << 22;
    let mut file = fs::File::open(place.folder.join("image.raw"))?;
    let mut begin = 513 << 20;
    file.seek(SeekFrom::Start(begin))?;
    let mut window = Vec::new();
    loop {
        let kept = window.len();
        let n = file.by_ref().take(STEP as u64).read_to_end(&mut window)?;
        if n == 0 {
            return Err("a sentence of systemd's is not in the image".into());
        }
        if let Some(at) = window.windows(text.len()).position(|w| w == text) {
            return Ok(begin + at as u64);
        }
        let gone = window.len() - text.len().min(window.len());
        window.drain(..gone);
        begin += gone as u64;
        debug_assert!(kept <= text.len());
    }
}
