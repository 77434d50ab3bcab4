// SPDX-License-Identifier: GPL-2.0

#include <linux/cacheflush.h>
#include <linux/highmem.h>
#include <linux/mm.h>
#include <linux/mman.h>
#include <linux/pagewalk.h>
#include <linux/sched/mm.h>
#include <linux/swapops.h>

void rust_helper_mmap_read_lock(struct mm_struct *mm)
{
	mmap_read_lock(mm);
}

void rust_helper_mmap_read_unlock(struct mm_struct *mm)
{
	mmap_read_unlock(mm);
}

/* What a page table entry holds: 0 nothing of its own, 1 a page, 2 a page elsewhere (swap). */
int rust_helper_pte_content(struct vm_area_struct *vma, unsigned long addr, pte_t *ptep,
			    struct page **page)
{
	pte_t pte = ptep_get(ptep);

	if (pte_none(pte))
		return 0;
	if (!pte_present(pte))
		return is_pte_marker(pte) ? 0 : 2;
	*page = vm_normal_page(vma, addr, pte);
	return *page ? 1 : 0;
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

void rust_helper_mmget(struct mm_struct *mm)
{
	mmget(mm);
}

void rust_helper_put_page(struct page *page)
{
	put_page(page);
}
