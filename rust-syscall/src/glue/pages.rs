// SPDX-License-Identifier: GPL-2.0-only

//! Page data: PAGES records, between the stream and user pages without a copy in between.

use super::failure::{Context, Failure};
use super::loader::{Loader, Record};
use super::saver::{page_bytes, Saver};
use crate::image::checksum::Xxh64;
use crate::image::error::Fault;
use crate::image::header::Kind;
use crate::image::record::memory::{MAX_PAGES, MAX_PAGE_RANGES};
use crate::image::record::{PageRange, Pages};
use kernel::alloc::{flags::GFP_KERNEL, KVec};
use kernel::error::code::*;
use kernel::fs::File;
use kernel::mm::pages::BATCH;
use kernel::mm::MmWithUser;
use kernel::page::PAGE_SIZE;

const PAGE: u64 = PAGE_SIZE as u64;

/// The ranges of a PAGES record that is being put together.
pub(crate) struct Ranges {
    ranges: KVec<PageRange>,
    pages: u64,
    /// Whether the last range may grow.
    open: bool,
}

impl Ranges {
    /// None yet, with room for as many as a record takes: adding does not allocate.
    pub(crate) fn new() -> Result<Self, Failure> {
        Ok(Self {
            ranges: KVec::with_capacity(MAX_PAGE_RANGES as usize, GFP_KERNEL)
                .doing("allocating page ranges")?,
            pages: 0,
            open: false,
        })
    }

    /// Adds the page at `start`, which is behind all others; false if the record is full.
    pub(crate) fn add(&mut self, start: u64) -> bool {
        if self.pages >= MAX_PAGES {
            return false;
        }
        if let Some(last) = self.ranges.last_mut().filter(|_| self.open) {
            if last.start + page_bytes(last.nr_pages) == start {
                last.nr_pages += 1;
                self.pages += 1;
                return true;
            }
        }
        if self.ranges.len() >= MAX_PAGE_RANGES as usize {
            return false;
        }
        // Within capacity: cannot fail.
        let range = PageRange { start, nr_pages: 1 };
        let added = self.ranges.push(range, GFP_KERNEL).is_ok();
        self.pages += u64::from(added);
        self.open = added;
        added
    }

    /// Ends the last range: pages of another mapping start one of their own.
    pub(crate) fn end_range(&mut self) {
        self.open = false;
    }

    fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    fn clear(&mut self) {
        self.ranges.clear();
        self.pages = 0;
    }
}

/// Where page data is, or goes.
#[derive(Clone, Copy)]
pub(crate) enum Place<'a> {
    /// A task's addresses.
    Mm(&'a MmWithUser),
    /// A shared memory object and its objref.
    Shared(&'a File, u32),
}

/// Writes the pages of `ranges` as one record, if there are any, and empties it.
pub(crate) fn save(place: Place<'_>, ranges: &mut Ranges, out: &mut Saver) -> Result<(), Failure> {
    if ranges.is_empty() {
        return Ok(());
    }
    let target = match place {
        Place::Mm(_) => 0,
        Place::Shared(_, objref) => objref,
    };
    out.record_with_bulk(Kind::Pages, page_bytes(ranges.pages), |payload| {
        Pages::encode_with(target, &ranges.ranges, payload)
    })?;
    let mut sum = Xxh64::new();
    for range in &ranges.ranges {
        let (mut start, mut left) = (range.start, range.nr_pages as usize);
        while left > 0 {
            if out.pages.len() == BATCH {
                out.write_batch(&mut sum)?;
            }
            let got = match place {
                Place::Mm(mm) => out.pages.take_remote(mm, start, left),
                Place::Shared(object, _) => out.pages.take_shared(object, start, left, false),
            }
            .doing_on("reading the task's memory at", start)?;
            start += page_bytes(got as u64);
            left -= got;
        }
    }
    out.write_batch(&mut sum)?;
    out.write_bulk_sum(sum)?;
    ranges.clear();
    Ok(())
}

/// Writes all pages of a shared memory object that are not zero.
pub(crate) fn save_shared(object: &File, objref: u32, out: &mut Saver) -> Result<(), Failure> {
    let mut ranges = Ranges::new()?;
    let place = Place::Shared(object, objref);
    let mut at = 0;
    while let Some((start, end)) = object
        .next_data(at)
        .doing("looking for the data of shared memory")?
    {
        let mut page = start as u64 & !(PAGE - 1);
        while page < end as u64 {
            refuse_if_dying("looking for the data of shared memory")?;
            out.pages
                .take_shared(object, page, 1, false)
                .doing_on("reading shared memory at", page)?;
            let zero = out.pages.is_zero(0);
            out.pages.release();
            if !zero && !ranges.add(page) {
                save(place, &mut ranges, out)?;
                ranges.add(page);
            }
            page += PAGE;
        }
        at = end;
    }
    save(place, &mut ranges, out)
}

/// Fills a shared memory object from a record, which must be about it.
pub(crate) fn load_shared(
    record: &Record,
    objref: u32,
    object: &File,
    size: u64,
    input: &mut Loader,
) -> Result<(), Failure> {
    let body: Pages<'_> = record.body(input.limits)?;
    if body.target != objref {
        return Err(record.fault(Fault::Value {
            field: "target",
            expected: objref.into(),
            found: body.target.into(),
        }));
    }
    let mut sum = Xxh64::new();
    for range in &body.ranges {
        let end = range.end(PAGE).unwrap_or(u64::MAX);
        if end > size.next_multiple_of(PAGE) {
            return Err(record.fault(Fault::TooLarge {
                field: "end of the range",
                expected: size,
                found: end,
            }));
        }
        fill(range, record, &mut sum, input, Use::Data, |input, start, left| {
            input.pages.take_shared(object, start, left, true)
        })?;
    }
    finish(record, sum, input, Use::Data)
}

/// Fills the current task's memory from a record. `is_code` says whether a range may be executed,
/// or refuses one that is not inside a mapping that takes data.
pub(crate) fn load_own(
    record: &Record,
    input: &mut Loader,
    is_code: impl Fn(&PageRange) -> Option<bool>,
) -> Result<(), Failure> {
    let body: Pages<'_> = record.body(input.limits)?;
    if body.target != 0 {
        return Err(record.fault(Fault::Value {
            field: "target",
            expected: 0,
            found: body.target.into(),
        }));
    }
    let mut sum = Xxh64::new();
    let mut last = Use::Data;
    for range in &body.ranges {
        let Some(code) = is_code(&range) else {
            return Err(record.fault(Fault::Value {
                field: "range outside every private mapping",
                expected: 0,
                found: range.start,
            }));
        };
        let usage = if code { Use::Code } else { Use::Data };
        if usage != last {
            drain(record, &mut sum, input, last)?;
            last = usage;
        }
        fill(range, record, &mut sum, input, last, |input, start, left| {
            input.pages.pin_current_for_filling(start, left)
        })?;
    }
    finish(record, sum, input, last)
}

/// Neither shared memory nor the file systems that are in memory look for a kill themselves.
fn refuse_if_dying(what: &'static str) -> Result<(), Failure> {
    match kernel::sighand::is_current_dying() {
        true => Err(Failure::doing(EINTR, what)),
        false => Ok(()),
    }
}

/// Whether instructions may be fetched from pages that are filled.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Use {
    Data,
    Code,
}

fn fill(
    range: PageRange,
    record: &Record,
    sum: &mut Xxh64,
    input: &mut Loader,
    usage: Use,
    take: impl Fn(&mut Loader, u64, usize) -> kernel::error::Result<usize>,
) -> Result<(), Failure> {
    let (mut start, mut left) = (range.start, range.nr_pages as usize);
    while left > 0 {
        if input.pages.len() == BATCH {
            refuse_if_dying("filling memory")?;
            drain(record, sum, input, usage)?;
        }
        let got = take(input, start, left).doing_on("filling memory at", start)?;
        start += page_bytes(got as u64);
        left -= got;
    }
    Ok(())
}

fn drain(
    record: &Record,
    sum: &mut Xxh64,
    input: &mut Loader,
    usage: Use,
) -> Result<(), Failure> {
    input.read_batch(record, sum)?;
    if usage == Use::Code {
        input.pages.flush_for_exec();
    }
    input.pages.release();
    Ok(())
}

fn finish(
    record: &Record,
    mut sum: Xxh64,
    input: &mut Loader,
    usage: Use,
) -> Result<(), Failure> {
    drain(record, &mut sum, input, usage)?;
    input.check_bulk_sum(record, sum)
}
