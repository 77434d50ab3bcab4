// SPDX-License-Identifier: GPL-2.0-only

//! What an image is edited to ask for, and how that is answered. Offsets are those of
//! `docs/image-format.md`.

mod attributes;
mod creds;
mod files;
mod memory;
mod registers;
mod said;

use crate::edit::{put_doubles, put_words, Image};
use checkpoint::image::Kind;
use nix::errno::Errno;
use nix::sys::signal::Signal;
use std::fmt;

pub use files::Files;

/// An image, and what becomes of it: an errno, or a restart and perhaps more.
pub struct Case {
    /// What is asked for.
    pub what: &'static str,
    /// The image that asks for it.
    pub image: Image,
    /// What comes of it.
    pub outcome: Outcome,
    /// What the kernel's log says of one that is refused: why, beside the errno, which many share.
    pub says: Option<&'static str>,
    /// Whether who is to be restored has set no_new_privs before.
    pub no_new_privs: bool,
}

/// What becomes of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It is refused.
    Refused(Errno),
    /// It is restarted.
    Runs,
    /// It is restarted, and a file of the task's folder in /proc has a text in it.
    Shows(&'static str, String),
    /// It is restarted, and the task, which never sleeps, is seen to go on.
    Works,
    /// It is restarted, and the task is killed by this signal as it goes on.
    Dies(Signal),
}

impl Outcome {
    /// By which signal a restarted task ends: the test's, unless it dies by itself.
    pub fn end(&self) -> Signal {
        match self {
            Outcome::Dies(signal) => *signal,
            Outcome::Refused(_) | Outcome::Runs | Outcome::Shows(..) | Outcome::Works => Signal::SIGKILL,
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Outcome::Refused(errno) => write!(to, "{errno}"),
            Outcome::Runs => write!(to, "a restart"),
            Outcome::Shows(file, text) => write!(to, "a restart, and {text:?} in {file}"),
            Outcome::Works => write!(to, "a restart, and the task at work"),
            Outcome::Dies(signal) => write!(to, "a restart, and death by {signal}"),
        }
    }
}

impl From<Errno> for Outcome {
    fn from(errno: Errno) -> Outcome {
        Outcome::Refused(errno)
    }
}

/// Edits of one image.
struct Edits<'a> {
    image: &'a Image,
    cases: Vec<Case>,
}

/// Any address of the kernel's, and the first of its half.
const KERNEL_ADDRESS: u64 = 0xffff_ffff_8100_0000;
const KERNEL_HALF: u64 = 0xffff_8000_0000_0000;

/// Offsets in MM.
mod mm {
    pub const BRK: usize = 40;
    pub const ARG_END: usize = 64;
    pub const EXE: usize = 88;
    pub const NR_VMAS: usize = 92;
    pub const VDSO: usize = 96;
}

impl Edits<'_> {
    fn image(&mut self, what: &'static str, outcome: impl Into<Outcome>, image: Image) {
        self.cases.push(Case {
            what,
            outcome: outcome.into(),
            says: said::of(what),
            image,
            no_new_privs: false,
        });
    }

    /// One of many of a kind, which are told in the same words.
    fn told(&mut self, what: String, errno: Errno, says: &'static str, image: Image) {
        self.cases.push(Case {
            what: what.leak(),
            outcome: errno.into(),
            says: Some(says),
            image,
            no_new_privs: false,
        });
    }

    /// The first record of this kind with these words.
    fn words(
        &mut self,
        what: &'static str,
        outcome: impl Into<Outcome>,
        kind: Kind,
        words: &[(usize, u32)],
    ) -> Result<(), String> {
        let edited = self.image.edited(kind, 0, |payload| put_words(payload, words))?;
        self.image(what, outcome, edited);
        Ok(())
    }

    /// The same with double words.
    fn doubles(
        &mut self,
        what: &'static str,
        errno: Errno,
        kind: Kind,
        doubles: &[(usize, u64)],
    ) -> Result<(), String> {
        let edited = self.image.edited(kind, 0, |payload| put_doubles(payload, doubles))?;
        self.image(what, errno, edited);
        Ok(())
    }
}

/// All cases of an image, which is that of a task of a user who is not root and has `status` open.
pub fn all(image: &Image, made: &Files, status: &str) -> Result<Vec<Case>, String> {
    let mut edits = Edits {
        image,
        cases: Vec::new(),
    };
    edits.image("the image as it was", Outcome::Runs, image.clone());
    creds::edit(&mut edits)?;
    files::edit(&mut edits, made, status)?;
    memory::edit(&mut edits, status)?;
    registers::edit(&mut edits)?;
    attributes::edit(&mut edits)?;
    edits.image("the image as it was, once more", Outcome::Runs, image.clone());
    Ok(with_good_ones(edits.cases, image))
}

/// The cases, and after every tenth the image as it was.
fn with_good_ones(cases: Vec<Case>, image: &Image) -> Vec<Case> {
    const TENTH: usize = 9;
    let mut all = Vec::new();
    for (number, case) in cases.into_iter().enumerate() {
        let what = format!("a good restart right after: {}", case.what);
        all.push(case);
        if number % 10 == TENTH {
            all.push(Case {
                what: what.leak(),
                image: image.clone(),
                outcome: Outcome::Runs,
                says: None,
                no_new_privs: false,
            });
        }
    }
    all
}
