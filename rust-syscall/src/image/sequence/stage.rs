// SPDX-License-Identifier: GPL-2.0-only

//! Which kind of record can follow which.

use crate::image::header::Kind;

/// What the last record that fixes an order was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    Start,
    Tree,
    BetweenTasks,
    Task,
    Creds,
    Fs,
    Fds,
    /// MM or VMA.
    Mappings,
    Pages,
    Regsets,
    Thread,
    SignalActions,
    /// SIGNAL_STATE or PENDING.
    SignalState,
    Rlimits,
    Ended,
}

/// What is still to come, by the records so far.
#[derive(Clone, Copy, Debug)]
pub(super) struct Open {
    /// Tasks of the tree.
    pub(super) tasks: bool,
    /// Mappings of the address space.
    pub(super) vmas: bool,
    /// Possibly pages of the SHMEM just before.
    pub(super) shmem: bool,
}

impl Stage {
    /// The stage behind a record of `kind`; `None` if it cannot stand here.
    pub(super) fn behind(self, kind: Kind, open: Open) -> Option<Stage> {
        if matches!(kind, Kind::File | Kind::Shmem) {
            return self.in_task().then_some(self);
        }
        if kind == Kind::Pages && open.shmem {
            return Some(self);
        }
        match (self, kind) {
            (Stage::Start, Kind::Head) => Some(Stage::Tree),
            (Stage::Tree, Kind::Tree) => Some(Stage::Tree),
            (Stage::BetweenTasks, Kind::Task) if open.tasks => Some(Stage::Task),
            (Stage::BetweenTasks, Kind::End) if !open.tasks => Some(Stage::Ended),
            (Stage::Task, Kind::Creds) => Some(Stage::Creds),
            (Stage::Creds, Kind::Fs) => Some(Stage::Fs),
            (Stage::Fs | Stage::Fds, Kind::Fds) => Some(Stage::Fds),
            (Stage::Fds, Kind::Mm) => Some(Stage::Mappings),
            (Stage::Mappings, Kind::Vma) if open.vmas => Some(Stage::Mappings),
            (Stage::Mappings | Stage::Pages, Kind::Pages) if !open.vmas => Some(Stage::Pages),
            (Stage::Mappings | Stage::Pages | Stage::Regsets, Kind::Regset) if !open.vmas => {
                Some(Stage::Regsets)
            }
            (Stage::Mappings | Stage::Pages | Stage::Regsets, Kind::Thread) if !open.vmas => {
                Some(Stage::Thread)
            }
            (Stage::Thread, Kind::SignalActions) => Some(Stage::SignalActions),
            (Stage::SignalActions, Kind::SignalState) => Some(Stage::SignalState),
            (Stage::SignalState, Kind::Pending) => Some(Stage::SignalState),
            (Stage::SignalState, Kind::Rlimits) => Some(Stage::Rlimits),
            (Stage::Rlimits, Kind::TaskEnd) => Some(Stage::BetweenTasks),
            _ => None,
        }
    }

    /// The kinds that can come next, for refusals.
    pub(super) fn expected(self, open: Open) -> &'static str {
        match self {
            Stage::Start => "HEAD",
            Stage::Tree => "TREE",
            Stage::BetweenTasks if open.tasks => "TASK",
            Stage::BetweenTasks => "END",
            Stage::Task => "FILE, SHMEM or CREDS",
            Stage::Creds => "FILE, SHMEM or FS",
            Stage::Fs => "FILE, SHMEM or FDS",
            Stage::Fds => "FILE, SHMEM, FDS or MM",
            Stage::Mappings if open.vmas => "FILE, SHMEM or VMA",
            Stage::Mappings | Stage::Pages => "FILE, SHMEM, PAGES, REGSET or THREAD",
            Stage::Regsets => "FILE, SHMEM, REGSET or THREAD",
            Stage::Thread => "FILE, SHMEM or SIGNAL_ACTIONS",
            Stage::SignalActions => "FILE, SHMEM or SIGNAL_STATE",
            Stage::SignalState => "FILE, SHMEM, PENDING or RLIMITS",
            Stage::Rlimits => "FILE, SHMEM or TASK_END",
            Stage::Ended => "nothing",
        }
    }

    fn in_task(self) -> bool {
        !matches!(
            self,
            Stage::Start | Stage::Tree | Stage::BetweenTasks | Stage::Ended
        )
    }
}
