// SPDX-License-Identifier: GPL-2.0-only

//! mktree from options and image to exit status: who becomes the parent of the
//! root, in which namespaces, and what is left when something fails.

use super::faults;
use super::input::{self, Image};
use super::interrupt;
use super::log::Log;
use super::plan::plan;
use super::report::{channel, Report, Reporter};
use super::supervise;
use super::task::{self, exit_at_once, fork, fork_error, Site};
use super::{Options, Pids, NOT_MADE, REFUSED};
use crate::cli::{Failure, USAGE};
use crate::container::{self, mount_own_proc};
use crate::procfs;
use crate::shared::Words;
use crate::sys::{self, Birth, Forked};
use nix::sys::prctl;
use nix::unistd::getpid;
use std::fs::File;
use std::io::Write;

/// Restarts the image read from `source`.
pub fn run(source: File, options: Options) -> Result<u8, Failure> {
    let log = Log::open(options.log.as_deref())?;
    let Image { file, tasks } = input::open(source)?;
    let plan = plan(&tasks).map_err(|why| Failure::new(NOT_MADE, why))?;
    check_faults(&options, &tasks)?;
    let words = Words::map(Site::words_needed(&plan)).map_err(|why| Failure::new(NOT_MADE, why))?;
    let made = plan.made(options.faults.without);
    let site = Site {
        plan,
        made,
        words,
        image: file,
        log,
        options,
    };
    interrupt::keep_children().map_err(|why| Failure::new(NOT_MADE, why))?;
    interrupt::watch().map_err(|why| Failure::new(NOT_MADE, why))?;
    let ended = match (site.options.pids, site.plan.tasks[0].pid) {
        (Pids::New, _) => beside(&site, 0),
        (Pids::Saved, 1) => beside(&site, container::PIDS),
        (Pids::Saved, _) => inside(&site),
    };
    ended.map_err(|failure| match site.log.tell() {
        Ok(()) => failure,
        Err(why) => Failure::new(failure.status, format_args!("{}; {why}", failure.why)),
    })
}

fn check_faults(
    options: &Options,
    tasks: &[checkpoint::image::record::TreeEntry],
) -> Result<(), Failure> {
    let faults = &options.faults;
    for pid in [
        faults.without,
        faults.late,
        faults.kill_midway,
        faults.stranger,
    ]
    .into_iter()
    .flatten()
    {
        if !tasks.iter().any(|task| task.pid == pid) {
            return Err(Failure::new(
                USAGE,
                format_args!("task {pid} is not in the image"),
            ));
        }
    }
    if faults.without == tasks.first().map(|root| root.pid) {
        return Err(Failure::new(
            USAGE,
            "--without: nothing is left without the root",
        ));
    }
    Ok(())
}

/// The caller is the parent of the root, which may be the init of a container.
fn beside(site: &Site, namespaces: u64) -> Result<u8, Failure> {
    // Orphans of a tree that fails come here and not to init, to be reaped.
    prctl::set_child_subreaper(true)
        .map_err(|e| Failure::new(NOT_MADE, format_args!("prctl PR_SET_CHILD_SUBREAPER: {e}")))?;
    let root = make_root(site, namespaces)?;
    if let Err(failure) = root.1 {
        return Err(after_burial(site, root.0, failure));
    }
    let _ = prctl::set_child_subreaper(false);
    stay(site, root.0, root.0)
}

/// Makes the root and with it the tree, and sees the restart through.
fn make_root(site: &Site, namespaces: u64) -> Result<(i32, Result<(), Failure>), Failure> {
    let (reporter, mut reports) = channel().map_err(|e| Failure::new(NOT_MADE, e))?;
    let parent = if namespaces == 0 {
        getpid().as_raw()
    } else {
        0
    };
    match fork(site, 0, namespaces) {
        Ok(Forked::Child) => {
            if namespaces != 0 {
                if let Err(why) = mount_own_proc() {
                    reporter.failed(&Failure::new(NOT_MADE, why));
                    exit_at_once(NOT_MADE);
                }
            }
            task::live(site, 0, parent, &reporter)
        }
        Ok(Forked::Parent(root, pidfd)) => {
            interrupt::aim_at(pidfd);
            drop(reporter);
            Ok((root, supervise::restart(site, root, &mut reports)))
        }
        Err(err) => Err(Failure::new(
            NOT_MADE,
            fork_error(site.plan.tasks[0].pid, site.options.pids, err),
        )),
    }
}

/// A process of its own is init of the container and the parent of the root.
fn inside(site: &Site) -> Result<u8, Failure> {
    let (reporter, mut reports) = channel().map_err(|e| Failure::new(NOT_MADE, e))?;
    // SAFETY: mktree has one thread.
    let init = match unsafe {
        sys::fork(Birth {
            namespaces: container::PIDS,
            ..Birth::default()
        })
    } {
        Ok(Forked::Child) => exit_at_once(init_of_container(site, reporter)),
        Ok(Forked::Parent(init, pidfd)) => {
            interrupt::aim_at(pidfd);
            init
        }
        Err(err) => {
            let hint = " (a pid namespace takes CAP_SYS_ADMIN; --no-pids does without)";
            return Err(Failure::new(
                NOT_MADE,
                format_args!("making the container: clone3: {err}{hint}"),
            ));
        }
    };
    drop(reporter);
    let outcome = match reports.next_report() {
        Report::Done => Ok(()),
        Report::Failed(failure) => Err(failure),
        Report::End => Err(Failure::new(NOT_MADE, "the container's init died")),
    };
    match outcome {
        Ok(()) => stay(site, root_seen_outside(site, init), init),
        Err(failure) => Err(after_burial(site, init, failure)),
    }
}

/// Runs as pid 1 of the container: makes the tree, reports, reaps.
fn init_of_container(site: &Site, reporter: Reporter) -> u8 {
    interrupt::forget();
    let prepared = task::die_with_parent(0).and_then(|()| mount_own_proc());
    let root = prepared
        .map_err(|why| Failure::new(NOT_MADE, why))
        .and_then(|()| make_root(site, 0))
        .and_then(|(root, result)| result.map(|()| root));
    match root {
        Ok(root) => {
            if !site.options.wait {
                let _ = prctl::set_pdeathsig(None);
            }
            reporter.done();
            drop(reporter);
            sys::close_all_but(&[]);
            supervise::reap_all(root)
        }
        // The kernel ends everyone in the namespace with this process.
        Err(failure) => {
            reporter.failed(&failure);
            failure.status
        }
    }
}

/// The root's pid outside the container; 0 where /proc does not show it.
fn root_seen_outside(site: &Site, init: i32) -> i32 {
    let inner = site.pid(0);
    let tasks = procfs::tasks().unwrap_or_default();
    let root = tasks
        .iter()
        .find(|t| t.ppid == init && t.nspid.last() == Some(&inner));
    root.map_or(0, |task| task.pid)
}

/// Tells that the tree runs, which a closed stdout does not change.
fn announce(site: &Site, root: i32) {
    let mut stdout = std::io::stdout();
    if let Some(answer) = faults::strangers_answer(site) {
        let _ = writeln!(stdout, "{answer}");
    }
    let count = site.plan.tasks.len();
    let _ = writeln!(stdout, "restarted {count} tasks, root {root}");
}

/// The tree runs: says so and waits for the end of `child`, if that is wanted.
fn stay(site: &Site, root: i32, child: i32) -> Result<u8, Failure> {
    let signals = interrupt::hand_over();
    let signals = signals.map_err(|e| Failure::new(REFUSED, format_args!("sigprocmask: {e}")))?;
    // A log that cannot be written is no reason to end a tree that runs.
    let _ = site.log.tell();
    announce(site, root);
    if !site.options.wait {
        return Ok(0);
    }
    let status = supervise::outlive(child, &signals)?;
    Ok(if site.options.copy_status { status } else { 0 })
}

fn after_burial(site: &Site, child: i32, failure: Failure) -> Failure {
    if supervise::bury(site, child) {
        return failure;
    }
    Failure::new(
        failure.status,
        format_args!("{}; tasks that were killed are still there", failure.why),
    )
}
