/* SPDX-License-Identifier: MIT
 *
 * A head, then room for the pointers, then the texts, each with its NUL, in the order of the lists.
 * The reader maps it privately and fills in the pointers. Both sides are this file, so nothing is
 * checked but the size.
 */
#include "worker/shim_image.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"

#define LISTS 3 /* paths, argv, envp */

struct image {
    uint64_t descriptor_max;
    uint64_t counts[LISTS];
    char *pointers[]; /* of each list, with its NULL; then the texts, work_dir first */
};

struct sizes {
    size_t counts[LISTS];
    size_t pointer_count, text_bytes;
};

static size_t image_bytes(const struct sizes *sizes)
{
    return sizeof(struct image) + sizes->pointer_count * sizeof(char *) + sizes->text_bytes;
}

static struct sizes measure(const char *work_dir, char *const *const lists[static LISTS])
{
    struct sizes sizes = { .text_bytes = strlen(work_dir) + 1 };
    for (int i = 0; i < LISTS; i++) {
        for (char *const *text = lists[i]; *text; text++) {
            sizes.counts[i]++;
            sizes.text_bytes += strlen(*text) + 1;
        }
        sizes.pointer_count += sizes.counts[i] + 1;
    }
    return sizes;
}

static char *put_text(char *at, const char *text)
{
    size_t bytes = strlen(text) + 1;
    memcpy(at, text, bytes);
    return at + bytes;
}

int shim_image_pack(const struct shim_spec *spec)
{
    char *const *const lists[LISTS] = { spec->paths, spec->argv, spec->envp };
    struct sizes sizes = measure(spec->work_dir, lists);
    BERTH_AUTO_FD int fd = memfd_create("berth-command", MFD_CLOEXEC);
    if (fd < 0 || ftruncate(fd, (off_t)image_bytes(&sizes)) < 0)
        return -errno;
    struct image *image =
        mmap(NULL, image_bytes(&sizes), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (image == MAP_FAILED)
        return -errno;
    image->descriptor_max = spec->descriptor_max;
    char *at = put_text((char *)&image->pointers[sizes.pointer_count], spec->work_dir);
    for (int i = 0; i < LISTS; i++) {
        image->counts[i] = sizes.counts[i];
        for (char *const *text = lists[i]; *text; text++)
            at = put_text(at, *text);
    }
    (void)munmap(image, image_bytes(&sizes));
    return berth_take_fd(&fd);
}

int shim_image_unpack(int fd, struct shim_spec *ret_spec)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return -errno;
    struct image *image =
        mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    if (image == MAP_FAILED)
        return -errno;
    char *const *lists[LISTS];
    char **pointer = image->pointers;
    for (int i = 0; i < LISTS; i++) {
        lists[i] = pointer;
        pointer += image->counts[i] + 1; /* the pages were zero: each list ends */
    }
    char *at = (char *)pointer;
    ret_spec->work_dir = at;
    at += strlen(at) + 1;
    pointer = image->pointers;
    for (int i = 0; i < LISTS; i++, pointer++) {
        for (uint64_t k = 0; k < image->counts[i]; k++, pointer++) {
            *pointer = at;
            at += strlen(at) + 1;
        }
    }
    ret_spec->descriptor_max = image->descriptor_max;
    ret_spec->paths = lists[0];
    ret_spec->argv = lists[1];
    ret_spec->envp = lists[2];
    return 0;
}
