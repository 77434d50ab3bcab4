// SPDX-License-Identifier: GPL-2.0-only

//! Processes that call restart(2) when they are told to and tell what came of
//! it, so that a test can put every step of a restart in the order it wants.

use crate::procfs;
use crate::restarts::patience;
use crate::shared::Words;
use crate::sys::{self, Birth, Forked};
use nix::errno::Errno;
use nix::sys::signal::{kill, sigaction, SaFlags, SigAction, SigHandler, SigSet, Signal};
use nix::unistd::{getpid, Pid};
use std::fmt;
use std::sync::atomic::Ordering;
use std::sync::OnceLock;

/// Words of a puppet.
const WORDS: usize = 6;
/// Its pid as its maker sees it.
const PID: usize = 0;
/// How many orders it has been given.
const ORDERS: usize = 1;
/// The argument of the last one.
const ARGUMENT: usize = 2;
/// How many it has carried out.
const DONE: usize = 3;
/// What came of the last one: an errno, 0 for success.
const ANSWER: usize = 4;
/// 1 once it has done what comes first.
const BORN: usize = 5;
/// The order to exit.
const EXIT: u32 = u32::MAX;

/// The strings of one puppet: the same in the process itself and in whoever pulls.
#[derive(Debug, Clone, Copy)]
pub struct Puppet {
    words: Words,
    number: usize,
    name: &'static str,
    /// Who pulls.
    owner: i32,
}

/// The strings of all puppets of a process and its descendants: theirs, then how many have
/// been prepared. One mapping: forks take longer with each there is.
static STRINGS: OnceLock<Result<Words, String>> = OnceLock::new();
/// How many puppets have strings.
const PUPPETS: usize = 4096;
/// Which word counts them.
const PREPARED: usize = PUPPETS * WORDS;

/// Prepares for puppets with these names, which are to be made by the caller and its descendants.
pub fn prepare<const N: usize>(names: [&'static str; N]) -> Result<[Puppet; N], String> {
    let words = STRINGS.get_or_init(|| Words::map(PREPARED + 1)).clone()?;
    let first = words.word(PREPARED).fetch_add(N as u32, Ordering::SeqCst) as usize;
    if first + N > PUPPETS {
        return Err(format!(
            "preparing for {N} puppets: {first} have been, and there is room for {PUPPETS}"
        ));
    }
    Ok(std::array::from_fn(|number| Puppet {
        words,
        number: first + number,
        name: names[number],
        owner: getpid().as_raw(),
    }))
}

impl fmt::Display for Puppet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (pid {})", self.name, self.get(PID) as i32)
    }
}

extern "C" fn on_usr1(_: libc::c_int) {}

/// Lets SIGUSR1 interrupt system calls of the caller and its descendants, and do no more.
pub fn catch_usr1() -> Result<(), String> {
    let action = SigAction::new(
        SigHandler::Handler(on_usr1),
        SaFlags::SA_RESTART,
        SigSet::empty(),
    );
    // SAFETY: the handler does nothing.
    unsafe { sigaction(Signal::SIGUSR1, &action) }
        .map(drop)
        .map_err(|e| format!("sigaction: {e}"))
}

impl Puppet {
    fn at(&self, word: usize) -> usize {
        self.number * WORDS + word
    }

    fn get(&self, word: usize) -> u32 {
        self.words.word(self.at(word)).load(Ordering::SeqCst)
    }

    /// Forks a process that is this puppet: `born` is done first, then what it is ordered with the
    /// argument of the order.
    pub fn make(
        self,
        birth: Birth<'_>,
        born: impl FnOnce() -> Result<(), String>,
        mut act: impl FnMut(i32) -> nix::Result<i64>,
    ) -> Result<(), String> {
        // SAFETY: test programs have one thread.
        match unsafe { sys::fork(birth) } {
            Err(err) => Err(format!("forking {}: {err}", self.name)),
            Ok(Forked::Parent(pid, _pidfd)) => {
                self.words.set(self.at(PID), pid as u32);
                Ok(())
            }
            Ok(Forked::Child) => {
                if let Err(why) = born() {
                    eprintln!("{}: {why}", self.name);
                    std::process::exit(1);
                }
                self.words.set(self.at(BORN), 1);
                self.live(&mut act)
            }
        }
    }

    fn live(self, act: &mut dyn FnMut(i32) -> nix::Result<i64>) -> ! {
        let mut done = 0;
        loop {
            if !self
                .words
                .wait_at_least(self.at(ORDERS), done + 1, patience())
            {
                if procfs::is_exiting(self.owner) {
                    std::process::exit(0);
                }
                continue;
            }
            let argument = self.get(ARGUMENT);
            if argument == EXIT {
                std::process::exit(0);
            }
            let answer = act(argument as i32).map_or_else(|errno| errno as i32 as u32, |_| 0);
            self.words.set(self.at(ANSWER), answer);
            done += 1;
            self.words.set(self.at(DONE), done);
        }
    }

    /// Its pid as its maker sees it, once it is there and has done what comes first.
    pub fn pid(&self) -> Result<i32, String> {
        let there = |word| self.words.wait_at_least(self.at(word), 1, patience());
        match there(BORN) && there(PID) {
            true => Ok(self.get(PID) as i32),
            false => Err(format!("{} was not made", self.name)),
        }
    }

    /// Whether its maker has made it.
    pub fn is_made(&self) -> bool {
        self.get(PID) != 0
    }

    /// Tells it to act.
    pub fn order(&self, argument: i32) {
        self.words.set(self.at(ARGUMENT), argument as u32);
        self.words.add_one(self.at(ORDERS));
    }

    /// Fails unless that is what came of the last order.
    pub fn expect(&self, expected: Result<(), Errno>) -> Result<(), String> {
        let name = self.name;
        let orders = self.get(ORDERS);
        if !self.words.wait_at_least(self.at(DONE), orders, patience()) {
            return Err(format!(
                "{name}: expected {expected:?}, found no end of its call"
            ));
        }
        let found = match self.get(ANSWER) {
            0 => Ok(()),
            errno => Err(Errno::from_raw(errno as i32)),
        };
        if found == expected {
            return Ok(());
        }
        Err(format!("{name}: expected {expected:?}, found {found:?}"))
    }

    /// [`Puppet::order`] and [`Puppet::expect`].
    pub fn obeys(&self, argument: i32, expected: Result<(), Errno>) -> Result<(), String> {
        self.order(argument);
        self.expect(expected)
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) -> Result<(), String> {
        kill(Pid::from_raw(self.pid()?), signal)
            .map_err(|e| format!("{signal} to {}: {e}", self.name))
    }

    /// Tells it to exit, if it is there to listen.
    pub fn dismiss(&self) {
        self.order(EXIT as i32);
    }
}
