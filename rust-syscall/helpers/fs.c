// SPDX-License-Identifier: GPL-2.0

#include <linux/file.h>
#include <linux/fs.h>
#include <linux/shmem_fs.h>

struct file *rust_helper_get_file(struct file *f)
{
	return get_file(f);
}

void rust_helper_file_start_write(struct file *file)
{
	file_start_write(file);
}

void rust_helper_file_end_write(struct file *file)
{
	file_end_write(file);
}

struct page *rust_helper_shmem_page(struct file *file, pgoff_t index)
{
	return shmem_read_mapping_page(file->f_mapping, index);
}
