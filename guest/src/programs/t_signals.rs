// SPDX-License-Identifier: GPL-2.0-only

//! Signal mask, handlers with their flags, the alternate stack, and pending
//! signals: of the process and of the thread, queued ones in their order.
//!
//! Arguments: STATUS

use crate::pattern::map;
use crate::signals::{self, deliveries};
use crate::stage::{self, expect};
use nix::errno::Errno;
use nix::sys::mman::MapFlags;
use std::process::ExitCode;

const STACK: usize = 64 << 10;

/// The alternate stack now in force: address and size.
fn stack_in_force() -> Result<(u64, usize), String> {
    // SAFETY: no new stack; the old one goes to valid memory.
    let (result, old) = unsafe {
        let mut old: libc::stack_t = std::mem::zeroed();
        (libc::sigaltstack(std::ptr::null(), &mut old), old)
    };
    Errno::result(result).map_err(|e| format!("sigaltstack: {e}"))?;
    Ok((old.ss_sp as u64, old.ss_size))
}

/// Runs with the arguments of the process.
pub fn main() -> ExitCode {
    stage::run(|stage| {
        let memory = map(STACK, MapFlags::MAP_PRIVATE)?.as_mut_ptr();
        let stack = libc::stack_t {
            ss_sp: memory.cast(),
            ss_flags: 0,
            ss_size: STACK,
        };
        // SAFETY: the memory is mapped for ever and used for nothing else.
        let set = unsafe { libc::sigaltstack(&stack, std::ptr::null_mut()) };
        Errno::result(set).map_err(|e| format!("sigaltstack: {e}"))?;
        let queued = libc::SIGRTMIN() + 3;
        let handled = [
            (libc::SIGUSR1, libc::SA_ONSTACK),
            (libc::SIGUSR2, libc::SA_RESTART | libc::SA_NODEFER),
            (queued, 0),
        ];
        for (signo, flags) in handled {
            signals::record(signo, flags)?;
            signals::block(signo)?;
        }
        signals::send_to_thread(libc::SIGUSR1)?;
        // SAFETY: plain integers.
        unsafe { libc::kill(libc::getpid(), libc::SIGUSR2) };
        for value in [11, 22, 33] {
            signals::queue(queued, value)?;
        }
        stage.ready()?;
        stage::wait_for_term()?;

        expect("early deliveries", Vec::new(), deliveries())?;
        for (signo, flags) in handled {
            signals::expect_recorded(signo, flags)?;
            expect(
                &format!("signal {signo} blocked"),
                true,
                signals::is_blocked(signo),
            )?;
            expect(
                &format!("signal {signo} pending"),
                true,
                signals::is_pending(signo),
            )?;
        }
        expect(
            "signal blocked that was not",
            false,
            signals::is_blocked(libc::SIGHUP),
        )?;
        expect("alternate stack", (memory as u64, STACK), stack_in_force()?)?;
        for (signo, _) in handled {
            signals::unblock(signo)?;
            expect(
                &format!("signal {signo} still pending"),
                false,
                signals::is_pending(signo),
            )?;
        }
        let got: Vec<_> = deliveries().iter().map(|d| (d.signo, d.code)).collect();
        let queue = (queued, libc::SI_QUEUE);
        let expected = vec![
            (libc::SIGUSR1, libc::SI_TKILL),
            (libc::SIGUSR2, libc::SI_USER),
            queue,
            queue,
            queue,
        ];
        expect("deliveries", expected, got)?;
        let values: Vec<_> = deliveries().iter().skip(2).map(|d| d.value).collect();
        expect("queued values", vec![11, 22, 33], values)?;
        let on_stack: Vec<_> = deliveries()
            .iter()
            .map(|d| (d.stack.wrapping_sub(memory as u64) as usize) < STACK)
            .collect();
        expect(
            "handlers on the alternate stack",
            vec![true, false, false, false, false],
            on_stack,
        )
    })
}
