#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# headers.sh ROOT BUILD: each header compiles alone, the public ones also as C++17. Prints what does not.
set -u
root=$1 build=$2
# From the root, too: what may be included where is the layers' rule, not this one.
flags=(-Wall -Wextra -Werror -D_GNU_SOURCE "-I$root")
for folder in "$root"/*/include "$build"/base/include "$build"/internal/* "$build"/generated/*; do
    [ -d "$folder" ] && flags+=("-I$folder")
done
failed=0 count=0
compile() { # HEADER COMPILER...
    local header=$1
    shift
    count=$((count + 1))
    # A header that is the main file draws a warning about #pragma once: include it.
    if ! printf '#include "%s"\n' "$header" | "$@" "${flags[@]}" -fsyntax-only - 2>"$build/headers.err"; then
        failed=$((failed + 1))
        echo "$header does not compile alone with: $*"
        head -5 "$build/headers.err"
    fi
}
while IFS= read -r header; do
    compile "$header" gcc -std=c17 -x c
done < <(find "$root"/{base,runtime,proto,client,broker,worker,cli} -name '*.h' 2>/dev/null | sort)
while IFS= read -r header; do
    compile "$header" g++ -std=c++17 -x c++
done < <(find "$root"/*/include -name '*.h' 2>/dev/null | sort)
echo "headers: $count compiled, $failed failed"
[ "$count" -gt 0 ] && [ "$failed" -eq 0 ]
