/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ioctls of terminals.
 */
#include "sys/terminal.h"

#include <errno.h>
#include <sys/ioctl.h>

int sys_terminal_get_size(int fd, uint16_t *ret_columns, uint16_t *ret_rows)
{
	struct winsize size;

	if (ioctl(fd, TIOCGWINSZ, &size))
		return -errno;
	*ret_columns = size.ws_col;
	*ret_rows = size.ws_row;
	return 0;
}
