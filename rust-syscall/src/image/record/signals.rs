// SPDX-License-Identifier: GPL-2.0-only

//! Signals: SIGNAL_ACTIONS, SIGNAL_STATE and PENDING.

use crate::image::error::{Fault, ImageError};
use crate::image::header::Kind;
use crate::image::list::{Entry, List};
use crate::image::reader::Fields;
use crate::image::record::task::NSIG;
use crate::image::record::Body;
use crate::image::writer::Payload;

/// Number of signals, and of entries in a SIGNAL_ACTIONS.
pub const NR_SIGNALS: usize = NSIG as usize;
/// Bytes of a siginfo that an image keeps.
pub const SIGINFO_BYTES: usize = 48;

const SIGKILL: u32 = 9;
const SIGSTOP: u32 = 19;
/// Mask bits of SIGKILL and SIGSTOP, which no mask can have.
pub const UNMASKABLE: u64 = 1 << (SIGKILL - 1) | 1 << (SIGSTOP - 1);
/// SS_ONSTACK, SS_DISABLE and SS_AUTODISARM.
const ALTSTACK_FLAGS: u32 = 1 | 2 | 1 << 31;

/// What a signal does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SigAction {
    /// Address of the handler; 0 default, 1 ignore.
    pub handler: u64,
    /// `SA_*` bits.
    pub flags: u64,
    /// Address that the handler returns to.
    pub restorer: u64,
    /// Signals blocked while the handler runs.
    pub mask: u64,
}

impl Entry for SigAction {
    const SIZE: usize = 32;

    fn encode(&self, payload: &mut Payload<'_>) -> Result<(), ImageError> {
        payload.put_u64s(&[self.handler, self.flags, self.restorer, self.mask])
    }

    fn decode(fields: &mut Fields<'_>) -> Result<Self, ImageError> {
        Ok(SigAction {
            handler: fields.u64()?,
            flags: fields.u64()?,
            restorer: fields.u64()?,
            mask: fields.flags64("mask", !UNMASKABLE)?,
        })
    }
}

/// SIGNAL_ACTIONS: the actions of signals 1 to 64.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignalActions<'a> {
    /// The actions; signal N is entry N - 1.
    pub actions: List<'a, SigAction>,
}

impl<'a> Body<'a> for SignalActions<'a> {
    const KIND: Kind = Kind::SignalActions;

    fn encode(&self, payload: &mut Payload<'_>) -> Result<(), ImageError> {
        self.actions.encode(payload)
    }

    fn decode(fields: &mut Fields<'a>) -> Result<Self, ImageError> {
        let mut signo = 0u32;
        let actions = List::decode(fields, NR_SIGNALS, |fields, _, action: &SigAction| {
            signo = signo.saturating_add(1);
            let fixed = signo == SIGKILL || signo == SIGSTOP;
            fields.require(
                !fixed || action.handler == 0,
                Fault::Value {
                    field: "handler of SIGKILL or SIGSTOP",
                    expected: 0,
                    found: action.handler,
                },
            )
        })?;
        Ok(SignalActions { actions })
    }
}

/// SIGNAL_STATE: what a thread blocks, and its signal stack.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SignalState {
    /// Blocked signals.
    pub blocked: u64,
    /// The mask to be put back after `sigsuspend` and the like.
    pub saved: Option<u64>,
    /// Signal stack: address.
    pub altstack_sp: u64,
    /// Signal stack: bytes.
    pub altstack_size: u64,
    /// Signal stack: `SS_*` bits.
    pub altstack_flags: u32,
}

impl<'a> Body<'a> for SignalState {
    const KIND: Kind = Kind::SignalState;

    fn encode(&self, payload: &mut Payload<'_>) -> Result<(), ImageError> {
        payload.put_u64(self.blocked)?;
        payload.put_u64(self.saved.unwrap_or(0))?;
        payload.put_u32(u32::from(self.saved.is_some()))?;
        payload.put_u32(0)?;
        payload.put_u64(self.altstack_sp)?;
        payload.put_u64(self.altstack_size)?;
        payload.put_u32(self.altstack_flags)?;
        payload.put_u32(0)
    }

    fn decode(fields: &mut Fields<'a>) -> Result<Self, ImageError> {
        let blocked = fields.flags64("blocked", !UNMASKABLE)?;
        let saved = fields.flags64("saved", !UNMASKABLE)?;
        let has_saved = fields.u32_in("has_saved", 0, 1)? == 1;
        fields.reserved()?;
        fields.require(
            has_saved || saved == 0,
            Fault::Reserved {
                field: "saved without has_saved",
                found: saved,
            },
        )?;
        let state = SignalState {
            blocked,
            saved: has_saved.then_some(saved),
            altstack_sp: fields.u64()?,
            altstack_size: fields.u64()?,
            altstack_flags: fields.flags32("altstack flags", ALTSTACK_FLAGS)?,
        };
        fields.reserved()?;
        Ok(state)
    }
}

/// PENDING: a signal that has been sent and not been taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pending {
    /// Sent to the process (else to the thread).
    pub shared: bool,
    /// Number of the signal.
    pub signo: i32,
    /// The first bytes of its siginfo.
    pub siginfo: [u8; SIGINFO_BYTES],
}

impl<'a> Body<'a> for Pending {
    const KIND: Kind = Kind::Pending;

    fn encode(&self, payload: &mut Payload<'_>) -> Result<(), ImageError> {
        payload.put_u32(u32::from(self.shared))?;
        payload.put_i32(self.signo)?;
        payload.put_raw(&self.siginfo)
    }

    fn decode(fields: &mut Fields<'a>) -> Result<Self, ImageError> {
        let shared = fields.u32_in("shared", 0, 1)? == 1;
        let signo = fields.i32_in("signo", 1, NSIG)?;
        let siginfo: [u8; SIGINFO_BYTES] = fields.array()?;
        let inside = siginfo.first_chunk::<4>().copied().map(i32::from_le_bytes);
        fields.require(
            inside == Some(signo),
            Fault::Value {
                field: "si_signo",
                expected: i64::from(signo) as u64,
                found: i64::from(inside.unwrap_or(0)) as u64,
            },
        )?;
        Ok(Pending {
            shared,
            signo,
            siginfo,
        })
    }
}
