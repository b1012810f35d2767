/* SPDX-License-Identifier: MIT */
/* berth: everything that a person types. The table of commands, and from it the help. */
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/buf.h"
#include "base/text.h"
#include "cli/bar.h"
#include "cli/cli.h"

#define HELP_BYTES_MAX         (64u << 10)
#define CONNECT_TIMEOUT_MS     3000
#define CONNECT_TIMEOUT_MS_MAX (INT64_C(24) * 60 * 60 * 1000)

static const struct berth_setting settings[] = {
    { .name = "broker",
      .type = BERTH_SETTING_URL,
      .offset = offsetof(struct cli_opts, broker),
      .value = "URL",
      .help = "the broker: tcp://HOST:PORT or ipc://PATH (default " BERTH_URL_DEFAULT ")",
      .env = "BERTH_URL" },
    { .name = "connect_timeout",
      .type = BERTH_SETTING_DURATION,
      .offset = offsetof(struct cli_opts, connect_timeout_ms),
      .min = 1,
      .max = CONNECT_TIMEOUT_MS_MAX,
      .value = "TIME",
      .help = "end with 69 if no answer has come by then (default 3s)" },
    { .name = "json",
      .type = BERTH_SETTING_FLAG,
      .offset = offsetof(struct cli_opts, is_json),
      .help = "one JSON document on stdout" },
    { .name = "quiet",
      .letter = 'q',
      .type = BERTH_SETTING_FLAG,
      .offset = offsetof(struct cli_opts, is_quiet),
      .help = "ids or names only" },
};

/* NOLINTBEGIN(bugprone-sizeof-expression): these are arrays of pointers */
static const struct berth_command *const commands[] = {
    &cmd_up,
    &cmd_submit,
    &cmd_ls,
    &cmd_show,
    &cmd_wait,
    &cmd_logs,
    &cmd_cancel,
    &cmd_retry,
    &cmd_discard,
    &cmd_explain,
    &cmd_dispatcher_ls,
    &cmd_dispatcher_show,
    &cmd_dispatcher_set,
    &cmd_dispatcher_pause,
    &cmd_dispatcher_resume,
    &cmd_dispatcher_purge,
    &cmd_dispatcher_rm,
    &cmd_schedule_ls,
    &cmd_schedule_set,
    &cmd_schedule_pause,
    &cmd_schedule_resume,
    &cmd_schedule_rm,
    &cmd_worker_ls,
    &cmd_worker_gone,
    &cmd_broker_status,
    &cmd_completion,
};

/* Known by name, so that nobody takes them for a typing error. */
static const char *const later[] = {
    "worker drain", "key new", "key ls",        "key revoke",
    "top",          "trace",   "broker backup", "broker check",
};

#define COUNT_OF(array) (sizeof(array) / sizeof *(array))
#define COMMANDS        (COUNT_OF(commands) + COUNT_OF(later))

static const char examples[] =
    "  berth up                                  a broker and workers, on this machine\n"
    "  berth dispatcher set newsletter --limit 5\n"
    "  berth submit -d newsletter -- send-mail alice\n"
    "  berth wait 1\n";

/* What is cut short leaves nothing that would have to be tidied up. */
static void on_interrupt(int signal)
{
    (void)signal;
    bar_interrupt();
    _exit(CLI_INTERRUPTED);
}

static int print_buf(struct berth_buf *buf, int rc)
{
    if (rc == 0)
        (void)fputs(berth_buf_text(buf), stdout);
    berth_buf_fini(buf);
    return rc == 0 ? CLI_OK : CLI_FAILED;
}

static int help_or_version(const struct berth_args *args)
{
    struct berth_buf buf;
    berth_buf_init(&buf, HELP_BYTES_MAX);
    return print_buf(&buf, args->wants_help ? berth_args_help(args, &buf)
                                            : berth_args_version(args, &buf));
}

static int run(struct cli *cli, int rc)
{
    const struct berth_command *command = cli->args->command;
    if (command && !command->summary)
        return cli_usage("'berth %s' is not there yet: it comes with a later release",
                         command->name);
    if (rc < 0)
        return cli_fail(cli, rc);
    if (cli->args->wants_help || cli->args->wants_version)
        return help_or_version(cli->args);
    BERTH_ASSERT(command); /* parsing fails without one */
    return command->run(cli);
}

/* Data that did not arrive is a failure, whatever the command says. */
static int finish(int code)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return code;
    perror("berth: write to stdout");
    return code == CLI_OK ? CLI_FAILED : code;
}

int main(int argc, char **argv)
{
    /* For wcwidth(3). Whatever the user's locale: what we read and write is UTF-8. */
    (void)setlocale(LC_CTYPE, "C.UTF-8");
    struct sigaction interrupt = { .sa_handler = on_interrupt };
    (void)sigaction(SIGINT, &interrupt, NULL);

    static struct berth_command rows[COMMANDS];
    for (size_t i = 0; i < COMMANDS; i++)
        rows[i] = i < COUNT_OF(commands)
                      ? *commands[i]
                      : (struct berth_command){ .name = later[i - COUNT_OF(commands)] };
    const struct berth_program program = { .name = "berth",
                                           .summary = "submit jobs to Berth, and look after them",
                                           .examples = examples,
                                           .settings = settings,
                                           .settings_count = COUNT_OF(settings),
                                           .commands = rows,
                                           .commands_count = COMMANDS };
    static struct berth_args args;
    static struct cli cli = { .opts = { .connect_timeout_ms = CONNECT_TIMEOUT_MS } };
    cli.args = &args;
    int rc = berth_args_parse(&args, &program, argc, argv, &cli.err);
    int code = finish(run(&cli, rc));
    berth_client_close(cli.client);
    return code;
}
/* NOLINTEND(bugprone-sizeof-expression) */
