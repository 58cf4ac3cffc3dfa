/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gen_man PAGE: writes the manual page "alioth" or "alioth-boot" to standard output. Run by the
 * build.
 */
#include <string.h>

#include "cli/help.h"
#include "cli/print.h"

int main(int argc, char **argv)
{
	auto_strbuf struct strbuf out = STRBUF_INIT(MIB(1));

	if (argc != 2)
		return 2;
	strbuf_puts(
		&out, ".\\\" Made from the option tables of src/config and src/cli by gen_man.\n");
	if (!strcmp(argv[1], "alioth-boot"))
		cli_boot_man(&out);
	else
		cli_main_man(&out);
	return cli_print(&out);
}
