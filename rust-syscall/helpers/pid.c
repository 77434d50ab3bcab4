// SPDX-License-Identifier: GPL-2.0

#include <linux/cgroup.h>
#include <linux/pid.h>
#include <linux/pid_namespace.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>

struct pid *rust_helper_get_pid(struct pid *pid)
{
	return get_pid(pid);
}

struct pid_namespace *rust_helper_get_pid_ns(struct pid_namespace *ns)
{
	return get_pid_ns(ns);
}

void rust_helper_tasklist_read_lock(void)
{
	read_lock(&tasklist_lock);
}

void rust_helper_tasklist_read_unlock(void)
{
	read_unlock(&tasklist_lock);
}

void rust_helper_set_signal_pending(void)
{
	set_thread_flag(TIF_SIGPENDING);
}

void rust_helper_set_notify_signal(struct task_struct *task)
{
	set_notify_signal(task);
}

void rust_helper_cgroup_lock(void)
{
	cgroup_lock();
}

void rust_helper_cgroup_unlock(void)
{
	cgroup_unlock();
}
