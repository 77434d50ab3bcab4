// SPDX-License-Identifier: GPL-2.0-only

//! A task and its thread: TASK, CREDS, RLIMITS, REGSET, THREAD and TASK_END.

use crate::image::error::{Fault, ImageError};
use crate::image::header::Kind;
use crate::image::list::List;
use crate::image::reader::Fields;
use crate::image::record::Body;
use crate::image::writer::Payload;

/// Greatest signal number.
pub const NSIG: i32 = 64;
/// Most supplementary groups.
pub const MAX_GROUPS: u32 = 8192;
/// Number of resource limits.
pub const NR_RLIMITS: usize = 16;

/// [`Task::flags`]: no_new_privs is set.
pub const TASK_NO_NEW_PRIVS: u32 = 1 << 0;
/// [`Task::flags`]: the task adopts orphans below it.
pub const TASK_CHILD_SUBREAPER: u32 = 1 << 1;
/// [`Task::flags`]: SIGCONT has continued the process, and its parent has not asked about it yet.
pub const TASK_CONTINUED: u32 = 1 << 3;
const TASK_FLAGS: u32 = TASK_NO_NEW_PRIVS | TASK_CHILD_SUBREAPER | TASK_CONTINUED;

/// TASK: the start of a task.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Task {
    /// Process id, as in TREE.
    pub pid: i32,
    /// Signal that the parent gets at exit; 0 for none.
    pub exit_signal: i32,
    /// Signal that the task gets when its parent dies; 0 for none.
    pub pdeath_signal: i32,
    /// Execution domain, `personality(2)`.
    pub personality: u32,
    /// `TASK_*` bits.
    pub flags: u32,
    /// Nice value, -20..=19.
    pub nice: i32,
    /// -1000..=1000.
    pub oom_score_adj: i32,
    /// `PR_GET_DUMPABLE`: 0, 1 or 2.
    pub dumpable: u32,
    /// Timer slack in nanoseconds.
    pub timer_slack_ns: u64,
    /// What `PR_SET_TIMERSLACK` with 0 makes it.
    pub default_timer_slack_ns: u64,
    /// Name, ended by a NUL.
    pub comm: [u8; 16],
}

impl<'a> Body<'a> for Task {
    const KIND: Kind = Kind::Task;

    fn encode(&self, payload: &mut Payload<'_>) -> Result<(), ImageError> {
        payload.put_i32(self.pid)?;
        payload.put_i32(self.exit_signal)?;
        payload.put_i32(self.pdeath_signal)?;
        payload.put_u32(self.personality)?;
        payload.put_u32(self.flags)?;
        payload.put_i32(self.nice)?;
        payload.put_i32(self.oom_score_adj)?;
        payload.put_u32(self.dumpable)?;
        payload.put_u64(self.timer_slack_ns)?;
        payload.put_u64(self.default_timer_slack_ns)?;
        payload.put_raw(&self.comm)
    }

    fn decode(fields: &mut Fields<'a>) -> Result<Self, ImageError> {
        let task = Task {
            pid: fields.i32_in("pid", 1, i32::MAX)?,
            exit_signal: fields.i32_in("exit_signal", 0, NSIG)?,
            pdeath_signal: fields.i32_in("pdeath_signal", 0, NSIG)?,
            personality: fields.u32()?,
            flags: fields.flags32("flags", TASK_FLAGS)?,
            nice: fields.i32_in("nice", -20, 19)?,
            oom_score_adj: fields.i32_in("oom_score_adj", -1000, 1000)?,
            dumpable: fields.u32_in("dumpable", 0, 2)?,
            timer_slack_ns: fields.u64()?,
            default_timer_slack_ns: fields.u64()?,
            comm: fields.array()?,
        };
        let last = task.comm.last().copied().unwrap_or(0);
        fields.require(
            last == 0,
            Fault::Value {
                field: "last byte of comm",
                expected: 0,
                found: u64::from(last),
            },
        )?;
        Ok(task)
    }
}

/// CREDS: user, groups and capabilities.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Creds<'a> {
    /// Real, effective, saved and file system user id.
    pub uids: [u32; 4],
    /// Real, effective, saved and file system group id.
    pub gids: [u32; 4],
    /// `SECBIT_*` bits.
    pub securebits: u32,
    /// Capability sets: inheritable, permitted, effective, bounding, ambient.
    pub caps: [u64; 5],
    /// Supplementary groups.
    pub groups: List<'a, u32>,
}

impl<'a> Creds<'a> {
    /// Puts the credentials with groups that are not in a payload yet.
    pub fn encode_with(
        &self,
        payload: &mut Payload<'_>,
        groups: impl ExactSizeIterator<Item = u32>,
    ) -> Result<(), ImageError> {
        self.put_front(payload, groups.len())?;
        for group in groups {
            payload.put_u32(group)?;
        }
        Ok(())
    }

    fn put_front(&self, payload: &mut Payload<'_>, ngroups: usize) -> Result<(), ImageError> {
        for id in self.uids.iter().chain(&self.gids) {
            payload.put_u32(*id)?;
        }
        payload.put_u32(self.securebits)?;
        payload.put_u32(u32::try_from(ngroups).unwrap_or(u32::MAX))?;
        payload.put_u64s(&self.caps)
    }
}

impl<'a> Body<'a> for Creds<'a> {
    const KIND: Kind = Kind::Creds;

    fn encode(&self, payload: &mut Payload<'_>) -> Result<(), ImageError> {
        self.put_front(payload, self.groups.len())?;
        self.groups.encode(payload)
    }

    fn decode(fields: &mut Fields<'a>) -> Result<Self, ImageError> {
        let mut creds = Creds::default();
        for id in creds.uids.iter_mut().chain(&mut creds.gids) {
            *id = fields.u32()?;
        }
        creds.securebits = fields.u32()?;
        let ngroups = fields.u32_in("ngroups", 0, MAX_GROUPS)?;
        creds.caps = fields.u64s()?;
        creds.groups = List::decode(fields, ngroups as usize, |_, _, _| Ok(()))?;
        Ok(creds)
    }
}

/// One resource limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rlimit {
    /// Soft limit.
    pub cur: u64,
    /// Hard limit.
    pub max: u64,
}

/// RLIMITS: the resource limits, by `RLIMIT_*` number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rlimits(pub [Rlimit; NR_RLIMITS]);

impl<'a> Body<'a> for Rlimits {
    const KIND: Kind = Kind::Rlimits;

    fn encode(&self, payload: &mut Payload<'_>) -> Result<(), ImageError> {
        for limit in &self.0 {
            payload.put_u64(limit.cur)?;
            payload.put_u64(limit.max)?;
        }
        Ok(())
    }

    fn decode(fields: &mut Fields<'a>) -> Result<Self, ImageError> {
        let mut limits = Rlimits::default();
        for limit in limits.0.iter_mut() {
            limit.cur = fields.u64()?;
            limit.max = fields.u64()?;
            fields.range("soft limit", limit.cur, 0, limit.max)?;
        }
        Ok(limits)
    }
}

/// REGSET: one set of registers, as `PTRACE_GETREGSET` shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Regset<'a> {
    /// `NT_*`.
    pub note: u32,
    /// Its bytes.
    pub data: &'a [u8],
}

impl<'a> Body<'a> for Regset<'a> {
    const KIND: Kind = Kind::Regset;

    fn encode(&self, payload: &mut Payload<'_>) -> Result<(), ImageError> {
        payload.put_u32(self.note)?;
        payload.put_u32(0)?;
        payload.put_raw(self.data)
    }

    fn decode(fields: &mut Fields<'a>) -> Result<Self, ImageError> {
        let note = fields.u32_in("note type", 1, u32::MAX)?;
        fields.reserved()?;
        let data = fields.take(fields.remaining())?;
        fields.range("bytes of the regset", data.len() as u64, 1, u64::MAX)?;
        Ok(Regset { note, data })
    }
}

/// The system call that a task was in and that `restart_syscall` continues.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u32)]
pub enum RestartBlock {
    /// None.
    #[default]
    None = 0,
    /// `nanosleep` or `clock_nanosleep`.
    Nanosleep = 1,
    /// `futex`, FUTEX_WAIT.
    Futex = 2,
    /// `poll`.
    Poll = 3,
}

impl RestartBlock {
    const ALL: [RestartBlock; 4] = [
        RestartBlock::None,
        RestartBlock::Nanosleep,
        RestartBlock::Futex,
        RestartBlock::Poll,
    ];
}

/// THREAD: what the C library has told the kernel, and an interrupted call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Thread {
    /// `set_child_tid` of `clone`.
    pub set_child_tid: u64,
    /// Address cleared and woken at exit.
    pub clear_child_tid: u64,
    /// Head of the robust futex list.
    pub robust_list: u64,
    /// Bytes of that head.
    pub robust_list_len: u64,
    /// Restartable sequences area.
    pub rseq: u64,
    /// Bytes of it.
    pub rseq_len: u64,
    /// Signature in front of abort handlers.
    pub rseq_sig: u32,
    /// The interrupted system call.
    pub restart: RestartBlock,
    /// Its arguments; zero if there is none.
    pub restart_args: [u64; 6],
    /// arm64: orig_x0 in the first; else 0.
    pub arch: [u64; 4],
}

impl<'a> Body<'a> for Thread {
    const KIND: Kind = Kind::Thread;

    fn encode(&self, payload: &mut Payload<'_>) -> Result<(), ImageError> {
        payload.put_u64s(&[
            self.set_child_tid,
            self.clear_child_tid,
            self.robust_list,
            self.robust_list_len,
            self.rseq,
            self.rseq_len,
        ])?;
        payload.put_u32(self.rseq_sig)?;
        payload.put_u32(self.restart as u32)?;
        payload.put_u64s(&self.restart_args)?;
        payload.put_u64s(&self.arch)
    }

    fn decode(fields: &mut Fields<'a>) -> Result<Self, ImageError> {
        let [set_child_tid, clear_child_tid, robust_list, robust_list_len, rseq, rseq_len] =
            fields.u64s()?;
        let rseq_sig = fields.u32()?;
        let number = fields.u32_in("restart kind", 0, RestartBlock::Poll as u32)?;
        let restart = RestartBlock::ALL
            .iter()
            .copied()
            .find(|kind| *kind as u32 == number)
            .unwrap_or_default();
        let restart_args: [u64; 6] = fields.u64s()?;
        if restart == RestartBlock::None {
            for arg in restart_args {
                fields.require(
                    arg == 0,
                    Fault::Reserved {
                        field: "restart argument",
                        found: arg,
                    },
                )?;
            }
        }
        Ok(Thread {
            set_child_tid,
            clear_child_tid,
            robust_list,
            robust_list_len,
            rseq,
            rseq_len,
            rseq_sig,
            restart,
            restart_args,
            arch: fields.u64s()?,
        })
    }
}

/// TASK_END: the end of a task.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TaskEnd {
    /// Process id, as in TASK.
    pub pid: i32,
}

impl<'a> Body<'a> for TaskEnd {
    const KIND: Kind = Kind::TaskEnd;

    fn encode(&self, payload: &mut Payload<'_>) -> Result<(), ImageError> {
        payload.put_i32(self.pid)?;
        payload.put_u32(0)
    }

    fn decode(fields: &mut Fields<'a>) -> Result<Self, ImageError> {
        let pid = fields.i32_in("pid", 1, i32::MAX)?;
        fields.reserved()?;
        Ok(TaskEnd { pid })
    }
}
