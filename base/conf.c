/* SPDX-License-Identifier: MIT
 *
 * The reader of configuration files: one pass, line by line; each line is a comment, a section or a
 * key.
 */
#include "base/conf.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/buf.h"
#include "base/text.h"

#define ARENA_BYTES_MAX (4 * (size_t)BERTH_CONF_BYTES_MAX)
#define SHOWN_MAX       80

/* A section that was met, so that a second one is noticed. */
struct met {
    struct met *next;
    const struct berth_conf_section *section;
    const char *name; /* "" if the section has none */
    int line;
};

struct reader {
    struct berth_conf *conf;
    const struct berth_conf_section *sections;
    size_t count;
    void *arg;
    struct berth_error *err;

    int line;
    struct met *met; /* newest first: the one we are in */
    size_t met_count;
    void *target;
    int key_line[BERTH_SETTINGS_MAX]; /* where a key of this section stood; 0: not yet */
};

static int read_line(struct reader *reader, char *line);
static int read_section(struct reader *reader, char *line);
static int read_key(struct reader *reader, char *line);

void berth_conf_init(struct berth_conf *conf)
{
    berth_arena_init(&conf->arena, ARENA_BYTES_MAX);
}

void berth_conf_fini(struct berth_conf *conf)
{
    berth_arena_fini(&conf->arena);
}

int berth_conf_load(struct berth_conf *conf, const char *path,
                    const struct berth_conf_section *sections, size_t count, void *arg,
                    struct berth_error *err)
{
    BERTH_AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return berth_fail(err, -errno, "open '%s'", path);
    BERTH_AUTO(berth_buf) buf = berth_buf_new(BERTH_CONF_BYTES_MAX);
    int rc = buf ? berth_buf_fill(buf, fd) : -ENOMEM;
    if (rc == -EMSGSIZE)
        return berth_fail(err, BERTH_ECONF, "'%s' is larger than %u bytes", path,
                          BERTH_CONF_BYTES_MAX);
    if (rc < 0)
        return berth_fail(err, rc, "read '%s'", path);
    return berth_conf_parse(conf, path, berth_buf_slice(buf), sections, count, arg, err);
}

int berth_conf_parse(struct berth_conf *conf, const char *path, struct berth_slice text,
                     const struct berth_conf_section *sections, size_t count, void *arg,
                     struct berth_error *err)
{
    /* The copy is cut into texts in place, which is what the targets will point to. */
    char *rest = berth_arena_strndup(&conf->arena, text.data, text.bytes);
    if (!rest)
        return berth_fail(err, -ENOMEM, "read '%s'", path);
    if (memchr(rest, '\0', text.bytes))
        return berth_fail(err, BERTH_ECONF, "'%s' has a NUL byte: it is not a text file", path);

    struct berth_error reason = { .code = 0 };
    struct reader reader = {
        .conf = conf, .sections = sections, .count = count, .arg = arg, .err = &reason
    };
    for (char *line; (line = strsep(&rest, "\n")) != NULL;) {
        reader.line++;
        int rc = read_line(&reader, line);
        if (rc == -ENOMEM)
            return berth_fail(err, rc, "read '%s'", path);
        if (rc < 0)
            return berth_fail(err, BERTH_ECONF, "%s:%d: %s", path, reader.line, reason.message);
    }
    return 0;
}

/* Cuts the blanks off both ends, in place. */
static char *trim(char *text)
{
    static const char blanks[] = " \t\r";
    text += strspn(text, blanks);
    size_t bytes = strlen(text);
    while (bytes > 0 && strchr(blanks, text[bytes - 1]))
        bytes--;
    text[bytes] = '\0';
    return text;
}

static int read_line(struct reader *reader, char *line)
{
    line = trim(line);
    switch (line[0]) {
    case '\0':
    case '#':
    case ';': return 0;
    case '[': return read_section(reader, line);
    default: return read_key(reader, line);
    }
}

static const char *section_name_of(const void *arg, size_t index)
{
    const struct reader *reader = arg;
    return reader->sections[index].kind;
}

static const struct berth_conf_section *section_find(const struct reader *reader, const char *kind)
{
    for (size_t i = 0; i < reader->count; i++)
        if (strcmp(reader->sections[i].kind, kind) == 0)
            return &reader->sections[i];
    return NULL;
}

/* Cuts `[kind]` or `[kind "name"]` into its parts; name is NULL without one. False if it is
 * neither. */
static bool section_split(char *line, char **ret_kind, char **ret_name)
{
    size_t bytes = strlen(line);
    if (bytes < 3 || line[bytes - 1] != ']')
        return false;
    line[bytes - 1] = '\0';
    char *kind = trim(line + 1), *name = NULL;
    char *quote = strchr(kind, '"');
    if (quote) {
        size_t name_bytes = strlen(quote + 1);
        if (name_bytes == 0 || quote[name_bytes] != '"')
            return false;
        quote[name_bytes] = '\0';
        *quote = '\0';
        name = quote + 1;
        kind = trim(kind);
    }
    *ret_kind = kind;
    *ret_name = name;
    return kind[0] != '\0' && !strpbrk(kind, " \t\"[]");
}

static int section_enter(struct reader *reader, const struct berth_conf_section *section,
                         const char *name)
{
    for (const struct met *met = reader->met; met; met = met->next)
        if (met->section == section && strcmp(met->name, name) == 0)
            return berth_fail(reader->err, BERTH_ECONF,
                              "this section is a second time here; the first is in line %d",
                              met->line);
    if (reader->met_count == BERTH_CONF_SECTIONS_MAX)
        return berth_fail(reader->err, BERTH_ECONF, "more than %d sections",
                          BERTH_CONF_SECTIONS_MAX);

    void *target = section->target;
    if (section->begin) {
        int rc = section->begin(reader->arg, name, &target, reader->err);
        if (rc < 0)
            return rc;
    }
    struct met *met = berth_arena_alloc(&reader->conf->arena, sizeof *met);
    if (!met)
        return -ENOMEM;
    *met =
        (struct met){ .next = reader->met, .section = section, .name = name, .line = reader->line };
    reader->met = met;
    reader->met_count++;
    reader->target = target;
    memset(reader->key_line, 0, sizeof reader->key_line);
    return 0;
}

static int read_section(struct reader *reader, char *line)
{
    char *kind, *name, shown[SHOWN_MAX + 1];
    (void)snprintf(shown, sizeof shown, "%.*s", SHOWN_MAX, line); /* which is cut up now */
    if (!section_split(line, &kind, &name))
        return berth_fail(reader->err, BERTH_ECONF,
                          "'%s' is not a section; [kind] or [kind \"name\"] is wanted", shown);

    const struct berth_conf_section *section = section_find(reader, kind);
    if (!section) {
        const char *near = berth_suggest(kind, reader->count, section_name_of, reader);
        return berth_fail(reader->err, BERTH_ECONF, "unknown section [%.*s]%s%s%s", SHOWN_MAX, kind,
                          near ? "; did you mean [" : "", near ? near : "", near ? "]?" : "");
    }
    if (section->is_named && !name)
        return berth_fail(reader->err, BERTH_ECONF, "section [%s] needs a name: [%s \"name\"]",
                          kind, kind);
    if (!section->is_named && name)
        return berth_fail(reader->err, BERTH_ECONF, "section [%s] takes no name", kind);
    if (name) {
        int rc = berth_name_check(kind, name, reader->err);
        if (rc < 0)
            return rc;
    }
    return section_enter(reader, section, name ? name : "");
}

static const char *key_name_of(const void *arg, size_t index)
{
    const struct berth_conf_section *section = arg;
    return section->settings[index].name;
}

static int unknown_key(struct reader *reader, const char *key)
{
    const struct berth_conf_section *section = reader->met->section;
    const char *near = berth_suggest(key, section->settings_count, key_name_of, section);
    return berth_fail(reader->err, BERTH_ECONF, "unknown key '%.*s' in section [%s]%s%s%s",
                      SHOWN_MAX, key, section->kind, near ? "; did you mean '" : "",
                      near ? near : "", near ? "'?" : "");
}

static int read_key(struct reader *reader, char *line)
{
    char *equals = strchr(line, '=');
    if (!equals)
        return berth_fail(reader->err, BERTH_ECONF, "'%.*s' is neither a section nor 'key = value'",
                          SHOWN_MAX, line);
    *equals = '\0';
    const char *key = trim(line), *value = trim(equals + 1);
    if (!reader->met)
        return berth_fail(reader->err, BERTH_ECONF, "key '%.*s' stands before any section",
                          SHOWN_MAX, key);

    const struct berth_conf_section *section = reader->met->section;
    BERTH_ASSERT(section->settings_count <= BERTH_SETTINGS_MAX);
    size_t index = 0;
    while (index < section->settings_count && strcmp(section->settings[index].name, key) != 0)
        index++;
    if (index == section->settings_count)
        return unknown_key(reader, key);

    const struct berth_setting *setting = &section->settings[index];
    if (reader->key_line[index] > 0 && setting->type != BERTH_SETTING_LIST)
        return berth_fail(reader->err, BERTH_ECONF,
                          "key '%s' is a second time here; the first is in line %d", key,
                          reader->key_line[index]);
    reader->key_line[index] = reader->line;
    return berth_setting_apply(setting, key, value, reader->target, reader->err);
}
