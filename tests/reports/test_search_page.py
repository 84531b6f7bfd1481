"""The page of a search, and the files beside it."""

import json
import math
import re
from dataclasses import replace

import pytest
from searches import LR, asha, grid, population, scored, search
from test_report import HOSTILE, Page

from ganops.reports.search_page import publish, save, write
from ganops.search.trials import Takeover, Trial, ranked

ASHA, PBT = asha(), population()
WHOLE = ["decision", "trials", "distance", "parameters", "importance", "budget", "samples"]


@pytest.fixture
def page(tmp_path):
    def read(found):
        write(found, tmp_path / "report.html")
        return Page((tmp_path / "report.html").read_text(encoding="utf-8"))

    return read


@pytest.fixture(scope="module")
def asha_page(tmp_path_factory):
    path = tmp_path_factory.mktemp("asha") / "report.html"
    write(ASHA, path)
    return Page(path.read_text(encoding="utf-8"))


def test_the_page_says_everything(asha_page):
    read = asha_page
    assert read.sections == WHOLE
    first, second = ranked(ASHA.trials)[:2]
    level = sum(each.rung == first.rung for each in ranked(ASHA.trials))
    among = f"the {level} of 30 trials that count and came furthest"
    for words in (
        f"Smallest fd_domain_validation of {among}: {first.score:.4g} after 27 kimg, judgement 3 of 3; next is trial "
        f"{second.number} with {second.score:.4g}.",
        "1 h 12 min", "2 cores of an AMD EPYC", "5d0c2f9a7be1", "loss of D is not finite", "RuntimeError: out of",
        "coverage 0.21 is below 0.3", "not among the best third after 3 kimg", "splitvalidation", "kimg: 27", LR,
        "0.5, 0.999", "as better than a trial that came further", "After Lucic et al. 2018",
    ):  # fmt: skip
        assert words in read.text, words
    for status in ("finished", "stopped", "pruned", "diverged", "failed"):
        assert f"{status}{sum(trial.status == status for trial in ASHA.trials)}" in read.text


def test_the_table_holds_every_trial_the_best_first_and_the_lost_last(page):
    found = asha(200, noise=6)
    read = page(found)
    body = re.search(r"trial rank distance.*?reason(.*?)Distance over kimg", read.text)
    assert body
    trials = found.trials
    order = [trial.number for trial in ranked(trials)]
    assert len(order) < 200
    rows = re.findall(r"(?:^| )(\d+) (\d+|–) [\d.,–]+ (finished|stopped|pruned|diverged|failed) ", body.group(1))
    assert [int(number) for number, *_ in rows] == order + [t.number for t in trials if t.number not in order]
    assert [rank for _, rank, _ in rows[: len(order)]] == [str(i) for i in range(1, len(order) + 1)]


def test_a_population_has_its_lineage_and_no_band(page):
    read = page(PBT)
    assert read.sections == [*WHOLE, "lineage"]
    takeovers = [takeover for trial in PBT.trials for takeover in trial.takeovers]
    assert takeovers
    assert all(f"trial {takeover.source}" in read.text for takeover in takeovers)
    assert "learning_rate.generator.start 0.00" in read.text
    assert "no independent trials to resample" in read.text
    assert "the importance is not computed" in read.text


@pytest.mark.parametrize(
    ("found", "sections"),
    [
        (search([]), ["decision"]),
        (search(scored([None, None])), ["decision", "trials"]),
        (search([Trial(1, {"a": 1})]), ["decision", "trials"]),
        (search(scored([3.0])), ["decision", "trials", "budget", "samples"]),
        (search(scored([math.nan, 4.0])), ["decision", "trials", "budget", "samples"]),
        (search([replace(t, parameters={"a": 1}) for t in scored([3.0, 4.0])]),
         ["decision", "trials", "parameters", "importance", "budget", "samples"]),
        (search(scored([3.0]), pictures={1: b"no picture"}), ["decision", "trials", "budget"]),
    ],
    ids=["none", "failed", "running", "one", "nan", "few", "broken picture"],
)  # fmt: skip
def test_what_there_is_not_leaves_no_section(page, found, sections):
    assert page(found).sections == sections


def test_where_all_failed_their_reasons_are_told(page):
    read = page(search(scored([None, None])))
    assert "No trial ended with a distance that counts." in read.text
    assert read.text.count("disk full") == 2


def test_nothing_is_minus_nothing(asha_page):
    assert "-0.00" not in asha_page.text


def test_few_trials_have_no_importance(page):
    few = [replace(t, parameters={"a": t.number}) for t in scored([3.0, 4.0, 5.0])]
    assert "that counts: 3. At least 8 are needed" in page(search(few)).text


def test_the_head_says_which_search_of_which_day_and_code(asha_page, page):
    head = asha_page.text.partition("Decision")[0]
    for words in ("search5d0c2f9a7be1", "finished2026-11-30", "commit4807dfa0", "hardware2 cores of an AMD EPYC"):
        assert words in head
    unknown = page(search(scored([3.0]), finished="", commit=None)).text.partition("Decision")[0]
    assert not re.search(r"finished\d{4}|commit", unknown)


@pytest.mark.parametrize("found", [ASHA, PBT], ids=["asha", "population"])
def test_nothing_is_loaded_everyone_can_read_it_and_the_same_search_gives_the_same_bytes(tmp_path, found):
    for name in ("one.html", "two.html"):
        write(found, tmp_path / name)
    content = (tmp_path / "one.html").read_text(encoding="utf-8")
    assert content.encode() == (tmp_path / "two.html").read_bytes()
    read = Page(content)
    images = [attrs for tag, attrs in read.tags if tag == "img"]
    assert all(attrs["src"].startswith("data:image/") and attrs["alt"].strip() for attrs in images)
    assert not {tag for tag, _ in read.tags} & {"script", "link", "iframe", "object", "embed", "base", "form"}
    assert not re.search(r"https?:|url\(|@import", content)
    assert all(attrs["scope"] in ("row", "col") for tag, attrs in read.tags if tag == "th")
    assert [attrs["href"] for tag, attrs in read.tags if tag == "a"] == [f"#{name}" for name in read.sections]


def test_what_users_wrote_is_text_wherever_it_stands(page):
    trials = [
        replace(trial, parameters={HOSTILE: HOSTILE if i % 2 else "$&"}, reason=HOSTILE,
                takeovers=(Takeover(1, 1, {HOSTILE: HOSTILE}),))
        for i, trial in enumerate(scored([float(i) for i in range(9)]))
    ]  # fmt: skip
    texts = {"objective": HOSTILE, "name": HOSTILE, "hardware": HOSTILE}
    read = page(search(trials, protocol={HOSTILE: HOSTILE}, rules={HOSTILE: HOSTILE}, **texts))
    assert "script" not in {tag for tag, _ in read.tags}
    assert not [name for name, _ in read.attributes if name.startswith("on")]
    assert read.text.count("<script>alert('x')</script>") >= 15


def test_the_charts_and_the_samples_of_the_best_five_lie_beside_the_page(tmp_path):
    save(ASHA, tmp_path)
    files = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    best = [trial.number for trial in ranked(ASHA.trials)[:5]]
    charts = {"curves.svg", "parallel.svg", "importance.svg", "budget.svg"}
    assert files == {"report.html", *charts, *(f"samples/{number:04}.png" for number in best)}
    assert (tmp_path / "samples" / f"{best[0]:04}.png").read_bytes() == grid(best[0])


def test_a_search_is_published_with_its_page(tmp_path):
    publish(PBT, best_params=tmp_path / "best.yaml", report=tmp_path / "tune")
    names = {path.name for path in (tmp_path / "tune").iterdir()}
    assert {"trials.json", "trials.svg", "report.html", "lineage.svg", "samples"} <= names
    assert len(json.loads((tmp_path / "tune" / "trials.json").read_text())) == 6
    publish(None, best_params=tmp_path / "best.yaml", report=tmp_path / "tune")
    assert {path.name for path in (tmp_path / "tune").iterdir()} == {"search.json", "times.json", "trials.json"}
