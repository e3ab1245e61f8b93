"""A compiler launcher that compiles Verilator's run-time library once and then copies the objects.

Every build of a simulation compiles the same four to six files of Verilator's run-time library,
which takes longer than a small design does. Verilator's makefiles put ``$(OBJCACHE)`` before every
call of the compiler; the runner sets it to this file:

    python -I -S objcache.py c++ -Os ... -c -o verilated.o /.../include/verilated.cpp

Only files below ``$VERILATOR_ROOT/include`` are cached, in ``$CERTIBIT_OBJECT_CACHE``; everything
else is handed to the compiler as it is. An object is reused when all of these are as they were: the
compiler (path, size, time), every argument, the environment that steers a compiler, the source, and
every header that the compiler read, system headers included, each by content. The object itself
carries a hash too, so a damaged one is compiled again. All is written under a temporary name and
renamed, and one process at a time fills an entry while the others wait for it.

Runs by path and on its own (no imports from the project), since it is started for every file of
every build.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

FORMAT = "1"
# Variables that change what a compiler does without showing in its arguments.
COMPILER_ENVIRONMENT = (
    "CPATH",
    "C_INCLUDE_PATH",
    "CPLUS_INCLUDE_PATH",
    "GCC_EXEC_PREFIX",
    "COMPILER_PATH",
    "SOURCE_DATE_EPOCH",
)


def main(argv: list[str]) -> int:
    """Compile, or copy what was compiled before; return the compiler's exit code."""
    cache = os.environ.get("CERTIBIT_OBJECT_CACHE")
    job = _Job.of(argv) if cache else None
    if cache is None or job is None:
        os.execvp(argv[0], argv)
    entry = Path(cache) / job.key()
    try:
        entry.parent.mkdir(parents=True, exist_ok=True)
        lock = open(entry.with_suffix(".lock"), "w")  # noqa: SIM115 (held until the process ends)
        fcntl.flock(lock, fcntl.LOCK_EX)
    except OSError:
        os.execvp(argv[0], argv)  # A cache that cannot be written is no reason not to build.
    if _reuse(entry, job.output):
        return 0
    return _compile(entry, job)


class _Job:
    """One call of the compiler that may be cached."""

    def __init__(self, argv: list[str], source: Path, output: Path) -> None:
        self.argv = argv
        self.source = source
        self.output = output

    @classmethod
    def of(cls, argv: list[str]) -> _Job | None:
        root = os.environ.get("VERILATOR_ROOT")
        sources = [a for a in argv[1:] if a.endswith(".cpp")]
        if root is None or len(sources) != 1 or "-c" not in argv or argv.count("-o") != 1:
            return None
        source = Path(sources[0])
        output = argv.index("-o") + 1
        if Path(root, "include") not in source.parents or output >= len(argv):
            return None
        return cls(argv, source, Path(argv[output]))

    def key(self) -> str:
        compiler = os.path.realpath(shutil.which(self.argv[0]) or self.argv[0])
        stat = os.stat(compiler)
        parts = [FORMAT, compiler, str(stat.st_size), str(stat.st_mtime_ns)]
        parts += [a for a in self.argv[1:] if a != str(self.output)]
        parts += [f"{name}={os.environ.get(name)}" for name in COMPILER_ENVIRONMENT]
        parts.append(_sha256(self.source))
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]


def _reuse(entry: Path, output: Path) -> bool:
    try:
        told = json.loads(entry.with_suffix(".json").read_text())
        stored = entry.with_suffix(".o").read_bytes()
        if hashlib.sha256(stored).hexdigest() != told["object"]:
            return False
        if any(_sha256(Path(path)) != sha for path, sha in told["read"].items()):
            return False
    except (OSError, ValueError, KeyError):
        return False
    output.write_bytes(stored)
    return True


def _compile(entry: Path, job: _Job) -> int:
    # -MD lists system headers too, -MMD does not; it writes the list beside the object, with the
    # suffix .d.
    argv = ["-MD" if a == "-MMD" else a for a in job.argv]
    if "-MD" not in argv:
        argv.append("-MD")
    code = subprocess.run(argv, check=False).returncode
    if code == 0:
        try:
            _store(entry, job.output)
        except OSError as error:  # for instance a full disk: the build itself may still succeed
            print(f"objcache: {job.output} not cached: {error}", file=sys.stderr)
    return code


def _store(entry: Path, output: Path) -> None:
    read = _dependencies(output.with_suffix(".d").read_text())
    if not read or not all(os.path.isabs(path) for path in read):
        return  # A file of the build folder was read: the object may belong to one design only.
    told = {
        "object": _sha256(output),
        "read": {path: _sha256(Path(path)) for path in read},
    }
    _publish(entry.with_suffix(".o"), output.read_bytes())
    _publish(entry.with_suffix(".json"), json.dumps(told, indent=1).encode())


def _dependencies(rule: str) -> list[str]:
    """Return the prerequisites of the first rule of a dependency file, unescaped."""
    _, _, names = rule.replace("\\\n", " ").split("\n", 1)[0].partition(": ")
    found = re.findall(r"(?:\\.|\S)+", names)
    return [re.sub(r"\\(.)", r"\1", name).replace("$$", "$") for name in found]


def _publish(path: Path, content: bytes) -> None:
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(content)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
