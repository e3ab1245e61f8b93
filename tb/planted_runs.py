"""Plants defects one at a time in a copy of the sources, and asks the sign-off what it says.

The judge is the command that users call, in a process of its own that sees the copy first on its
path; the copy's golden model and test bench are as they were. The manifest is planned once, from
the sources as they stand, so that what is expected does not change with the defect.
"""

from __future__ import annotations

import compileall
import difflib
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed, wait
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from model.errors import SignoffError, ToolError
from model.network import save_network
from tb.campaigns import PlantedDefect
from tb.defect_networks import DEFECT_NETWORKS
from tb.journal import Journal, shown_progress
from tb.planted_defects import Defect, plant, planted_text
from tb.signoff import SIGNOFF_FILE
from tb.simulate import RTL_FOLDER
from tb.tasks import terminable

REPOSITORY = Path(__file__).resolve().parents[1]
# What a run of the command line needs of the repository.
_PARTS = ("model", "rtl_gen", "hdl", "tb")
# These say what is planted and where; each defect's own share of them is in its journal key.
_LISTS = ("tb/planted_defects.py", "tb/defect_networks.py")

NO_VERDICT = "no verdict"
_STATISTICAL = ("S2-", "S3-")
_JOURNAL = "planted.jsonl"
# A sign-off takes seconds, and its benches have watchdogs of their own.
_TIMEOUT = 900
_OUTPUT_FILE = "output.txt"
_BUILD = "build"  # within a copy

Item = TypeVar("Item")
Result = TypeVar("Result")


def run_planted_defects(
    defects: Sequence[Defect],
    folder: Path,
    simulator: str,
    jobs: int,
    *,
    repository: Path = REPOSITORY,
) -> list[PlantedDefect]:
    """Plant each defect, sign the design off, and return what the sign-off said.

    Results are kept one by one in a journal: a call that was interrupted is taken up again. What
    each run said stays in ``<folder>/planted/<id>``: the defect as a patch, the output of the
    sign-off, and its report.

    Parameters
    ----------
    defects : sequence of Defect
        The defects.
    folder : pathlib.Path
        Working folder.
    simulator : {'icarus', 'verilator'}
        The simulator that judges.
    jobs : int
        How many run at a time.
    repository : pathlib.Path
        The sources.

    Returns
    -------
    list of PlantedDefect
        In the order of `defects`.

    Raises
    ------
    InputError
        If a replacement does not match exactly once.
    SignoffError
        If the sources as they stand do not pass on a sample network.
    ToolError
        If a run ended in another way than a sign-off does; a mutant that does not compile, for
        instance, was not judged.
    """
    folder = folder.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    journal = Journal(folder / _JOURNAL, _identity(repository, simulator))
    names = list(dict.fromkeys(defect.network for defect in defects))
    workshop = _Workshop(folder, repository, simulator)
    with terminable():
        try:
            workshop.open()
            _through(
                {_network_key(name): name for name in names},
                workshop.prepare,
                journal,
                "sources as they stand",
                jobs,
                workshop.end,
                kept=workshop.prepared,
            )
            # Before the first run: all texts are where the list says they are.
            for defect in defects:
                workshop.check(defect)
            _through(
                {_defect_key(defect): defect for defect in defects},
                workshop.judge,
                journal,
                "planted defects",
                jobs,
                workshop.end,
            )
        finally:
            workshop.close()
    return [
        PlantedDefect(
            id=defect.id,
            title=defect.title,
            file=defect.file,
            network=defect.network,
            killed_by=killed_by,
            statistical=statistical_checks(killed_by, defect.network),
        )
        for defect in defects
        for killed_by in [journal.done[_defect_key(defect)]]
    ]


def statistical_checks(checks: Sequence[str], network: str) -> list[str]:
    """Return the checks that need no count which is equal to the model's.

    Those of S2 and S3, but not the S3 of neurons that spike: it holds each vector to the model.

    Parameters
    ----------
    checks : sequence of str
        Ids of checks.
    network : str
        One of `DEFECT_NETWORKS`.
    """
    layers = DEFECT_NETWORKS[network].network(network).description.layers
    paired = {f"S3-bias-{layer.name}" for layer in layers if layer.activation == "lif"}
    return [check for check in checks if check.startswith(_STATISTICAL) and check not in paired]


class _Workshop:
    """Copies of the sources, and the processes that work in them."""

    def __init__(self, folder: Path, repository: Path, simulator: str) -> None:
        self._folder = folder
        self._repository = repository
        self._simulator = simulator
        self._trees = folder / "trees"
        self._unmutated = self._trees / "unmutated"
        self._running: set[subprocess.Popen[bytes]] = set()
        self._lock = threading.Lock()
        self._ended = False

    def open(self) -> None:
        """Copy the sources."""
        shutil.rmtree(self._trees, ignore_errors=True)
        for part in _PARTS:
            shutil.copytree(
                self._repository / part,
                self._unmutated / part,
                ignore=shutil.ignore_patterns("__pycache__", ".*"),
            )
        shutil.copy2(self._repository / "pyproject.toml", self._unmutated)
        # Once for all copies, which keep the times of the sources.
        compileall.compile_dir(self._unmutated, quiet=1)

    def close(self) -> None:
        """Remove the copies."""
        shutil.rmtree(self._trees, ignore_errors=True)

    def end(self) -> None:
        """End what is running, and let nothing begin any more."""
        with self._lock:
            self._ended = True
            running = list(self._running)
        for process in running:
            process.terminate()  # it ends its simulations itself
        for process in running:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)

    def prepared(self, name: str) -> bool:
        """Tell whether a sample network's design is still there."""
        return (self._base(name) / name / RTL_FOLDER).is_dir()

    def prepare(self, name: str) -> str:
        """Plan and generate a sample network, and demand that it passes as it is."""
        network, net, build = DEFECT_NETWORKS[name], self._net(name), self._base(name)
        shutil.rmtree(build, ignore_errors=True)
        save_network(network.network(name), net)
        log = self._folder / "networks" / f"{name}.txt"
        for command in (["plan", *network.plan_options()], ["generate"]):
            if self._run(self._unmutated, command, net, build, log) != 0:
                raise ToolError(
                    f"cannot {command[0]} sample network {name}",
                    str(log),
                    "mend what is told there",
                )
        with self._copied(f"unmutated-{name}", name) as tree:
            if self._sign_off(tree, name, log):
                raise SignoffError(
                    f"the sources as they stand do not pass on sample network {name}",
                    str(log),
                    "mend what is told there: defects can only be planted in what passes",
                )
        return "PASS"

    def check(self, defect: Defect) -> None:
        """Demand that a defect can be planted."""
        root = self._base(defect.network) / defect.network if defect.generated else self._unmutated
        planted_text(defect, (root / defect.file).read_text())

    def judge(self, defect: Defect) -> list[str]:
        """Plant a defect and return the ids of the checks that failed."""
        kept = self._folder / "planted" / defect.id
        shutil.rmtree(kept, ignore_errors=True)
        kept.mkdir(parents=True)
        with self._copied(defect.id, defect.network) as tree:
            build = tree / _BUILD
            root = build / defect.network if defect.generated else tree
            before = (root / defect.file).read_text()
            plant(defect, root)
            _write_patch(defect, before, (root / defect.file).read_text(), kept)
            log, net = kept / _OUTPUT_FILE, self._net(defect.network)
            if defect.in_template and self._run(tree, ["generate"], net, build, log) != 0:
                raise ToolError(
                    f"defect {defect.id} cannot be generated",
                    str(log),
                    "mend it in tb/planted_defects.py",
                )
            killed_by = self._sign_off(tree, defect.network, log)
            with suppress(FileNotFoundError):
                shutil.copy2(build / defect.network / SIGNOFF_FILE, kept)
            return killed_by

    @contextmanager
    def _copied(self, name: str, network: str) -> Iterator[Path]:
        """Give a copy of the sources, with a sample network's design in its build folder.

        The design must lie within the copy: cocotb lets pytest look for its settings in the folders
        above a run, and these put the test bench that they stand beside first on the path.
        """
        tree = self._trees / name
        try:
            shutil.copytree(self._unmutated, tree)
            shutil.copytree(self._base(network), tree / _BUILD)
            yield tree
        finally:
            shutil.rmtree(tree, ignore_errors=True)

    def _net(self, name: str) -> Path:
        """Return a sample network's folder."""
        return self._folder / "networks" / name

    def _base(self, name: str) -> Path:
        """Return the folder in which a sample network's design was planned and generated."""
        return self._folder / "designs" / name

    def _sign_off(self, tree: Path, name: str, log: Path) -> list[str]:
        """Sign the design in a copy off and return the ids of the checks that failed."""
        build = tree / _BUILD
        command = ["signoff", "--sim", self._simulator]
        code = self._run(tree, command, self._net(name), build, log)
        return failed_checks(code, build / name, log)

    def _run(self, tree: Path, command: list[str], net: Path, build: Path, log: Path) -> int:
        """Run the command line of a copy; return its exit code. Its output is appended to a log."""
        words = [sys.executable, "-m", "tb", command[0], "--net", str(net), "--build", str(build)]
        env = {
            name: value
            for name, value in os.environ.items()
            if name != "WAVES" and not name.startswith("COCOTB_")
        }
        with self._lock:
            if self._ended:
                raise KeyboardInterrupt
            with open(log, "ab") as out:
                process = subprocess.Popen(
                    [*words, *command[1:]],
                    cwd=tree,
                    env={**env, "PYTHONPATH": str(tree)},
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            self._running.add(process)
        try:
            return process.wait(_TIMEOUT)
        except subprocess.TimeoutExpired:
            process.terminate()
            raise ToolError(
                f"a {command[0]} did not end within {_TIMEOUT} s",
                str(log),
                "look why; a design that hangs ought to be ended by the bench's watchdog",
            ) from None
        finally:
            self._running.discard(process)


def failed_checks(code: int, folder: Path, log: Path) -> list[str]:
    """Return the ids of the checks that failed in a sign-off.

    Parameters
    ----------
    code : int
        The command's exit code.
    folder : pathlib.Path
        The design's build folder.
    log : pathlib.Path
        The command's output.

    Returns
    -------
    list of str
        Empty if it passed; ``no verdict`` alone if the simulation left no evidence to judge.

    Raises
    ------
    ToolError
        If the command ended in any other way, so that nothing was judged.
    """
    report = folder / SIGNOFF_FILE
    if code in (0, 1) and report.is_file():
        content = json.loads(report.read_text())
        failed = [check["id"] for check in content["checks"] if check["verdict"] == "FAIL"]
        if content["verdict"] == ("FAIL" if failed else "PASS") and bool(failed) == (code == 1):
            return failed
    told = log.read_text(errors="replace").strip().splitlines()[-1:]
    # Of the errors without a verdict only those count that speak of what a simulation recorded.
    recordings = str(folder / "run")
    if code == 2 and not report.is_file() and told and told[0].startswith("certibit: "):
        spoilt = recordings in told[0] and "make room or permit writing" not in told[0]
        if spoilt and not list(folder.glob("**/*.failed.log")):
            return [NO_VERDICT]
    raise ToolError(
        f"a sign-off ended with exit code {code} and without a verdict"
        + (f": {told[0]}" if told else ""),
        str(log),
        "look why: a defect must compile, and what cannot be judged is not killed",
    )


def _through(
    items: dict[str, Item],
    work: Callable[[Item], Result],
    journal: Journal,
    what: str,
    jobs: int,
    end: Callable[[], None],
    kept: Callable[[Item], bool] = lambda _item: True,
) -> None:
    """Do what the journal does not have yet, several at a time."""
    left = {key: item for key, item in items.items() if key not in journal.done or not kept(item)}
    with ThreadPoolExecutor(jobs) as pool:
        futures: dict[Future[Result], str] = {
            pool.submit(work, item): key for key, item in left.items()
        }

        def finished() -> Iterator[Future[Result]]:
            yield from as_completed(futures)

        try:
            for future in shown_progress(finished(), what, len(items), done=len(items) - len(left)):
                journal.add(futures[future], future.result())
        except BaseException:
            for future in futures:
                future.cancel()
            end()
            wait(futures)
            for future, key in futures.items():
                unkept = key not in journal.done and not future.cancelled()
                if unkept and future.exception() is None:
                    journal.add(key, future.result())
            raise


def _identity(repository: Path, simulator: str) -> str:
    """Return the hash of all that results depend on, but for the lists of what is planted."""
    content = hashlib.sha256(simulator.encode())
    for part in _PARTS:
        for path in sorted((repository / part).rglob("*")):
            name = path.relative_to(repository)
            hidden = any(word.startswith((".", "__pycache__")) for word in name.parts)
            if hidden or str(name) in _LISTS or not path.is_file():
                continue
            data = path.read_bytes()
            content.update(f"{name} {len(data)}\0".encode() + data)
    return content.hexdigest()


def _network_key(name: str) -> str:
    """Return a sample network's name in the journal, with all that makes it."""
    return f"unmutated {name} {_short_hash(repr(DEFECT_NETWORKS[name]))}"


def _defect_key(defect: Defect) -> str:
    """Return a defect's name in the journal, with all that makes it."""
    return f"{defect.id} {_short_hash(repr((defect.edits, defect.file)))} " + _network_key(
        defect.network
    )


def _short_hash(text: str) -> str:
    """Return a hash that tells versions of one thing apart."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _write_patch(defect: Defect, before: str, after: str, folder: Path) -> None:
    """Keep what was done for the reader."""
    lines = difflib.unified_diff(
        before.splitlines(keepends=True),
        after.splitlines(keepends=True),
        f"a/{defect.file}",
        f"b/{defect.file}",
    )
    (folder / "defect.patch").write_text("".join(lines))
