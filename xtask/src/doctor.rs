// SPDX-License-Identifier: GPL-2.0-only

//! `lab doctor`: what this machine has and lacks, as data for the report.

use std::path::Path;

use crate::error::Result;
use crate::host::Host;
use crate::kernel::toolchain::find_rustc;
use crate::layout::Layout;
use crate::plan::Plan;
use crate::setup::{is_met, needs, Need};

/// What a full build with all sources takes on disk.
const WANTED_GIB: u64 = 8;

/// What doctor found.
#[derive(Debug, Clone)]
pub struct Diagnosis {
    /// The machine, line by line: name and value.
    pub machine: Vec<(String, String)>,
    /// Every need, and whether it is met.
    pub needs: Vec<(Need, bool)>,
}

impl Diagnosis {
    /// Whether nothing is missing.
    pub fn healthy(&self) -> bool {
        self.needs.iter().all(|(_, met)| *met)
    }

    /// The diagnosis as text.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for (name, value) in &self.machine {
            text.push_str(&format!("{name:<14} {value}\n"));
        }
        for (need, met) in &self.needs {
            let state = if *met { "has" } else { "LACKS" };
            text.push_str(&format!("{state:<14} {}: {}\n", need.what, need.why));
        }
        let lacking = self.needs.iter().filter(|(_, met)| !met).count();
        match lacking {
            0 => text.push_str("nothing is missing\n"),
            count => text.push_str(&format!(
                "{count} missing; `cargo xtask lab setup` gets what is missing\n"
            )),
        }
        text
    }
}

/// Looks at everything that the plan needs.
pub fn diagnose(plan: &Plan, host: &Host) -> Result<Diagnosis> {
    let rustc = find_rustc(&plan.layout, &plan.toolchain)?.map_or("none".to_string(), |rustc| {
        format!("{} ({})", rustc.path.display(), rustc.version)
    });
    let kvm = if host.kvm {
        "opens; a run finds out whether it works"
    } else {
        "no /dev/kvm: TCG"
    };
    let machine = [
        (
            "system",
            format!(
                "{}, {} processors, {} GiB of memory free",
                host.distribution,
                host.cpus,
                host.free_mib
                    .map_or("?".to_string(), |mib| (mib >> 10).to_string())
            ),
        ),
        (
            "architecture",
            host.arch
                .map_or(std::env::consts::ARCH.to_string(), |arch| arch.to_string()),
        ),
        ("kvm", kvm.to_string()),
        ("kernel's rustc", rustc),
        ("disk", disk(&plan.layout)),
    ];
    let mut found = Vec::new();
    for need in needs(plan, host) {
        let met = is_met(plan, &need.probe)?;
        found.push((need, met));
    }
    Ok(Diagnosis {
        machine: machine
            .map(|(name, value)| (name.to_string(), value))
            .to_vec(),
        needs: found,
    })
}

fn disk(layout: &Layout) -> String {
    match free_gib(layout.root()) {
        Some(free) if free < WANTED_GIB => {
            format!("{free} GiB free; a full build wants {WANTED_GIB} GiB")
        }
        Some(free) => format!("{free} GiB free"),
        None => "unknown".to_string(),
    }
}

fn free_gib(path: &Path) -> Option<u64> {
    let stat = rustix::fs::statvfs(path).ok()?;
    Some(stat.f_bavail.saturating_mul(stat.f_frsize) >> 30)
}
