/* SPDX-License-Identifier: MIT */
/* Who asks, for people: USER@HOST. Not a proof of anything. */
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "client/call.h"
#include "proto/limits.h"

#define PASSWD_BYTES_MAX 4096
#define PART_BYTES_MAX   (((size_t)BERTH_WHO_BYTES - 2) / 2)

static void take_user(char user[static PART_BYTES_MAX + 1])
{
    struct passwd entry, *found = NULL;
    char memory[PASSWD_BYTES_MAX];
    uid_t uid = geteuid();
    if (getpwuid_r(uid, &entry, memory, sizeof memory, &found) == 0 && found)
        (void)snprintf(user, PART_BYTES_MAX + 1, "%s", found->pw_name);
    else
        (void)snprintf(user, PART_BYTES_MAX + 1, "%lu", (unsigned long)uid);
}

_Static_assert(BERTH_WHO_BYTES == BERTH_CHANGED_BY_MAX + 1, "what the wire carries");
_Static_assert(PART_BYTES_MAX < HOST_NAME_MAX, "the name of a host may have to be cut");

static void take_host(char host[static PART_BYTES_MAX + 1])
{
    char name[HOST_NAME_MAX + 1] = "";
    if (gethostname(name, sizeof name) < 0)
        name[0] = '\0';
    name[sizeof name - 1] = '\0';
    memcpy(host, name, PART_BYTES_MAX);
    host[PART_BYTES_MAX] = '\0';
}

void berth_who(char who[static BERTH_WHO_BYTES])
{
    char user[PART_BYTES_MAX + 1], host[PART_BYTES_MAX + 1];
    take_user(user);
    take_host(host);
    (void)snprintf(who, BERTH_WHO_BYTES, "%s@%s", user, host);
    for (char *c = who; *c != '\0'; c++)
        if (*c < ' ' || *c > '~')
            *c = '?';
}
