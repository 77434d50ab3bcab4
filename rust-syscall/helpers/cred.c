// SPDX-License-Identifier: GPL-2.0

#include <linux/cred.h>
#include <linux/security.h>

const struct cred *rust_helper_get_cred(const struct cred *cred)
{
	return get_cred(cred);
}

void rust_helper_put_cred(const struct cred *cred)
{
	put_cred(cred);
}

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
