// SPDX-License-Identifier: GPL-2.0

#include <linux/cacheflush.h>
#include <linux/cgroup.h>
#include <linux/elf.h>
#include <linux/fdtable.h>
#include <linux/filelock.h>
#include <linux/highmem.h>
#include <linux/mm.h>
#include <linux/ptrace.h>
#include <linux/regset.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>
#include <linux/sched/task_stack.h>
#include <linux/security.h>
#include <linux/shmem_fs.h>
#include "../../kernel/futex/futex.h"

void rust_helper_put_group_info(struct group_info *groups)
{
	put_group_info(groups);
}

int rust_helper_security_task_fix_setuid(struct cred *new, const struct cred *old, int flags)
{
	return security_task_fix_setuid(new, old, flags);
}

int rust_helper_security_task_fix_setgid(struct cred *new, const struct cred *old, int flags)
{
	return security_task_fix_setgid(new, old, flags);
}

int rust_helper_security_task_fix_setgroups(struct cred *new, const struct cred *old)
{
	return security_task_fix_setgroups(new, old);
}

int rust_helper_security_capset(struct cred *new, const struct cred *old, const kernel_cap_t *e,
				const kernel_cap_t *i, const kernel_cap_t *p)
{
	return security_capset(new, old, e, i, p);
}

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

struct file_lock_context *rust_helper_locks_inode_context(const struct inode *inode)
{
	return locks_inode_context(inode);
}

struct page *rust_helper_shmem_page(struct file *file, pgoff_t index)
{
	return shmem_read_mapping_page(file->f_mapping, index);
}

bool rust_helper_page_is_anon(struct page *page)
{
	return PageAnon(page);
}

void *rust_helper_page_address(const struct page *page)
{
	return page_address(page);
}

void rust_helper_flush_page_for_exec(struct page *page)
{
	unsigned long start = (unsigned long)page_address(page);

	flush_icache_range(start, start + PAGE_SIZE);
}

unsigned long rust_helper_mm_vdso(struct mm_struct *mm)
{
	return (unsigned long)mm->context.vdso;
}

unsigned long rust_helper_task_size(void)
{
	return TASK_SIZE;
}

bool rust_helper_vma_is_shmem(struct vm_area_struct *vma)
{
	return vma_is_shmem(vma);
}

void rust_helper_put_page(struct page *page)
{
	put_page(page);
}

struct pid *rust_helper_get_pid(struct pid *pid)
{
	return get_pid(pid);
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

struct pt_regs *rust_helper_task_pt_regs(struct task_struct *task)
{
	return task_pt_regs(task);
}

void rust_helper_preempt_disable(void)
{
	preempt_disable();
}

void rust_helper_preempt_enable(void)
{
	preempt_enable();
}

/* Puts into the CPU what a regset's set() left in memory only, for current. */
void rust_helper_regset_load_live(unsigned int note)
{
#ifdef CONFIG_ARM64
	if (note == NT_ARM_TLS) {
		write_sysreg(current->thread.uw.tp_value, tpidr_el0);
		if (system_supports_tpidr2())
			write_sysreg_s(current->thread.tpidr2_el0, SYS_TPIDR2_EL0);
	}
#ifdef CONFIG_ARM64_PTR_AUTH
	if (note == NT_ARM_PACA_KEYS || note == NT_ARM_PACG_KEYS)
		ptrauth_keys_install_user(&current->thread.keys_user);
#endif
#endif
}

#ifdef CONFIG_X86_64
void rust_helper_write_pkru(u32 pkru)
{
	write_pkru(pkru);
}
#endif

/* The instruction set extensions that programs see; returns the number of words. */
unsigned int rust_helper_cpu_features(u64 *words)
{
#ifdef CONFIG_X86_64
	static const u8 seen[] = {
		CPUID_1_EDX, CPUID_8000_0001_EDX, CPUID_1_ECX, CPUID_8000_0001_ECX,
		CPUID_7_0_EBX, CPUID_D_1_EAX, CPUID_7_1_EAX, CPUID_7_ECX, CPUID_7_EDX,
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(seen); i++)
		words[i] = boot_cpu_data.x86_capability[seen[i]];
	words[i++] = ELF_HWCAP2;
#ifdef X86_FEATURE_APX
	words[i++] = boot_cpu_has(X86_FEATURE_APX) | boot_cpu_has(X86_FEATURE_AVX512_BMM) << 1;
#endif
	return i;
#else
	words[0] = ELF_HWCAP;
	words[1] = ELF_HWCAP2;
#ifdef ELF_HWCAP3
	words[2] = ELF_HWCAP3;
	return 3;
#endif
	return 2;
#endif
}

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

/* The flags that an interrupted FUTEX_WAIT with these option bits leaves in its restart block. */
unsigned int rust_helper_futex_restart_flags(unsigned int op)
{
	return futex_to_flags(op) | FLAGS_HAS_TIMEOUT;
}
