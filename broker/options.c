/* SPDX-License-Identifier: MIT */
#include "options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/endpoint.h"
#include "base/log.h"

static int check_data(const char *what, const char *text, struct berth_error *err);
static int check_http(const char *what, const char *text, struct berth_error *err);

/* The first SETTINGS_IN_FILE rows are the section [broker] of the file, too. */
static const struct berth_setting settings[] = {
    { .name = "data",
      .type = BERTH_SETTING_TEXT,
      .offset = offsetof(struct options, data),
      .value = "DIR",
      .env = "BERTH_DATA",
      .check = check_data,
      .help = "keep the database in DIR (default: $STATE_DIRECTORY, $XDG_STATE_HOME/berth or "
              "~/.local/state/berth)" },
    { .name = "listen",
      .type = BERTH_SETTING_URL,
      .offset = offsetof(struct options, listen),
      .value = "URL",
      .env = "BERTH_URL",
      .help = "listen for clients and workers (default: " BERTHD_LISTEN_DEFAULT ")" },
    { .name = "http",
      .type = BERTH_SETTING_TEXT,
      .offset = offsetof(struct options, http),
      .value = "ADDR:PORT|off",
      .env = "BERTH_HTTP",
      .check = check_http,
      .help = "listen for HTTP (default: " BERTHD_HTTP_DEFAULT "; not in this version)" },
    { .name = "log_level",
      .type = BERTH_SETTING_CHOICE,
      .offset = offsetof(struct options, log_level),
      .choices = berth_log_level_names,
      .value = "LEVEL",
      .help = "error, warn, info or debug (default: info)" },
    { .name = "insecure",
      .type = BERTH_SETTING_FLAG,
      .offset = offsetof(struct options, is_insecure),
      .help = "listen beyond this machine without keys: everybody who reaches the port may do "
              "everything" },
    { .name = "config",
      .type = BERTH_SETTING_TEXT,
      .offset = offsetof(struct options, config),
      .value = "FILE",
      .env = "BERTH_CONFIG",
      .help = "read settings and dispatchers from FILE, berthd.conf(5)" },
    { .name = "check_config",
      .type = BERTH_SETTING_FLAG,
      .offset = offsetof(struct options, wants_check),
      .help = "check options and file, start nothing" },
};
#define SETTINGS_COUNT   (sizeof settings / sizeof *settings)
#define SETTINGS_IN_FILE 5

const struct berth_program options_program = {
    .name = "berthd",
    .summary = "the broker: keeps jobs and gives them to workers",
    .examples = "  berthd\n"
                "  berthd --data /var/lib/berth --config /etc/berth/berthd.conf\n"
                "  berthd --config berthd.conf --check-config\n",
    .settings = settings,
    .settings_count = SETTINGS_COUNT,
};

int options_parse(struct berth_args *ret_args, int argc, char *const *argv, struct berth_error *err)
{
    return berth_args_parse(ret_args, &options_program, argc, argv, err);
}

static int read_file(struct options *options, struct berth_error *err)
{
    const struct berth_conf_section sections[] = {
        { .kind = "broker",
          .settings = settings,
          .settings_count = SETTINGS_IN_FILE,
          .target = options },
        { .kind = "dispatcher",
          .is_named = true,
          .settings = berth_seed_settings,
          .settings_count = berth_seed_settings_count,
          .begin = berth_seeds_begin },
    };
    return berth_conf_load(&options->conf, options->config, sections,
                           sizeof sections / sizeof *sections, &options->seeds, err);
}

static int check_listen(struct options *options, struct berth_error *err)
{
    struct berth_endpoint endpoint;
    int rc = berth_endpoint_parse("--listen", options->listen, &endpoint, err);
    if (rc < 0)
        return rc;
    options->is_open = !berth_endpoint_is_loopback(&endpoint);
    if (options->is_open && !options->is_insecure)
        return berth_fail(err, BERTH_EUSAGE,
                          "listening on '%s' without keys would let everybody in who reaches it; "
                          "listen on loopback or ipc, or give --insecure",
                          options->listen);
    return 0;
}

static int check_data(const char *what, const char *text, struct berth_error *err)
{
    if (text[0] != '\0')
        return 0;
    return berth_fail(err, BERTH_EVALUE, "%s: '' is not allowed; the path of a directory is wanted",
                      what);
}

static int check_http(const char *what, const char *text, struct berth_error *err)
{
    struct berth_endpoint endpoint;
    if (strcmp(text, "off") == 0)
        return 0;
    return berth_endpoint_parse_address(what, text, &endpoint, err);
}

int options_read(struct options *ret_options, const struct berth_args *args,
                 struct berth_error *err)
{
    struct options *options = ret_options;
    *options = (struct options){
        .listen = BERTHD_LISTEN_DEFAULT,
        .log_level = BERTH_LOG_INFO,
        .config = berth_args_find(args, "config"),
    };
    berth_seeds_init(&options->seeds);
    berth_conf_init(&options->conf);

    int rc = options->config ? read_file(options, err) : 0;
    if (rc >= 0)
        rc = berth_args_apply(args, options, NULL, err);
    if (rc >= 0) {
        rc = berth_seeds_check(&options->seeds, err);
        if (rc < 0)
            rc = berth_fail_wrap(err, rc, "%s", options->config);
    }
    if (rc >= 0)
        rc = check_listen(options, err);
    if (rc < 0) {
        options_fini(options);
        return rc;
    }
    options->is_http_given = options->http != NULL;
    if (!options->http)
        options->http = BERTHD_HTTP_DEFAULT;
    return 0;
}

void options_fini(struct options *options)
{
    berth_seeds_fini(&options->seeds);
    berth_conf_fini(&options->conf);
}

/* DIR/TAIL, with the folders of TAIL made as far as its last one, which the store makes. */
static char *path_below(const char *dir, const char *tail, struct berth_error *err)
{
    char *path = NULL;
    if (asprintf(&path, "%s/%s", dir, tail) < 0) {
        (void)berth_fail(err, -ENOMEM, "data directory");
        return NULL;
    }
    for (char *at = path + strlen(dir) + 1; (at = strchr(at, '/')) != NULL; at++) {
        *at = '\0';
        if (mkdir(path, 0700) < 0 && errno != EEXIST) {
            (void)berth_fail(err, -errno, "make the folder '%s' of the data directory", path);
            free(path);
            return NULL;
        }
        *at = '/';
    }
    return path;
}

static char *copy(const char *text, size_t bytes, struct berth_error *err)
{
    char *path = strndup(text, bytes);
    if (!path)
        (void)berth_fail(err, -ENOMEM, "data directory");
    return path;
}

char *options_data_dir(const struct options *options, struct berth_error *err)
{
    const char *dir;
    if (options->data)
        return copy(options->data, strlen(options->data), err);
    /* systemd gives several directories with colons between; the first is ours. */
    if ((dir = getenv("STATE_DIRECTORY")) != NULL && dir[0])
        return copy(dir, strcspn(dir, ":"), err);
    if ((dir = getenv("XDG_STATE_HOME")) != NULL && dir[0] == '/')
        return path_below(dir, "berth", err);
    if ((dir = getenv("HOME")) != NULL && dir[0] == '/')
        return path_below(dir, ".local/state/berth", err);
    (void)berth_fail(err, BERTH_EUSAGE, "no data directory: give --data, or set HOME");
    return NULL;
}
