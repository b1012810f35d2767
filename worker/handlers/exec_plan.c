/* SPDX-License-Identifier: MIT
 *
 * Arguments, environment and search path of a command. Pure but for reading the environment once.
 */
#include "worker/handlers/exec_plan.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define SURROUNDINGS_BYTES_MAX ((size_t)16 * 1024 * 1024)
#define PATH_DEFAULT           "/usr/local/bin:/usr/bin:/bin" /* when the worker has no PATH */
#define NUMBER_TEXT_MAX        24
#define OWN_VARIABLES_MAX      4 /* BERTH_JOB BERTH_ATTEMPT BERTH_DISPATCHER TRACEPARENT */

/* Set for one job, so never inherited: a worker may itself run in a job. */
static const char *const job_variables[] = { "BERTH_JOB",        "BERTH_ATTEMPT",
                                             "BERTH_DISPATCHER", "BERTH_ARRAY_INDEX",
                                             "BERTH_LINE",       "TRACEPARENT" };

static int no_memory(struct berth_error *err)
{
    return berth_fail(err, -ENOMEM, "prepare a command");
}

/* Whether the line "NAME=VALUE" is that of `name`. */
static bool is_variable(const char *line, const char *name)
{
    size_t bytes = strlen(name);
    return strncmp(line, name, bytes) == 0 && line[bytes] == '=';
}

static bool is_of_a_job(const char *line)
{
    for (size_t i = 0; i < sizeof job_variables / sizeof *job_variables; i++)
        if (is_variable(line, job_variables[i]))
            return true;
    return false;
}

int exec_surroundings_init(struct exec_surroundings *surroundings, struct berth_error *err)
{
    *surroundings = (struct exec_surroundings){ .path = PATH_DEFAULT };
    berth_arena_init(&surroundings->arena, SURROUNDINGS_BYTES_MAX);
    size_t count = 0;
    while (environ && environ[count])
        count++;
    char **env = berth_arena_alloc_array(&surroundings->arena, count + 1, sizeof *env);
    if (!env)
        return berth_fail(err, -ENOMEM, "copy the environment");
    for (size_t i = 0; i < count; i++) {
        if (is_of_a_job(environ[i]))
            continue;
        char *line = berth_arena_strdup(&surroundings->arena, environ[i]);
        if (!line)
            return berth_fail(err, -ENOMEM, "copy the environment");
        if (is_variable(line, "PATH"))
            surroundings->path = line + sizeof "PATH=" - 1;
        env[surroundings->env_count++] = line;
    }
    env[surroundings->env_count] = NULL;
    surroundings->env = env;
    return 0;
}

void exec_surroundings_fini(struct exec_surroundings *surroundings)
{
    berth_arena_fini(&surroundings->arena);
}

static int refuse_nul(const char *what, const void *data, size_t bytes, struct berth_error *err)
{
    if (bytes > 0 && memchr(data, '\0', bytes))
        return berth_fail(err, -EINVAL, "%s holds a NUL byte", what);
    return 0;
}

static int plan_argv(struct exec_plan *plan, const struct exec_command *command,
                     struct berth_error *err)
{
    if (command->argv_count == 0 || command->argv[0].bytes == 0)
        return berth_fail(err, -EINVAL, "argv is empty");
    plan->argv = berth_arena_alloc_array(&plan->arena, command->argv_count + 1, sizeof *plan->argv);
    if (!plan->argv)
        return no_memory(err);
    for (size_t i = 0; i < command->argv_count; i++) {
        const struct berth_slice *arg = &command->argv[i];
        int rc = refuse_nul("argv", arg->data, arg->bytes, err);
        if (rc < 0)
            return rc;
        plan->argv[i] = berth_arena_strndup(&plan->arena, arg->bytes ? arg->data : "", arg->bytes);
        if (!plan->argv[i])
            return no_memory(err);
    }
    plan->argv[command->argv_count] = NULL;
    return 0;
}

/* "FOLDER/NAME". An empty folder in PATH means the current one, as for a shell. */
static char *join_path(struct berth_arena *arena, const char *folder, size_t folder_bytes,
                       const char *name)
{
    if (folder_bytes == 0) {
        folder = ".";
        folder_bytes = 1;
    }
    size_t name_bytes = strlen(name);
    char *path = berth_arena_alloc(arena, folder_bytes + 1 + name_bytes + 1);
    if (!path)
        return NULL;
    memcpy(path, folder, folder_bytes);
    path[folder_bytes] = '/';
    memcpy(path + folder_bytes + 1, name, name_bytes + 1);
    return path;
}

static int plan_paths(struct exec_plan *plan, const char *search, struct berth_error *err)
{
    char *name = plan->argv[0];
    size_t count = 1;
    for (const char *at = search; *at; at++)
        count += *at == ':';
    plan->paths = berth_arena_alloc_array(&plan->arena, count + 1, sizeof *plan->paths);
    if (!plan->paths)
        return no_memory(err);
    if (strchr(name, '/')) {
        plan->paths[0] = name;
        plan->paths[1] = NULL;
        return 0;
    }
    for (size_t i = 0; i < count; i++) {
        size_t bytes = strcspn(search, ":");
        plan->paths[i] = join_path(&plan->arena, search, bytes, name);
        if (!plan->paths[i])
            return no_memory(err);
        search += bytes + 1;
    }
    plan->paths[count] = NULL;
    return 0;
}

static int add_variable(struct exec_plan *plan, size_t *count, const char *name,
                        struct berth_slice value, struct berth_error *err)
{
    int rc = refuse_nul(name, value.data, value.bytes, err);
    if (rc < 0)
        return rc;
    size_t name_bytes = strlen(name);
    char *line = berth_arena_alloc(&plan->arena, name_bytes + 1 + value.bytes + 1);
    if (!line)
        return no_memory(err);
    memcpy(line, name, name_bytes);
    line[name_bytes] = '=';
    if (value.bytes > 0)
        memcpy(line + name_bytes + 1, value.data, value.bytes);
    line[name_bytes + 1 + value.bytes] = '\0';
    plan->envp[(*count)++] = line;
    return 0;
}

static int add_number(struct exec_plan *plan, size_t *count, const char *name, uint64_t value,
                      struct berth_error *err)
{
    char text[NUMBER_TEXT_MAX];
    int bytes = snprintf(text, sizeof text, "%" PRIu64, value);
    return add_variable(plan, count, name, (struct berth_slice){ text, (size_t)bytes }, err);
}

static bool is_replaced(const char *line, const struct exec_command *command)
{
    for (size_t i = 0; i < command->env_count; i++)
        if (is_variable(line, command->env[i].key))
            return true;
    return false;
}

static int plan_env(struct exec_plan *plan, const struct exec_surroundings *surroundings,
                    const struct exec_command *command, struct berth_error *err)
{
    size_t room = surroundings->env_count + command->env_count + OWN_VARIABLES_MAX + 1, count = 0;
    plan->envp = berth_arena_alloc_array(&plan->arena, room, sizeof *plan->envp);
    if (!plan->envp)
        return no_memory(err);
    for (size_t i = 0; i < surroundings->env_count; i++)
        if (!is_replaced(surroundings->env[i], command))
            plan->envp[count++] = surroundings->env[i];

    int rc = add_number(plan, &count, "BERTH_JOB", command->job, err);
    if (rc == 0)
        rc = add_number(plan, &count, "BERTH_ATTEMPT", command->number, err);
    if (rc == 0)
        rc = add_variable(plan, &count, "BERTH_DISPATCHER", command->dispatcher, err);
    if (rc == 0 && command->traceparent.bytes > 0)
        rc = add_variable(plan, &count, "TRACEPARENT", command->traceparent, err);
    for (size_t i = 0; rc == 0 && i < command->env_count; i++) {
        const struct berth_field *field = &command->env[i];
        struct berth_slice value = { field->value, strlen(field->value) };
        rc = add_variable(plan, &count, field->key, value, err);
    }
    plan->envp[count] = NULL;
    return rc;
}

int exec_plan_init(struct exec_plan *plan, const struct exec_surroundings *surroundings,
                   const struct exec_command *command, struct berth_error *err)
{
    *plan = (struct exec_plan){ .argv = NULL };
    berth_arena_init(&plan->arena, EXEC_PLAN_BYTES_MAX);
    int rc = plan_argv(plan, command, err);
    if (rc == 0)
        rc = plan_paths(plan, surroundings->path, err);
    if (rc == 0)
        rc = plan_env(plan, surroundings, command, err);
    if (rc < 0 || command->payload.bytes == 0)
        return rc;
    plan->payload.data =
        berth_arena_memdup(&plan->arena, command->payload.data, command->payload.bytes);
    plan->payload.bytes = command->payload.bytes;
    return plan->payload.data ? 0 : no_memory(err);
}

void exec_plan_fini(struct exec_plan *plan)
{
    berth_arena_fini(&plan->arena);
}
