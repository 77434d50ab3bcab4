// SPDX-License-Identifier: GPL-2.0

#include <linux/cred.h>
#include <linux/file.h>
#include <linux/mm.h>
#include <linux/pid_namespace.h>
#include <linux/rseq.h>
#include <linux/sched/mm.h>
#include <linux/swapops.h>

const struct cred *rust_helper_get_cred(const struct cred *cred)
{
	return get_cred(cred);
}

void rust_helper_put_cred(const struct cred *cred)
{
	put_cred(cred);
}

struct file *rust_helper_get_file(struct file *f)
{
	return get_file(f);
}

void rust_helper_mmap_read_lock(struct mm_struct *mm)
{
	mmap_read_lock(mm);
}

void rust_helper_mmap_read_unlock(struct mm_struct *mm)
{
	mmap_read_unlock(mm);
}

void rust_helper_mmget(struct mm_struct *mm)
{
	mmget(mm);
}

struct pid_namespace *rust_helper_get_pid_ns(struct pid_namespace *ns)
{
	return get_pid_ns(ns);
}

/* A page table entry: 0 nothing of its own, 1 a page, 2 a page elsewhere (swap), 3 a marker. */
int rust_helper_pte_content(struct vm_area_struct *vma, unsigned long addr, pte_t *ptep,
			    struct page **page)
{
	pte_t pte = ptep_get(ptep);

	if (pte_none(pte))
		return 0;
	if (!pte_present(pte))
		return is_pte_marker(pte) ? 3 : 2;
	*page = vm_normal_page(vma, addr, pte);
	return *page ? 1 : 0;
}

void rust_helper_rseq_preempt(void)
{
	preempt_disable();
	rseq_preempt(current);
	preempt_enable();
}
