#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""weft as a library alone, in the way that docs/RUNTIME.md says: built with WEFT_ALONE, installed, found by pkg-config.

    weft_alone.py SOURCE_DIR

Its page's first two programs, and the one of runtime/README.md, are taken from the text, compiled against what was
installed, and the last is run. Exits 1 if anything fails, with what was said.
"""
import os
import re
import subprocess
import sys
import tempfile


def run(*command, **more):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=800, **more)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}: exit status {done.returncode}\n{done.stdout}")
    return done.stdout


def programs(path):
    """The blocks of C in a page that are whole programs."""
    with open(path, encoding="utf-8") as page:
        blocks = re.findall(r"^```c\n(.*?)^```$", page.read(), re.MULTILINE | re.DOTALL)
    return [block for block in blocks if re.search(r"^int main\(", block, re.MULTILINE)]


def main():
    source = os.path.abspath(sys.argv[1])
    with tempfile.TemporaryDirectory(prefix="weft-alone-") as folder:
        build, prefix = os.path.join(folder, "build"), os.path.join(folder, "prefix")
        run("cmake", "-S", source, "-B", build, "-D", "WEFT_ALONE=ON", "-D", "BUILD_TESTING=OFF",
            "-D", "CMAKE_BUILD_TYPE=Debug")
        run("cmake", "--build", build, "-j2", "--target", "weft")
        for part in ("runtime", "docs/man"):
            run("cmake", "--install", os.path.join(build, part), "--prefix", prefix)

        where = dict(os.environ, PKG_CONFIG_PATH=os.path.join(prefix, "lib", "pkgconfig"))
        flags = run("pkg-config", "--cflags", "--libs", "weft", env=where).split()
        texts = programs(os.path.join(source, "docs/RUNTIME.md")) + programs(os.path.join(source, "runtime/README.md"))
        if len(texts) < 4:
            sys.exit(f"only {len(texts)} whole programs were found in the pages")
        for number, text in enumerate(texts):
            name = os.path.join(folder, f"program{number}")
            with open(name + ".c", "w", encoding="utf-8") as file:
                file.write(text)
            run("cc", "-std=c17", "-D_GNU_SOURCE", "-Wall", "-Werror", name + ".c", *flags, "-o", name)
        said = run(name)
        if said.count("left on ") != 3 or said.count("right on ") != 3:
            sys.exit(f"the program of runtime/README.md said:\n{said}")
        manual = os.listdir(os.path.join(prefix, "share/man/man3"))
        if "weft.3" not in manual or "weft_launch.3" not in manual or any(page.startswith("berth") for page in manual):
            sys.exit(f"installed pages: {sorted(manual)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
