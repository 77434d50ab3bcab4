// SPDX-License-Identifier: GPL-2.0-only

//! Which accelerator works here. A /dev/kvm that opens proves nothing: the
//! kernel that is going to be used is booted under KVM with a short deadline,
//! and the answer is kept until the machine is booted again or QEMU changes.

use std::fs::File;
use std::path::Path;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::arch::Arch;
use crate::error::{Error, Result};
use crate::exec::{self, tool};
use crate::flags::Accel;
use crate::layout::{write_whole, Layout};
use crate::qemu::args::{argv, CONSOLE_LOG};
use crate::qemu::guest::QEMU_LOG;
use crate::qemu::{Accelerator, BootSpec};

/// How long a guest under KVM may take to its first word; under KVM that is a few milliseconds.
const FIRST_WORD: Duration = Duration::from_millis(2500);

/// An accelerator and why it was chosen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Choice {
    /// The accelerator.
    pub accel: Accelerator,
    /// Why, for the report.
    pub why: String,
}

impl Choice {
    fn tcg(why: impl Into<String>) -> Choice {
        Choice {
            accel: Accelerator::Tcg,
            why: why.into(),
        }
    }
}

/// The answer of a probe and what it holds for.
#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    boot_id: String,
    qemu: String,
    choice: Choice,
}

/// Decides for an architecture. `spec` is a guest as it will be booted; its accelerator is not looked at.
pub fn choose(layout: &Layout, wanted: Accel, spec: &BootSpec) -> Result<Choice> {
    let foreign = Arch::host() != Some(spec.arch);
    match wanted {
        Accel::Tcg => Ok(Choice::tcg("asked for")),
        Accel::Kvm if foreign => Err(Error::usage(
            format!("choosing an accelerator for {}", spec.arch),
            "KVM runs only guests of the host's own architecture",
        )
        .hint("--accel auto takes KVM where it works, or name one --arch")),
        Accel::Auto if foreign => Ok(Choice::tcg("another architecture than the host's")),
        Accel::Kvm | Accel::Auto => {
            let choice = probe_or_kept(layout, spec)?;
            match (wanted, choice.accel) {
                (Accel::Kvm, Accelerator::Tcg) => {
                    Err(Error::host("choosing an accelerator", choice.why)
                        .hint("--accel tcg needs no KVM"))
                }
                _ => Ok(choice),
            }
        }
    }
}

fn probe_or_kept(layout: &Layout, spec: &BootSpec) -> Result<Choice> {
    if let Err(err) = File::options().read(true).write(true).open("/dev/kvm") {
        return Ok(Choice::tcg(format!("/dev/kvm: {err}")));
    }
    let boot_id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let qemu = tool("asking QEMU for its version", &spec.qemu)
        .arg("--version")
        .read()?;
    let file = layout.lab().join(format!("accel-{}.json", spec.arch));
    let kept: Option<Kept> = std::fs::read(&file)
        .ok()
        .and_then(|bytes| serde_json::from_slice(&bytes).ok());
    if let Some(kept) = kept.filter(|kept| kept.boot_id == boot_id && kept.qemu == qemu) {
        return Ok(kept.choice);
    }
    let choice = probe(layout, spec)?;
    let kept = Kept {
        boot_id,
        qemu,
        choice,
    };
    let text = serde_json::to_vec_pretty(&kept)
        .map_err(|err| Error::lab("keeping the accelerator", err.to_string()))?;
    write_whole(&file, &text)?;
    Ok(kept.choice)
}

/// Boots the kernel under KVM and waits for its first word.
fn probe(layout: &Layout, spec: &BootSpec) -> Result<Choice> {
    let folder = layout.scratch("kvm-probe")?;
    let spec = BootSpec {
        accel: Accelerator::Kvm,
        cpus: 1,
        memory_mib: 256,
        ..spec.clone()
    };
    let console = folder.path().join(CONSOLE_LOG);
    let log = folder.path().join(QEMU_LOG);
    let mut child = tool("probing KVM", &spec.qemu)
        .args(argv(&spec))
        .dir(folder.path())
        .die_with_parent()
        .start(&log)?;
    let deadline = Instant::now() + FIRST_WORD;
    loop {
        if has_text(&console) {
            return Ok(Choice {
                accel: Accelerator::Kvm,
                why: "works here".into(),
            });
        }
        if let Some(status) = child.poll()? {
            if exec::interrupted() {
                return Err(Error::interrupted("probing KVM"));
            }
            let said = exec::tail(&log, 2).join("; ");
            return Ok(Choice::tcg(format!(
                "under KVM QEMU {}: {said}",
                exec::describe(status)
            )));
        }
        if Instant::now() > deadline {
            let waited = FIRST_WORD.as_secs_f64();
            return Ok(Choice::tcg(format!(
                "/dev/kvm opens, but a guest says nothing for {waited:.1} s"
            )));
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn has_text(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|meta| meta.len() > 0)
}
