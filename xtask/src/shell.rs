// SPDX-License-Identifier: GPL-2.0-only

//! `lab shell`: a prompt in a guest on the user's terminal.

use crate::arch::Arch;
use crate::error::{Error, Result, EXIT_PASSED};
use crate::exec::tool;
use crate::flags;
use crate::initramfs::{debian, pack};
use crate::qemu::args::interactive_argv;
use crate::report::terminal::Terminal;
use crate::run;
use crate::session::Session;

/// Word on the kernel's command line that has `/init` give a prompt on the console.
const SHELL_WORD: &str = "lab.shell";

/// Boots one guest and gives a prompt in it; the process's exit code.
pub fn run(session: &Session, flags: &flags::Shell) -> Result<i32> {
    let mut target = flags.target.clone();
    if target.arch == flags::ArchSet::All {
        // One terminal has room for one guest.
        target.arch = flags::ArchSet::One(session.host.arch.unwrap_or(Arch::X86_64));
    }
    let plan = session.plan(&target)?;
    let sink = Terminal::new();
    let ready = run::prepare(session, &plan, &[], &sink)?;
    let guest = ready
        .guests
        .values()
        .next()
        .ok_or_else(|| Error::lab("booting a guest", "nothing was built"))?;
    let mut spec = guest.spec.clone();
    spec.append.push(SHELL_WORD.to_string());
    if !flags.packages.is_empty() {
        let _lock = session.layout.lock(&sink)?;
        let packages = debian::packages_archive(&plan, spec.arch, &flags.packages, &sink)?;
        let out = ready.folder.arch(spec.arch).join("initramfs-shell.cpio");
        pack::join(&[&spec.initramfs, &packages], &out)?;
        spec.initramfs = out;
    }
    tool(format!("running a guest ({})", spec.arch), &spec.qemu)
        .args(interactive_argv(&spec))
        .dir(ready.folder.arch(spec.arch))
        .die_with_parent()
        .run_attached()?;
    Ok(EXIT_PASSED)
}
