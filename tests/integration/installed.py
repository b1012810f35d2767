#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A stranger's programs against the installed libraries: what pkg-config says is all that they are given.

    installed.py SOURCE_DIR BUILD_DIR

Installs the libraries of a build into a folder of its own, and compiles against that: for each module a program, with
the flags for archives and for shared libraries; a shared library that holds them; the plugin of berth_worker(3), taken
from the page, with the flags for the compiler alone; and each public header by itself, also as C++. What is linked is
run. Exits 1 if anything fails, with what was said.
"""
import glob
import os
import re
import subprocess
import sys
import tempfile

STRICT = ["-Wall", "-Wextra", "-pedantic", "-Werror"]

# Each says "well" and ends with 0, without a broker.
PROGRAMS = {
    "weft": r"""
#include <stdio.h>
#include <weft/weft.h>
static int hello(void *arg)
{
    *(int *)arg = 1;
    return 0;
}
int main(void)
{
    int was_here = 0;
    int rc = weft_run(hello, &was_here);
    return rc == 0 && was_here ? puts("well") < 0 : 1;
}
""",
    "berth_client": r"""
#include <stdio.h>
#include <string.h>
#include <berth/admin.h>
#include <berth/client.h>
#include <berth/explain.h>
#include <berth/schedule.h>
int main(void)
{
    struct berth_client *client;
    struct berth_error err;
    struct berth_client_opts opts;
    berth_job_id id;
    memset(&opts, 0, sizeof opts);
    opts.url = "tcp://127.0.0.1:1";
    if (berth_client_open(&opts, &client, &err) < 0)
        return 1;
    struct berth_job_spec spec;
    memset(&spec, 0, sizeof spec);
    spec.handler = "mail";
    int rc = berth_submit(client, &spec, &id, 1, &err);
    berth_client_close(client);
    return rc < 0 && err.message[0] ? puts("well") < 0 : 1;
}
""",
    "berth_worker": r"""
#include <stdio.h>
#include <string.h>
#include <berth/worker.h>
static int greet(struct berth_attempt *attempt, void *arg)
{
    (void)arg;
    berth_attempt_log(attempt, "hello");
    return weft_sleep_ms(1);
}
int main(void)
{
    struct berth_worker *worker;
    struct berth_error err;
    struct berth_worker_opts opts;
    memset(&opts, 0, sizeof opts);
    opts.url = "tcp://127.0.0.1:1";
    opts.capacity = 2;
    if (berth_worker_open(&opts, &worker, &err) < 0 ||
        berth_worker_handler(worker, "greet", greet, NULL, NULL, &err) < 0)
        return fprintf(stderr, "%s\n", err.message) < 0 || 1;
    berth_worker_close(worker);
    return puts("well") < 0;
}
""",
}

LIBRARY = r"""
#include <berth/client.h>
int library_asks(void);
int library_asks(void)
{
    struct berth_client *client;
    struct berth_client_opts opts = { .url = "tcp://127.0.0.1:1" };
    int rc = berth_client_open(&opts, &client, 0);
    if (rc == 0)
        berth_client_close(client);
    return rc;
}
"""

ITS_USER = r"""
#include <stdio.h>
int library_asks(void);
int main(void)
{
    return library_asks() == 0 ? puts("well") < 0 : 1;
}
"""


def run(*command, **more):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=200, **more)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}: exit status {done.returncode}\n{done.stdout}")
    return done.stdout


class Stranger:
    def __init__(self, folder, prefix):
        self.folder = folder
        pages = os.path.join(prefix, "lib", "pkgconfig")
        # What was installed here comes first, whatever else the machine has.
        self.env = dict(os.environ, PKG_CONFIG_PATH=pages)
        self.made = 0

    def flags(self, module, *which):
        return run("pkg-config", *which, module, env=self.env).split()

    def file(self, text, ending):
        self.made += 1
        path = os.path.join(self.folder, f"made{self.made}{ending}")
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def runs(self, text, flags):
        """Compiles without any flag of its own that a person would have to know, links and runs."""
        source = self.file(text, ".c")
        program = source[:-2]
        run("cc", *STRICT, source, *flags, "-o", program)
        said = run(program)
        if said != "well\n":
            sys.exit(f"{program} said:\n{said}\n{text}")


def check_programs(stranger):
    for module, text in PROGRAMS.items():
        stranger.runs(text, stranger.flags(module, "--cflags", "--libs"))
        stranger.runs(text, stranger.flags(module, "--static", "--cflags", "--libs"))


def check_library(stranger):
    source = stranger.file(LIBRARY, ".c")
    library = os.path.join(stranger.folder, "libstranger.so")
    run("cc", *STRICT, "-shared", "-fPIC", "-Wl,-z,defs", source,
        *stranger.flags("berth_client", "--cflags", "--libs"), "-o", library)
    stranger.runs(ITS_USER, [library, f"-Wl,-rpath,{stranger.folder}"])


def check_plugin(stranger, source):
    with open(os.path.join(source, "docs/man/berth_worker.3"), encoding="utf-8") as page:
        plugins = [text for text in re.findall(r"^\.Bd -literal\n(.*?)^\.Ed$", page.read(), re.MULTILINE | re.DOTALL)
                   if "struct berth_plugin berth_plugin" in text]
    if len(plugins) != 1:
        sys.exit(f"{len(plugins)} plugins were found in berth_worker(3)")
    text = plugins[0].replace("\\e", "\\")
    run("cc", *STRICT, "-shared", "-fPIC", *stranger.flags("berth_worker", "--cflags"),
        "-o", os.path.join(stranger.folder, "greet.so"), stranger.file(text, ".c"))


def check_headers(stranger, prefix):
    include = os.path.join(prefix, "include")
    headers = [os.path.relpath(path, include) for path in glob.glob(os.path.join(include, "*", "*.h"))]
    if "berth/worker.h" not in headers or "weft/weft.h" not in headers:
        sys.exit(f"installed headers: {headers}")
    flags = stranger.flags("berth_worker", "--cflags")
    for header in sorted(headers):
        text = f"#include <{header}>\nint main(void) {{ return 0; }}\n"
        run("cc", "-std=c17", *STRICT, "-fsyntax-only", *flags, stranger.file(text, ".c"))
        run("c++", "-std=c++17", *STRICT, "-fsyntax-only", *flags, stranger.file(text, ".cc"))


def main():
    source, build = (os.path.abspath(path) for path in sys.argv[1:3])
    with tempfile.TemporaryDirectory(prefix="berth-installed-") as folder:
        prefix = os.path.join(folder, "prefix")
        for part in ("base", "runtime", "proto", "client", "worker"):
            run("cmake", "--install", os.path.join(build, part), "--prefix", prefix)
        stranger = Stranger(folder, prefix)
        check_programs(stranger)
        check_library(stranger)
        check_plugin(stranger, source)
        check_headers(stranger, prefix)
    return 0


if __name__ == "__main__":
    sys.exit(main())
