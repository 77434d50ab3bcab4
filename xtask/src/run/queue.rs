// SPDX-License-Identifier: GPL-2.0-only

//! Who runs what next: a guest keeps what fits it, a free place goes to the architecture that has
//! most left to do, and nobody begins what would crowd the host's processors.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Deref;
use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::Duration;

use crate::arch::Arch;
use crate::qemu::BootSpec;
use crate::report::CaseId;
use crate::run::select::seed_of;
use crate::scenario::Scenario;

/// A scenario and the guest it wants.
#[derive(Debug, Clone)]
pub struct Job {
    /// The scenario.
    pub scenario: Scenario,
    /// The guest.
    pub spec: BootSpec,
    /// What its result is filed under.
    pub case: CaseId,
    /// Which try at it, from 1.
    pub attempt: u32,
    /// What chance in it follows.
    pub seed: u64,
}

/// How often jobs are done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Effort {
    /// How often each is repeated; without end if none.
    pub rounds: Option<u32>,
    /// How often a job that failed is tried again.
    pub retries: u32,
    /// Whether nothing more is begun after the first that failed for good.
    pub until_fail: bool,
    /// What the seeds of the jobs are made of.
    pub seed: u64,
}

/// Jobs that nobody has taken, and the virtual processors that those at work use.
///
/// Under TCG a virtual processor waits for all others of its guest again and again (each TLB flush of
/// arm64 does). With more of them than the host can run, guests slow each other down by far more than
/// they share: a guest with more processors than usual counts for several.
pub struct Queue {
    /// Virtual processors that may be in use at once.
    cpus: u32,
    effort: Effort,
    /// The jobs of a round.
    jobs: Vec<Job>,
    state: Mutex<State>,
    /// A job has ended, or none is left.
    ended: Condvar,
}

struct State {
    left: VecDeque<Job>,
    /// The last round that was begun, from 1.
    round: u32,
    /// Whether no round follows.
    closed: bool,
    /// Whether nothing is tried again either.
    aborted: bool,
    /// Virtual processors in use.
    used: u32,
    /// Jobs that want theirs back: they go before all that have not begun.
    resting: usize,
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

impl Taken<'_> {
    /// Waits so long, while others may have the job's processors, and until it has them back.
    pub fn rest(&self, time: Duration) {
        let (queue, share) = (self.queue, self.queue.share(&self.job));
        queue.lock().used -= share;
        queue.ended.notify_all();
        std::thread::sleep(time);
        let mut state = queue.lock();
        state.resting += 1;
        while state.used + share > queue.cpus {
            state = queue.wait(state);
        }
        state.resting -= 1;
        state.used += share;
        // There may be room for others.
        queue.ended.notify_all();
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
    pub fn new(jobs: Vec<Job>, cpus: u32, effort: Effort) -> Queue {
        Queue {
            cpus,
            effort,
            jobs,
            state: Mutex::new(State {
                left: VecDeque::new(),
                round: 0,
                closed: false,
                aborted: false,
                used: 0,
                resting: 0,
                busy: BTreeMap::new(),
            }),
            ended: Condvar::new(),
        }
    }

    /// Jobs in all, if they have an end; tries after the first are not counted.
    pub fn total(&self) -> Option<usize> {
        let rounds = self.effort.rounds?;
        Some(self.jobs.len() * rounds as usize)
    }

    /// The next job for a worker that has booted `guest`, once there are processors for it; `None` if
    /// none is left.
    pub fn take(&self, guest: Option<&BootSpec>) -> Option<Taken<'_>> {
        let mut state = self.lock();
        loop {
            if state.left.is_empty() && !self.begin_round(&mut state) {
                return None;
            }
            let free = self.cpus - state.used;
            let room = |job: &Job| self.share(job) <= free;
            // Who rests goes before all that have not begun.
            if state.resting == 0 {
                if let Some(at) = state.choose(guest, room) {
                    let job = state.left.remove(at)?;
                    state.used += self.share(&job);
                    *state.busy.entry(job.spec.arch).or_default() += 1;
                    return Some(Taken { queue: self, job });
                }
                // Not further than the next round, or what must wait would wait for all of them.
                let may_go_on = state.is_of_one_round() && self.jobs.iter().any(room);
                if may_go_on && self.begin_round(&mut state) {
                    continue;
                }
            }
            state = self.wait(state);
        }
    }

    /// Adds the jobs of the next round to what is left; whether there is one.
    fn begin_round(&self, state: &mut State) -> bool {
        let more = self.effort.rounds.is_none_or(|rounds| state.round < rounds);
        if !more || state.closed {
            return false;
        }
        state.round += 1;
        let of_round = |job: &Job| {
            let mut job = job.clone();
            job.case.round = state.round;
            job.seed = seed_of(self.effort.seed, &job.case);
            job
        };
        state.left.extend(self.jobs.iter().map(of_round));
        !state.left.is_empty()
    }

    /// Takes note of a job that failed: it is tried again, or that is the end of a run that goes on until
    /// then.
    pub fn failed(&self, job: &Job) {
        let again = Job {
            attempt: job.attempt + 1,
            ..job.clone()
        };
        let mut state = self.lock();
        if job.attempt <= self.effort.retries {
            if !state.aborted {
                state.left.push_back(again);
            }
        } else if self.effort.until_fail {
            // What has failed once, and waits for its next try, is not told as failed without it.
            state.closed = true;
            state.left.retain(|job| job.attempt > 1);
        }
        self.ended.notify_all();
    }

    /// Drops what is left: nothing more is begun.
    pub fn close(&self) {
        let mut state = self.lock();
        state.left.clear();
        state.closed = true;
        state.aborted = true;
        self.ended.notify_all();
    }

    /// The virtual processors that are set aside for a job.
    fn share(&self, job: &Job) -> u32 {
        job.spec.cpus.min(self.cpus)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        self.ended
            .wait(state)
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl State {
    /// Whether all that is left is of the last round that was begun.
    fn is_of_one_round(&self) -> bool {
        self.left.iter().all(|job| job.case.round == self.round)
    }

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

    fn job(name: &str, arch: Arch, cpus: u32, fresh: bool) -> Job {
        let text = format!("description = 'x'\nfresh-guest = {fresh}\n[[step]]\nsleep-ms = 1\n");
        let path = std::path::PathBuf::from(format!("{name}.toml"));
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
            console_mib: crate::qemu::console_mib(),
            dump_memory: false,
        };
        Job {
            scenario: Scenario::cases(&path, "x", &text).unwrap().remove(0),
            spec,
            case: crate::report::tests::case(name, arch),
            attempt: 1,
            seed: 0,
        }
    }

    /// Each job once.
    const ONCE: Effort = Effort {
        rounds: Some(1),
        retries: 0,
        until_fail: false,
        seed: 1,
    };

    /// Again and again until one has failed twice.
    const UNTIL_FAIL: Effort = Effort {
        rounds: None,
        retries: 1,
        until_fail: true,
        seed: 1,
    };

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
        let queue = Queue::new(jobs, 4, ONCE);
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
        let queue = Queue::new(jobs, 4, ONCE);
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
    fn who_rests_lets_others_work_and_goes_on_before_any_begins() {
        let x = Arch::X86_64;
        let jobs = ["a", "b", "c"].map(|name| job(name, x, 8, false));
        let queue = Queue::new(jobs.to_vec(), 4, ONCE);
        let one = queue.take(None).unwrap();
        let order = Mutex::new(Vec::new());
        let note = &|what: &str| order.lock().unwrap().push(what.to_owned());
        std::thread::scope(|scope| {
            scope.spawn(move || {
                one.rest(Duration::from_millis(20));
                note("a again");
                drop(one);
            });
            let two = queue.take(None);
            note(name(&two));
            // Long enough for the other to want its processors back.
            std::thread::sleep(Duration::from_millis(100));
            drop(two);
            let three = queue.take(None);
            note(name(&three));
        });
        assert_eq!(order.into_inner().unwrap(), ["b", "a again", "c"]);
    }

    #[test]
    fn what_there_is_room_for_goes_before_what_must_wait() {
        let (x, a) = (Arch::X86_64, Arch::Arm64);
        let jobs = vec![
            job("a", x, 1, false),
            job("wide", x, 4, false),
            job("b", a, 1, false),
        ];
        let queue = Queue::new(jobs, 4, ONCE);
        let one = queue.take(None);
        let guest = one.as_ref().unwrap().spec.clone();
        assert_eq!((name(&one), name(&queue.take(None))), ("a", "b"));
        drop(one);
        assert_eq!(name(&queue.take(Some(&guest))), "wide");
    }

    #[test]
    fn rounds_follow_each_other_with_seeds_of_their_own() {
        let x = Arch::X86_64;
        let twice = Effort {
            rounds: Some(2),
            ..ONCE
        };
        let queue = Queue::new(vec![job("a", x, 1, false)], 4, twice);
        assert_eq!(queue.total(), Some(2));
        let (one, two) = (queue.take(None).unwrap(), queue.take(None).unwrap());
        assert_eq!((one.case.round, two.case.round), (1, 2));
        assert_ne!(one.seed, two.seed);
        assert!(queue.take(None).is_none());
    }

    #[test]
    fn while_the_last_of_a_round_must_wait_the_next_begins_and_no_other() {
        let x = Arch::X86_64;
        let thrice = Effort {
            rounds: Some(3),
            ..ONCE
        };
        let jobs = vec![job("a", x, 1, false), job("wide", x, 4, false)];
        let queue = Queue::new(jobs, 4, thrice);
        let told = |taken: Option<Taken<'_>>| {
            taken.map(|taken| (taken.scenario.name.clone(), taken.case.round))
        };
        let (one, two) = (queue.take(None), queue.take(None));
        std::thread::scope(|scope| {
            let third = scope.spawn(|| told(queue.take(None)));
            std::thread::sleep(std::time::Duration::from_millis(20));
            assert!(!third.is_finished());
            assert_eq!(told(one), Some(("a".into(), 1)));
            assert_eq!(told(two), Some(("a".into(), 2)));
            assert_eq!(third.join().unwrap(), Some(("wide".into(), 1)));
        });
        let left: Vec<_> = std::iter::from_fn(|| told(queue.take(None))).collect();
        assert_eq!(
            left,
            [("wide".into(), 2), ("a".into(), 3), ("wide".into(), 3)]
        );
    }

    #[test]
    fn what_failed_is_tried_again_and_then_ends_a_run_until_then() {
        let x = Arch::X86_64;
        let queue = Queue::new(vec![job("a", x, 1, false)], 4, UNTIL_FAIL);
        assert_eq!(queue.total(), None);
        let one = queue.take(None).unwrap();
        queue.failed(&one);
        let again = queue.take(None).unwrap();
        assert_eq!(
            (again.attempt, again.case.round, again.seed),
            (2, 1, one.seed)
        );
        // It passed: the next round begins.
        let next = queue.take(None).unwrap();
        assert_eq!((next.attempt, next.case.round), (1, 2));
        queue.failed(&next);
        let again = queue.take(None).unwrap();
        queue.failed(&again);
        assert!(queue.take(None).is_none());
    }

    #[test]
    fn of_a_queue_that_was_closed_nothing_is_tried_again() {
        let x = Arch::X86_64;
        let retries = Effort { retries: 2, ..ONCE };
        let queue = Queue::new(vec![job("a", x, 1, false)], 4, retries);
        let held = queue.take(None).unwrap();
        queue.close();
        queue.failed(&held);
        assert!(queue.take(None).is_none());
    }

    #[test]
    fn the_end_of_a_run_until_then_leaves_what_waits_for_its_next_try() {
        let x = Arch::X86_64;
        let jobs = vec![job("a", x, 1, false), job("b", x, 1, false)];
        let queue = Queue::new(jobs, 4, UNTIL_FAIL);
        let (a, b) = (queue.take(None).unwrap(), queue.take(None).unwrap());
        queue.failed(&a);
        queue.failed(&b);
        let again = queue.take(None).unwrap();
        queue.failed(&again);
        let waiting = queue.take(None).unwrap();
        assert_eq!((waiting.scenario.name.as_str(), waiting.attempt), ("b", 2));
        assert!(queue.take(None).is_none());
    }

    #[test]
    fn nobody_waits_for_a_queue_that_was_closed() {
        let x = Arch::X86_64;
        let queue = Queue::new(vec![job("a", x, 4, false), job("b", x, 4, false)], 4, ONCE);
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
