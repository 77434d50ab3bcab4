// SPDX-License-Identifier: GPL-2.0-only

//! The stages that come before any guest, in a copy of the project that has nothing but what was downloaded:
//! out of disk, without a network, interrupted in each, then done to the end. What is there afterwards has to be what an
//! undisturbed run has made.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::processes::{inside, send};
use crate::arch::Arch;
use crate::config::Origin;
use crate::error::{AtPath, Error, Kind, Result};
use crate::event::{Stage, Step};
use crate::exec::{self, tool, Child};
use crate::flags::Target;
use crate::layout::{create_dir, Layout};
use crate::plan::Plan;
use crate::session::Session;

const DOING: &str = "testing the lab's stages";
/// How long a stage may take to be reached, and the last call to be done, on a slow machine.
const PATIENCE: Duration = Duration::from_secs(180);
/// What a call may take to end once it has a reason to.
const DOWN: Duration = Duration::from_secs(15);
/// Sizes of disks: no kernel source fits on it, package lists do.
const SMALL_DISK: &str = "64m";
const LARGE_DISK: &str = "512m";

/// Stages that are interrupted: how long after their beginning in ms, and by what.
const INTERRUPTS: [(Stage, u64, Signal); 4] = [
    (Stage::Tree, 1500, Signal::INT),
    (Stage::Tree, 1500, Signal::KILL),
    (Stage::Config, 500, Signal::TERM),
    (Stage::Kernel, 5000, Signal::INT),
];

/// A copy of the project.
struct Copy<'a> {
    undisturbed: &'a Layout,
    plan: &'a Plan,
    target: &'a Target,
    arch: Arch,
    folder: tempfile::TempDir,
}

/// Does it all, for one architecture.
pub(super) fn survive_interrupts(
    session: &Session,
    plan: &Plan,
    target: &Target,
    arch: Arch,
) -> Result<()> {
    let copy = Copy::make(session, plan, target, arch)?;
    copy.runs_out_of_disk()?;
    if plan.kernel.source.origin.iter().all(Origin::is_remote) {
        copy.has_no_network()?;
    }
    for (stage, after, signal) in INTERRUPTS {
        copy.is_interrupted(stage, Duration::from_millis(after), signal)?;
    }
    let mut child = copy.start("whole", &[], "config")?;
    copy.expect_exit(&mut child, "whole", PATIENCE, Some(0))?;
    copy.expect_same_tree()
}

impl<'a> Copy<'a> {
    /// Copies what is the project's own, and shares what was downloaded.
    fn make(
        session: &'a Session,
        plan: &'a Plan,
        target: &'a Target,
        arch: Arch,
    ) -> Result<Copy<'a>> {
        let layout = &session.layout;
        let (root, target_dir) = (layout.root(), layout.root().join("target"));
        let folder = tempfile::Builder::new()
            .prefix("selftest.")
            .tempdir_in(&target_dir);
        let folder = folder.at("making a folder in", &target_dir)?;
        let to = folder.path();
        tool(DOING, "sh")
            .args([
                "-c",
                "tar -C \"$0\" --exclude=./target --exclude=./.git -cf - . | tar -C \"$1\" -xf -",
            ])
            .arg(root)
            .arg(to)
            .read()?;
        let own = Layout::new(to);
        create_dir(own.lab())?;
        for (from, to) in [(layout.cache(), own.cache()), (layout.tools(), own.tools())] {
            symlink(&from, &to).at("linking", &to)?;
        }
        Ok(Copy {
            undisturbed: layout,
            plan,
            target,
            arch,
            folder,
        })
    }

    fn layout(&self) -> Layout {
        Layout::new(self.folder.path())
    }

    /// Where a call's output goes: it outlives the copy.
    fn log(&self, name: &str) -> PathBuf {
        self.undisturbed.log(&format!("selftest-{name}"))
    }

    /// Starts `cargo xtask kernel <what>` in the copy, behind the words of `before`.
    fn start(&self, name: &str, before: &[String], what: &str) -> Result<Child> {
        let mut words = before.to_vec();
        words.push(format!("/proc/{}/exe", std::process::id()));
        let arch = self.arch.name();
        words.extend(["kernel", what, "--no-setup", "--arch", arch].map(String::from));
        let kernel = self.target.kernel.iter();
        words.extend(kernel.flat_map(|name| ["--kernel".to_string(), name.clone()]));
        tool(DOING, words.remove(0))
            .args(words)
            .dir(self.folder.path())
            .start(&self.log(name))
    }

    fn is_interrupted(&self, stage: Stage, after: Duration, signal: Signal) -> Result<()> {
        let name = "interrupted";
        let step = match stage {
            Stage::Tree => Step::once(stage),
            _ => Step::of(stage, self.arch),
        };
        let begun = format!("begin {step}:");
        let mut child = self.start(name, &[], "build")?;
        let deadline = Instant::now() + PATIENCE;
        while !self.says(name, &begun) {
            if child.poll()?.is_some() || Instant::now() > deadline || exec::interrupted() {
                return Err(self.error(name, format!("it has not come to \"{begun}\"")));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        std::thread::sleep(after);
        send(child.pid(), signal);
        let code = (signal != Signal::KILL).then_some(Kind::Interrupted.exit_code());
        // Of a lab that is killed the program goes on that it has just started, and holds its lock.
        self.expect_exit(&mut child, name, DOWN, code)
    }

    /// Configures where the lab's folder is another disk, of `size`, with these folders of the downloads, and in
    /// namespaces of these kinds; expects it to fail so.
    fn is_hindered(
        &self,
        name: &str,
        namespaces: &[&str],
        (size, shared): (&str, &[PathBuf]),
        kind: Kind,
        words: &str,
    ) -> Result<()> {
        let own = self.layout();
        let mut script = format!("mount -t tmpfs -o size={size} none \"$0\"");
        for folder in shared {
            script.push_str(&format!(" && ln -s '{}' \"$0\"", folder.display()));
        }
        script.push_str(" && exec \"$@\"");
        let unshare = ["unshare", "--mount"].iter().chain(namespaces);
        let rest = ["sh", "-c", &script].map(String::from);
        let mut before: Vec<String> = unshare.map(|word| word.to_string()).chain(rest).collect();
        before.push(own.lab().display().to_string());
        let mut child = self.start(name, &before, "config")?;
        self.expect_exit(&mut child, name, PATIENCE, Some(kind.exit_code()))?;
        match self.says(name, words) {
            true => Ok(()),
            false => Err(self.error(name, format!("it does not say \"{words}\""))),
        }
    }

    fn runs_out_of_disk(&self) -> Result<()> {
        let shared = [self.undisturbed.cache(), self.undisturbed.tools()];
        let disk = (SMALL_DISK, &shared[..]);
        self.is_hindered("disk", &[], disk, Kind::Lab, "No space left on device")
    }

    /// Without what was downloaded, and without a network to get it by.
    fn has_no_network(&self) -> Result<()> {
        let shared = [self.undisturbed.tools()];
        let disk = (LARGE_DISK, &shared[..]);
        self.is_hindered(
            "network",
            &["--net"],
            disk,
            Kind::Host,
            "is the network up?",
        )
    }

    /// Waits for the end of a call, with this exit code if one is given, and of all that it has started.
    fn expect_exit(
        &self,
        child: &mut Child,
        name: &str,
        time: Duration,
        code: Option<i32>,
    ) -> Result<()> {
        let Some(status) = child.wait_timeout(time)? else {
            return Err(self.error(name, format!("it has not ended within {time:?}")));
        };
        if code.is_some() && status.code() != code {
            let how = exec::describe(status);
            return Err(self.error(name, format!("expected exit code {code:?}, but it {how}")));
        }
        let deadline = Instant::now() + code.map_or(PATIENCE, |_| DOWN);
        loop {
            let left = inside(self.folder.path());
            if left.is_empty() {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(self.error(name, format!("left behind: {}", left.join(", "))));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Compares the tree with that of the project, which nobody has disturbed.
    fn expect_same_tree(&self) -> Result<()> {
        let name = &self.plan.kernel.tree_name;
        let (undisturbed, own) = (self.undisturbed.tree(name), self.layout().tree(name));
        let compared = tool(DOING, "diff").args(["-rq", "--no-dereference"]);
        let compared = compared.arg(&undisturbed).arg(&own).output()?;
        match compared.status.success() {
            true => Ok(()),
            false => {
                let said = String::from_utf8_lossy(&compared.stdout).into_owned();
                let first: Vec<&str> = said.lines().take(5).collect();
                Err(Error::lab(
                    DOING,
                    format!("the tree is another one: {}", first.join("; ")),
                ))
            }
        }
    }

    fn says(&self, name: &str, words: &str) -> bool {
        let said = std::fs::read(self.log(name)).unwrap_or_default();
        String::from_utf8_lossy(&said).contains(words)
    }

    fn error(&self, name: &str, found: String) -> Error {
        let log: &Path = &self.log(name);
        Error::lab(DOING, found).log(log, exec::tail(log, 10))
    }
}
