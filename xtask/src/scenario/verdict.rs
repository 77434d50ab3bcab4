// SPDX-License-Identifier: GPL-2.0-only

//! The words for how a scenario ended, and what the process makes of them.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::{Kind, EXIT_FAILED, EXIT_PASSED};
use crate::qemu::console::{Finding, Trouble};
use crate::qemu::guest::{Halt, Limit};

/// How a scenario ended.
#[derive(
    Debug,
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Everything was as expected.
    #[default]
    Pass,
    /// An expectation did not hold.
    Fail,
    /// Not run, for a named reason.
    Skip,
    /// A program was killed by a signal that nobody had sent.
    Signal,
    /// The kernel panicked.
    Panic,
    /// The kernel log holds an oops or worse.
    Oops,
    /// The kernel log holds a warning: WARN, lockdep, a stall, a process killed for want of memory.
    Warn,
    /// The kernel is tainted, though its log shows nothing.
    Taint,
    /// `/init` never answered.
    BootHang,
    /// The guest stopped answering.
    RunHang,
    /// A step took too long, in a guest that answers.
    Timeout,
    /// The kernel log grew beyond all bounds.
    Flood,
    /// What the guest's `/init` said is no answer.
    Garbled,
    /// QEMU ended.
    QemuDied,
    /// The lab itself failed.
    HostError,
}

impl Verdict {
    /// The word that is shown.
    pub fn word(self) -> &'static str {
        match self {
            Verdict::Pass => "pass",
            Verdict::Fail => "fail",
            Verdict::Skip => "skip",
            Verdict::Signal => "signal",
            Verdict::Panic => "panic",
            Verdict::Oops => "oops",
            Verdict::Warn => "warn",
            Verdict::Taint => "taint",
            Verdict::BootHang => "boot-hang",
            Verdict::RunHang => "run-hang",
            Verdict::Timeout => "timeout",
            Verdict::Flood => "flood",
            Verdict::Garbled => "garbled",
            Verdict::QemuDied => "qemu-died",
            Verdict::HostError => "host-error",
        }
    }

    /// Whether a run with this verdict in it can still pass.
    pub fn is_good(self) -> bool {
        matches!(self, Verdict::Pass | Verdict::Skip)
    }

    /// Whether the guest can be used for another scenario afterwards.
    pub fn leaves_guest_sound(self) -> bool {
        matches!(
            self,
            Verdict::Pass | Verdict::Fail | Verdict::Skip | Verdict::Signal
        )
    }

    /// The exit code of a run with these verdicts: the lab's own failures count for more than the scenarios'.
    pub fn exit_code(verdicts: impl IntoIterator<Item = Verdict>) -> i32 {
        verdicts
            .into_iter()
            .map(Verdict::own_exit_code)
            .max()
            .unwrap_or(EXIT_PASSED)
    }

    fn own_exit_code(self) -> i32 {
        match self {
            Verdict::Pass | Verdict::Skip => EXIT_PASSED,
            Verdict::HostError => Kind::Lab.exit_code(),
            Verdict::Fail
            | Verdict::Signal
            | Verdict::Panic
            | Verdict::Oops
            | Verdict::Warn
            | Verdict::Taint
            | Verdict::BootHang
            | Verdict::RunHang
            | Verdict::Timeout
            | Verdict::Flood
            | Verdict::Garbled
            | Verdict::QemuDied => EXIT_FAILED,
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

/// A verdict and why.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Judgement {
    /// The verdict.
    pub verdict: Verdict,
    /// Why, if it is not pass; the first line is the summary.
    pub why: String,
}

impl Judgement {
    /// With one more failure, which counts whatever else was found or expected.
    pub fn spoilt(self, why: String) -> Judgement {
        match self.verdict.is_good() {
            true => Judgement::fail(why),
            false => Judgement {
                why: format!("{}\nand {why}", self.why),
                ..self
            },
        }
    }

    /// A judgement.
    pub fn new(verdict: Verdict, why: impl Into<String>) -> Self {
        Judgement {
            verdict,
            why: why.into(),
        }
    }

    /// Everything was as expected.
    pub fn pass() -> Self {
        Self::new(Verdict::Pass, "")
    }

    /// It cannot be run here; the reason.
    pub fn skip(why: impl Into<String>) -> Self {
        Self::new(Verdict::Skip, why)
    }

    /// An expectation did not hold.
    pub fn fail(why: impl Into<String>) -> Self {
        Self::new(Verdict::Fail, why)
    }

    /// The judgement of a guest that came to an end; `booting`: before `/init` answered.
    pub fn of_halt(halt: &Halt, booting: bool) -> Self {
        match halt {
            Halt::Panic(line) => Self::new(Verdict::Panic, line),
            Halt::Died(how) => Self::new(Verdict::QemuDied, how),
            Halt::Flood(limit) => Self::new(
                Verdict::Flood,
                format!(
                    "the kernel log has grown beyond {} MiB (console-mib)",
                    limit >> 20
                ),
            ),
            Halt::Silent {
                doing,
                limit,
                found,
            } => {
                let verdict = if booting {
                    Verdict::BootHang
                } else {
                    Verdict::RunHang
                };
                Self::new(
                    verdict,
                    format!(
                        "no answer within {:.1} s, waiting for {doing}{}{}",
                        limit.own.as_secs_f64(),
                        stretched(*limit),
                        found
                            .iter()
                            .map(|line| format!("\n{line}"))
                            .collect::<String>()
                    ),
                )
            }
            Halt::Garbled(what) => Self::new(Verdict::Garbled, what),
            Halt::Lab(error) => Self::new(Verdict::HostError, error.to_string()),
        }
    }

    /// What the kernel log and the taint make of a scenario that went through to `self`. A bad log counts for
    /// more than a failed expectation, since it is likely to be the reason; what ended the guest stays.
    pub fn with_log(self, findings: &[Finding], taint: u64) -> Self {
        if matches!(
            self.verdict,
            Verdict::Panic | Verdict::Flood | Verdict::Garbled
        ) {
            return self.with_cause(findings);
        }
        if !self.verdict.leaves_guest_sound() && self.verdict != Verdict::Timeout {
            return self;
        }
        let also = match self.verdict.is_good() {
            true => String::new(),
            false => format!("\nand: {}: {}", self.verdict, self.why),
        };
        // The first of its kind: what comes after it is likely to follow from it.
        let worst = findings.iter().rev().max_by_key(|finding| finding.trouble);
        match worst {
            Some(Finding {
                trouble: Trouble::Panic,
                line,
            }) => Self::new(Verdict::Panic, format!("{line}{also}")),
            Some(Finding {
                trouble: Trouble::Oops,
                line,
            }) => Self::new(Verdict::Oops, format!("{line}{also}")),
            Some(Finding {
                trouble: Trouble::Warn,
                line,
            }) => Self::new(Verdict::Warn, format!("{line}{also}")),
            None if taint != 0 => Self::new(
                Verdict::Taint,
                format!("the kernel is tainted: {}{also}", taint_words(taint)),
            ),
            None => self,
        }
    }

    /// A panic's own line says less than what came before it.
    fn with_cause(self, findings: &[Finding]) -> Self {
        match findings
            .iter()
            .find(|finding| finding.trouble != Trouble::Panic)
        {
            Some(cause) => Self::new(self.verdict, format!("{}\nafter: {}", self.why, cause.line)),
            None => self,
        }
    }

    /// What the judgement is for a scenario that expects `expected`, for a reason that has these texts.
    pub fn against(self, expected: Verdict, why: &[String]) -> Self {
        let missing = why.iter().find(|text| !self.why.contains(text.as_str()));
        match (expected, self.verdict) {
            (Verdict::Pass, _) | (_, Verdict::HostError | Verdict::Skip) => self,
            (expected, found) if expected == found => match missing {
                None => Self::pass(),
                Some(text) => Self::fail(format!(
                    "expected the verdict {expected} with \"{text}\", found: {}",
                    self.why
                )),
            },
            (expected, found) => Self::fail(format!(
                "expected the verdict {expected}, found {found}: {}",
                self.why
            )),
        }
    }
}

/// Bits of /proc/sys/kernel/tainted in words.
/// A limit that is stretched here is told as the scenario has it; a line says what became of it.
fn stretched(limit: Limit) -> String {
    match limit.times > 1.0 {
        true => format!(
            "\nthis kernel is given {} times that (slowdown): it was waited for {:.1} s",
            limit.times,
            limit.whole().as_secs_f64()
        ),
        false => String::new(),
    }
}

fn taint_words(taint: u64) -> String {
    const WORDS: &[(u32, &str)] = &[
        (4, "machine check"),
        (5, "bad page"),
        (7, "oops"),
        (9, "warning"),
        (11, "firmware workaround"),
        (12, "out-of-tree module"),
        (14, "soft lockup"),
    ];
    let named = WORDS
        .iter()
        .filter(|(bit, _)| taint & (1 << bit) != 0)
        .map(|(_, word)| word.to_string());
    let rest = WORDS
        .iter()
        .fold(taint, |rest, (bit, _)| rest & !(1 << bit));
    let rest = (rest != 0).then(|| format!("bits {rest:#x}"));
    named.chain(rest).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_worst_exit_code_wins() {
        assert_eq!(Verdict::exit_code([Verdict::Pass, Verdict::Skip]), 0);
        assert_eq!(Verdict::exit_code([Verdict::Pass, Verdict::Panic]), 1);
        assert_eq!(Verdict::exit_code([Verdict::HostError, Verdict::Fail]), 5);
    }

    #[test]
    fn a_hang_is_told_by_the_limit_of_the_scenario() {
        let told = |times| {
            let own = Duration::from_secs(5);
            let silent = Halt::Silent {
                doing: "the guest's boot".into(),
                limit: Limit { own, times },
                found: vec!["processor 0 at x".into()],
            };
            Judgement::of_halt(&silent, true).why
        };
        let plain = "no answer within 5.0 s, waiting for the guest's boot";
        assert_eq!(told(1.0), format!("{plain}\nprocessor 0 at x"));
        assert_eq!(
            told(8.0),
            format!(
                "{plain}\nthis kernel is given 8 times that (slowdown): it was waited for 40.0 s\nprocessor 0 at x"
            )
        );
    }

    #[test]
    fn a_bad_log_makes_a_pass_fail() {
        let warn = Finding {
            trouble: Trouble::Warn,
            line: "WARNING: at x".into(),
        };
        let oops = Finding {
            trouble: Trouble::Oops,
            line: "BUG: y".into(),
        };
        assert_eq!(Judgement::pass().with_log(&[], 0), Judgement::pass());
        assert_eq!(
            Judgement::pass().with_log(&[warn.clone(), oops], 0).verdict,
            Verdict::Oops
        );
        assert_eq!(
            Judgement::pass().with_log(&[], 1 << 9).why,
            "the kernel is tainted: warning"
        );
        let failed = Judgement::fail("x is 1").with_log(&[warn], 0);
        assert_eq!(
            (failed.verdict, failed.why.as_str()),
            (Verdict::Warn, "WARNING: at x\nand: fail: x is 1")
        );
    }

    #[test]
    fn expected_trouble_passes_and_its_absence_fails() {
        let panic = Judgement::new(Verdict::Panic, "Kernel panic");
        let why = |text: &str| vec![text.to_string()];
        assert_eq!(
            panic.clone().against(Verdict::Panic, &[]),
            Judgement::pass()
        );
        let other = panic.clone().against(Verdict::Panic, &why("no such words"));
        assert!(other.verdict == Verdict::Fail && other.why.contains("no such words"));
        assert_eq!(panic.against(Verdict::Pass, &[]).verdict, Verdict::Panic);
        assert_eq!(
            Judgement::pass().against(Verdict::Panic, &[]).verdict,
            Verdict::Fail
        );
    }
}
