"""What a person sees while a search runs."""

import io
from dataclasses import replace

import pytest
from rich.console import Console
from searches import asha

from ganops.core import terminal
from ganops.search import table as tables
from ganops.search.trials import Trial, ranked, summary

TRIALS = asha(20).trials


@pytest.fixture
def screen(monkeypatch):
    console = Console(record=True, force_terminal=True, width=100, soft_wrap=True, highlight=False, file=io.StringIO())
    monkeypatch.setattr(terminal, "console", console)
    return console


@pytest.fixture
def pipe(monkeypatch):
    console = Console(force_terminal=False, soft_wrap=True, highlight=False, file=io.StringIO())
    monkeypatch.setattr(terminal, "console", console)
    return console.file


def started(trial):
    return replace(trial, status="running", rung=0, score=None, kimg=0.0)


def run(trials, total=30, running=(), known=()):
    with tables.search_table("tune", total, "fd_domain_validation", known) as show:
        for trial in trials:
            show(started(trial))
            show(trial)
        for trial in running:
            show(started(trial))


def test_the_best_stand_above_those_that_run(screen):
    run(TRIALS[:14], running=TRIALS[14:])
    last = screen.export_text().rpartition("tune ")[2].splitlines()
    first = ranked(TRIALS[:14])[0]
    assert "14/30 trials" in last[0]
    assert f"best fd_domain_validation {first.score:.1f} (trial {first.number})" in last[0]
    assert "left" in last[0]
    for status in {trial.status for trial in TRIALS[:14]}:
        assert f"{sum(t.status == status for t in TRIALS[:14])} {status}" in last[1]
    rows = [line.split()[:3] for line in last[3:]]
    assert [row[:2] for row in rows[:5]] == [[str(i), str(t.number)] for i, t in enumerate(ranked(TRIALS[:14])[:5], 1)]
    assert [row[1] for row in rows[5:10]] == ["15", "16", "17", "18", "19"]
    assert "1 more run" in last[13]
    assert all(len(line) <= 100 for line in last)


def test_reasons_of_failures_stay_on_the_screen(screen):
    run(TRIALS[:10])
    shown = screen.export_text()
    assert shown.count("out of memory") == 1
    assert f"tune       {summary(TRIALS[5])}" in shown


def test_ends_of_an_earlier_start_do_not_count_for_the_pace(screen, monkeypatch):
    clock = iter(range(0, 10**6, 60))
    monkeypatch.setattr(tables.time, "monotonic", lambda: next(clock))
    table = tables._Standing(20, TRIALS[:10])
    assert "left" not in table.lines("tune", "fd").plain
    table.take(TRIALS[10])
    assert table.lines("tune", "fd").plain.startswith("tune       11/20 trials   2:00   about 18:00 left   best fd ")


def test_where_there_is_no_terminal_each_judgement_and_each_end_is_a_line(pipe):
    trial = TRIALS[0]
    with tables.search_table("tune", 3, "fd") as show:
        show(started(trial))
        show(replace(started(trial), kimg=1.0))
        show(replace(trial, status="running", rung=1, score=50.0))
        show(replace(trial, status="running", rung=1, score=50.0, kimg=5.0))
        show(trial)
        show(trial)
        show(TRIALS[5])
    lines = pipe.getvalue().splitlines()
    assert [line.split()[1:4] for line in lines] == [
        ["0/3", "trial", "1:"],
        ["1/3", "trial", "1:"],
        ["2/3", "trial", "6:"],
    ]
    assert "running" in lines[0]
    assert "out of memory" in lines[2]


def test_square_brackets_are_text(pipe):
    with tables.search_table("tune", 1, "[bold]fd") as show:
        show(Trial(1, {"a": "[red]b"}, "failed", "[/] is no path"))
    assert "[red]b" in pipe.getvalue()
    assert "[/] is no path" in pipe.getvalue()


def test_square_brackets_are_text_on_a_terminal(screen):
    with tables.search_table("tune", 1, "[bold]fd") as show:
        show(Trial(1, {"a": "[red]b"}, "failed", "[/] is no path"))
        show(Trial(2, {"a": "[red]c"}))
    shown = screen.export_text()
    assert "[/] is no path" in shown
    assert "[red]c" in shown
