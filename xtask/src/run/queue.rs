// SPDX-License-Identifier: GPL-2.0-only

//! Who runs what next: a guest keeps what fits it, a free place goes to the architecture that has
//! most left to do, and nobody begins what would crowd the host's processors.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Deref;
use std::sync::{Condvar, Mutex, MutexGuard};

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

/// Jobs that nobody has taken, and the virtual processors that those at work use.
///
/// Under TCG a virtual processor waits for all others of its guest again and again (each TLB flush of
/// arm64 does). With more of them than the host can run, guests slow each other down by far more than
/// they share: a guest with more processors than usual counts for several.
pub struct Queue {
    /// Virtual processors that may be in use at once.
    cpus: u32,
    state: Mutex<State>,
    /// A job has ended, or none is left.
    ended: Condvar,
}

struct State {
    left: VecDeque<Job>,
    /// Virtual processors in use.
    used: u32,
    /// Jobs at work on each architecture.
    busy: BTreeMap<Arch, usize>,
}

/// A job at work; gives its processors back when it is dropped.
pub struct Taken<'q> {
    queue: &'q Queue,
    job: Job,
}

impl Deref for Taken<'_> {
    type Target = Job;

    fn deref(&self) -> &Job {
        &self.job
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        let mut state = self.queue.lock();
        state.used -= self.queue.share(&self.job);
        if let Some(count) = state.busy.get_mut(&self.job.spec.arch) {
            *count -= 1;
        }
        self.queue.ended.notify_all();
    }
}

impl Queue {
    /// A queue of these jobs, which together use at most `cpus` virtual processors at once; one that
    /// wants more gets all.
    pub fn new(jobs: Vec<Job>, cpus: u32) -> Queue {
        Queue {
            cpus,
            state: Mutex::new(State {
                left: jobs.into(),
                used: 0,
                busy: BTreeMap::new(),
            }),
            ended: Condvar::new(),
        }
    }

    /// The next job for a worker that has booted `guest`, once there are processors for it; `None` if
    /// none is left.
    pub fn take(&self, guest: Option<&BootSpec>) -> Option<Taken<'_>> {
        let mut state = self.lock();
        while !state.left.is_empty() {
            let free = self.cpus - state.used;
            if let Some(at) = state.choose(guest, |job| self.share(job) <= free) {
                let job = state.left.remove(at)?;
                state.used += self.share(&job);
                *state.busy.entry(job.spec.arch).or_default() += 1;
                return Some(Taken { queue: self, job });
            }
            state = self
                .ended
                .wait(state)
                .unwrap_or_else(|poisoned| poisoned.into_inner());
        }
        None
    }

    /// Drops what is left: the run has failed.
    pub fn close(&self) {
        self.lock().left.clear();
        self.ended.notify_all();
    }

    /// The virtual processors that are set aside for a job.
    fn share(&self, job: &Job) -> u32 {
        job.spec.cpus.min(self.cpus)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl State {
    /// The place of the next job among those that there is `room` for.
    fn choose(&self, guest: Option<&BootSpec>, room: impl Fn(&Job) -> bool) -> Option<usize> {
        let shared = |job: &Job| !job.scenario.file.fresh_guest;
        let fits = |job: &Job| shared(job) && guest.is_some_and(|guest| *guest == job.spec);
        let first = |wanted: &dyn Fn(&Job) -> bool| {
            self.left.iter().position(|job| room(job) && wanted(job))
        };
        if let Some(at) = first(&fits) {
            return Some(at);
        }
        let neediest = Arch::ALL.into_iter().max_by_key(|arch| {
            let left = self.left.iter().filter(|job| job.spec.arch == *arch);
            let busy = self.busy.get(arch).copied().unwrap_or(0);
            // In hundredths, so that an idle architecture wins over one that is being worked on.
            (left.count() * 100 / (busy + 1), std::cmp::Reverse(*arch))
        })?;
        // Scenarios that share a guest come first: the guest is booted anyway.
        let of = |job: &Job| job.spec.arch == neediest;
        first(&|job| of(job) && shared(job))
            .or_else(|| first(&of))
            .or_else(|| first(&|_| true))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::qemu::Accelerator;
    use crate::scenario::file::ScenarioFile;

    fn job(name: &str, arch: Arch, cpus: u32, fresh: bool) -> Job {
        let text = format!("description = 'x'\nfresh-guest = {fresh}\n[[step]]\nsleep-ms = 1\n");
        let file = ScenarioFile::parse("x", &text).unwrap();
        let spec = BootSpec {
            arch,
            qemu: arch.qemu().into(),
            kernel: "k".into(),
            initramfs: "i".into(),
            cpus,
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

    fn name<'a>(taken: &'a Option<Taken<'_>>) -> &'a str {
        taken.as_ref().map_or("", |taken| &taken.scenario.name)
    }

    #[test]
    fn two_workers_take_an_architecture_each_and_keep_their_guests() {
        let (x, a) = (Arch::X86_64, Arch::Arm64);
        let jobs = vec![
            job("f", x, 2, true),
            job("a", x, 2, false),
            job("a", a, 2, false),
            job("b", x, 2, false),
            job("b", a, 2, false),
        ];
        let queue = Queue::new(jobs, 4);
        let one = queue.take(None).unwrap();
        let two = queue.take(None).unwrap();
        assert_eq!(
            (one.scenario.name.as_str(), one.spec.arch, two.spec.arch),
            ("a", x, a)
        );
        let (first, second) = (one.spec.clone(), two.spec.clone());
        drop(one);
        let next = queue.take(Some(&first)).unwrap();
        assert_eq!((next.scenario.name.as_str(), next.spec.arch), ("b", x));
        drop(two);
        assert_eq!(name(&queue.take(Some(&second))), "b");
        assert_eq!(name(&queue.take(Some(&second))), "f");
        assert!(queue.take(None).is_none());
    }

    #[test]
    fn a_guest_with_many_processors_waits_until_it_is_alone() {
        let x = Arch::X86_64;
        let jobs = vec![
            job("wide", x, 8, false),
            job("a", x, 2, false),
            job("b", x, 2, false),
        ];
        let queue = Queue::new(jobs, 4);
        let wide = queue.take(None);
        assert_eq!(name(&wide), "wide");
        std::thread::scope(|scope| {
            let other = scope.spawn(|| name(&queue.take(None)).to_owned());
            std::thread::sleep(std::time::Duration::from_millis(20));
            assert!(!other.is_finished());
            drop(wide);
            assert_eq!(other.join().unwrap(), "a");
        });
        assert_eq!(name(&queue.take(None)), "b");
    }

    #[test]
    fn what_there_is_room_for_goes_before_what_must_wait() {
        let (x, a) = (Arch::X86_64, Arch::Arm64);
        let jobs = vec![
            job("a", x, 1, false),
            job("wide", x, 4, false),
            job("b", a, 1, false),
        ];
        let queue = Queue::new(jobs, 4);
        let one = queue.take(None);
        let guest = one.as_ref().unwrap().spec.clone();
        assert_eq!((name(&one), name(&queue.take(None))), ("a", "b"));
        drop(one);
        assert_eq!(name(&queue.take(Some(&guest))), "wide");
    }

    #[test]
    fn nobody_waits_for_a_queue_that_was_closed() {
        let x = Arch::X86_64;
        let queue = Queue::new(vec![job("a", x, 4, false), job("b", x, 4, false)], 4);
        let held = queue.take(None);
        std::thread::scope(|scope| {
            let other = scope.spawn(|| queue.take(None).is_none());
            std::thread::sleep(std::time::Duration::from_millis(20));
            queue.close();
            assert!(other.join().unwrap());
        });
        drop(held);
    }
}
