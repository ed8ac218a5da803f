//! Machines without a TPM, and disks without room.

use crate::START;
use crate::refused::ASKS;
use crate::story::{END, SERVES};
use crate::vm::{Hooks, Parts, Place, Vm};
use std::time::Duration;
use wardpost_tests::Result;

const PASSPHRASE: &str = "four words on paper";
/// How long the next question may take.
const NEXT: Duration = Duration::from_secs(120);

/// The first start asks for a passphrase twice, each later one once.
pub(crate) fn run(place: &Place) -> Result<()> {
    place.disk("typed.qcow2", "image.qcow2", 12)?;
    let parts = Parts { disk: "typed.qcow2", ..Parts::new("typed") };
    let mut vm = Vm::start(place, parts, &Hooks::default())?;
    vm.wait_for("has no TPM", START)?;
    vm.wait_for("New passphrase for the disk:", NEXT)?;
    vm.type_line("too short")?;
    vm.wait_for("That is too short", NEXT)?;
    vm.picture("asks")?;
    asked(&mut vm, "New passphrase for the disk:", 2)?;
    vm.type_line(PASSPHRASE)?;
    asked(&mut vm, "The same passphrase again:", 1)?;
    vm.type_line("something else altogether")?;
    vm.wait_for("The two were not the same", NEXT)?;
    asked(&mut vm, "New passphrase for the disk:", 3)?;
    vm.type_line(PASSPHRASE)?;
    asked(&mut vm, "The same passphrase again:", 2)?;
    vm.type_line(PASSPHRASE)?;
    vm.wait_for(SERVES, START)?;
    vm.picture("set-up")?;
    vm.shut_down(END)?;

    let mut vm = Vm::start(place, Parts { name: "typed-again", ..parts }, &Hooks::default())?;
    vm.wait_for(ASKS, START)?;
    vm.picture("asks")?;
    if vm.said().contains("Mounted var.mount") {
        return Err("the disk opened by itself".into());
    }
    vm.type_line(PASSPHRASE)?;
    vm.wait_for(SERVES, START)?;
    vm.shut_down(END)?;
    Ok(())
}

fn asked(vm: &mut Vm, question: &str, times: usize) -> Result<()> {
    let what = format!("{question:?} to be asked {times} times");
    vm.wait_until(&what, NEXT, |vm| (vm.said().matches(question).count() >= times).then_some(()))
}

/// A disk on which the partitions do not fit.
pub(crate) fn small_disk(place: &Place) -> Result<()> {
    place.disk("small.qcow2", "image.qcow2", 4)?;
    let parts = Parts { disk: "small.qcow2", tpm: Some("small-tpm"), ..Parts::new("small") };
    let mut vm = Vm::start(place, parts, &Hooks::default())?;
    vm.wait_for("This disk is too small", START)?;
    vm.picture("too-small")?;
    Ok(())
}
