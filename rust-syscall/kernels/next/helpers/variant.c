// SPDX-License-Identifier: GPL-2.0

#include <linux/leafops.h>
#include <linux/mm.h>
#include <linux/rseq.h>
#include "../../mm/internal.h"

/* What a page table entry holds: 0 nothing of its own, 1 a page, 2 a page elsewhere (swap). */
int rust_helper_pte_content(struct vm_area_struct *vma, unsigned long addr, pte_t *ptep,
			    struct page **page)
{
	pte_t pte = ptep_get(ptep);

	if (pte_none(pte))
		return 0;
	if (!pte_present(pte))
		return softleaf_is_marker(softleaf_from_pte(pte)) ? 3 : 2;
	*page = vm_normal_page(vma, addr, pte);
	return *page ? 1 : 0;
}

#ifdef CONFIG_X86_64
struct fpu *rust_helper_task_fpu(struct task_struct *task)
{
	return x86_task_fpu(task);
}
#endif

int rust_helper_max_map_count(void)
{
	return get_sysctl_max_map_count();
}

/* As rseq_register() does, but for rseq_cs and what lies behind the ids, which are restored. */
int rust_helper_rseq_replace(struct rseq __user *area, u32 len, u32 sig)
{
	bool v2 = IS_ENABLED(CONFIG_GENERIC_IRQ_ENTRY) && len > 32;

	/* Of v2 the kernel insists that the ids are those that it wrote last. */
	if (v2 && (put_user(RSEQ_CPU_ID_UNINITIALIZED, &area->cpu_id_start) ||
		   put_user(RSEQ_CPU_ID_UNINITIALIZED, &area->cpu_id) ||
		   put_user(0, &area->node_id) || put_user(0, &area->mm_cid)))
		return -EFAULT;
	rseq_reset(current);
	current->rseq.usrptr = area;
	current->rseq.len = len;
	current->rseq.sig = sig;
	current->rseq.event.has_rseq = area ? v2 + 1 : 0;
	/* The saved task may have been interrupted in a critical section. */
	current->rseq.event.user_irq = true;
	rseq_force_update();
	return 0;
}
