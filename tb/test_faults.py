"""Injected faults in a small network: where they strike, how often, and what they come to."""

from __future__ import annotations

import dataclasses
import functools
import math
from pathlib import Path

import numpy as np
import pytest

from model.errors import InputError
from model.plan import Design, plan_design, save_design
from rtl_gen.generator import generate_rtl
from tb.bench_support import BENCH_BUILDS
from tb.campaigns import FaultRecord
from tb.fault_campaign import (
    FaultRequest,
    Subject,
    build_subjects,
    choose_singles,
    judge,
    play_rate,
    play_singles,
    run_campaign,
    wilson_interval,
)
from tb.fault_prediction import predicted_errors, struck
from tb.fault_simulation import Job, Outcome, read_outcomes
from tb.sample_networks import sample_network
from tb.simulate import RTL_FOLDER
from tb.simulators import find_simulator
from tb.stage import NORMALISED

pytestmark = pytest.mark.slow

STREAMS = ("x streams", "w streams", "products")
QUIET_HOST = "00000000 00000000 00000002 00000002 0"


def small_design(folder: Path) -> Design:
    """Plan and generate a network with signed inputs, zeros and ones among its weights."""
    network = sample_network(
        (6, 5, 3), np.random.default_rng(1), operand_bits=4, scale_exponents=[-1, -1], vectors=24
    )
    design = plan_design(network, [16, 16])
    save_design(design, folder)
    generate_rtl(design, folder / RTL_FOLDER)
    return design


@functools.cache
def subjects(simulator_name: str) -> tuple[Subject, ...]:
    """Build the small network's designs, once."""
    folder = BENCH_BUILDS / "faults"
    design = small_design(folder)
    return tuple(build_subjects(design, folder, find_simulator(simulator_name), binary=True))


@pytest.mark.parametrize("simulator", ["icarus"])
@pytest.mark.parametrize("which", [0, 1], ids=["stochastic", "binary"])
def test_sites_without_faults_change_nothing(which: int, simulator: str) -> None:
    subject = subjects(simulator)[which]
    outcome = subject.bench.run([Job(vectors=24)])[0]
    assert (outcome.counts(24, 3) == subject.golden).all()
    assert outcome.host == "00000000 00000000 00000018 00000018 0"
    assert outcome.injected == {}


@pytest.mark.parametrize("simulator", ["icarus"])
def test_every_signal_of_the_netlist_has_its_place(simulator: str) -> None:
    subject = subjects(simulator)[0]
    design = subject.bench.design
    bits = {place: 0 for site in subject.bench.sites for place in [site.place]}
    for site in subject.bench.sites:
        bits[site.place] += len(site.bits)
    weights = [np.abs(weight) for weight in design.parameters.weights]
    assert bits["products"] == sum(int((weight > 0).sum()) for weight in weights)
    assert bits["w streams"] == sum(int(((weight > 0) & (weight < 16)).sum()) for weight in weights)
    assert bits["x streams"] == 6 + 5
    assert bits["counters"] == sum(
        layer.outputs * layer.accumulator_width for layer in design.manifest.layers
    )
    # Five planes and two signs of each synapse.
    assert bits["weights"] == 7 * bits["products"]
    assert bits["source state"] == 4 + 4
    assert not [site for site in subject.bench.sites if site.block == "top: products"]
    names = [site.name for site in subject.bench.sites]
    assert len(names) == len(set(names))
    assert {site.index for site in subject.bench.sites} == set(range(len(names)))


@pytest.mark.parametrize("simulator", ["icarus"])
def test_signals_of_generate_blocks_are_of_their_module(simulator: str) -> None:
    sites = [s for s in subjects(simulator)[1].bench.sites if s.name.endswith(".minus")]
    # A sign a neuron.
    assert len(sites) == 5 + 3
    assert {site.place for site in sites} == {"products"}
    assert {site.block for site in sites} == {"layer 0: products", "layer 1: products"}


@pytest.mark.parametrize("simulator", ["icarus"])
@pytest.mark.parametrize("rate", [0.003, 0.2])
def test_as_many_faults_as_the_rate_says(rate: float, simulator: str) -> None:
    subject = subjects(simulator)[0]
    outcome = subject.bench.run([Job(places=("counters",), rate=rate, seed=7, vectors=24)])[0]
    struck_sites = [site for site in subject.bench.sites if site.place == "counters"]
    bits = sum(len(site.bits) for site in struck_sites)
    # From the second cycle on until the last result; then the output is only watched.
    trials = bits * (outcome.cycles - 64 - 2)
    spread = math.sqrt(trials * rate * (1 - rate))
    assert abs(sum(outcome.injected.values()) - trials * rate) < 4 * spread + 2 * bits * rate
    assert set(outcome.injected) <= {site.index for site in struck_sites}


@pytest.mark.parametrize("simulator", ["icarus"])
def test_a_seed_repeats_its_faults(simulator: str) -> None:
    bench = subjects(simulator)[0].bench
    job = Job(places=STREAMS, rate=0.02, seed=3, vectors=24)
    # Between the two there is a run with other faults.
    first, other, again = bench.run([job, dataclasses.replace(job, seed=4), job])
    assert first == again
    assert first != other


@pytest.mark.parametrize("simulator", ["icarus"])
def test_a_hang_is_reported(simulator: str) -> None:
    subject = subjects(simulator)[0]
    site = next(s for s in subject.bench.sites if s.name == "u_layer_0.u_ctrl.finish_o")
    job = Job("stuck-at-0", site=site.index, bit=0, vectors=2)
    hung, well = subject.bench.run([job, Job(vectors=2)])
    assert judge(hung, job, subject, QUIET_HOST) == "hung"
    # And the next job is none the worse.
    assert judge(well, job, subject, well.host) == "masked"


@pytest.mark.parametrize("simulator", ["icarus"])
def test_a_stuck_valid_is_seen(simulator: str) -> None:
    subject = subjects(simulator)[0]
    site = next(s for s in subject.bench.sites if s.name == "u_source.valid_q")
    job = Job("stuck-at-1", site=site.index, bit=0, vectors=2, drain=96)
    outcome = subject.bench.run([job])[0]
    assert judge(outcome, job, subject, QUIET_HOST) == "detected"


@pytest.mark.parametrize("simulator", ["icarus"])
def test_a_flip_stays_in_a_register(simulator: str) -> None:
    subject = subjects(simulator)[0]
    last = next(s for s in subject.bench.sites if s.name == "u_layer_1.u_bank_0.acc_q")
    outputs = 3
    # Bit 3 of the planes of output 1, in a counted cycle of the last layer.
    job = Job("flip", site=last.index, bit=3 * outputs + 1, cycle=30, vectors=1)
    outcome = subject.bench.run([job])[0]
    difference = outcome.counts(1, outputs) - subject.golden[:1]
    assert abs(difference[0, 1]) == 8
    assert difference[0, [0, 2]].tolist() == [0, 0]
    assert judge(outcome, job, subject, outcome.host) == "silent"


@pytest.mark.parametrize("simulator", ["icarus"])
@pytest.mark.parametrize("place", [*STREAMS, "weights"])
def test_theory_predicts_the_error(place: str, simulator: str) -> None:
    subject = subjects(simulator)[0]
    rate, seeds = 0.05, 12
    squares = np.array(
        [
            play_rate(subject, (place,), "flip", rate, FaultRequest(vectors=24, seed=seed))[
                "squares"
            ]
            for seed in range(seeds)
        ]
    ) / (24 * 3 * subject.unit**2)
    design = subject.bench.design
    predicted = predicted_errors(design, design.features, (place,), "flip", [rate])[0]
    assert predicted is not None
    spread = squares.std(ddof=1) / math.sqrt(seeds)
    # Four standard errors, and a tenth for what the normal approximation leaves out.
    assert abs(squares.mean() - predicted**2) < 4 * spread + 0.1 * predicted**2


@pytest.mark.parametrize("simulator", ["icarus"])
def test_single_faults_are_all_told(simulator: str) -> None:
    subject = subjects(simulator)[0]
    request = FaultRequest(vectors=24, singles=12, single_vectors=2)
    found = play_singles(subject, "layer 1: counters", "stuck-at-1", request)
    assert found["injected"] == 12
    assert sum(found.values()) == 24
    assert found.get("silent", 0) > 0


@pytest.mark.parametrize("simulator", ["icarus"])
def test_singles_are_chosen_by_the_seed(simulator: str) -> None:
    subject = subjects(simulator)[0]
    request = FaultRequest(vectors=24, singles=5)
    chosen = choose_singles(subject, "layer 0: products", "flip", 40, request)
    assert chosen == choose_singles(subject, "layer 0: products", "flip", 40, request)
    other = dataclasses.replace(request, seed=2)
    assert chosen != choose_singles(subject, "layer 0: products", "flip", 40, other)
    # A block of few bits is struck at each of them.
    everything = choose_singles(
        subject, "layer 0: x streams", "stuck-at-0", 40, FaultRequest(vectors=24)
    )
    assert sorted(job.bit for job in everything) == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize("simulator", ["icarus"])
def test_campaign_is_taken_up_again(
    simulator: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Two blocks are enough for it.
    built = [
        dataclasses.replace(
            subject,
            bench=dataclasses.replace(
                subject.bench,
                sites=tuple(
                    site
                    for site in subject.bench.sites
                    if site.block in ("layer 1: products", "layer 1: counters")
                ),
            ),
        )
        for subject in subjects(simulator)
    ]
    monkeypatch.setattr("tb.fault_campaign.build_subjects", lambda *_, **__: built)
    design = built[0].bench.design
    request = FaultRequest(rates=(0.01,), vectors=4, singles=2, single_vectors=1)
    said: list[str] = []
    record = run_campaign(design, tmp_path, find_simulator(simulator), request, said.append)
    assert record is not None
    assert FaultRecord.load(tmp_path / "faults.json") == record
    for outcome in record.outcomes:
        found = outcome.masked + outcome.detected + outcome.silent + outcome.hung
        assert found == outcome.injected
    # It has what stage V3 asks of a campaign.
    assert {(curve.design, curve.normalisation) for curve in record.curves} == NORMALISED
    # A second call plays nothing but the check without faults.
    monkeypatch.setattr("tb.fault_campaign.play_rate", None)
    monkeypatch.setattr("tb.fault_campaign.play_singles", None)
    again = run_campaign(design, tmp_path, find_simulator(simulator), request, said.append)
    assert again == record


@pytest.mark.parametrize("simulator", ["icarus"])
def test_sites_that_change_a_count_end_the_campaign(
    simulator: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built = list(subjects(simulator))
    golden = built[0].golden.copy()
    golden[5, 2] += 1
    wrong = [dataclasses.replace(built[0], golden=golden), built[1]]
    monkeypatch.setattr("tb.fault_campaign.build_subjects", lambda *_, **__: wrong)
    said: list[str] = []
    request = FaultRequest(vectors=24)
    design = built[0].bench.design
    assert run_campaign(design, tmp_path, find_simulator(simulator), request, said.append) is None
    assert "vector 5, output 2" in said[-1]
    assert not (tmp_path / "faults.json").exists()


@pytest.mark.parametrize("simulator", ["verilator"])
def test_both_simulators_inject_the_same_faults(simulator: str) -> None:
    jobs = [
        Job(vectors=24),
        # Not control: without its load a register is X in Icarus, and anything in Verilator.
        Job(places=("products", "counters"), rate=0.005, seed=5, vectors=24),
        Job("stuck-at-1", places=STREAMS, rate=0.1, seed=6, vectors=24),
    ]
    for ours, others in zip(subjects(simulator), subjects("icarus"), strict=True):
        assert ours.bench.sites == others.bench.sites
        assert ours.bench.run(jobs) == others.bench.run(jobs)


# --- without a simulator --------------------------------------------------------------------------


def packets(*packet: str) -> list[tuple[str, str]]:
    """Return beats, one digit a beat; the last of each packet has TLAST."""
    return [
        (str(int(place == len(digits) - 1)), f"{int(digit):08x}")
        for digits in packet
        for place, digit in enumerate(digits)
    ]


@pytest.mark.parametrize(
    ("change", "verdict"),
    [
        ({}, "masked"),
        ({"beats": packets("123", "457")}, "silent"),
        ({"beats": packets("123", "45")}, "detected"),
        ({"beats": packets("123", "456", "456")}, "detected"),
        ({"beats": packets("12", "3456")}, "detected"),
        ({"beats": [*packets("123", "45"), ("1", "0000000x")]}, "detected"),
        ({"host": "00000002 00000001 00000002 00000002 0"}, "detected"),
        ({"host": QUIET_HOST[:-1] + "1"}, "detected"),
        ({"why": 1}, "hung"),
        ({"why": 2, "beats": packets("123", "457")}, "hung"),
    ],
)
def test_what_a_fault_came_to(change: dict[str, object], verdict: str) -> None:
    fields: dict[str, object] = {
        "beats": packets("123", "456"),
        "why": 0,
        "cycles": 99,
        "host": QUIET_HOST,
        "injected": {},
    }
    outcome = Outcome(**{**fields, **change})  # type: ignore[arg-type]
    golden = np.array([[1, 2, 3], [4, 5, 6]])
    subject = Subject("stochastic", None, golden, 16)  # type: ignore[arg-type]
    assert judge(outcome, Job(vectors=2), subject, QUIET_HOST) == verdict


def test_a_job_that_was_cut_short_is_no_result() -> None:
    text = "job 0\nbeat 1 00000001\nsite 3 17\nend 0 12 0 0 1 1 0\njob 1\nbeat 1 00000002\nend 0 1"
    outcomes = read_outcomes(text)
    assert outcomes == [Outcome([("1", "00000001")], 0, 12, "0 0 1 1 0", {3: 17})]


def test_wilson_interval() -> None:
    low, high = wilson_interval(95, 100)
    assert (round(low, 4), round(high, 4)) == (0.8882, 0.9785)
    assert wilson_interval(0, 10)[0] == 0.0
    assert wilson_interval(10, 10)[1] == 1.0


def test_faults_on_an_and_gate_as_in_theory() -> None:
    e, x, w = 0.01, 0.3, 0.8
    a, b = struck("flip", e)
    assert a * (a * x + b) * (a * w + b) + b == pytest.approx(
        (x * (1 - 2 * e) + e) * (w * (1 - 2 * e) + e) * (1 - 2 * e) + e
    )
    assert struck("stuck-at-0", e) == (1 - e, 0.0)
    assert struck("stuck-at-1", e) == (1 - e, e)


@pytest.mark.parametrize(
    "change", [{"vectors": 0}, {"vectors": 25}, {"rates": (0.0,)}, {"rates": (0.9,)}, {"jobs": 0}]
)
def test_impossible_requests_are_refused(change: dict[str, object], tmp_path: Path) -> None:
    design = small_design(tmp_path)
    request = FaultRequest(**{"vectors": 24, **change})  # type: ignore[arg-type]
    with pytest.raises(InputError):
        request.check(design)
