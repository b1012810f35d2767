/* SPDX-License-Identifier: MIT
 *
 * The main of a fuzzer where libFuzzer is not there: runs each file of the corpora once, so that
 * what fuzzing found once is tested in every build. Fails if there is no file at all.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>

#include "base/buf.h"

#define INPUT_BYTES_MAX (16u << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static int replay_file(int dir_fd, const char *name)
{
    BERTH_AUTO_FD int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC);
    BERTH_AUTO(berth_buf) buf = berth_buf_new(INPUT_BYTES_MAX);
    if (fd < 0 || !buf || berth_buf_fill(buf, fd) < 0) {
        fprintf(stderr, "cannot read '%s'\n", name);
        return -1;
    }
    (void)LLVMFuzzerTestOneInput((const uint8_t *)berth_buf_text(buf), buf->bytes);
    return 0;
}

static int replay_folder(const char *path)
{
    DIR *dir = opendir(path);
    if (!dir)
        return -1;
    int count = 0;
    for (struct dirent *entry; count >= 0 && (entry = readdir(dir)) != NULL;) {
        if (entry->d_name[0] == '.')
            continue;
        count = replay_file(dirfd(dir), entry->d_name) < 0 ? -1 : count + 1;
    }
    (void)closedir(dir);
    return count;
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        int count = replay_folder(argv[i]);
        if (count <= 0) {
            fprintf(stderr, "no corpus in '%s'\n", argv[i]);
            return 1;
        }
        printf("%s: %d inputs\n", argv[i], count);
    }
    return argc > 1 ? 0 : 1;
}
