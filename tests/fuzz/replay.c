/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs each file of the corpus folders named on the command line through a fuzz target, so that
 * every build, sanitizers or not, replays what fuzzing found.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int replay_file(int dir, const char *name)
{
	int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
	struct stat st;
	uint8_t *data;
	ssize_t n;

	if (fd < 0 || fstat(fd, &st) || !S_ISREG(st.st_mode)) {
		if (fd >= 0)
			close(fd);
		return 0;
	}
	data = malloc((size_t)st.st_size + 1);
	n = data ? read(fd, data, (size_t)st.st_size) : -1;
	if (n >= 0)
		LLVMFuzzerTestOneInput(data, (size_t)n);
	free(data);
	close(fd);
	return n >= 0;
}

int main(int argc, char **argv)
{
	int count = 0;

	for (int i = 1; i < argc; i++) {
		DIR *dir = opendir(argv[i]);
		struct dirent *entry;

		if (!dir) {
			perror(argv[i]);
			return 1;
		}
		while ((entry = readdir(dir)))
			count += replay_file(dirfd(dir), entry->d_name);
		closedir(dir);
	}
	printf("%d inputs replayed\n", count);
	return count ? 0 : 1;
}
