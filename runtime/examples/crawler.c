/* SPDX-License-Identifier: MIT
 *
 * usage: weft_crawler http://HOST[:PORT]/PATH [PAGES [AT_ONCE [PAGE_MS]]]
 *
 * Fetches a page, follows its links within the host, and says how each of at most PAGES (100) pages
 * was. Three limits hold it: AT_ONCE (8) requests in progress, PAGE_MS (5,000) for each, a minute
 * for all. It asks no robots.txt: mind whom you crawl.
 */
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <weft/weft.h>

#define PAGES_MAX  10000
#define PATH_BYTES 512
#define PAGE_BYTES 262144 /* of a longer page the rest is not read */
#define ALL_MS     60000

/* All coroutines run on one serial view of weft_virtual(): only one runs at a time, so nobody else
 * changes any of this between two calls that wait, and it needs no lock. */
static struct crawl {
    char host[256], port[8];
    long pages_max, at_once, page_ms, page_count, failed;
    char paths[PAGES_MAX][PATH_BYTES]; /* all that were found */
    struct weft_scope scope;
    struct weft_semaphore room;
} crawl;

struct page {
    const char *path;
    char *text; /* head and body */
    size_t bytes;
};

/* ---- one page: blocking calls, which park the coroutine and fail with ECANCELED if it is
 * cancelled
 */

static int connect_to_host(void)
{
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *found;
    if (getaddrinfo(crawl.host, crawl.port, &hints, &found) != 0)
        return -EHOSTUNREACH;
    int rc = -EHOSTUNREACH;
    for (struct addrinfo *at = found; at && rc < 0 && rc != -ECANCELED; at = at->ai_next) {
        int fd = socket(at->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
        rc = fd < 0 || connect(fd, at->ai_addr, at->ai_addrlen) < 0 ? -errno : fd;
        if (rc < 0 && fd >= 0)
            (void)close(fd);
    }
    freeaddrinfo(found);
    return rc;
}

static int exchange(int fd, struct page *page)
{
    char request[PATH_BYTES + 512];
    int bytes = snprintf(request, sizeof request, "GET %s HTTP/1.0\r\nHost: %s:%s\r\n\r\n",
                         page->path, crawl.host, crawl.port);
    if (send(fd, request, (size_t)bytes, MSG_NOSIGNAL) != bytes)
        return -errno;
    for (ssize_t got = 1; got > 0 && page->bytes < PAGE_BYTES; page->bytes += (size_t)got) {
        got = read(fd, page->text + page->bytes, PAGE_BYTES - page->bytes);
        if (got < 0)
            return -errno;
    }
    return 0;
}

static int fetch(void *arg)
{
    int fd = connect_to_host();
    if (fd < 0)
        return fd;
    int rc = exchange(fd, arg);
    (void)close(fd);
    return rc;
}

/* ---- from page to page ------------------------------------------------------------------------
 */

static int visit(void *path);

/* Takes up a link, unless it was found before, leads elsewhere, or there are enough. `link` ends
 * with a quote. */
static void follow(const char *from, const char *link)
{
    char path[PATH_BYTES], here[300];
    int bytes = snprintf(here, sizeof here, "http://%s:%s/", crawl.host, crawl.port);
    if (strncmp(link, here, (size_t)bytes) == 0)
        link += bytes - 1;
    size_t length = strcspn(link, "\"#"), folder = 0;
    if (*link != '/') { /* beside the page that it is on */
        if (length == 0 || memchr(link, ':', length))
            return;
        folder = (size_t)(strrchr(from, '/') - from) + 1;
    }
    if (folder + length >= sizeof path || memchr(link, ' ', length))
        return;
    (void)snprintf(path, sizeof path, "%.*s%.*s", (int)folder, from, (int)length, link);
    for (long i = 0; i < crawl.page_count; i++) {
        if (strcmp(crawl.paths[i], path) == 0)
            return;
    }
    if (crawl.page_count == crawl.pages_max)
        return;
    char *kept = crawl.paths[crawl.page_count++];
    memcpy(kept, path, folder + length + 1);
    weft_launch(&crawl.scope, NULL, visit, kept);
}

static void look_at(struct page *page)
{
    int status = 0;
    page->text[page->bytes] = '\0';
    if (sscanf(page->text, "HTTP/%*d.%*d %d", &status) != 1 || status != 200)
        crawl.failed++;
    (void)printf("%d %s\n", status, page->path);
    const char *at = status == 200 ? page->text : "";
    while ((at = strstr(at, "href=\"")) != NULL) {
        at += strlen("href=\"");
        if (strchr(at, '"'))
            follow(page->path, at);
    }
}

static int visit(void *path)
{
    struct page page = { .path = path };
    int rc = weft_semaphore_acquire(&crawl.room, WEFT_NEVER);
    if (rc < 0)
        return rc; /* cancelled: nothing was taken */
    page.text = malloc(PAGE_BYTES + 1);
    rc = page.text ? weft_timeout_ms(crawl.page_ms, fetch, &page) : -ENOMEM;
    if (rc >= 0) {
        look_at(&page);
    } else {
        crawl.failed++;
        (void)printf("%s: %s\n", (const char *)path, weft_strerror(rc));
    }
    free(page.text);
    weft_semaphore_release(&crawl.room);
    return rc == -ECANCELED ? rc : 0; /* a page that fails is not our failure */
}

static int crawl_from(void *path)
{
    weft_semaphore_init(&crawl.room, (unsigned)crawl.at_once);
    weft_scope_open(&crawl.scope);
    weft_scope_deadline(&crawl.scope, weft_deadline_ms(ALL_MS));
    crawl.page_count = 1;
    weft_launch(&crawl.scope, NULL, visit, path); /* NULL: where the scope was opened */
    return weft_scope_close(&crawl.scope, 0);     /* all pages are done; or -ETIMEDOUT */
}

static int start(void *path)
{
    struct weft_dispatcher *one_at_a_time;
    int rc = weft_view_serial(weft_virtual(), "crawler", &one_at_a_time);
    return rc < 0 ? rc : weft_with(one_at_a_time, crawl_from, path);
}

static long number(const char *text, long max, long otherwise)
{
    long value = text ? strtol(text, NULL, 10) : otherwise;
    return value < 1 || value > max ? otherwise : value;
}

int main(int argc, char **argv)
{
    char *path = crawl.paths[0];
    (void)snprintf(crawl.port, sizeof crawl.port, "80");
    (void)snprintf(path, PATH_BYTES, "/");
    if (argc < 2 || argc > 5 ||
        (sscanf(argv[1], "http://%255[^:/]:%7[0-9]%511s", crawl.host, crawl.port, path) < 2 &&
         sscanf(argv[1], "http://%255[^:/]%511s", crawl.host, path) < 1) ||
        *path != '/') {
        (void)fprintf(stderr, "usage: weft_crawler http://HOST[:PORT]/PATH [PAGES [AT_ONCE "
                              "[PAGE_MS]]]\n");
        return 2;
    }
    crawl.pages_max = number(argc > 2 ? argv[2] : NULL, PAGES_MAX, 100);
    crawl.at_once = number(argc > 3 ? argv[3] : NULL, 1000, 8);
    crawl.page_ms = number(argc > 4 ? argv[4] : NULL, ALL_MS, 5000);

    int rc = weft_run(start, path);
    (void)printf("%ld pages, %ld failed%s%s\n", crawl.page_count, crawl.failed, rc < 0 ? ": " : "",
                 rc < 0 ? weft_strerror(rc) : "");
    return rc < 0;
}
