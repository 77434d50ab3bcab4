// SPDX-License-Identifier: GPL-2.0

#include <linux/elf.h>
#include <linux/preempt.h>
#include <linux/ptrace.h>
#include <linux/regset.h>
#include <linux/sched/task_stack.h>

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
	return i;
#else
	words[0] = ELF_HWCAP;
	words[1] = ELF_HWCAP2;
	return 2;
#endif
}
