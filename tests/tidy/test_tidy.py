#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The rules of tidy.py, each with a bad sample that it must catch and a good one that it must leave alone."""
import os
import shutil
import subprocess
import tempfile
import unittest

import tidy

MIT = "/* SPDX-License-Identifier: MIT */\n"


class Case(unittest.TestCase):
    def setUp(self):
        self.root = tempfile.mkdtemp(prefix="berth-tidy-")
        self.addCleanup(shutil.rmtree, self.root)

    def write(self, path, text):
        full = os.path.join(self.root, path)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        with open(full, "w", encoding="utf-8") as file:
            file.write(text)

    def findings(self, rule):
        return list(getattr(tidy, f"rule_{rule}")(tidy.Tree(self.root)))

    def assert_caught(self, rule, *places):
        self.assertEqual([":".join(f.split(":")[:2]) for f in self.findings(rule)], list(places))


class Layers(Case):
    BAD = [
        ("base/a.c", '#include "broker/core/job.h"'),
        ("base/a.c", "#include <berth/client.h>"),
        ("base/a.c", "#include <zmq.h>"),
        ("runtime/src/a.c", '#include "base/buf.h"'),
        ("runtime/src/a.c", "#include <berth/error.h>"),
        ("runtime/include/weft/a.h", '#include "base/list.h"'),
        ("proto/a.c", '#include "broker/net/net.h"'),
        ("broker/core/a.c", '#include "base/clock.h"'),
        ("broker/core/a.c", '#include "base/log.h"'),
        ("broker/core/a.c", '#include "broker/store/store.h"'),
        ("broker/core/a.c", '#include "proto/wire.h"'),
        ("broker/core/a.c", "#include <time.h>"),
        ("broker/core/a.c", "#include <pthread.h>"),
        ("worker/core/a.c", "#include <sys/socket.h>"),
        ("client/core/a.c", '#include "client/client.h"'),
        ("broker/store/a.c", '#include "broker/core/core.h"'),
        ("broker/store/a.c", "#include <sqlite3.h>"),
        ("broker/store/a.c", '#include "proto/wire.h"'),
        ("broker/net/a.c", '#include "broker/store/store.h"'),
        ("broker/net/a.c", '#include "broker/core/job.h"'),
        ("broker/a.c", "#include <sqlite3.h>"),
        ("broker/a.c", "#include <berth/v1/job.pb-c.h>"),
        ("worker/a.c", '#include "broker/core/job.h"'),
        ("worker/a.c", "#include <zmq.h>"),
        ("worker/a.c", '#include "client/translate.h"'),
        ("worker/net/a.c", "#include <berth/client.h>"),
        ("client/a.c", "#include <weft/task.h>"),
        ("client/a.c", '#include "worker/core/agent.h"'),
        ("cli/a.c", '#include "client/core/request.h"'),
        ("cli/a.c", '#include "base/log.h"'),
        ("tests/sim/a.c", "#include <pthread.h>"),
        ("tests/sim/a.c", '#include "broker/net/net.h"'),
        ("tests/sim/a.c", '#include "broker/store/store_sqlite.h"'),
        ("examples/a.c", '#include "broker/core/job.h"'),
    ]
    GOOD = [
        ("base/a.c", "#include <uthash.h>"),
        ("runtime/src/a.c", '#include "base/heap.h"'),
        ("broker/core/a.c", '#include "base/list.h"'),
        ("broker/core/a.c", "#include <string.h>"),
        ("broker/store/store_sqlite.c", "#include <sqlite3.h>"),
        ("broker/store/a.c", '#include "broker/core/record.h"'),
        ("broker/net/translate.c", "#include <berth/v1/job.pb-c.h>"),
        ("worker/net/a.c", "#include <zmq.h>"),
        ("worker/a.c", "#include <weft/task.h>"),
        ("cli/a.c", "#include <berth/client.h>"),
        ("tests/sim/a.c", '#include "worker/core/agent.h"'),
        ("tests/unit/broker/a.c", '#include "broker/core/core.h"'),
    ]

    def test_each_wrong_include_is_caught(self):
        for path, line in self.BAD:
            with self.subTest(path=path, line=line):
                self.write(path, MIT + line + "\n")
                self.assert_caught("layers", f"{path}:2")
                os.remove(os.path.join(self.root, path))

    def test_right_includes_are_left_alone(self):
        for path, line in self.GOOD:
            self.write(path, MIT + line + "\n")
        self.assert_caught("layers")

    def test_a_name_beside_the_file_is_its_own_folder(self):
        self.write("broker/core/job.h", MIT)
        self.write("broker/core/job.c", MIT + '#include "job.h"\n')
        self.assert_caught("layers")


class Words(Case):
    def test_base_may_not_know_a_job(self):
        self.write("base/a.c", MIT + "/* a job in a comment */\nint job_count;\n\nchar *s = \"job\";\n")
        self.assert_caught("words", "base/a.c:3")


class Generated(Case):
    def test_generated_names_stay_in_their_place(self):
        use = MIT + "Berth__V1__Job *job;\n#include <berth/v1/job.pb-c.h>\n"
        for path in ("proto/wire.c", "broker/net/translate.c", "tests/unit/proto/test_wire.c"):
            self.write(path, use)
        self.assert_caught("generated")
        self.write("broker/net/net.c", use)
        self.assert_caught("generated", "broker/net/net.c:2", "broker/net/net.c:3")


class Banned(Case):
    def test_banned_calls_are_caught_and_their_names_in_text_are_not(self):
        names = ["strcpy", "strcat", "sprintf", "strtok", "gets", "atoi", "rand", "alloca"]
        self.write("base/a.c", MIT + "".join(f"    {name}(x);\n" for name in names))
        self.write("base/b.c", MIT + '/* rand(x) */ "atoi(x)"; rand_r(&s); snprintf(x); brand(); s.rand(); p->gets();\n')
        self.assert_caught("banned", *[f"base/a.c:{n + 2}" for n in range(len(names))])

    def test_a_format_function_needs_its_attribute(self):
        self.write("base/a.h", MIT + "void say(const char *format, ...);\n"
                                     "void tell(const char *format, ...) BERTH_PRINTF(1, 2);\n")
        self.assert_caught("banned", "base/a.h:2")


class Size(Case):
    LONG = "int f(void)\n{\n" + "    g();\n" * 70 + "}\n"

    def test_a_long_function_is_caught(self):
        self.write("base/a.c", MIT + "int short_one(void)\n{\n}\n\n" + self.LONG)
        self.assert_caught("size", "base/a.c:6")

    def test_a_long_function_may_say_why(self):
        self.write("base/a.c", MIT + "/* long: one case for each message */\n" + self.LONG)
        self.assert_caught("size")

    def test_a_long_file_is_caught(self):
        self.write("base/a.c", MIT + "int x;\n" * 800)
        self.assert_caught("size", "base/a.c:1")


class Untested(Case):
    def test_a_source_needs_a_test_or_a_reason(self):
        for path in ("base/a.c", "base/b.c", "cli/main.c", "tests/unit/base/test_a.c", "runtime/examples/echo.c"):
            self.write(path, MIT)
        self.write("tests/tidy/untested/x.txt", "# comment\ncli/main.c: run by the integration tests\n")
        self.assert_caught("untested", "base/b.c:1")

    def test_a_unit_test_of_another_component_does_not_count(self):
        for path in ("base/a.c", "cli/a.c", "broker/b.c", "tests/unit/base/test_a.c", "tests/store/test_b.c"):
            self.write(path, MIT)
        self.assert_caught("untested", "cli/a.c:1")

    def test_the_list_may_not_grow_old(self):
        for path in ("base/a.c", "base/b.c", "tests/unit/base/test_a.c"):
            self.write(path, MIT)
        self.write("tests/tidy/untested/x.txt", "base/a.c: x\nbase/b.c: \nbase/gone.c: x\n")
        self.assert_caught("untested", "tests/tidy/untested/x.txt:2", "tests/tidy/untested/x.txt:1",
                           "tests/tidy/untested/x.txt:3")


class Sleeps(Case):
    def test_sleeping_tests_are_caught(self):
        self.write("tests/a.c", MIT + "sleep(1);\nusleep(1);\nnanosleep(&t, NULL);\npoll(NULL, 0, 1);\n"
                                      "weft_sleep_ms(1);\n/* sleeps: it is libc's sleep that is tested */\nsleep(1);\n")
        self.write("tests/support/await.c", MIT + "poll(NULL, 0, 1);\n")
        self.write("base/a.c", MIT + "sleep(1);\n")
        self.assert_caught("sleeps", *[f"tests/a.c:{n}" for n in range(2, 6)])


class Spdx(Case):
    def test_a_file_without_its_licence_is_caught(self):
        self.write("base/a.c", "int x;\n")
        self.write("base/b.c", MIT)
        self.write("base/CMakeLists.txt", "project(x)\n")
        self.write("check", "#!/usr/bin/env bash\n# SPDX-License-Identifier: MIT\n")
        self.write("README.md", "# x\n")
        self.assert_caught("spdx", "base/CMakeLists.txt:1", "base/a.c:1")


class Pages(Case):
    HEADER = "runtime/include/weft/a.h"

    def test_a_function_without_a_page_is_caught(self):
        self.write(self.HEADER, MIT + "int weft_told(int fd);\n/* weft_x() */\n#define weft_y(z) (z)\nint weft_new(void);\n")
        self.write("docs/man/weft_a.3", ".Nm weft_told\n.Fn weft_told \"int fd\"\n")
        self.assert_caught("pages", self.HEADER + ":5")

    def test_a_function_that_is_only_mentioned_is_caught(self):
        self.write(self.HEADER, MIT + "int weft_told(int fd);\n")
        self.write("docs/man/weft.3", ".Fo weft_told\n")
        self.assert_caught("pages", self.HEADER + ":2")

    def test_a_page_of_what_is_gone_is_caught(self):
        self.write("docs/man/weft_a.3", ".Nm weft_a\n.It Fn weft_gone\n")
        self.assert_caught("pages", "docs/man/weft_a.3:2")

    def test_an_example_that_differs_is_caught(self):
        self.write("runtime/examples/a.c", "int a;\n")
        self.write("docs/RUNTIME.md", "`runtime/examples/a.c`, complete.\n\n```c\nint a;\n```\n")
        self.assert_caught("pages")
        self.write("runtime/examples/a.c", "int b;\n")
        self.assert_caught("pages", "docs/RUNTIME.md:1")

    def test_a_row_whose_test_is_gone_is_caught(self):
        self.write("tests/unit/runtime/test_a.c", "static void a_fact_is_shown(void **state)\n")
        self.write("docs/RUNTIME.md", "| `read` | `test_a`: a_fact_is_shown |\n| `write` | `test_b`: it_is_not_shown |\n")
        self.assert_caught("pages", "docs/RUNTIME.md:2", "docs/RUNTIME.md:2")


class Format(Case):
    def test_what_clang_format_would_change_is_caught(self):
        shutil.copy(os.path.join(os.path.dirname(__file__), "../../.clang-format"), self.root)
        self.write("base/a.c", MIT + "int  x;\n")
        self.write("base/b.c", MIT + "int x;\n")
        self.assert_caught("format", "base/a.c:2")


class Purity(Case):
    ALLOWED = [("*", "*", {"memcpy"}), ("libcore.a", "*", {"@error.c"}), ("libcore.a", "slab.c", {"malloc"})]

    def archive(self, name, **sources):
        objects = []
        for stem, text in sources.items():
            self.write(f"{stem}.c", text)
            objects.append(f"{stem}.c.o")
            subprocess.run(["cc", "-w", "-O0", "-c", f"{stem}.c", "-o", objects[-1]], cwd=self.root, check=True)
        subprocess.run(["ar", "rcs", name, *objects], cwd=self.root, check=True)
        return os.path.join(self.root, name)

    def purity(self, **sources):
        base = self.archive("libbase.a", error="void berth_fail(void) {}", clock="void berth_clock(void) {}")
        return list(tidy.purity(base, [self.archive("libcore.a", **sources)], self.ALLOWED))

    def test_a_call_into_the_world_is_caught(self):
        for name in ("clock_gettime", "socket", "rand", "fopen", "pthread_create", "berth_clock", "malloc"):
            found = self.purity(job=f"void {name}(); void job(void) {{ {name}(); }}")
            self.assertEqual(len(found), 1, name)
            self.assertIn(f"libcore.a(job.c): a pure core may not need '{name}'", found[0])

    def test_what_is_granted_is_left_alone(self):
        self.assertEqual(self.purity(job="void berth_fail(void); void slab(void); void job(void) { berth_fail(); slab(); }",
                                     slab="void *malloc(unsigned long); void slab(void) { (void)malloc(1); }"), [])


class Names(Case):
    def test_each_rule_has_a_sample(self):
        rules = {name.removeprefix("rule_") for name in dir(tidy) if name.startswith("rule_")}
        tested = {"layers", "words", "generated", "banned", "size", "untested", "sleeps", "spdx", "pages", "format"}
        self.assertEqual(rules, tested)


if __name__ == "__main__":
    unittest.main()
