// SPDX-License-Identifier: GPL-2.0-only

//! A coordinator and its root, in processes of their own: what happens while the two sleep.

use super::images::beginning_of_one;
use super::{at_once, in_pipe, lead_session};
use crate::edit::{file_of, pipe_of, Image};
use crate::knobs;
use crate::procfs;
use crate::puppet::{self, Puppet};
use crate::stage::expect;
use crate::sys::{self, Birth, RESTART_COORDINATOR};
use crate::wait;
use checkpoint::image::HEADER_SIZE;
use nix::errno::Errno;
use nix::sys::signal::Signal;
use nix::sys::wait::{waitpid, WaitStatus};
use nix::unistd::{getpid, Pid};
use std::fs::File;
use std::os::fd::AsFd;

/// An order for the root: to restart as its coordinator has it,
pub(super) const JOIN: i32 = 0;
/// or by an image of its own.
pub(super) const BRING: i32 = 1;

/// The two processes.
#[derive(Clone, Copy)]
pub(super) struct Pair {
    pub(super) coordinator: Puppet,
    pub(super) root: Puppet,
}

impl Pair {
    /// Makes both. The root was saved as `saved`; its coordinator restarts it, by any order, from the image
    /// in `pipe`.
    pub(super) fn make(saved: i32, pipe: &File, own: &File) -> Result<Pair, String> {
        let [coordinator, root] = puppet::prepare(["coordinator", "root"])?;
        let flags = sys::restart_as(saved);
        let join = |order: i32| {
            let image = (order == BRING).then(|| own.as_fd());
            sys::restart(getpid().as_raw(), image, flags, None)
        };
        let begin = |_| {
            let pid = root.pid().unwrap_or(0);
            sys::restart(pid, Some(pipe.as_fd()), flags | RESTART_COORDINATOR, None)
        };
        coordinator.make(Birth::default(), || root.make(Birth::default(), lead_session, join), begin)?;
        root.pid()?;
        Ok(Pair { coordinator, root })
    }

    /// Ends both; no restart is left.
    pub(super) fn dismiss(self) -> Result<(), String> {
        knobs::no_context(at_once())?;
        self.root.dismiss();
        self.coordinator.dismiss();
        let pid = Pid::from_raw(self.coordinator.pid()?);
        let ended = waitpid(pid, None).map_err(|e| format!("waitpid: {e}"))?;
        expect("the end of the coordinator", WaitStatus::Exited(pid, 0), ended)
    }
}

/// A root has one restart at most: while the first is tried, or begun, a second one is refused, and the first
/// goes on.
pub(super) fn begun_already(image: &Image) -> Result<(), String> {
    let begun = beginning_of_one(image)?;
    let whole = file_of(&image.bytes())?;
    for (state, bytes, contexts) in [("tried", &begun[..HEADER_SIZE], 0), ("begun", &begun[..], 1)] {
        let (read, write) = pipe_of(bytes)?;
        let Pair { coordinator, root } = Pair::make(image.root()?, &read, &whole)?;
        coordinator.order(JOIN);
        let pid = coordinator.pid()?;
        let sleeps = || {
            let there = in_pipe(&write) == Ok(0) && knobs::contexts() == Ok(contexts);
            there && procfs::sleeps_in(pid, sys::SYS_RESTART)
        };
        let otherwise = |when: &str| format!("a restart that is {state}: {when} its coordinator does not sleep");
        wait::until(at_once(), &otherwise("before the second"), sleeps)?;
        let of_state = |why: String| format!("a restart that is {state}: {why}");
        root.obeys(BRING, Err(Errno::EBUSY)).map_err(of_state)?;
        wait::until(at_once(), &otherwise("after the second"), sleeps)?;
        coordinator.signal(Signal::SIGUSR1)?;
        coordinator.expect(Err(Errno::EINTR)).map_err(of_state)?;
        Pair { coordinator, root }.dismiss().map_err(of_state)?;
    }
    Ok(())
}
