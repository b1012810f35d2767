/* SPDX-License-Identifier: MIT */
/* berth-worker: options, and then one of its two processes. */
#include <stdio.h>

#include "base/buf.h"
#include "base/log.h"
#include "worker/child.h"
#include "worker/keeper.h"
#include "worker/options.h"

#define EXIT_FAILED    1
#define EXIT_USAGE     2
#define HELP_BYTES_MAX (1u << 16)

/* Too large for a stack. */
static struct berth_args the_args;
static struct options the_options;

static int complain(const struct berth_error *err)
{
    (void)fprintf(stderr, "berth-worker: %s\n", err->message);
    return err->code == BERTH_EUSAGE || err->code == BERTH_ECONF ? EXIT_USAGE : EXIT_FAILED;
}

static int print(const struct berth_args *args)
{
    BERTH_AUTO(berth_buf) buf = berth_buf_new(HELP_BYTES_MAX);
    if (!buf || (args->wants_help ? berth_args_help(args, buf) : berth_args_version(args, buf)) < 0)
        return EXIT_FAILED;
    bool is_written = fwrite(berth_buf_text(buf), 1, buf->bytes, stdout) == buf->bytes;
    return is_written && fflush(stdout) == 0 ? 0 : EXIT_FAILED;
}

int main(int argc, char **argv)
{
    struct berth_error err;
    if (options_parse(&the_args, argc, argv, &err) < 0)
        return complain(&err);
    if (the_args.wants_help || the_args.wants_version)
        return print(&the_args);
    if (options_read(&the_options, &the_args, &err) < 0)
        return complain(&err);

    berth_log_init("berth-worker", (enum berth_log_level)the_options.log_level);
    int status;
    if (the_options.child_fd >= 0)
        status = child_run(&the_options, &the_args);
    else
        status = keeper_run(&(struct keeper_opts){ .argc = argc,
                                                   .argv = argv,
                                                   .broker_url = the_options.broker,
                                                   .is_alone = the_options.is_alone });
    options_fini(&the_options);
    return status;
}
