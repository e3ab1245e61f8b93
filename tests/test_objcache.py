"""The launcher that compiles Verilator's run-time library once, with a library of one file."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

OBJCACHE = Path(__file__).parents[1] / "tb" / "objcache.py"


class Library:
    """A run-time library, a compiler that counts its calls, and a cache."""

    def __init__(self, folder: Path) -> None:
        real = shutil.which("g++")
        assert real is not None
        self.folder = folder
        self.include = folder / "root" / "include"
        self.include.mkdir(parents=True)
        self.source = self.include / "verilated.cpp"
        self.header = self.include / "verilated.h"
        self.source.write_text('#include "verilated.h"\nint number() { return NUMBER; }\n')
        self.header.write_text("#define NUMBER 1\n")
        self.cache = folder / "cache"
        self.calls = folder / "calls"
        self.compiler = folder / "c++"
        self.compiler.write_text(f'#!/bin/sh\necho call >> "{self.calls}"\nexec {real} "$@"\n')
        self.compiler.chmod(0o755)
        self.work = folder / "work"
        self.work.mkdir()

    def compile(self, *options: str, source: Path | None = None) -> int:
        """Compile one file as Verilator's makefiles do; return how often the compiler ran."""
        before = self.count()
        source = source or self.source
        command = [sys.executable, "-I", "-S", str(OBJCACHE), str(self.compiler)]
        command += [*options, "-I.", "-MMD", "-c", "-o", f"{source.stem}.o", str(source)]
        env = {
            **os.environ,
            "VERILATOR_ROOT": str(self.include.parent),
            "CERTIBIT_OBJECT_CACHE": str(self.cache),
        }
        self.code = subprocess.run(
            command, cwd=self.work, env=env, stderr=subprocess.DEVNULL, check=False
        ).returncode
        return self.count() - before

    def count(self) -> int:
        return len(self.calls.read_text().split()) if self.calls.exists() else 0

    def number(self) -> int:
        """Link what was compiled and run it."""
        (self.work / "main.cpp").write_text("int number();\nint main() { return number(); }\n")
        subprocess.run(["g++", "-o", "main", "main.cpp", "verilated.o"], cwd=self.work, check=True)
        return subprocess.run(["./main"], cwd=self.work, check=False).returncode


@pytest.fixture
def library(tmp_path: Path) -> Library:
    return Library(tmp_path)


def test_an_object_is_compiled_once_and_is_the_same(library: Library) -> None:
    assert library.compile() == 1
    first = (library.work / "verilated.o").read_bytes()
    (library.work / "verilated.o").unlink()
    assert library.compile() == 0
    assert (library.work / "verilated.o").read_bytes() == first
    assert library.number() == 1


def test_every_change_compiles_again(library: Library) -> None:
    assert library.compile() == 1
    library.header.write_text("#define NUMBER 2\n")
    assert library.compile() == 1
    assert library.number() == 2
    library.source.write_text('#include "verilated.h"\nint number() { return NUMBER + 1; }\n')
    assert library.compile() == 1
    assert library.number() == 3
    assert library.compile("-DVM_TRACE=1") == 1
    library.compiler.write_text(library.compiler.read_text() + "# a new version\n")
    assert library.compile() == 1
    assert library.compile() == 0


def test_a_header_that_is_gone_compiles_again(library: Library) -> None:
    other = library.include / "other.h"
    other.write_text("")
    library.header.write_text('#define NUMBER 1\n#include "other.h"\n')
    assert library.compile() == 1
    other.unlink()
    assert library.compile() == 1
    assert library.code != 0


@pytest.mark.parametrize("damage", [b"", b"half an object"])
def test_a_damaged_object_is_compiled_again(library: Library, damage: bytes) -> None:
    assert library.compile() == 1
    (stored,) = library.cache.glob("*.o")
    stored.write_bytes(damage)
    assert library.compile() == 1
    assert library.number() == 1


def test_a_failed_compilation_is_not_kept(library: Library) -> None:
    library.source.write_text("this is not C++\n")
    assert library.compile() == 1
    assert library.code != 0
    assert list(library.cache.glob("*.o")) == []


def test_what_belongs_to_a_design_is_not_cached(library: Library) -> None:
    design = library.work / "Vtop.cpp"
    design.write_text("int top() { return 1; }\n")
    assert library.compile(source=design) == 1
    assert library.compile(source=design) == 1
    # A file of the library that reads one of the design's folder may differ from design to design.
    (library.work / "verilated_config.h").write_text("#define NUMBER 4\n")
    library.source.write_text('#include "verilated_config.h"\nint number() { return NUMBER; }\n')
    assert library.compile() == 1
    assert library.compile() == 1
    assert library.number() == 4


def test_a_cache_that_cannot_be_written_is_no_obstacle(library: Library) -> None:
    library.cache.write_text("a file where the folder should be")
    assert library.compile() == 1
    assert library.code == 0
    assert library.number() == 1
