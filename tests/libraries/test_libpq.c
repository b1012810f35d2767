/* SPDX-License-Identifier: MIT
 *
 * libpq: 20 connections at once on one carrier, each of which makes the server sleep for a second.
 *
 * The server is the test's own, in a folder of its own; as root it runs as the user `postgres`,
 * for it refuses root. Where no server is installed, the test says so and is skipped.
 */
#include "libs.h"

#include <errno.h>
#include <glob.h>
#include <libpq-fe.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "support/await.h"
#include "support/process.h"
#include "support/tempdir.h"

#define CONNECTIONS 20
#define PATH_BYTES  256
#define ARGS_MAX    40

struct cluster {
    char bin[PATH_BYTES]; /* the folder of the server's programs */
    char uid[16], gid[16];
    char *dir, *data;
    char port[8], conninfo[128];
    struct process server;
};

/* The folder of the newest server; false: there is none. */
static bool find_server(char *bin)
{
    glob_t found;
    bool is_there = glob("/usr/lib/postgresql/*/bin/initdb", 0, NULL, &found) == 0;
    if (is_there) {
        (void)snprintf(bin, PATH_BYTES, "%s", found.gl_pathv[found.gl_pathc - 1]);
        *strrchr(bin, '/') = '\0';
    }
    globfree(&found);
    return is_there;
}

/* Gives the folder to somebody who is not root, if we are. */
static bool find_user(struct cluster *c)
{
    if (geteuid() != 0)
        return true;
    const struct passwd *user = getpwnam("postgres");
    if (!user)
        return false;
    (void)snprintf(c->uid, sizeof c->uid, "--reuid=%u", (unsigned)user->pw_uid);
    (void)snprintf(c->gid, sizeof c->gid, "--regid=%u", (unsigned)user->pw_gid);
    return chown(c->dir, user->pw_uid, user->pw_gid) == 0;
}

/* One of its programs, as that somebody. `program` and the arguments, up to NULL. */
static void start(struct cluster *c, struct process *process, const char *const *args)
{
    char program[2 * PATH_BYTES];
    const char *argv[ARGS_MAX] = { NULL };
    size_t count = 0;
    (void)snprintf(program, sizeof program, "%s/%s", c->bin, args[0]);
    if (c->uid[0] != '\0') {
        argv[count++] = "setpriv";
        argv[count++] = c->uid;
        argv[count++] = c->gid;
        argv[count++] = "--clear-groups";
    }
    argv[count++] = program;
    for (size_t i = 1; args[i] && count < ARGS_MAX - 1; i++)
        argv[count++] = args[i];
    process_start(process, argv, NULL);
}

static void cluster_start(struct cluster *c)
{
    c->data = tempdir_path(c->dir, "data");
    (void)snprintf(c->port, sizeof c->port, "%u", (unsigned)free_port());
    (void)snprintf(c->conninfo, sizeof c->conninfo,
                   "host=127.0.0.1 port=%s user=weft dbname=postgres sslmode=disable "
                   "gssencmode=disable",
                   c->port);
    struct process initdb;
    start(c, &initdb,
          (const char *const[]){ "initdb", "-D", c->data, "-A", "trust", "-U", "weft", "--locale=C",
                                 "-E", "UTF8", "--no-sync", NULL });
    int rc = process_await_exit(&initdb, LIBS_WAIT_MS);
    if (rc != 0)
        print_error("initdb: %s\n", process_err(&initdb));
    assert_int_equal(rc, 0);
    process_fini(&initdb);
    start(c, &c->server,
          (const char *const[]){ "postgres", "-D", c->data, "-k", c->dir, "-p", c->port, "-c",
                                 "listen_addresses=127.0.0.1", "-c", "fsync=off", NULL });
    assert_true(process_await_text(&c->server, "ready to accept connections", LIBS_WAIT_MS));
}

static int ask(void *arg)
{
    const struct cluster *c = arg;
    int rc = -EIO;
    PGconn *conn = PQconnectdb(c->conninfo);
    if (PQstatus(conn) == CONNECTION_OK) {
        PGresult *result = PQexec(conn, "SELECT pg_sleep(1), 42");
        if (PQresultStatus(result) == PGRES_TUPLES_OK &&
            strcmp(PQgetvalue(result, 0, 1), "42") == 0)
            rc = 0;
        PQclear(result);
    }
    if (rc < 0)
        (void)fprintf(stderr, "libpq: %s\n", PQerrorMessage(conn));
    PQfinish(conn);
    return rc;
}

static void twenty_queries_of_a_second_wait_at_the_same_time(void **state)
{
    (void)state;
    struct cluster c = { .data = NULL };
    if (!find_server(c.bin)) {
        print_message("no PostgreSQL server is installed (Debian: postgresql)\n");
        skip();
    }
    c.dir = tempdir_new();
    assert_true(find_user(&c));
    cluster_start(&c);
    struct libs_many many = { .count = CONNECTIONS, .fn = ask, .arg = &c };

    int rc = libs_run(libs_run_many, &many);

    process_kill(&c.server, SIGINT);
    assert_int_equal(process_await_exit(&c.server, LIBS_WAIT_MS), 0);
    process_fini(&c.server);
    free(c.data);
    tempdir_free(c.dir);
    print_message("%d queries of 1,000 ms each: %d ms\n", CONNECTIONS, (int)many.took_ms);
    assert_int_equal(rc, 0);
    assert_in_range(many.took_ms, 1000, CONNECTIONS * 1000 * 3 / 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        libs_test(twenty_queries_of_a_second_wait_at_the_same_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
