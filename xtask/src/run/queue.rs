// SPDX-License-Identifier: GPL-2.0-only

//! Who runs what next: a guest keeps what fits it, and a free place goes to
//! the architecture that has most left to do.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Mutex;

use crate::arch::Arch;
use crate::qemu::BootSpec;
use crate::scenario::Scenario;

/// A scenario and the guest it wants.
#[derive(Debug, Clone)]
pub struct Job {
    /// The scenario.
    pub scenario: Scenario,
    /// The guest.
    pub spec: BootSpec,
    /// Which repetition, from 1.
    pub round: u32,
}

/// Jobs that nobody has taken.
pub struct Queue {
    state: Mutex<State>,
}

struct State {
    left: VecDeque<Job>,
    /// Workers on each architecture.
    busy: BTreeMap<Arch, usize>,
}

impl Queue {
    /// A queue of these jobs.
    pub fn new(jobs: Vec<Job>) -> Queue {
        Queue {
            state: Mutex::new(State {
                left: jobs.into(),
                busy: BTreeMap::new(),
            }),
        }
    }

    /// The next job for a worker: `guest` is what it has booted, `arch` what it worked for last.
    pub fn take(&self, guest: Option<&BootSpec>, arch: Option<Arch>) -> Option<Job> {
        let mut state = self.lock();
        let at = state.choose(guest, arch)?;
        let job = state.left.remove(at)?;
        if let Some(arch) = arch {
            state
                .busy
                .entry(arch)
                .and_modify(|count| *count = count.saturating_sub(1));
        }
        *state.busy.entry(job.spec.arch).or_default() += 1;
        Some(job)
    }

    /// Drops what is left: the run has failed.
    pub fn close(&self) {
        self.lock().left.clear();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl State {
    fn choose(&self, guest: Option<&BootSpec>, arch: Option<Arch>) -> Option<usize> {
        let shared = |job: &Job| !job.scenario.file.fresh_guest;
        let fits = |job: &Job| shared(job) && guest.is_some_and(|guest| *guest == job.spec);
        if let Some(at) = self.left.iter().position(fits) {
            return Some(at);
        }
        let neediest = Arch::ALL.into_iter().max_by_key(|candidate| {
            let left = self
                .left
                .iter()
                .filter(|job| job.spec.arch == *candidate)
                .count();
            let others = self.busy.get(candidate).copied().unwrap_or(0)
                - usize::from(arch == Some(*candidate))
                    .min(self.busy.get(candidate).copied().unwrap_or(0));
            // In hundredths, so that an idle architecture wins over one that is being worked on.
            (left * 100 / (others + 1), std::cmp::Reverse(*candidate))
        })?;
        // Scenarios that share a guest come first: the guest is booted anyway.
        let of = |job: &&Job| job.spec.arch == neediest;
        let first_shared = self.left.iter().position(|job| of(&job) && shared(job));
        first_shared
            .or_else(|| self.left.iter().position(|job| of(&job)))
            .or((!self.left.is_empty()).then_some(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::qemu::Accelerator;
    use crate::scenario::file::ScenarioFile;

    fn job(name: &str, arch: Arch, fresh: bool) -> Job {
        let text = format!("description = 'x'\nfresh-guest = {fresh}\n[[step]]\nsleep-ms = 1\n");
        let file = ScenarioFile::parse("x", &text).unwrap();
        let spec = BootSpec {
            arch,
            qemu: arch.qemu().into(),
            kernel: "k".into(),
            initramfs: "i".into(),
            cpus: 2,
            memory_mib: 512,
            cpu: "max".into(),
            accel: Accelerator::Tcg,
            tsc_khz: None,
            append: vec![],
        };
        Job {
            scenario: Scenario {
                name: name.into(),
                path: "x".into(),
                cpus: None,
                file,
            },
            spec,
            round: 1,
        }
    }

    #[test]
    fn two_workers_take_an_architecture_each_and_keep_their_guests() {
        let (x, a) = (Arch::X86_64, Arch::Arm64);
        let queue = Queue::new(vec![
            job("f", x, true),
            job("a", x, false),
            job("a", a, false),
            job("b", x, false),
            job("b", a, false),
        ]);
        let one = queue.take(None, None).unwrap();
        let two = queue.take(None, None).unwrap();
        assert_eq!(
            (one.scenario.name.as_str(), one.spec.arch, two.spec.arch),
            ("a", x, a)
        );
        let next = queue.take(Some(&one.spec), Some(x)).unwrap();
        assert_eq!((next.scenario.name.as_str(), next.spec.arch), ("b", x));
        assert_eq!(
            queue.take(Some(&two.spec), Some(a)).unwrap().scenario.name,
            "b"
        );
        assert_eq!(
            queue.take(Some(&two.spec), Some(a)).unwrap().scenario.name,
            "f"
        );
        assert!(queue.take(None, None).is_none());
    }
}
