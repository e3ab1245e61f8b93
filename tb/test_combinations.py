"""Every combination of encoding, adder, neuron and source: the whole sign-off on a few digits.

The same rows as `make combinations`, with smaller networks and short bitstreams: plan, generate,
simulate, drive the witnesses, and hold everything to the golden model and the bounds.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.combinations import SOURCES, Row, rows
from model.forward import GoldenNetwork
from model.network import save_network
from networks.digits.train import Settings
from tb import flow
from tb.bench_support import BENCH_BUILDS
from tb.evidence import COUNTS_FILE, load_counts
from tb.signoff import Signoff

pytestmark = pytest.mark.slow

IMAGES = 5
SMALL = Settings(hidden=8, epochs=20)
# The other sources are in `tb.test_styles`.
ROWS = [row for row in rows() if row.source in SOURCES]
# With shorter bitstreams the certificate of these fixed sources is above the radius.
NEED_MORE = [Row("bipolar", "mux", "clip", "counter"), Row("bipolar", "mux", "clip", "sobol")]
# Every encoding, adder, neuron and source in one of them at least.
QUICK = (
    Row("unipolar", "mux", "LIF", "sobol"),
    Row("bipolar", "mux", "clip", "lfsr"),
    Row("sign-magnitude", "parallel-counter", "LIF", "counter"),
    Row("sign-magnitude", "parallel-counter", "LIF, streamed", "lfsr"),
)


def sign_off(row: Row, simulator: str, length: int) -> Signoff:
    """Take a small design through the line; hold its counts to the golden model's once more."""
    trained = row.network(SMALL)
    small = replace(trained, features=trained.features[:IMAGES], labels=trained.labels[:IMAGES])
    build = BENCH_BUILDS / "combinations" / f"L{length}"
    net, folder = build / "networks" / row.name, build / row.name
    save_network(small, net)
    network, design = flow.plan_network(
        net, folder, flow.DesignRequest(lengths=[length], source=row.source)
    )
    assert network.description == small.description
    assert all(map(np.array_equal, network.weights, trained.weights))
    flow.generate(design, folder)
    simulators = flow.choose_simulators(simulator)
    report = flow.simulate_and_sign_off(
        network, net, design, folder, simulators, None, print, page=False, counts_only=True
    )
    golden = GoldenNetwork(design.manifest, design.parameters).counts(small.features)
    _, counts = load_counts(design.manifest, folder / COUNTS_FILE)
    assert all(map(np.array_equal, counts, golden))
    assert report.accuracy.rtl == report.accuracy.golden
    return report


def check_whole(row: Row, simulator: str) -> None:
    """Sign a row off: nothing may fail, and only a witness that there is not may be missing."""
    length = 32 if row.adder == "parallel-counter" else 64
    if row in NEED_MORE:
        length = row.length
    report = sign_off(row, simulator, length)
    assert not failed(report)
    assert report.verdict == "PASS"
    # A sign-off as a whole is signed off in tests of its own: forty of them would take an hour.
    skipped = {
        check.id
        for check in report.checks
        if check.verdict == "SKIPPED" and check.detail != "only counts were asked for"
    }
    witnesses = {"witness-hidden", "witness-output"}
    assert skipped - witnesses <= {"simulators-agree", "X-propagation"}
    if row.neuron == "clip":
        assert not skipped & witnesses


def failed(report: Signoff) -> dict[str, str]:
    """Return the checks that failed, with what they say."""
    return {check.id: check.detail for check in report.checks if check.verdict == "FAIL"}


def test_quick_rows_have_one_of_everything() -> None:
    assert set(QUICK) <= set(ROWS)
    for part in ("encoding", "adder", "neuron", "source"):
        assert {getattr(row, part) for row in QUICK} == {getattr(row, part) for row in ROWS}


@pytest.mark.parametrize("simulator", ["icarus"])
@pytest.mark.parametrize(
    "row",
    [pytest.param(row, marks=() if row in QUICK else pytest.mark.slow) for row in ROWS],
    ids=lambda row: row.name,
)
def test_combination(row: Row, simulator: str) -> None:
    check_whole(row, simulator)


@pytest.mark.parametrize("simulator", ["verilator"])
@pytest.mark.parametrize("row", QUICK, ids=lambda row: row.name)
def test_combination_in_verilator(row: Row, simulator: str) -> None:
    check_whole(row, simulator)


@pytest.mark.slow
@pytest.mark.parametrize("simulator", ["icarus"])
@pytest.mark.parametrize("row", NEED_MORE, ids=lambda row: row.name)
def test_fixed_sources_are_not_signed_off_where_the_radius_is_not_theirs(
    row: Row, simulator: str
) -> None:
    """Counts, errors and witnesses are all as they should be; the radius alone is a false one."""
    report = sign_off(row, simulator, 64)
    assert report.verdict == "FAIL"
    assert set(failed(report)) == {"S2-certificate-within-hoeffding-hidden"}
