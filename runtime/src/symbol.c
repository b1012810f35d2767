/* SPDX-License-Identifier: MIT
 *
 * Reads by pread(2) and believes nothing: the file may have been replaced since it was loaded. No
 * memory; a look-up is some hundred system calls at the most, so the last answers are kept.
 */
#include "symbol.h"

#include <dlfcn.h>
#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lock.h"

#define NAME_BYTES      96
#define CACHE_COUNT     64
#define SYMBOLS_AT_ONCE 64

struct cached {
    const void *address;
    bool is_found;
    char name[NAME_BYTES];
};

static struct weft_lock lock;
static struct cached cache[CACHE_COUNT];

static struct cached *slot_of(const void *address)
{
    return &cache[((uintptr_t)address >> 4) % CACHE_COUNT];
}

static bool cache_look(const void *address, struct cached *ret_cached)
{
    weft_lock_acquire(&lock);
    *ret_cached = *slot_of(address);
    weft_lock_release(&lock);
    return ret_cached->address == address;
}

static void cache_put(const struct cached *cached)
{
    weft_lock_acquire(&lock);
    *slot_of(cached->address) = *cached;
    weft_lock_release(&lock);
}

static bool read_at(int fd, void *to, size_t bytes, uint64_t at)
{
    return at <= INT64_MAX && pread(fd, to, bytes, (off_t)at) == (ssize_t)bytes;
}

static bool section_at(int fd, const ElfW(Ehdr) * head, size_t index, ElfW(Shdr) * ret_section)
{
    uint64_t at = head->e_shoff + (uint64_t)index * sizeof *ret_section;
    return index < head->e_shnum && read_at(fd, ret_section, sizeof *ret_section, at);
}

/* The section of all symbols, and that of their names. */
static bool symbols_find(int fd, ElfW(Shdr) * ret_symbols, ElfW(Shdr) * ret_names)
{
    ElfW(Ehdr) head;
    if (!read_at(fd, &head, sizeof head, 0) || memcmp(head.e_ident, ELFMAG, SELFMAG) != 0 ||
        head.e_shentsize != sizeof(ElfW(Shdr)))
        return false;
    for (size_t i = 0; section_at(fd, &head, i, ret_symbols); i++) {
        if (ret_symbols->sh_type == SHT_SYMTAB)
            return section_at(fd, &head, ret_symbols->sh_link, ret_names);
    }
    return false;
}

/* A name ends within its section and the file, or is cut. */
static bool name_read(int fd, const ElfW(Shdr) * names, uint64_t offset, struct cached *cached)
{
    if (offset >= names->sh_size)
        return false;
    uint64_t left = names->sh_size - offset;
    size_t wanted = left < NAME_BYTES - 1 ? (size_t)left : NAME_BYTES - 1;
    if (!read_at(fd, cached->name, wanted, names->sh_offset + offset))
        return false;
    cached->name[wanted] = '\0';
    return cached->name[0] != '\0';
}

static bool symbol_read(int fd, uintptr_t value, struct cached *cached)
{
    ElfW(Shdr) symbols, names;
    if (!symbols_find(fd, &symbols, &names))
        return false;
    ElfW(Sym) some[SYMBOLS_AT_ONCE];
    uint64_t left = symbols.sh_size / sizeof some[0];
    for (uint64_t at = symbols.sh_offset; left > 0; at += sizeof some) {
        size_t count = left < SYMBOLS_AT_ONCE ? (size_t)left : SYMBOLS_AT_ONCE;
        if (!read_at(fd, some, count * sizeof some[0], at))
            return false;
        for (size_t i = 0; i < count; i++) {
            bool is_function = (some[i].st_info & 0xf) == STT_FUNC && some[i].st_shndx != SHN_UNDEF;
            if (is_function && some[i].st_value == value)
                return name_read(fd, &names, some[i].st_name, cached);
        }
        left -= count;
    }
    return false;
}

static bool look_up(const void *address, struct cached *cached)
{
    Dl_info info;
    struct link_map *map = NULL;
    if (dladdr1(address, &info, (void **)&map, RTLD_DL_LINKMAP) == 0 || !map)
        return false;
    bool is_program = map->l_name[0] == '\0';
    int fd = open(is_program ? "/proc/self/exe" : map->l_name, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    bool is_found = symbol_read(fd, (uintptr_t)address - map->l_addr, cached);
    (void)close(fd);
    return is_found;
}

bool weft_symbol_find(const void *address, char *ret_name, size_t bytes)
{
    struct cached cached;
    if (!cache_look(address, &cached)) {
        cached = (struct cached){ .address = address };
        cached.is_found = look_up(address, &cached);
        cache_put(&cached);
    }
    if (cached.is_found)
        (void)snprintf(ret_name, bytes, "%s", cached.name);
    return cached.is_found;
}
