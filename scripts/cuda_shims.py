#!/usr/bin/env python3
"""Makes CUDA's libraries optional for the programs that are linked with them.

A program that names libcuda.so.1 as needed does not start where that file is missing. So each library is replaced, for
the linker, by a small static one with the same functions. Each function looks for the real library when it is
called for the first time and then jumps there; without it, it returns the library's own code for "there is no device". The
CUDA runtime is linked statically and behaves so by itself.

Usage: cuda_shims.py FOLDER      a toolkit assembled by cuda-toolkit.sh

At run time the real libraries are looked for by the loader, in CUDA_LAZY_LIB_DIR, and in the usual folders.
Linux on x86-64 only: the jump is assembler.
"""

import re
import subprocess
import sys
from pathlib import Path

# Name, code for failure, names of the real library, functions that are its own.
LIBRARIES = [
    ("cuda", 100, ["libcuda.so.1"], r"cu[A-Z]"),
    ("cublas", 1, ["libcublas.so.13", "libcublas.so.12"], r"cublas(?!Lt)"),
    ("cublasLt", 1, ["libcublasLt.so.13", "libcublasLt.so.12"], r"cublasLt"),
    ("curand", 203, ["libcurand.so.10"], r"curand"),
    ("nvrtc", 1, ["libnvrtc.so.13"], r"nvrtc"),
]

HEAD = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
static const char *files[] = { %(files)s, 0 };
static const char *folders[] = { "", "/usr/local/cuda/lib64/", "/usr/local/cuda/targets/x86_64-linux/lib/",
                                 "/usr/lib/x86_64-linux-gnu/", "/opt/cuda/lib64/", 0 };
static const char *names[] = { %(names)s };
static void *library;
static int looked;
__attribute__((visibility("hidden"))) void *%(lazy)s_slots[%(count)d];
static int fail(void) { return %(failure)d; }

static void try_folder(const char *folder, const char *slash) {
  char path[4096];
  for (int i = 0; !library && files[i]; i++) {
    snprintf(path, sizeof path, "%%s%%s%%s", folder, slash, files[i]);
    library = dlopen(path, RTLD_NOW | RTLD_GLOBAL);
  }
}

__attribute__((visibility("hidden"))) void *%(lazy)s_resolve(long i) {
  if (!looked) {
    const char *named = getenv("CUDA_LAZY_LIB_DIR");
    if (named) try_folder(named, "/");
    for (int j = 0; !library && folders[j]; j++) try_folder(folders[j], "");
    if (!library && getenv("CUDA_LAZY_DEBUG")) fprintf(stderr, "%(lazy)s: %%s\n", dlerror());
    looked = 1;
  }
  void *function = library ? dlsym(library, names[i]) : 0;
  if (!function) return (void *)fail;
  __atomic_store_n(&%(lazy)s_slots[i], function, __ATOMIC_RELEASE);
  return function;
}
"""

# Keeps every register that may hold an argument while the function is looked up.
TRAMPOLINE = """.text
{lazy}_trampoline:
push %rdi
push %rsi
push %rdx
push %rcx
push %r8
push %r9
push %rax
sub $128,%rsp
{save}
mov %r11,%rdi
call {lazy}_resolve
mov %rax,%r11
{restore}
add $128,%rsp
pop %rax
pop %r9
pop %r8
pop %rcx
pop %rdx
pop %rsi
pop %rdi
jmp *%r11
"""

FUNCTION = """.text
.globl {name}
.type {name},@function
{name}:
mov {lazy}_slots+{slot}(%rip),%r11
test %r11,%r11
je 1f
jmp *%r11
1: mov ${index},%r11d
jmp {lazy}_trampoline
"""


def driver_functions(include: Path) -> list[str]:
    """The driver's library is in no wheel: its functions are those that the header declares."""
    text = "".join((include / name).read_text(errors="ignore") for name in ["cuda.h", "cudaGL.h", "cudaEGL.h", "cudaVDPAU.h"])
    called = re.findall(r"\b(cu[A-Z][A-Za-z0-9_]*)\s*\(", text)
    renamed = re.findall(r"^ *# *define +cu[A-Z].*?\b(cu[A-Z][A-Za-z0-9]*(?:_v\d+|_ptsz|_ptds)*)", text, re.M)
    endings = ["", "_v2", "_v3", "_v4", "_ptsz", "_ptds", "_v2_ptsz", "_v2_ptds"]
    return sorted({name + ending for name in called + renamed for ending in endings})


def library_functions(library: Path, pattern: str) -> list[str]:
    lines = subprocess.run(["nm", "-D", "--defined-only", library], check=True, capture_output=True, text=True).stdout
    symbols = (line.split() for line in lines.splitlines())
    names = {parts[2].split("@")[0] for parts in symbols if len(parts) == 3 and parts[1] in "TW"}
    return sorted(name for name in names if re.match(pattern, name))


def assembler(text: str) -> str:
    return "__asm__(" + " ".join(f'"{line}\\n"' for line in text.strip().splitlines()) + ");\n"


def source(name: str, failure: int, files: list[str], functions: list[str]) -> str:
    lazy = f"lazy_{name}"
    quoted = lambda texts: ", ".join(f'"{text}"' for text in texts)
    move = lambda to_stack: "\n".join(
        f"movups %xmm{i},{16 * i}(%rsp)" if to_stack else f"movups {16 * i}(%rsp),%xmm{i}" for i in range(8)
    )
    head = HEAD % {"files": quoted(files), "names": quoted(functions), "lazy": lazy, "count": len(functions), "failure": failure}
    trampoline = TRAMPOLINE.format(lazy=lazy, save=move(True), restore=move(False))
    jumps = (FUNCTION.format(name=f, lazy=lazy, slot=8 * i, index=i) for i, f in enumerate(functions))
    return head + assembler(trampoline) + "".join(map(assembler, jumps))


def main(folder: Path) -> None:
    libraries, work = folder / "lib64", folder / "shims"
    work.mkdir(exist_ok=True)
    for name, failure, files, pattern in LIBRARIES:
        real = libraries / files[0]
        functions = driver_functions(folder / "include") if name == "cuda" else library_functions(real, pattern)
        (work / f"{name}.c").write_text(source(name, failure, files, functions))
        subprocess.run(["gcc", "-O2", "-fPIC", "-w", "-c", "-o", work / f"{name}.o", work / f"{name}.c"], check=True)
        archive = libraries / f"lib{name}_lazy.a"
        archive.unlink(missing_ok=True)
        subprocess.run(["ar", "rcs", archive, work / f"{name}.o"], check=True)
        replace(libraries / f"lib{name}.so", f"INPUT ( {archive} -ldl )\n")
        print(f"{name}: {len(functions)} functions")
    replace(libraries / "libcudart.so", f"INPUT ( {libraries}/libcudart_static.a -ldl -lrt -lpthread )\n")


def replace(path: Path, linker_script: str) -> None:
    """Puts a linker script where the linker expects a library, without writing through a link to the real one."""
    path.unlink(missing_ok=True)
    path.write_text(linker_script)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
