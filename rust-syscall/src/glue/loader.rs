// SPDX-License-Identifier: GPL-2.0-only

//! Reading an image: the stream, and the objects that records refer to. Only the task whose turn
//! it is has it in its hands.

use super::failure::{Context, Failure};
use super::{files, pages, wait};
use crate::image::checksum::Xxh64;
use crate::image::error::{Fault, ImageError, Place};
use crate::image::header::{Kind, RecordHeader};
use crate::image::reader::{Limits, Record as View};
use crate::image::record::{Body, Shmem};
use crate::image::sequence::OrderChecker;
use crate::image::HEADER_SIZE;
use kernel::alloc::{flags::GFP_KERNEL_ACCOUNT, KVVec};
use kernel::error::code::*;
use kernel::fs::File;
use kernel::mm::pages::Pages;
use kernel::page::PAGE_SIZE;
use kernel::rlimit;
use kernel::sync::aref::ARef;

/// Mapped files and shared memory that a task may have besides its open files.
const MAPPED: u64 = 4096;

/// An object that an image has brought in, by objref.
pub(crate) enum Object {
    /// An open file, and whether it is another one than the saved in its place.
    File(ARef<File>, bool),
    /// Shared anonymous memory.
    Shared(ARef<File>),
}

/// One restart's image.
pub(crate) struct Loader {
    file: ARef<File>,
    pos: i64,
    order: OrderChecker,
    objects: KVVec<Object>,
    /// How many objects there may be.
    room: u64,
    ahead: Option<Record>,
    /// Files in the place of saved ones that the task at work has got.
    pub(crate) replaced: KVVec<ARef<File>>,
    /// Pages in flight.
    pub(crate) pages: Pages,
    /// What values are checked against.
    pub(crate) limits: Limits,
}

/// One verified record, with its payload.
pub(crate) struct Record {
    kind: Kind,
    place: Place,
    bulk: u64,
    len: usize,
    payload: KVVec<u8>,
}

impl Record {
    /// The codec's view of the record.
    pub(crate) fn view(&self) -> View<'_> {
        View {
            kind: self.kind,
            place: self.place,
            payload: self.payload.get(..self.len).unwrap_or(&[]),
            bulk: self.bulk,
        }
    }

    /// Decodes and checks the payload.
    pub(crate) fn body<'a, B: Body<'a>>(&'a self, limits: Limits) -> Result<B, Failure> {
        Ok(self.view().body(limits)?)
    }

    /// A refusal of this record.
    pub(crate) fn fault(&self, what: Fault) -> Failure {
        self.place.fault(what).into()
    }
}

impl Loader {
    /// Starts reading at the file's position.
    pub(crate) fn new(file: ARef<File>) -> Result<Self, Failure> {
        if !file.readable() {
            return Err(Failure::doing(EBADF, "reading the image: fd is not readable"));
        }
        if !file.is_read_by_kernel() {
            return Err(Failure::doing(EINVAL, "reading the image: the kernel cannot read that kind of file"));
        }
        let limits = Limits {
            page_size: PAGE_SIZE as u64,
            task_size: kernel::mm::space::task_size(),
        };
        Ok(Self {
            pos: file.pos(),
            file,
            order: OrderChecker::with_limits(limits),
            objects: KVVec::new(),
            room: 0,
            ahead: None,
            replaced: KVVec::new(),
            pages: Pages::new().doing("allocating a batch of pages")?,
            limits,
        })
    }

    /// The next record, which must be of this kind. FILE and SHMEM records in front of it become
    /// objects on the way.
    pub(crate) fn take(&mut self, kind: Kind) -> Result<Record, Failure> {
        self.bring_in_objects()?;
        match self.ahead.take() {
            Some(record) if record.kind == kind => Ok(record),
            Some(record) => Err(record.fault(Fault::Order {
                expected: kind.name(),
                found: u64::from(record.kind.number()),
            })),
            None => Err(Failure::doing(EINVAL, "reading the next record")),
        }
    }

    /// The next record if it is of this kind; otherwise it stays where it is.
    pub(crate) fn take_if(&mut self, kind: Kind) -> Result<Option<Record>, Failure> {
        self.bring_in_objects()?;
        Ok(self.ahead.take_if(|record| record.kind == kind))
    }

    fn bring_in_objects(&mut self) -> Result<(), Failure> {
        loop {
            let record = match self.ahead.take() {
                Some(record) => record,
                None => self.read_record()?,
            };
            match record.kind {
                Kind::File => files::load_object(&record, self)?,
                Kind::Shmem => self.load_shared(&record)?,
                _ => {
                    self.ahead = Some(record);
                    return Ok(());
                }
            }
        }
    }

    fn read_record(&mut self) -> Result<Record, Failure> {
        let place = self.order.place();
        let mut head = [0; HEADER_SIZE];
        self.fill(&mut head, place)?;
        let header = RecordHeader::decode(&head, place)?;
        let place = header.place(place);
        let mut payload = KVVec::new();
        payload
            .extend_with(header.padded_len(), 0, GFP_KERNEL_ACCOUNT)
            .doing("allocating a record's payload")?;
        self.fill(&mut payload, place)?;
        let view = View::new(&header, &payload, place.seq, place.offset)?;
        self.order.accept(&view)?;
        let (kind, place, bulk, len) = (view.kind, view.place, view.bulk, view.payload.len());
        Ok(Record {
            kind,
            place,
            bulk,
            len,
            payload,
        })
    }

    fn fill(&mut self, mut to: &mut [u8], place: Place) -> Result<(), Failure> {
        let expected = to.len() as u64;
        let mut found = 0;
        while !to.is_empty() {
            let n = wait::for_signals_only(|| self.file.read(to, &mut self.pos))
                .doing("reading the image")?;
            if n == 0 {
                return Err(truncated(place, expected, found));
            }
            found += n as u64;
            to = to.get_mut(n..).unwrap_or_default();
        }
        Ok(())
    }

    /// Fills the pages of the batch from the page data of `record`, and counts them into its checksum.
    pub(crate) fn read_batch(&mut self, record: &Record, sum: &mut Xxh64) -> Result<(), Failure> {
        let mut done = 0;
        while done < self.pages.bytes() {
            let Self { file, pages, pos, .. } = self;
            let n = wait::for_signals_only(|| file.read_pages(pages, done, pos))
                .doing("reading page data from the image")?;
            if n == 0 {
                return Err(truncated(
                    record.place,
                    self.pages.bytes() as u64,
                    done as u64,
                ));
            }
            done += n;
        }
        self.pages.for_each_chunk(|chunk| sum.update(chunk));
        Ok(())
    }

    /// Checks the checksum behind a record's page data.
    pub(crate) fn check_bulk_sum(&mut self, record: &Record, sum: Xxh64) -> Result<(), Failure> {
        let mut stored = [0; 8];
        self.fill(&mut stored, record.place)?;
        let (expected, found) = (u64::from_le_bytes(stored), sum.finish());
        if expected != found {
            return Err(record.fault(Fault::BulkChecksum { expected, found }));
        }
        Ok(())
    }

    fn load_shared(&mut self, record: &Record) -> Result<(), Failure> {
        let Shmem { objref, size } = record.body(self.limits)?;
        let object =
            File::new_shared_memory(c"dev/zero", size).doing("making shared memory")?;
        self.add(objref, Object::Shared(object.clone()))?;
        while self.ahead.is_none() {
            let record = self.read_record()?;
            if record.kind == Kind::Pages {
                pages::load_shared(&record, objref, &object, size, self)?;
            } else {
                self.ahead = Some(record);
            }
        }
        Ok(())
    }

    /// The open file of that number, for the task at work.
    pub(crate) fn file(&mut self, objref: u32) -> Result<ARef<File>, Failure> {
        let Some(Object::File(file, replaced)) = self.object(objref) else {
            return Err(Failure::mismatch(EINVAL, "objref of a FILE", self.objects.len() as u64, objref.into()));
        };
        let (file, replaced) = (file.clone(), *replaced);
        if replaced {
            self.replaced
                .push(file.clone(), GFP_KERNEL_ACCOUNT)
                .doing("remembering a file that was replaced")?;
        }
        Ok(file)
    }

    /// The shared memory object of that number.
    pub(crate) fn shared(&self, objref: u32) -> Result<ARef<File>, Failure> {
        match self.object(objref) {
            Some(Object::Shared(file)) => Ok(file.clone()),
            _ => Err(Failure::mismatch(EINVAL, "objref of a SHMEM", self.objects.len() as u64, objref.into())),
        }
    }

    fn object(&self, objref: u32) -> Option<&Object> {
        self.objects.get((objref as usize).checked_sub(1)?)
    }

    /// Remembers an open file under its number.
    pub(crate) fn add_file(
        &mut self,
        objref: u32,
        file: ARef<File>,
        replaced: bool,
    ) -> Result<(), Failure> {
        self.add(objref, Object::File(file, replaced))
    }

    /// Makes room for the objects of so many tasks: as many open files as each could have, and some
    /// that are mapped.
    pub(crate) fn expect_tasks(&mut self, tasks: u64) -> Result<(), Failure> {
        let files = kernel::current!()
            .limit(rlimit::NOFILE)
            .doing("reading the limit of open files")?
            .max;
        self.room = tasks.saturating_mul(files.saturating_add(MAPPED));
        Ok(())
    }

    fn add(&mut self, objref: u32, object: Object) -> Result<(), Failure> {
        if self.objects.len() as u64 >= self.room {
            return Err(Failure::mismatch(EMFILE, "number of objects, at most", self.room, objref.into()));
        }
        let expected = self.objects.len() as u64 + 1;
        if expected != u64::from(objref) {
            return Err(Failure::mismatch(EINVAL, "objref", expected, objref.into()));
        }
        self.objects
            .push(object, GFP_KERNEL_ACCOUNT)
            .doing("remembering an object")
    }

    /// Moves the file's position behind the image, where the file has one.
    pub(crate) fn finish(&self) {
        // A pipe has no position to move: that is no failure of the restart.
        let _ = self.file.seek_to(self.pos);
    }
}

fn truncated(place: Place, expected: u64, found: u64) -> Failure {
    let error: ImageError = place.fault(Fault::Truncated { expected, found });
    error.into()
}
