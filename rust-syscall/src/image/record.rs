// SPDX-License-Identifier: GPL-2.0-only

//! One plain struct for every kind of record, split by resource.
//!
//! A struct holds what its record says; parts of variable length are borrowed
//! from the payload. Decoding checks all that one record can show by itself.

pub mod files;
pub mod head;
pub mod memory;
pub mod mm;
pub mod signals;
pub mod task;

pub use files::{FdEntry, Fds, File, FileKind, Fs, Identity};
pub use head::{End, Head, Tree, TreeEntry};
pub use memory::{PageRange, Pages, Shmem, VmaEntry, VmaKind, Vmas};
pub use mm::Mm;
pub use signals::{Pending, SigAction, SignalActions, SignalState};
pub use task::{Creds, Regset, RestartBlock, Rlimit, Rlimits, Task, TaskEnd, Thread};

use crate::image::error::ImageError;
use crate::image::header::Kind;
use crate::image::reader::{Fields, Limits, Record};
use crate::image::writer::Payload;

/// The content of one kind of record.
pub trait Body<'a>: Sized {
    /// The kind.
    const KIND: Kind;

    /// Puts the content into a payload.
    fn encode(&self, payload: &mut Payload<'_>) -> Result<(), ImageError>;

    /// Reads and checks the content. Bytes left over are the caller's to
    /// refuse, as [`Record::body`] does.
    fn decode(fields: &mut Fields<'a>) -> Result<Self, ImageError>;
}

/// The content of a record of any kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // one variant per kind, named as in `Kind`
pub enum AnyBody<'a> {
    Head(Head<'a>),
    Tree(Tree<'a>),
    Task(Task),
    Creds(Creds<'a>),
    Fs(Fs),
    Fds(Fds<'a>),
    Rlimits(Rlimits),
    Mm(Mm<'a>),
    Vma(Vmas<'a>),
    Pages(Pages<'a>),
    Regset(Regset<'a>),
    Thread(Thread),
    SignalActions(SignalActions<'a>),
    SignalState(SignalState),
    Pending(Pending),
    TaskEnd(TaskEnd),
    File(File<'a>),
    Shmem(Shmem),
    End(End),
}

impl<'a> AnyBody<'a> {
    /// Decodes and checks the payload of `record`, whatever its kind.
    pub fn decode(record: &Record<'a>, limits: Limits) -> Result<Self, ImageError> {
        Ok(match record.kind {
            Kind::Head => AnyBody::Head(record.body(limits)?),
            Kind::Tree => AnyBody::Tree(record.body(limits)?),
            Kind::Task => AnyBody::Task(record.body(limits)?),
            Kind::Creds => AnyBody::Creds(record.body(limits)?),
            Kind::Fs => AnyBody::Fs(record.body(limits)?),
            Kind::Fds => AnyBody::Fds(record.body(limits)?),
            Kind::Rlimits => AnyBody::Rlimits(record.body(limits)?),
            Kind::Mm => AnyBody::Mm(record.body(limits)?),
            Kind::Vma => AnyBody::Vma(record.body(limits)?),
            Kind::Pages => AnyBody::Pages(record.body(limits)?),
            Kind::Regset => AnyBody::Regset(record.body(limits)?),
            Kind::Thread => AnyBody::Thread(record.body(limits)?),
            Kind::SignalActions => AnyBody::SignalActions(record.body(limits)?),
            Kind::SignalState => AnyBody::SignalState(record.body(limits)?),
            Kind::Pending => AnyBody::Pending(record.body(limits)?),
            Kind::TaskEnd => AnyBody::TaskEnd(record.body(limits)?),
            Kind::File => AnyBody::File(record.body(limits)?),
            Kind::Shmem => AnyBody::Shmem(record.body(limits)?),
            Kind::End => AnyBody::End(record.body(limits)?),
        })
    }

    /// Puts the content into a payload.
    pub fn encode(&self, payload: &mut Payload<'_>) -> Result<(), ImageError> {
        match self {
            AnyBody::Head(body) => body.encode(payload),
            AnyBody::Tree(body) => body.encode(payload),
            AnyBody::Task(body) => body.encode(payload),
            AnyBody::Creds(body) => body.encode(payload),
            AnyBody::Fs(body) => body.encode(payload),
            AnyBody::Fds(body) => body.encode(payload),
            AnyBody::Rlimits(body) => body.encode(payload),
            AnyBody::Mm(body) => body.encode(payload),
            AnyBody::Vma(body) => body.encode(payload),
            AnyBody::Pages(body) => body.encode(payload),
            AnyBody::Regset(body) => body.encode(payload),
            AnyBody::Thread(body) => body.encode(payload),
            AnyBody::SignalActions(body) => body.encode(payload),
            AnyBody::SignalState(body) => body.encode(payload),
            AnyBody::Pending(body) => body.encode(payload),
            AnyBody::TaskEnd(body) => body.encode(payload),
            AnyBody::File(body) => body.encode(payload),
            AnyBody::Shmem(body) => body.encode(payload),
            AnyBody::End(body) => body.encode(payload),
        }
    }

    /// The kind of the content.
    pub const fn kind(&self) -> Kind {
        match self {
            AnyBody::Head(_) => Kind::Head,
            AnyBody::Tree(_) => Kind::Tree,
            AnyBody::Task(_) => Kind::Task,
            AnyBody::Creds(_) => Kind::Creds,
            AnyBody::Fs(_) => Kind::Fs,
            AnyBody::Fds(_) => Kind::Fds,
            AnyBody::Rlimits(_) => Kind::Rlimits,
            AnyBody::Mm(_) => Kind::Mm,
            AnyBody::Vma(_) => Kind::Vma,
            AnyBody::Pages(_) => Kind::Pages,
            AnyBody::Regset(_) => Kind::Regset,
            AnyBody::Thread(_) => Kind::Thread,
            AnyBody::SignalActions(_) => Kind::SignalActions,
            AnyBody::SignalState(_) => Kind::SignalState,
            AnyBody::Pending(_) => Kind::Pending,
            AnyBody::TaskEnd(_) => Kind::TaskEnd,
            AnyBody::File(_) => Kind::File,
            AnyBody::Shmem(_) => Kind::Shmem,
            AnyBody::End(_) => Kind::End,
        }
    }
}
