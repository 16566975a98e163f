#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Self-test of tidy: a clean tree passes, and each planted violation names its own rule only."""
import os
import re
import shutil
import subprocess
import sys
import tempfile

TIDY = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "tools", "dev", "tidy")
SPDX = "/* SPDX-License-Identifier: Apache-2.0 */\n"
RING_C = "libshm/src/core/ring.c"
RING_H = "libshm/src/core/ring.h"
ABI_H = "libshm/include/lshm/abi.h"
API_C = "libshm/src/api/context.c"
BROKER_C = "brokerd/main.c"
PAGE = "libshm/doc/ordering.md"
OTHER_UID = 65534

CLEAN = {
    "README.md": "# x\n",
    ".gitignore": "/build/\n",
    "tests/unit/test_ring.c": SPDX + "/* covers: P1, C1 F1 */\n",
    "tests/run.sh": "#!/usr/bin/env bash\n# SPDX-License-Identifier: Apache-2.0\nexit 0\n",
    "CMakeLists.txt": "# SPDX-License-Identifier: Apache-2.0\n",
    ABI_H: SPDX + "#include <stdint.h>\nenum { LSHM_ONE = 1 };\n"
                  "struct lshm_ring {\n    uint64_t tail;\n};\n",
    RING_H: SPDX + "#include <lshm/abi.h>\n",
    "libshm/src/base/atomic.h": SPDX + "#define lsi_load_acquire(p) __atomic_load_n((p), 2)\n",
    RING_C: SPDX + '''\
#include "core/ring.h"

#include "base/atomic.h"

static void publish(struct lshm_ring *ring)
{
    /* ORD P1 release -> C1: publishes the entry; without it
     * C1 reads a torn one.
     * DIE K1: nothing is visible yet. */
    lsi_store_release(&ring->tail, 1);
}

static uint64_t take(struct lshm_ring *ring)
{
    /* ORD C1 acquire <- P1 */
    uint64_t tail = lsi_load_acquire(&ring->tail);

    /* RLX: a hint. */
    return tail + lsi_load_relaxed(&ring->tail);
}
''',
    API_C: SPDX + '#include "core/ring.h"\n#include "os/memory.h"\n#include <lshm/lshm.h>\n'
                  'void f(void)\n{\n    __asm__ volatile("" : : : "memory"); /* volatile */\n}\n',
    BROKER_C: SPDX + '#include "ctl/message.h"\n#include "session.h"\n'
                     "void f(void)\n{\n    lsi_fence_full(); /* ORD F1 full -> F1: both */\n}\n",
}


def body(code):
    return f"void g(void)\n{{\n    {code}\n}}\n"


def c(code):
    return lambda text: text + code


def swap(old, new):
    def edit(text):
        assert old in text
        return text.replace(old, new, 1)
    return edit


def put(text):
    return lambda _: text


# rules, name, file, edit of its text ("" where the clean tree has none)
PLANTED = [
    ("top-level", "file", "notes.txt", put("x\n")),
    ("columns", "long line", RING_C, c(f"/* {'x' * 98} */\n")),
    ("tab", "tab", RING_C, c("int\tx;\n")),
    ("trailing-blank", "blank", "tests/run.sh", c("exit 1 \n")),
    ("newline", "no newline", RING_C, c("int x;")),
    ("leftover", "comment", RING_C, c("/* TO" "DO later */\n")),
    ("spdx", "C file", "tests/unit/test_a.c", put("int x;\n\n")),
    ("spdx", "script", "tools/x", put("#!/usr/bin/env python3\nprint()\n")),
    ("spdx", "CMake file", "libshm/CMakeLists.txt", put("project(x)\n")),
    ("spdx", "model", "tests/model/a.pml", put("init { skip }\n")),
    ("file-size", ".c", API_C, c("int x;\n" * 600)),
    ("file-size", ".h", RING_H, c("int x;\n" * 300)),
    ("file-size", "public .h", ABI_H, c("int x;\n" * 700)),
    ("function-size", "71 lines", API_C, c(body("x();\n" * 67))),
    ("bash-syntax", "bad script", "tests/run.sh", c("if\n")),
    ("layer", "base includes core", "libshm/src/base/a.h", put(SPDX + '#include "core/ring.h"\n')),
    ("layer", "os includes core", "libshm/src/os/a.c", put(SPDX + '#include "core/ring.h"\n')),
    ("layer", "core includes os", RING_C, c('#include "os/memory.h"\n')),
    ("layer", "core includes stdlib.h", RING_C, c("#include <stdlib.h>\n")),
    ("layer", "core includes sys/", RING_C, c("#include <sys/mman.h>\n")),
    ("layer", "core includes lshm.h", RING_C, c("#include <lshm/lshm.h>\n")),
    ("layer", "ctl includes api", "libshm/src/ctl/a.c", put(SPDX + '#include "api/x.h"\n')),
    ("layer", "flow includes core", "libshm/src/flow/a.c", put(SPDX + '#include "core/ring.h"\n')),
    ("layer", "brokerd includes api", BROKER_C, c('#include "api/context.h"\n')),
    ("layer", "tool includes os", "tools/lshm/main.c", put(SPDX + '#include "os/memory.h"\n')),
    ("layer", "client includes base", "clients/a/a.c", put(SPDX + '#include "base/bits.h"\n')),
    ("layer", "bare name in src", API_C, c('#include "context.h"\n')),
    ("include-parent", "../", BROKER_C, c('#include "../x.h"\n')),
    ("include-own-first", "own header second", RING_C,
     swap('#include "core/ring.h"\n\n#include "base/atomic.h"',
          '#include "base/atomic.h"\n#include "core/ring.h"')),
    ("banned-call", "strcpy", "tests/unit/test_a.c", put(SPDX + body("strcpy(a, b);"))),
    ("banned-call", "atoi", BROKER_C, c(body("atoi(a);"))),
    ("typedef-struct", "typedef struct", BROKER_C, c("typedef struct x { int y; } x;\n")),
    ("typedef-t", "name", BROKER_C, c("typedef int my_t;\n")),
    ("typedef-t", "function", BROKER_C, c("typedef void (*my_t)(int x);\n")),
    ("atomic", "builtin", BROKER_C, c(body("__atomic_load_n(&x, 0);"))),
    ("atomic", "_Atomic", RING_H, c("_Atomic int x;\n")),
    ("atomic", "volatile", "tests/unit/test_a.c", put(SPDX + "volatile int x;\n")),
    ("atomic", "stdatomic.h", BROKER_C, c("#include <stdatomic.h>\n")),
    ("strerror", "strerror", BROKER_C, c(body("f(strerror(1));"))),
    ("library-token", "stderr", API_C, c(body("f(stderr);"))),
    ("library-token", "printf", API_C, c(body('printf("");'))),
    ("library-token", "abort", API_C, c(body("abort();"))),
    ("core-token", "malloc", RING_C, c(body("malloc(1);"))),
    ("core-token", "snprintf", RING_C, c(body('snprintf(a, 1, "");'))),
    ("core-token", "errno", RING_C, c(body("x = errno;"))),
    ("abi-field", "bool", ABI_H, swap("uint64_t tail", "bool tail")),
    ("abi-field", "enum", ABI_H, swap("uint64_t tail", "enum lshm_x tail")),
    ("abi-field", "size_t", ABI_H, swap("uint64_t tail", "size_t tail")),
    ("abi-field", "pointer", ABI_H, swap("uint64_t tail", "uint64_t *tail")),
    ("abi-field", "bit-field", ABI_H, swap("uint64_t tail", "uint64_t tail : 3")),
    ("ord-missing", "no tag", RING_C, c(body("lsi_fence_full(); /* DIE none: no store */"))),
    ("ord-missing ord-unused", "tag too far above", RING_C,
     swap("    uint64_t tail = lsi", "\n" * 9 + "    uint64_t tail = lsi")),
    ("ord-missing", "in another function", RING_C, c("void h(void) { lsi_fence_acquire(); }\n")),
    ("ord-missing ord-unused", "wrong order", RING_C, swap("ORD C1 acquire", "ORD C1 release")),
    ("ord-missing", "second use of one tag", RING_C,
     swap("    lsi_store_release(&ring->tail, 1);",
          "    lsi_store_release(&ring->tail, 1);\n    f();\n    lsi_store_release(&x, 2);")),
    ("ord-missing", "in brokerd", BROKER_C, c(body("lsi_load_acquire(&x);"))),
    ("ord-unused", "tag without operation", RING_C, c("/* ORD P1 release -> C1: why */\n")),
    ("ord-format", "no order", RING_C, c("/* ORD P1 -> C1: why */\n")),
    ("ord-format", "no why", RING_C, swap("C1: publishes the entry; without it\n     * C1 reads a "
                                          "torn one.\n", "C1\n")),
    ("ord-kind", "one id, two orders", RING_C,
     c(body("/* ORD P1 full -> C1: why */\n    lsi_fence_full();"))),
    ("ord-partner", "unknown partner", RING_C, swap("<- P1", "<- P1, P9")),
    ("ord-partner", "not named back", RING_C, swap("-> C1", "-> C1, F1")),
    ("ord-covered", "no test", "tests/unit/test_ring.c", put(SPDX + "/* covers: P1, F1 */\n")),
    ("covers-unknown", "no such tag", "tests/unit/test_ring.c",
     put(SPDX + "/* covers: P1, C1 F1 Z9 */\n")),
    ("rlx-missing", "no comment", RING_C, swap("RLX: a hint", "A hint")),
    ("rlx-missing", "after a blank line", RING_C, swap("a hint. */", "a hint. */\n")),
    ("rlx-format", "no reason", RING_C, c("/* RLX */\n")),
    ("die-missing", "store without", RING_C, swap("DIE K1: nothing", "Nothing")),
    ("die-missing", "in brokerd", BROKER_C,
     c(body("/* RLX: why */\n    lsi_store_relaxed(&x, 1);"))),
    ("die-missing", "in the API", API_C, c(body("/* RLX: why */\n    lsi_store_relaxed(&x, 1);"))),
    ("die-unique", "same id", RING_C, c(body("f(); /* DIE K1: again */"))),
    ("die-format", "no text", RING_C, c("/* DIE K2 */\n")),
    ("ordering-page", "stale page", PAGE, put("old\n")),
]


def write(root, path, text):
    full = os.path.join(root, path)
    os.makedirs(os.path.dirname(full), exist_ok=True)
    with open(full, "w", encoding="utf-8") as f:
        f.write(text)


def tidy(root, *options):
    result = subprocess.run([sys.executable, TIDY, "--root", root, *options],
                            capture_output=True, text=True)
    found = set(re.findall(r"^\S+:\d+: ([a-z-]+): ", result.stdout, re.M))
    return result.returncode, found, result.stdout + result.stderr


class Tap:
    def __init__(self, count):
        print(f"1..{count}")
        self.number, self.failed = 0, 0

    def case(self, name, passed, output):
        self.number += 1
        print(f"{'ok' if passed else 'not ok'} {self.number} - {name}")
        if not passed:
            self.failed += 1
            print("".join(f"# {line}\n" for line in output.splitlines()), end="")


def main():
    tap = Tap(len(PLANTED) + 5)
    with tempfile.TemporaryDirectory() as root:
        subprocess.run(["git", "init", "-q", root], check=True)
        for path, text in CLEAN.items():
            write(root, path, text)
        subprocess.run(["git", "-C", root, "add", "-A"], check=True)
        status, found, output = tidy(root)
        tap.case("clean tree passes", status == 0 and not found, output)

        for rule, name, path, edit in PLANTED:
            before = CLEAN.get(path)
            write(root, path, edit(before or ""))
            if rule == "top-level":
                subprocess.run(["git", "-C", root, "add", path], check=True)
            status, found, output = tidy(root)
            tap.case(f"{rule}: {name}", status == 1 and found == set(rule.split()), output)
            if before is None:
                os.remove(os.path.join(root, path))
            else:
                write(root, path, before)

        status, found, output = tidy(root, "--ordering")
        with open(os.path.join(root, PAGE), encoding="utf-8") as f:
            page = f.read()
        row = (f"| P1 | release | {RING_C}:publish | C1 | publishes the entry; without it C1 reads "
               "a torn one. | tests/unit/test_ring.c |")
        tap.case("--ordering writes the table", status == 0 and row in page, page + output)
        status, found, output = tidy(root)
        tap.case("a fresh table passes", status == 0 and not found, output)

        write(root, API_C, CLEAN[API_C] + " \n")
        if os.geteuid() == 0:
            os.chown(root, OTHER_UID, OTHER_UID)
            os.chown(os.path.join(root, ".git"), OTHER_UID, OTHER_UID)
        status, found, output = tidy(root)
        tap.case("a tree of another user", status == 1 and found == {"trailing-blank"}, output)
        shutil.rmtree(os.path.join(root, ".git"))
        write(root, "build/x.c", "\t\n")
        status, found, output = tidy(root)
        tap.case("a tree without git", status == 1 and found == {"trailing-blank"}, output)
    return 1 if tap.failed else 0


if __name__ == "__main__":
    sys.exit(main())
