// SPDX-License-Identifier: GPL-2.0

#include <linux/rseq.h>
#include <linux/sched/signal.h>
#include "../../kernel/futex/futex.h"

void rust_helper_unlock_task_sighand(struct task_struct *task, unsigned long *flags)
{
	unlock_task_sighand(task, flags);
}

bool rust_helper_test_tsk_restore_sigmask(struct task_struct *task)
{
	return test_tsk_restore_sigmask(task);
}

void rust_helper_set_restore_sigmask(void)
{
	set_restore_sigmask();
}

void rust_helper_rseq_preempt(void)
{
	preempt_disable();
	rseq_preempt(current);
	preempt_enable();
}

/* The flags that an interrupted FUTEX_WAIT with these option bits leaves in its restart block. */
unsigned int rust_helper_futex_restart_flags(unsigned int op)
{
	return futex_to_flags(op) | FLAGS_HAS_TIMEOUT;
}
