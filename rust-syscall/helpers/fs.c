// SPDX-License-Identifier: GPL-2.0

#include <linux/file.h>
#include <linux/fs.h>
#include <linux/shmem_fs.h>

struct file *rust_helper_get_file(struct file *f)
{
	return get_file(f);
}

struct page *rust_helper_shmem_page(struct file *file, pgoff_t index)
{
	return shmem_read_mapping_page(file->f_mapping, index);
}
