// SPDX-License-Identifier: GPL-2.0-only
/*
 * The entry points of checkpoint(2) and restart(2): SYSCALL_DEFINE exists in C
 * only. Everything else is in cr_main.rs.
 */
#include <linux/init.h>
#include <linux/syscalls.h>

long rust_checkpoint(pid_t pid, int fd, unsigned long flags, int logfd);
long rust_restart(pid_t pid, int fd, unsigned long flags, int logfd);
int rust_checkpoint_init(void);

SYSCALL_DEFINE4(checkpoint, pid_t, pid, int, fd, unsigned long, flags, int, logfd)
{
	return rust_checkpoint(pid, fd, flags, logfd);
}

SYSCALL_DEFINE4(restart, pid_t, pid, int, fd, unsigned long, flags, int, logfd)
{
	return rust_restart(pid, fd, flags, logfd);
}

static int __init checkpoint_init(void)
{
	return rust_checkpoint_init();
}
late_initcall(checkpoint_init);
