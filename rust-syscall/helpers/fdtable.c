// SPDX-License-Identifier: GPL-2.0

#include <linux/fdtable.h>
#include <linux/sched/task.h>
#include <linux/security.h>

struct files_struct *rust_helper_get_files_struct(struct task_struct *task)
{
	struct files_struct *files;

	task_lock(task);
	files = task->files;
	if (files)
		atomic_inc(&files->count);
	task_unlock(task);
	return files;
}

int rust_helper_security_path_chroot(const struct path *path)
{
	return security_path_chroot(path);
}

const struct path *rust_helper_file_user_path(const struct file *file)
{
	return file_user_path(file);
}
