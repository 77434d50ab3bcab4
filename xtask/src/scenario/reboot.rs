// SPDX-License-Identifier: GPL-2.0-only

//! The step that goes on in a fresh guest: what a scenario carries leaves the
//! one through the files port and enters the other.

use crate::qemu::guest::Guest;
use crate::scenario::case::{fail, flat, Case, StepResult, Stop};
use crate::scenario::step::Reboot;
use crate::scenario::verdict::Judgement;

/// See [`crate::scenario::step::Step::Reboot`].
pub fn reboot(case: &mut Case, step: &Reboot) -> StepResult {
    let limit = case.transfer_limit();
    let mut carried = Vec::new();
    for path in &step.carry {
        let to = case.folder.join(flat(path));
        match case.guest()?.fetch(path, &to, limit)? {
            Ok(_) => carried.push((path, to)),
            Err(why) => return fail(format!("carrying {path} to another boot: {why}")),
        }
    }
    end_guest(case)?;
    case.reboots += 1;
    case.programs.clear();
    let mut spec = case.bench.spec.clone();
    if let Some(cpu) = step.cpu.get(&spec.arch) {
        spec.cpu = cpu.clone();
    }
    let folder = case.folder.join(format!("reboot-{}", case.reboots));
    case.guest = Some(Guest::boot(&spec, &folder, case.bench.boot_limit)?);
    for (path, from) in carried {
        match case.guest()?.store(&from, path, 0o644, limit)? {
            Ok(()) => {}
            Err(why) => return fail(format!("carrying {path} to another boot: {why}")),
        }
    }
    Ok(())
}

/// Ends the guest; trouble in its log ends the scenario.
fn end_guest(case: &mut Case) -> StepResult {
    let Some(guest) = case.guest.take() else {
        return Ok(());
    };
    let findings = guest.end()?;
    match findings.into_iter().max_by_key(|finding| finding.trouble) {
        None => Ok(()),
        Some(worst) => Err(Stop::Judged(Judgement::pass().with_log(&[worst], 0))),
    }
}
