// SPDX-License-Identifier: GPL-2.0-only

//! Rules over several records: order, completeness, numbering of objects.
//!
//! [`OrderChecker`] is fed record by record by every reader. It keeps no
//! lists, so three rules are left to readers that do: that the tree's parents
//! are earlier entries (`tree::check`), that an objref names an object of the
//! right kind, and that page ranges lie inside mappings.

mod stage;

use self::stage::{Open, Stage};
use crate::image::checksum::Xxh64;
use crate::image::error::{Fault, ImageError, Place};
use crate::image::header::Kind;
use crate::image::reader::{Limits, Record};
use crate::image::record::head::MAX_TREE_ENTRIES;
use crate::image::record::{AnyBody, End, Fds, Head, Pages, Shmem, Tree, Vmas};

/// Follows the records of one image and refuses what breaks the format.
#[derive(Clone, Debug)]
pub struct OrderChecker {
    limits: Option<Limits>,
    seq: u64,
    offset: u64,
    bulk: u64,
    stage: Stage,
    nr_tasks: u32,
    nr_entries: u32,
    nr_started: u32,
    /// Over the pids of TREE and of TASK records: equal in the end.
    tree_pids: Xxh64,
    task_pids: Xxh64,
    pid: i32,
    /// Mappings that MM has announced and no VMA record has held yet.
    vmas_missing: u32,
    vma_end: u64,
    next_fd: u64,
    next_objref: u32,
    /// The SHMEM whose PAGES may follow.
    shmem: Option<Shmem>,
    /// Where the next range of the task's pages can start.
    pages_end: u64,
    /// The same for the pages of `shmem`.
    shmem_end: u64,
}

impl Default for OrderChecker {
    fn default() -> Self {
        Self::new()
    }
}

impl OrderChecker {
    /// For a reader that is not to restart the image: page size by HEAD.
    pub const fn new() -> Self {
        OrderChecker {
            limits: None,
            seq: 0,
            offset: 0,
            bulk: 0,
            stage: Stage::Start,
            nr_tasks: 0,
            nr_entries: 0,
            nr_started: 0,
            tree_pids: Xxh64::new(),
            task_pids: Xxh64::new(),
            pid: 0,
            vmas_missing: 0,
            vma_end: 0,
            next_fd: 0,
            next_objref: 1,
            shmem: None,
            pages_end: 0,
            shmem_end: 0,
        }
    }

    /// For a kernel, which knows its page and address size.
    pub const fn with_limits(limits: Limits) -> Self {
        let mut checker = Self::new();
        checker.limits = Some(limits);
        checker
    }

    /// Number and offset of the record to come.
    pub const fn place(&self) -> Place {
        Place {
            kind: 0,
            seq: self.seq,
            offset: self.offset,
        }
    }

    /// Number of tasks in the image; 0 before HEAD.
    pub const fn nr_tasks(&self) -> u32 {
        self.nr_tasks
    }

    /// Whether all TREE records have been seen.
    pub const fn tree_complete(&self) -> bool {
        self.nr_tasks > 0 && self.nr_entries == self.nr_tasks
    }

    /// Number in the tree of the task whose records these are.
    pub const fn task_index(&self) -> Option<u32> {
        self.nr_started.checked_sub(1)
    }

    /// Whether END has been seen, after which nothing may be read.
    pub const fn ended(&self) -> bool {
        matches!(self.stage, Stage::Ended)
    }

    /// Checks and decodes the next record. After a refusal the image is done
    /// for, and what further records give is not specified.
    pub fn accept<'a>(&mut self, record: &Record<'a>) -> Result<AnyBody<'a>, ImageError> {
        if record.place.seq != self.seq {
            return Err(record.fault(Fault::Sequence {
                expected: self.seq,
                found: record.place.seq,
            }));
        }
        let next = self.next_stage(record)?;
        let body = AnyBody::decode(record, self.limits.unwrap_or(Limits::WIDEST))?;
        self.check(record, &body)
            .map_err(|what| record.fault(what))?;
        if !matches!(record.kind, Kind::Shmem | Kind::Pages) {
            self.shmem = None;
        }
        self.stage = match next {
            Stage::Tree if self.tree_complete() => Stage::BetweenTasks,
            next => next,
        };
        self.advance(record)?;
        Ok(body)
    }

    fn advance(&mut self, record: &Record<'_>) -> Result<(), ImageError> {
        let len = record.stream_len()?;
        let sums = (
            self.seq.checked_add(1),
            self.offset.checked_add(len),
            self.bulk.checked_add(record.bulk),
        );
        match sums {
            (Some(seq), Some(offset), Some(bulk)) => {
                self.seq = seq;
                self.offset = offset;
                self.bulk = bulk;
                Ok(())
            }
            _ => Err(record.fault(Fault::Overflow {
                field: "bytes of the image",
                expected: u64::MAX,
                found: len,
            })),
        }
    }

    /// The stage behind `record`, if a record of its kind can stand here.
    fn next_stage(&self, record: &Record<'_>) -> Result<Stage, ImageError> {
        let open = Open {
            tasks: self.nr_started < self.nr_tasks,
            vmas: self.vmas_missing > 0,
            shmem: self.shmem.is_some(),
        };
        let next = self.stage.behind(record.kind, open);
        next.ok_or(record.fault(Fault::Order {
            expected: self.stage.expected(open),
            found: u64::from(record.kind.number()),
        }))
    }

    /// Checks a body against the records before it.
    fn check(&mut self, record: &Record<'_>, body: &AnyBody<'_>) -> Result<(), Fault> {
        match body {
            AnyBody::Head(head) => self.check_head(head),
            AnyBody::Tree(tree) => self.check_tree(tree),
            AnyBody::Task(task) => {
                self.pid = task.pid;
                self.task_pids.update(&task.pid.to_le_bytes());
                self.nr_started = self.nr_started.saturating_add(1);
                self.next_fd = 0;
                Ok(())
            }
            AnyBody::Fs(fs) => {
                self.refers("root objref", fs.root)?;
                self.refers("cwd objref", fs.cwd)
            }
            AnyBody::Fds(fds) => self.check_fds(fds),
            AnyBody::Mm(mm) => {
                self.vmas_missing = mm.nr_vmas;
                self.vma_end = 0;
                self.pages_end = 0;
                match mm.exe {
                    0 => Ok(()),
                    exe => self.refers("exe objref", exe),
                }
            }
            AnyBody::Vma(vmas) => self.check_vmas(vmas),
            AnyBody::Pages(pages) => self.check_pages(pages),
            AnyBody::File(file) => self.define(file.objref),
            AnyBody::Shmem(shmem) => {
                self.define(shmem.objref)?;
                self.shmem = Some(*shmem);
                self.shmem_end = 0;
                Ok(())
            }
            AnyBody::TaskEnd(end) => same("pid", self.pid as u64, end.pid as u64),
            AnyBody::End(end) => self.check_end(record, end),
            AnyBody::Creds(_)
            | AnyBody::Rlimits(_)
            | AnyBody::Regset(_)
            | AnyBody::Thread(_)
            | AnyBody::SignalActions(_)
            | AnyBody::SignalState(_)
            | AnyBody::Pending(_) => Ok(()),
        }
    }

    fn check_head(&mut self, head: &Head<'_>) -> Result<(), Fault> {
        self.nr_tasks = head.nr_tasks;
        if self.limits.is_none() {
            self.limits = Some(head.limits());
        }
        Ok(())
    }

    /// Every TREE record but the last is full.
    fn check_tree(&mut self, tree: &Tree<'_>) -> Result<(), Fault> {
        let missing = u64::from(self.nr_tasks.saturating_sub(self.nr_entries));
        let expected = missing.min(MAX_TREE_ENTRIES as u64);
        let found = tree.entries.len() as u64;
        same("entries", expected, found)?;
        for entry in &tree.entries {
            self.tree_pids.update(&entry.pid.to_le_bytes());
            self.nr_entries = self.nr_entries.saturating_add(1);
        }
        Ok(())
    }

    fn check_fds(&mut self, fds: &Fds<'_>) -> Result<(), Fault> {
        for entry in &fds.entries {
            let fd = u64::from(entry.fd);
            at_least("fd", self.next_fd, fd)?;
            self.next_fd = fd.saturating_add(1);
            self.refers("objref", entry.objref)?;
        }
        Ok(())
    }

    fn check_vmas(&mut self, vmas: &Vmas<'_>) -> Result<(), Fault> {
        let found = vmas.entries.len() as u64;
        let expected = u64::from(self.vmas_missing);
        if found > expected {
            let field = "entries";
            return Err(Fault::TooLarge {
                field,
                expected,
                found,
            });
        }
        for vma in &vmas.entries {
            at_least("start", self.vma_end, vma.start)?;
            self.vma_end = vma.end;
            self.vmas_missing = self.vmas_missing.saturating_sub(1);
            if vma.objref != 0 {
                self.refers("objref", vma.objref)?;
            }
        }
        Ok(())
    }

    fn check_pages(&mut self, pages: &Pages<'_>) -> Result<(), Fault> {
        let expected = self.shmem.map_or(0, |shmem| shmem.objref);
        same("target", u64::from(expected), u64::from(pages.target))?;
        let page_size = self.limits.map_or(0, |limits| limits.page_size);
        let mut end = match self.shmem {
            Some(_) => self.shmem_end,
            None => self.pages_end,
        };
        for range in &pages.ranges {
            at_least("start", end, range.start)?;
            end = range.end(page_size).unwrap_or(u64::MAX);
        }
        match self.shmem {
            Some(shmem) => {
                self.shmem_end = end;
                let size = shmem.size.checked_next_multiple_of(page_size);
                let expected = size.unwrap_or(u64::MAX);
                if end > expected {
                    return Err(Fault::TooLarge {
                        field: "end of the last range",
                        expected,
                        found: end,
                    });
                }
            }
            None => self.pages_end = end,
        }
        Ok(())
    }

    fn check_end(&self, record: &Record<'_>, end: &End) -> Result<(), Fault> {
        same("records", record.place.seq, end.records)?;
        same("bulk", self.bulk, end.bulk)?;
        same(
            "checksum of the pids in TREE and in TASK",
            self.tree_pids.finish(),
            self.task_pids.finish(),
        )
    }

    /// A new object has the next number.
    fn define(&mut self, objref: u32) -> Result<(), Fault> {
        same("objref", u64::from(self.next_objref), u64::from(objref))?;
        self.next_objref = self.next_objref.saturating_add(1);
        Ok(())
    }

    /// An object that is named has been defined.
    fn refers(&self, field: &'static str, objref: u32) -> Result<(), Fault> {
        if objref == 0 || objref >= self.next_objref {
            return Err(Fault::TooLarge {
                field,
                expected: u64::from(self.next_objref.saturating_sub(1)),
                found: u64::from(objref),
            });
        }
        Ok(())
    }
}

fn same(field: &'static str, expected: u64, found: u64) -> Result<(), Fault> {
    if expected == found {
        return Ok(());
    }
    Err(Fault::Value {
        field,
        expected,
        found,
    })
}

fn at_least(field: &'static str, expected: u64, found: u64) -> Result<(), Fault> {
    if found >= expected {
        return Ok(());
    }
    Err(Fault::TooSmall {
        field,
        expected,
        found,
    })
}
