"""The page of a sign-off: what it says of a PASS and of planted defects, and how it says it.

No simulator is needed: counts are the golden model's, spoiled where a defect is planted.
"""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from model.errors import DesignFailure, SignoffError
from model.forward import GoldenNetwork
from model.manifest import manifest_digest
from model.network import load_network
from model.plan import Design, plan_design
from model.source_choice import SourceKind
from tb import flow
from tb.evidence import save_counts
from tb.report import render_report
from tb.reporting import refresh_report, save_failed_run, save_report
from tb.sample_networks import sample_network
from tb.signoff import Signoff, WitnessRun, has_witnesses, sign_off
from tb.simulate import Simulation
from tb.simulators import Simulator
from tb.stage import read_campaigns
from tests.builders import NetworkFolder, check_message, small_network
from tests.line import network_folder
from tests.sample_campaigns import (
    coverage_record,
    fault_record,
    mutation_record,
    place_campaigns,
)
from tests.test_signoff import fabricate_inside, outcomes

pytestmark = pytest.mark.slow

MAIN = Simulator("verilator", "99.0", Path("nowhere"), {})
SECOND = Simulator("icarus", "98.0", Path("nowhere"), {})
RERUN = "WAVES=1 .venv/bin/certibit signoff --net here --build there"
VOID = {"meta", "br", "link", "img", "hr", "input"}


# --- a sign-off without simulations ---------------------------------------------------------------


@dataclass
class Line:
    """A planned network in its build folder, and the runs that its sign-off judges."""

    net: Path
    folder: Path
    design: Design
    main: Simulation
    witnesses: list[WitnessRun | None]
    second: Simulation | None

    def judge(self) -> Signoff:
        """Sign off and write every file."""
        save_counts(self.design.manifest, self.main.counts, self.folder / "counts_rtl.npz")
        report = sign_off(
            load_network(self.net),
            self.design,
            self.main,
            self.witnesses,
            self.second,
            "" if self.second else "only verilator was asked for",
            RERUN,
            fabricate_inside(self.design),
        )
        runs = [self.main, *(run.simulation for run in self.witnesses if run)]
        runs += [self.second] if self.second else []
        return save_report(report, runs, self.design, self.folder, "networks/other")

    @property
    def page(self) -> str:
        return (self.folder / "report.html").read_text()

    @property
    def facts(self) -> dict[str, Any]:
        content: dict[str, Any] = json.loads((self.folder / "signoff.json").read_text())
        return content

    def spoil(self, layer: int, vector: int, neuron: int) -> None:
        """Change one count of the main run, in the RTL's place."""
        counts = tuple(part.copy() for part in self.main.counts)
        counts[layer][vector, neuron] += 5
        self.main = replace(self.main, counts=counts)

    def cocotb_failed(self, run: str, tests: Sequence[tuple[str, str]]) -> None:
        """Leave results of a run in which tests failed."""
        path = self.folder / "run" / run / "results.xml"
        path.parent.mkdir(parents=True, exist_ok=True)
        root = ElementTree.Element("testsuites")
        suite = ElementTree.SubElement(root, "testsuite", name="all", failures=str(len(tests)))
        for name, message in tests:
            case = ElementTree.SubElement(suite, "testcase", name=name)
            ElementTree.SubElement(case, "failure", type="AssertionError", message=message)
        path.write_bytes(ElementTree.tostring(root))


@pytest.fixture
def line(tmp_path: Path) -> Line:
    """A design of 6 -> 5 -> 3 whose RTL is without fault."""
    return without_fault(network_folder(tmp_path / "net"), tmp_path / "build" / "small")


def without_fault(net: Path, folder: Path, request: flow.DesignRequest | None = None) -> Line:
    """Plan a network, and take the golden model's counts for those of its RTL."""
    design = flow.plan_network(net, folder, request or flow.DesignRequest())[1]

    def run(name: str, simulator: Simulator, inputs: Any, counts: Any) -> Simulation:
        return Simulation(
            simulator=simulator,
            seed=17,
            inputs=inputs,
            counts=tuple(counts),
            identity=manifest_digest(design.manifest),
            cycles=500,
            seconds_build=0.0,
            seconds_sim=0.25,
            results_xml=folder / "run" / name / "results.xml",
            failure=None,
            tests=outcomes(["network_bench.test_outputs_are_never_unknown"]),
        )

    golden = GoldenNetwork(design.manifest, design.parameters).counts
    witnesses: list[WitnessRun | None] = []
    for index, layer in enumerate(design.manifest.layers):
        if not has_witnesses(design, index):
            witnesses.append(None)
            continue
        inputs = design.certificate(index).witnesses.reshape(-1, layer.fan_in)
        alone = GoldenNetwork(
            design.manifest.model_copy(update={"layers": [layer]}),
            replace(
                design.parameters,
                weights=(design.parameters.weights[index],),
                biases=(design.parameters.biases[index],),
            ),
        )
        (counts,) = alone.counts(inputs)
        simulation = run(f"witness_{index}-verilator", MAIN, inputs, [counts])
        witnesses.append(WitnessRun(simulation, counts))
    features = design.features
    return Line(
        net,
        folder,
        design,
        run("network-verilator", MAIN, features, golden(features)),
        witnesses,
        run("network-icarus", SECOND, features, golden(features)),
    )


class Text(HTMLParser):
    """Checks that tags are balanced, and collects visible text, ids and references."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text = ""
        self.tags: Counter[str] = Counter()
        self.ids: list[str] = []
        self.references: list[str] = []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        if tag not in VOID:
            self.open.append(tag)
        for name, value in attrs:
            if name == "id":
                self.ids.append(value or "")
            if name in ("src", "href", "xlink:href", "action", "data", "srcset", "poster"):
                self.references.append(value or "")
            assert not name.startswith("on"), f"a script in {name}"

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text += data


def check_page(page: str) -> Text:
    """Hold a page against what every page must be; return what it shows."""
    assert len(page.encode()) < 3_000_000
    assert page.startswith("<!DOCTYPE html>")
    shown = Text(page)
    assert not {"script", "link", "iframe", "img", "object", "embed"} & set(shown.tags)
    assert all(reference.startswith("#") for reference in shown.references)
    assert {reference[1:] for reference in shown.references} <= set(shown.ids)
    assert set(re.findall(r"url\((.*?)\)", page)) <= {f"#{name}" for name in shown.ids}
    assert "@import" not in page
    assert len(shown.ids) == len(set(shown.ids))
    assert not re.search(r"https?://", page)
    return shown


def squeezed(text: str) -> str:
    return " ".join(text.split())


# --- PASS -----------------------------------------------------------------------------------------


def test_a_page_that_passes(line: Line) -> None:
    assert line.judge().verdict == "PASS"
    shown = check_page(line.page)
    text = squeezed(shown.text)
    assert "PASS: sign-off of small" in text
    assert 'id="failures"' not in line.page
    facts = line.facts
    for check in facts["checks"]:
        assert check["id"] in text
        assert squeezed(check["detail"]) in text
    for criterion in facts["criteria"]:
        assert f"{criterion['id']}" in text
        assert squeezed(criterion["evidence"]) in text
    assert facts["manifest_sha256"] in text
    # Errors and their law, for each of two layers.
    assert shown.tags["svg"] == 4
    assert "Not run. Planted defects and mutants of netlists. To run: make mutate" in text
    assert "make faults NET=networks/other" in text
    for name, version in facts["versions"].items():
        assert f"{name} {version}" in text or f"{name}{version}" in text
    assert {"python", "numpy", "cocotb", "cocotb-test", "certibit", "verilator", "icarus"} <= set(
        facts["versions"]
    )
    assert "simulation seed17" in text or "simulation seed 17" in text


def test_the_stage_of_checks_alone(line: Line) -> None:
    report = line.judge()
    assert report.stage == "V1"
    open_ones = {criterion.id for criterion in report.criteria if not criterion.held}
    assert {"V2-testplan", "V2-lines", "V3-planted", "V3-netlist", "V3-faults"} <= open_ones
    line.second = None
    assert line.judge().stage == "none"
    assert "Stage V1 is not reached" in squeezed(Text(line.page).text)


def test_the_same_facts_give_the_same_page(line: Line) -> None:
    line.judge()
    before = line.page
    line.judge()
    assert line.page == before


def test_the_users_settings_of_matplotlib_do_not_matter(
    line: Line, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    line.judge()
    before = line.page
    import matplotlib

    monkeypatch.setitem(matplotlib.rcParams, "axes.facecolor", "black")
    monkeypatch.setitem(matplotlib.rcParams, "svg.fonttype", "path")
    line.judge()
    assert line.page == before


@pytest.mark.slow
@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("options", "source", "plots", "words"),
    [
        ({"encoding": "bipolar", "adder": "mux"}, "lfsr", 4, "select: "),
        ({"encoding": "unipolar", "activation": "step"}, "sobol", 4, "Sobol, dimension 2"),
        ({"activation": "lif"}, "lfsr-galois", 3, "Galois LFSR"),
        ({"activation": "lif", "streams": True}, "lfsr", 2, "spikes of the layer before"),
        ({}, "halton", 4, "Halton, base 3"),
        ({}, "counter-lane", 4, "6 lanes"),
    ],
    ids=["mux", "step", "lif", "streams", "halton", "lanes"],
)
def test_every_style_has_a_page(
    tmp_path: Path, options: dict[str, Any], source: SourceKind, plots: int, words: str
) -> None:
    network = sample_network((6, 5, 3), np.random.default_rng(2), operand_bits=4, **options)
    net = NetworkFolder.of(network).write(tmp_path / "net")
    line = without_fault(net, tmp_path / "build" / "sample", flow.DesignRequest(source=source))
    report = line.judge()
    assert report.verdict == "PASS"
    assert report.stage == "V1"
    shown = check_page(line.page)
    # A histogram for each layer, and the law for those that have one.
    assert shown.tags["svg"] == plots
    assert words in squeezed(shown.text)


def test_a_network_of_many_layers(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tb.report._MOST_DRAWN", 1)
    line.judge()
    shown = check_page(line.page)
    assert shown.tags["svg"] == 2
    assert "Drawn of the first 1 layers" in squeezed(shown.text)


# --- FAIL -----------------------------------------------------------------------------------------


def failures_of(page: str) -> str:
    """Return the text of the section that tells failures."""
    found = re.search(r'<section id="failures">.*?</section>', page, re.DOTALL)
    assert found is not None
    return squeezed(Text(found[0]).text)


def test_a_wrong_count(line: Line) -> None:
    line.spoil(1, 3, 2)
    report = line.judge()
    assert (report.verdict, report.stage) == ("FAIL", "none")
    check_page(line.page)
    assert "FAIL: sign-off of small" in line.page
    # The verdict and the failures come first.
    assert line.page.index('id="failures"') < line.page.index('id="stage"')
    told = failures_of(line.page)
    assert "# of # counts differ, first at vector #, neuron #: RTL #, golden #" in told
    assert "1 of 36 counts differ, first at vector 3, neuron 2" in told
    assert f"{RERUN} --sim verilator --vectors 4" in told
    assert "✗ failed" in line.page


def test_failures_of_the_same_kind_are_told_once(line: Line) -> None:
    line.spoil(0, 1, 0)
    line.spoil(1, 3, 2)
    line.judge()
    told = failures_of(line.page)
    assert told.count("counts differ, first at vector #") == 1
    assert "2 \u00d7 # of # counts differ" in told
    assert "Also in S1-counts-layer_1" in told


def test_another_identity(line: Line) -> None:
    line.main = replace(line.main, identity="f" * 64)
    line.judge()
    told = failures_of(line.page)
    assert "1 \u00d7 RTL from another manifest: its ID register is #, not #" in told
    assert f"{RERUN} --sim verilator --vectors 1" in told


def test_failed_cocotb_tests_stand_for_their_bench(line: Line) -> None:
    tests = [
        ("test_registers_counted_every_vector", "registers say 11 vectors in, 12 out"),
        ("test_counts_equal_golden", "layer layer_0: 2 of 60 counts differ, first at vector 4, n"),
    ]
    line.cocotb_failed("network-icarus", tests)
    assert line.second is not None
    line.second = replace(line.second, failure="test test_registers failed: and so on")
    line.judge()
    told = failures_of(line.page)
    assert "1 \u00d7 AssertionError: registers say # vectors in, # out" in told
    assert "network-icarus: test_registers_counted_every_vector" in told
    assert "and so on" not in told
    assert f"{RERUN} --sim icarus --vectors 12" in told
    assert f"{RERUN} --sim icarus --vectors 5" in told


@pytest.mark.parametrize(
    ("what", "vectors"),
    [
        (
            "the simulation recorded 0 of 36 words, since test test_play_all_vectors failed:"
            " AssertionError: hung after 7 of 12 vectors",
            8,
        ),
        ("the simulation recorded unknown values (X)", 12),
    ],
)
def test_a_design_that_gave_no_counts(line: Line, what: str, vectors: int) -> None:
    run = line.folder / "run" / "network-icarus"
    run.mkdir(parents=True)
    (run / "run.json").write_text(
        json.dumps({"seed": 23, "simulator": {"name": "icarus", "version": "98.0"}})
    )
    failure = DesignFailure(what, str(run / "layer_0.hex"), "look at it")
    save_failed_run(failure, line.design, line.folder, RERUN, [MAIN, SECOND], "")
    check_page(line.page)
    text = squeezed(Text(line.page).text)
    assert "FAIL: sign-off of small" in text
    assert "The simulation gave no counts to judge" in text
    told = failures_of(line.page)
    assert what in told
    assert "First in bench-network-icarus" in told
    assert f"{RERUN} --sim icarus --vectors {vectors}" in told
    facts = line.facts
    assert (facts["verdict"], facts["stage"], facts["seed"]) == ("FAIL", "none", 23)
    assert facts["layers"] == []
    assert facts["accuracy"] is None
    root = ElementTree.parse(line.folder / "junit.xml").getroot()
    case = root.find("testsuite[@name='signoff']/testcase[@name='bench-network-icarus']/failure")
    assert case is not None
    assert case.get("message") == what
    # No errors were measured, their law can still be told.
    assert Text(line.page).tags["svg"] == 2


# --- what is written is text ----------------------------------------------------------------------


def test_text_is_escaped(line: Line) -> None:
    line.judge()
    facts = line.facts
    evil = "<script>alert('&')</script>"
    facts["network"] = f"net<{evil}"
    facts["checks"][0] |= {"verdict": "FAIL", "detail": evil}
    facts["criteria"][0]["evidence"] = evil
    facts["versions"]["<b>"] = evil
    facts["layers"][0]["name"] = evil
    campaigns = read_campaigns(line.folder, facts["manifest_sha256"])
    page = render_report(line.design, line.folder, facts, campaigns)
    shown = check_page(page)
    assert "<script" not in page
    assert squeezed(shown.text).count(evil) >= 5
    assert html.escape(evil) in page or "&lt;script&gt;" in page


def test_checks_that_nobody_knows_are_shown(line: Line) -> None:
    line.judge()
    facts = line.facts
    facts["checks"].append({"id": "novel-thing", "verdict": "SKIPPED", "detail": "who knows"})
    campaigns = read_campaigns(line.folder, facts["manifest_sha256"])
    text = squeezed(Text(render_report(line.design, line.folder, facts, campaigns)).text)
    assert "novel" in text
    assert "who knows" in text


def test_parts_of_the_error_and_bias_are_shown(line: Line) -> None:
    line.judge()
    facts = line.facts
    facts["attribution"][0]["parts"][3]["rms"] = 0.0123
    facts["bias"][1] |= {"vectors": 4321}
    facts["bias"][1]["tests"] = [
        {"name": "slope", "p_value": 0.25, "level": 1e-4, "found": 0.0, "detectable": 0.0456}
    ]
    campaigns = read_campaigns(line.folder, facts["manifest_sha256"])
    text = squeezed(Text(render_report(line.design, line.folder, facts, campaigns)).text)
    for word in ("Inherited", "Reencoding", "0.0123", "Tests for bias", "4,321", "0.0456"):
        assert word in text


# --- campaigns ------------------------------------------------------------------------------------


def test_what_campaigns_found(line: Line) -> None:
    line.judge()
    digest = line.facts["manifest_sha256"]
    place_campaigns(
        line.folder,
        mutants=mutation_record(gaps=2, survivors=1),
        coverage=coverage_record(missing=True, goal_missed=True),
        faults=fault_record("small", digest),
    )
    before = (line.folder / "counts_rtl.npz").read_bytes()
    path = refresh_report(line.design, line.folder, "")
    assert path == line.folder / "report.html"
    assert (line.folder / "counts_rtl.npz").read_bytes() == before
    shown = check_page(line.page)
    text = squeezed(shown.text)
    # Accuracy and error, under two normalisations.
    assert shown.tags["svg"] == 4 + 4
    assert "Planted defects: 1 of 2 killed" in text
    assert "SURVIVED compare with <= in place of <" in text or "SURVIVEDcompare with <=" in text
    assert "978 of 1,000 killed, 20 proved equivalent, 2 gaps" in text
    assert "signed-0" in text
    assert "line 34: default of the case" in text
    assert "it is there for a safe recovery" in text
    assert "Test plan: 2 of 3 goals hit" in text
    assert "not hit: high" in text
    assert "Weights, counters and the state of sources are binary" in text
    held = {criterion["id"]: criterion["held"] for criterion in line.facts["criteria"]}
    assert held["V3-faults"]
    assert held["V3-toggles"]
    assert not held["V3-netlist"]
    assert not held["V3-planted"]
    root = ElementTree.parse(line.folder / "junit.xml").getroot()
    names = [suite.get("name") for suite in root]
    assert names == ["signoff", "stage", "mutants", "coverage"]
    suites = {suite.get("name"): suite for suite in root}
    failed = {
        case.get("name")
        for suite in suites.values()
        for case in suite
        if case.find("failure") is not None
    }
    assert failed == {
        "planted-comparator-le",
        "netlist-signed-0",
        "netlist-signed-1",
        "line-sc_block_1.v",
        "goal-goal-V2",
    }
    for suite in suites.values():
        assert suite.get("tests") == str(len(suite))
        assert suite.get("failures") == str(len(suite.findall("*/failure")))


def test_a_refreshed_report_says_what_a_new_one_would(line: Line) -> None:
    line.judge()
    digest = line.facts["manifest_sha256"]
    place_campaigns(
        line.folder,
        mutants=mutation_record(),
        coverage=coverage_record(),
        faults=fault_record("small", digest),
    )
    refresh_report(line.design, line.folder, "networks/other")
    files = ("signoff.json", "junit.xml", "report.html")
    refreshed = [(line.folder / name).read_bytes() for name in files]
    line.judge()
    assert [(line.folder / name).read_bytes() for name in files] == refreshed


def test_a_campaign_of_another_rtl_counts_for_no_stage(line: Line) -> None:
    line.judge()
    place_campaigns(
        line.folder,
        mutants=mutation_record().model_copy(update={"rtl_sha256": "0" * 64}),
        faults=fault_record("small", "1" * 64),
    )
    refresh_report(line.design, line.folder, "")
    text = squeezed(Text(line.page).text)
    assert "Stale. Planted defects and mutants of netlists: the Verilog sources have" in text
    assert "Stale. Fault injection: it ran on the design of another manifest" in text
    assert "counts for no stage" in text
    held = {criterion["id"]: criterion["held"] for criterion in line.facts["criteria"]}
    assert not held["V3-netlist"]
    assert not held["V3-faults"]
    assert line.facts["campaigns"]["mutants"]["state"] == "stale"


def test_a_damaged_record(line: Line) -> None:
    line.judge()
    path = line.folder / "faults.json"
    path.write_text('{"schema": "certibit-faults/1"')
    refresh_report(line.design, line.folder, "")
    assert "Damaged. Fault injection: not a FaultRecord" in squeezed(Text(line.page).text)


Damage = Callable[[Line], object]


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda line: (line.folder / "signoff.json").unlink(), "cannot read"),
        (lambda line: (line.folder / "signoff.json").write_text("{"), "not a sign-off of this"),
        (lambda line: (line.folder / "signoff.json").write_text("[]"), "not a sign-off of this"),
        (lambda line: (line.folder / "junit.xml").unlink(), "JUnit XML is missing"),
        (lambda line: (line.folder / "junit.xml").write_text("<a"), "JUnit XML is missing"),
        (
            lambda line: setattr(
                line,
                "design",
                plan_design(small_network(np.random.default_rng(77), (6, 5, 3), vectors=8)),
            ),
            "is of another manifest",
        ),
    ],
    ids=["no facts", "cut facts", "other facts", "no junit", "cut junit", "another design"],
)
def test_nothing_to_write_anew(line: Line, damage: Damage, words: str) -> None:
    line.judge()
    damage(line)
    with pytest.raises(SignoffError) as error:
        refresh_report(line.design, line.folder, "")
    check_message(error.value, words, "(make)")


# --- in a browser ---------------------------------------------------------------------------------


def chromium(*arguments: str, profile: Path) -> str:
    """Run a headless Chromium and return what it printed."""
    program = shutil.which("chromium")
    if program is None:
        pytest.fail(
            "chromium was not found: `make chromium`, or apt-get install chromium (as root)"
        )
    done = subprocess.run(
        [
            program,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--hide-scrollbars",
            f"--user-data-dir={profile}",
            *arguments,
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        timeout=180,
        check=True,
    )
    return done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("verdict", ["PASS", "FAIL"])
def test_a_browser_shows_it(line: Line, tmp_path: Path, verdict: str) -> None:
    if verdict == "FAIL":
        line.spoil(0, 1, 0)
    line.judge()
    place_campaigns(
        line.folder,
        mutants=mutation_record(gaps=2),
        coverage=coverage_record(missing=True),
        faults=fault_record("small", line.facts["manifest_sha256"]),
    )
    refresh_report(line.design, line.folder, "")
    profile = tmp_path / "profile"
    shot = tmp_path / "page.png"
    size = "--window-size=1280,4000"
    page = (line.folder / "report.html").as_uri()
    chromium(size, f"--screenshot={shot}", page, profile=profile)
    from matplotlib.image import imread

    picture = imread(shot)[..., :3]
    assert picture.shape[:2] == (4000, 1280)
    # Not blank: there is ink in every screenful, and more than one colour.
    for top in range(0, 4000, 1000):
        assert (picture[top : top + 1000].min(axis=2) < 0.5).mean() > 0.002
    assert len(np.unique((picture[:1000] * 255).astype(int).reshape(-1, 3), axis=0)) > 20
    dom = chromium(size, "--dump-dom", page, profile=profile)
    assert f'<div class="big">{verdict}</div>' in dom
    # Measured by a script that only this copy of the page has.
    probe = tmp_path / "probe.html"
    script = (
        "<script>const e = document.documentElement;"
        "document.title = [e.scrollWidth, e.clientWidth, e.scrollHeight].join(' ');"
        "document.body.dataset.cut = [...document.querySelectorAll('.scroll')]"
        ".filter(s => s.scrollWidth > s.clientWidth + 1).length</script>"
    )
    probe.write_text(line.page.replace("</body>", f"{script}</body>"))
    dom = chromium(size, "--dump-dom", probe.as_uri(), profile=profile)
    told = re.search(r"<title>(\d+) (\d+) (\d+)</title>", dom)
    assert told is not None
    content, window, height = (int(part) for part in told.groups())
    assert content <= window == 1280
    assert height > 3000
    # At this width no table needs to be scrolled sideways either.
    assert 'data-cut="0"' in dom
