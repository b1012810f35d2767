/* SPDX-License-Identifier: MIT */
/* berth-sim: runs seeds through the simulator; a seed that fails replays with --seed N --verbose.
 */
#include <getopt.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sim.h"

#define TICKS_DEFAULT   2000000
#define CHAOS_S_DEFAULT 40
#define DRIP_CHAOS      4 /* times as long: a few tokens of less than one a minute */

static const struct {
    const char *name;
    unsigned faults;
} fault_names[] = { { "none", 0 },
                    { "broker", FAULT_BROKER },
                    { "child", FAULT_CHILD },
                    { "host", FAULT_HOST },
                    { "cut", FAULT_CUT },
                    { "partition", FAULT_PARTITION },
                    { "freeze", FAULT_FREEZE },
                    { "full", FAULT_FULL },
                    { "drain", FAULT_DRAIN },
                    { "limits", FAULT_LIMITS },
                    { "late", FAULT_LATE },
                    { "stall", FAULT_STALL },
                    { "clock", FAULT_CLOCK },
                    { "stop", FAULT_STOP },
                    { "all", FAULT_ALL } };

static const char usage[] =
    "usage: berth-sim [--seeds N] [--first N] [--seed N] [--file seeds.txt] [--faults a,b] "
    "[--ticks N]\n"
    "                 [--chaos SECONDS] [--jobs N] [--day] [--no-promises] [--verbose]\n"
    "  berth-sim --seeds 1000          seeds 1 to 1000\n"
    "  berth-sim --seed 17 --verbose   one seed, every event\n"
    "  --day           a day of recurring jobs, with one worker and faults now and then\n"
    "  --no-promises   without the checker that knows the disk: what is promised too early is "
    "found\n"
    "                  only by what follows from it\n"
    "faults: none broker child host cut partition freeze full drain limits late stall clock stop "
    "all\n";

static int usage_error(const char *what, const char *value)
{
    fprintf(stderr, "berth-sim: %s '%s'\n%s", what, value, usage);
    return 2;
}

static bool parse_number(const char *text, uint64_t *ret_number)
{
    char *end;
    *ret_number = strtoull(text, &end, 10);
    return *text >= '0' && *text <= '9' && *end == '\0';
}

static bool parse_faults(const char *text, unsigned *ret_faults)
{
    *ret_faults = 0;
    while (*text) {
        size_t bytes = strcspn(text, ",");
        bool is_known = false;
        for (size_t i = 0; i < sizeof fault_names / sizeof *fault_names; i++) {
            if (strlen(fault_names[i].name) == bytes &&
                strncmp(fault_names[i].name, text, bytes) == 0) {
                *ret_faults |= fault_names[i].faults;
                is_known = true;
            }
        }
        if (!is_known)
            return false;
        text += bytes + (text[bytes] == ',');
    }
    return true;
}

static char seed_line[64]; /* of the run under way */

/* An assertion of a core or of the store: it has said what, and this says where. */
static void on_abort(int signal_number)
{
    (void)signal_number;
    ssize_t written = write(STDERR_FILENO, seed_line, strlen(seed_line));
    (void)written;
}

/* The size of the world is drawn from the seed too. */
static int run_seed(const struct sim_opts *given, uint64_t seed)
{
    struct sim_opts opts = *given;
    opts.seed = seed;
    snprintf(seed_line, sizeof seed_line, "seed %llu fails by an assertion\n",
             (unsigned long long)seed);
    opts.clients = 1 + (unsigned)(seed % 3);
    opts.workers = 1 + (unsigned)(seed / 3 % 4);
    if (!opts.jobs)
        opts.jobs = 20 + (unsigned)(seed % 5) * 15;
    if (rates_have_drip(&(struct sim){ .opts = opts }))
        opts.chaos_us *= DRIP_CHAOS;
    return sim_run(&opts);
}

static int run_file(const struct sim_opts *opts, const char *path, uint64_t *ret_count)
{
    FILE *file = fopen(path, "re");
    if (!file) {
        fprintf(stderr, "berth-sim: cannot open '%s'\n", path);
        return -1;
    }
    char line[128];
    int rc = 0;
    while (rc == 0 && fgets(line, sizeof line, file)) {
        line[strcspn(line, " #\n")] = '\0';
        uint64_t seed;
        if (!*line)
            continue;
        if (!parse_number(line, &seed)) {
            fprintf(stderr, "berth-sim: '%s' in %s is not a seed\n", line, path);
            rc = -1;
            break;
        }
        rc = run_seed(opts, seed);
        ++*ret_count;
    }
    fclose(file);
    return rc;
}

static void print_stats(void)
{
    const struct sim_stats *all = &sim_total;
    printf("%llu seeds, all well: %llu jobs acknowledged, %llu attempts started, %llu cancels "
           "accepted, %llu jobs lived again, %llu discarded, %llu dispatchers removed, %llu "
           "instants fired, %llu submitted as children, %llu broker starts, %llu lives of workers' "
           "children, %llu events in %.1f virtual hours\n",
           (unsigned long long)all->runs, (unsigned long long)all->acknowledged,
           (unsigned long long)all->starts, (unsigned long long)all->cancelled,
           (unsigned long long)all->revived, (unsigned long long)all->discarded,
           (unsigned long long)all->removed, (unsigned long long)all->instants,
           (unsigned long long)all->offspring, (unsigned long long)all->broker_starts,
           (unsigned long long)all->children, (unsigned long long)all->steps,
           (double)all->virtual_us / 3.6e9);
}

static void take_day(struct sim_opts *opts)
{
    opts->is_a_day = true;
    opts->chaos_us = INT64_C(86400) * SECOND;
    opts->clients = opts->workers = opts->jobs = 1;
    opts->faults &= ~(unsigned)FAULT_LIMITS;
}

/* The seeds of a file, or so many from one on. */
static int run_all(const struct sim_opts *opts, const char *path, uint64_t first, uint64_t count)
{
    uint64_t ran = 0;
    if (path && run_file(opts, path, &ran) < 0)
        return 1;
    for (; !path && ran < count; ran++)
        if (run_seed(opts, first + ran) < 0)
            return 1;
    print_stats();
    return 0;
}

int main(int argc, char **argv)
{
    static const struct option options[] = { { "seeds", required_argument, NULL, 'n' },
                                             { "first", required_argument, NULL, 'f' },
                                             { "seed", required_argument, NULL, 's' },
                                             { "file", required_argument, NULL, 'F' },
                                             { "faults", required_argument, NULL, 'x' },
                                             { "ticks", required_argument, NULL, 't' },
                                             { "chaos", required_argument, NULL, 'c' },
                                             { "jobs", required_argument, NULL, 'j' },
                                             { "day", no_argument, NULL, 'd' },
                                             { "no-promises", no_argument, NULL, 'p' },
                                             { "verbose", no_argument, NULL, 'v' },
                                             { "help", no_argument, NULL, 'h' },
                                             { 0 } };
    struct sim_opts opts = { .ticks = TICKS_DEFAULT,
                             .chaos_us = CHAOS_S_DEFAULT * SECOND,
                             .faults = FAULT_ALL };
    uint64_t first = 1, count = 1, number;
    const char *path = NULL;
    int option;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == 'h') {
            fputs(usage, stdout);
            return 0;
        }
        if (option == '?')
            return usage_error("see", "--help");
        if (option == 'v' || option == 'p') {
            opts.is_verbose |= option == 'v';
            opts.has_no_promises |= option == 'p';
            continue;
        }
        if (option == 'd') {
            take_day(&opts);
            continue;
        }
        if (option == 'F') {
            path = optarg;
            continue;
        }
        if (option == 'x') {
            if (!parse_faults(optarg, &opts.faults))
                return usage_error("not a list of faults:", optarg);
            continue;
        }
        if (!parse_number(optarg, &number))
            return usage_error("not a number:", optarg);
        switch (option) {
        case 'n': count = number; break;
        case 'f': first = number; break;
        case 's':
            first = number;
            count = 1;
            break;
        case 't': opts.ticks = (int64_t)number; break;
        case 'c': opts.chaos_us = (int64_t)number * SECOND; break;
        default: opts.jobs = (unsigned)number; break;
        }
    }
    signal(SIGABRT, on_abort);
    return run_all(&opts, path, first, count);
}
