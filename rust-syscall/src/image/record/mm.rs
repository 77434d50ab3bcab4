// SPDX-License-Identifier: GPL-2.0-only

//! The marks of an address space: MM.

use crate::image::error::ImageError;
use crate::image::header::Kind;
use crate::image::list::List;
use crate::image::reader::Fields;
use crate::image::record::Body;
use crate::image::writer::Payload;

/// [`Mm::flags`]: which mappings a core dump has, as /proc/PID/coredump_filter shows it.
pub const MM_DUMP_FILTER: u64 = 0x1ff;

/// MM: an address space.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mm<'a> {
    /// Start and end of the code.
    pub code: (u64, u64),
    /// Start and end of the data.
    pub data: (u64, u64),
    /// Start and end of the heap that `brk` moves.
    pub brk: (u64, u64),
    /// First address of the stack.
    pub start_stack: u64,
    /// Start and end of the arguments.
    pub arg: (u64, u64),
    /// Start and end of the environment.
    pub env: (u64, u64),
    /// Objref of the executable.
    pub exe: u32,
    /// Number of mappings in the VMA records that follow.
    pub nr_vmas: u32,
    /// Address of the vdso; 0 if it is not mapped.
    pub vdso: u64,
    /// [`MM_DUMP_FILTER`].
    pub flags: u64,
    /// The auxiliary vector, as words.
    pub auxv: List<'a, u64>,
}

impl<'a> Mm<'a> {
    /// Puts the address space with an auxiliary vector that is not in a
    /// payload yet.
    pub fn encode_with(&self, payload: &mut Payload<'_>, auxv: &[u64]) -> Result<(), ImageError> {
        self.put_front(payload, auxv.len())?;
        payload.put_u64s(auxv)
    }

    fn put_front(&self, payload: &mut Payload<'_>, nr_auxv: usize) -> Result<(), ImageError> {
        payload.put_u64s(&[
            self.code.0,
            self.code.1,
            self.data.0,
            self.data.1,
            self.brk.0,
            self.brk.1,
            self.start_stack,
            self.arg.0,
            self.arg.1,
            self.env.0,
            self.env.1,
        ])?;
        payload.put_u32(self.exe)?;
        payload.put_u32(self.nr_vmas)?;
        payload.put_u64(self.vdso)?;
        payload.put_u64(self.flags)?;
        payload.put_u32(u32::try_from(nr_auxv).unwrap_or(u32::MAX))?;
        payload.put_u32(0)
    }

    fn check(&self, fields: &Fields<'a>) -> Result<(), ImageError> {
        let end = fields.limits().task_size;
        let spans = [
            ("end_code", self.code),
            ("end_data", self.data),
            ("brk", self.brk),
            ("arg_end", self.arg),
            ("env_end", self.env),
        ];
        for (field, (from, to)) in spans {
            fields.range(field, to, from, end)?;
        }
        fields.range("start_stack", self.start_stack, 0, end)?;
        fields.range("vdso base", self.vdso, 0, end)?;
        fields.page_aligned("vdso base", self.vdso)
    }
}

impl<'a> Body<'a> for Mm<'a> {
    const KIND: Kind = Kind::Mm;

    fn encode(&self, payload: &mut Payload<'_>) -> Result<(), ImageError> {
        self.put_front(payload, self.auxv.len())?;
        self.auxv.encode(payload)
    }

    fn decode(fields: &mut Fields<'a>) -> Result<Self, ImageError> {
        let mut mm = Mm {
            code: (fields.u64()?, fields.u64()?),
            data: (fields.u64()?, fields.u64()?),
            brk: (fields.u64()?, fields.u64()?),
            start_stack: fields.u64()?,
            arg: (fields.u64()?, fields.u64()?),
            env: (fields.u64()?, fields.u64()?),
            exe: fields.u32()?,
            nr_vmas: fields.u32()?,
            vdso: fields.u64()?,
            flags: fields.flags64("flags", MM_DUMP_FILTER)?,
            auxv: List::default(),
        };
        let nr_auxv = fields.u32()?;
        fields.reserved()?;
        mm.auxv = List::decode(fields, nr_auxv as usize, |_, _, _| Ok(()))?;
        mm.check(fields)?;
        Ok(mm)
    }
}
