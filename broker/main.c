/* SPDX-License-Identifier: MIT */
/* berthd: options, the order of a start, and the end.
 *
 * The order is that of promise 4: the lock and the new epoch first, then dispatchers and sessions
 * (with every limit taken as full), then jobs, and only then the socket.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/signalfd.h>

#include <berth/version.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/notify.h"
#include "broker.h"
#include "broker/net/peers.h"
#include "options.h"

#define EXIT_FAILED     1
#define EXIT_USAGE      2
#define EXIT_STORE_LOST 75 /* start it again: EX_TEMPFAIL of sysexits(3) */

#define BODY_BYTES_BUDGET (1ull << 30) /* of bodies in memory after a start */

struct daemon {
    struct berth_args args;
    struct options both[2], *options; /* those in force, and a place to read others into */
    int signal_fd;
    struct berth_store *store;
    struct berth_store_info info;
    struct berth_core *core;
    struct berth_net *net;
    struct berth_translate *translate;
    struct broker *broker;
};

static int print_and_exit(const struct berth_args *args);
static int run(struct daemon *daemon);
static int start(struct daemon *daemon, struct berth_error *err);
static void stop(struct daemon *daemon);

/* Too large for a stack; and what is still held when the store is lost stays reachable. */
static struct daemon the_daemon;

static int complain(const struct berth_error *err)
{
    (void)fprintf(stderr, "berthd: %s\n", err->message);
    return err->code == BERTH_EUSAGE || err->code == BERTH_ECONF ? EXIT_USAGE : EXIT_FAILED;
}

int main(int argc, char **argv)
{
    struct daemon *daemon = &the_daemon;
    struct berth_error err;
    if (options_parse(&daemon->args, argc, argv, &err) < 0)
        return complain(&err);
    if (daemon->args.wants_help || daemon->args.wants_version)
        return print_and_exit(&daemon->args);
    daemon->options = &daemon->both[0];
    if (options_read(daemon->options, &daemon->args, &err) < 0)
        return complain(&err);

    int rc = 0;
    if (daemon->options->wants_check)
        (void)printf("berthd: the configuration is valid\n");
    else
        rc = run(daemon);
    if (rc != EXIT_STORE_LOST)
        options_fini(daemon->options);
    return rc;
}

static int print_and_exit(const struct berth_args *args)
{
    BERTH_AUTO(berth_buf) buf = berth_buf_new(1u << 16);
    if (!buf || (args->wants_help ? berth_args_help(args, buf) : berth_args_version(args, buf)) < 0)
        return EXIT_FAILED;
    return fwrite(berth_buf_text(buf), 1, buf->bytes, stdout) == buf->bytes && fflush(stdout) == 0
               ? 0
               : EXIT_FAILED;
}

static int run(struct daemon *daemon)
{
    struct berth_error err;
    int rc = start(daemon, &err);
    if (rc < 0) {
        rc = complain(&err);
        stop(daemon);
        return rc;
    }
    switch (broker_run(daemon->broker)) {
    case BROKER_STOPPED:
        stop(daemon);
        berth_log(BERTH_LOG_INFO, "stopped");
        return 0;
    case BROKER_LOOP_FAILED: stop(daemon); return EXIT_FAILED;
    case BROKER_STORE_LOST: return EXIT_STORE_LOST;
    }
    BERTH_UNREACHABLE();
}

/* Signals come through a descriptor, to this thread; those that are made later inherit the mask. */
static int open_signals(struct berth_error *err)
{
    sigset_t set;
    (void)signal(SIGPIPE, SIG_IGN);
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGTERM);
    (void)sigaddset(&set, SIGINT);
    (void)sigaddset(&set, SIGHUP);
    if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
        return berth_fail(err, -errno, "block signals");
    int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return fd < 0 ? berth_fail(err, -errno, "take signals") : fd;
}

/* A descriptor for each connection; libzmq is at its worst when they run out. */
static void raise_descriptor_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
}

static int draw(uint64_t *ret_number, struct berth_error *err)
{
    if (getrandom(ret_number, sizeof *ret_number, 0) != (ssize_t)sizeof *ret_number)
        return berth_fail(err, -errno, "draw a random number");
    return 0;
}

static int load_dispatcher(void *core, const struct berth_dispatcher_record *record)
{
    return berth_core_load_dispatcher(core, record);
}

static int load_session(void *core, const struct berth_session_record *record)
{
    return berth_core_load_session(core, record);
}

static int load_schedule(void *core, const struct berth_schedule_record *record,
                         const struct berth_schedule_done_record *done)
{
    return berth_core_load_schedule(core, record, done);
}

static int load_job(void *core, const struct berth_job_record *record)
{
    return berth_core_load_job(core, record);
}

static int load_ended_key(void *core, const struct berth_job_record *record)
{
    return berth_core_load_ended_key(core, record);
}

static int open_store(struct daemon *daemon, uint64_t lineage, struct berth_error *err)
{
    BERTH_AUTO_MEM char *dir = options_data_dir(daemon->options, err);
    if (!dir)
        return err->code;
    struct berth_store_opts opts = {
        .dir = dir,
        .lineage = lineage,
        .wall_us = berth_clock_wall_us(),
    };
    return berth_store_open("sqlite", &opts, &daemon->store, &daemon->info, err);
}

/* What the store has, in the core. */
static int load(struct daemon *daemon, uint64_t lineage, struct berth_error *err)
{
    uint64_t seed;
    int rc = draw(&seed, err);
    if (rc < 0)
        return rc;
    struct berth_core_opts opts = {
        .epoch = daemon->info.epoch,
        .lineage = lineage,
        .next_job_id = daemon->info.next_job_id,
        .next_dispatcher_id = daemon->info.next_dispatcher_id,
        .next_schedule_id = daemon->info.next_schedule_id,
        .seed = seed,
        .body_bytes_max = BODY_BYTES_BUDGET,
    };
    daemon->core = berth_core_new(&opts, err);
    if (!daemon->core)
        return err->code;
    const struct berth_store_visitor visitor = {
        .arg = daemon->core,
        .dispatcher = load_dispatcher,
        .session = load_session,
        .schedule = load_schedule,
        .job = load_job,
        .ended_key = load_ended_key,
        .body_bytes_budget = BODY_BYTES_BUDGET,
    };
    rc = berth_store_load(daemon->store, &visitor, err);
    if (rc < 0)
        return rc;
    rc = berth_core_start(daemon->core, berth_clock_monotonic_ms(), berth_clock_wall_us());
    return rc < 0 ? berth_fail(err, rc, "start the core") : 0;
}

/* SIGHUP: what can change while we run is the level of the log and the dispatchers. */
static void reload(void *arg)
{
    struct daemon *daemon = arg;
    struct options *old = daemon->options;
    struct options *fresh = old == &daemon->both[0] ? &daemon->both[1] : &daemon->both[0];
    struct berth_error err;
    if (options_read(fresh, &daemon->args, &err) < 0) {
        berth_log(BERTH_LOG_ERROR, "the old configuration stays in force", BERTH_LOG_ERR(&err));
        return;
    }
    daemon->options = fresh;
    berth_log_init("berthd", (enum berth_log_level)fresh->log_level);
    broker_seed(daemon->broker, &fresh->seeds);
    broker_renew_zones(daemon->broker);
    options_fini(old);
    berth_log(BERTH_LOG_INFO, "reloaded");
}

static int make_loop(struct daemon *daemon, struct berth_error *err)
{
    int rc = berth_net_open(BERTH_PEERS_MAX, &daemon->net, err);
    if (rc < 0)
        return rc;
    daemon->translate = berth_translate_new(&(struct berth_translate_opts){
        .epoch = daemon->info.epoch, .software = "berthd " BERTH_VERSION });
    if (!daemon->translate)
        return berth_fail(err, -ENOMEM, "start");
    const struct broker_opts opts = {
        .core = daemon->core,
        .store = daemon->store,
        .net = daemon->net,
        .translate = daemon->translate,
        .signal_fd = daemon->signal_fd,
        .reload = reload,
        .reload_arg = daemon,
    };
    daemon->broker = broker_new(&opts, err);
    return daemon->broker ? 0 : err->code;
}

/* What a person should know of this start. */
static void say_hello(const struct daemon *daemon)
{
    const struct options *options = daemon->options;
    if (options->is_http_given && strcmp(options->http, "off") != 0)
        berth_log(BERTH_LOG_WARN, "not listening for HTTP: this version has no HTTP door yet",
                  BERTH_LOG_TEXT("http", options->http));
    if (options->is_open)
        berth_log(BERTH_LOG_WARN,
                  "listening beyond this machine without keys: whoever reaches the port may do "
                  "everything");
    berth_log(BERTH_LOG_INFO, "listening", BERTH_LOG_TEXT("url", berth_net_endpoint(daemon->net)),
              BERTH_LOG_U64("epoch", daemon->info.epoch), BERTH_LOG_TEXT("version", BERTH_VERSION));
}

static int start(struct daemon *daemon, struct berth_error *err)
{
    berth_log_init("berthd", (enum berth_log_level)daemon->options->log_level);
    raise_descriptor_limit();
    daemon->signal_fd = open_signals(err);
    if (daemon->signal_fd < 0)
        return daemon->signal_fd;

    uint64_t lineage;
    int rc = draw(&lineage, err);
    if (rc >= 0)
        rc = open_store(daemon, lineage, err);
    if (rc >= 0)
        rc = load(daemon, lineage, err);
    if (rc >= 0)
        rc = make_loop(daemon, err);
    if (rc < 0)
        return rc;

    broker_seed(daemon->broker, &daemon->options->seeds);
    broker_renew_zones(daemon->broker);
    if (!broker_settle(daemon->broker))
        return 0;
    rc = berth_net_bind(daemon->net, daemon->options->listen, err);
    if (rc < 0)
        return rc;
    say_hello(daemon);
    (void)berth_notify("READY=1");
    return 0;
}

static void stop(struct daemon *daemon)
{
    berth_net_close(daemon->net, BERTH_NET_LINGER_MS);
    berth_store_close(daemon->store);
    broker_free(daemon->broker);
    berth_translate_free(daemon->translate);
    berth_core_free(daemon->core);
    berth_close(daemon->signal_fd);
}
