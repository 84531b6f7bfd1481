"""What a person sees of a training."""

import io
import re
from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.console import Console
from rich.progress import Progress

from ganops.core import terminal
from ganops.core.errors import UserError
from ganops.jobs import doctor, submission
from ganops.registry import lineage as provenance
from ganops.registry import verify
from ganops.registry.moves import Move
from ganops.registry.moves import table as moves_table


def told(monkeypatch, speeds, *, live=False):
    """The lines about a slow training, one tick for each speed."""
    out = io.StringIO()
    monkeypatch.setattr(terminal, "console", Console(file=out, force_terminal=live, soft_wrap=True, width=200))
    with terminal.training_bar("train", 100) as show:
        for n, speed in enumerate(speeds, 1):
            show({"kimg": float(n), "images_per_second": float(speed), "loss_g": 1.0, "loss_d": 1.0})
    return [line.rpartition("slow: ")[2] for line in out.getvalue().splitlines() if "slow: " in line]


@pytest.mark.parametrize("live", [False, True])
def test_a_training_far_below_its_own_speed_is_told_once_an_episode(monkeypatch, live):
    lines = told(monkeypatch, [1400, 1440, 1420, 310, 290, 330, 1100, 1400, 1410, 200, 210], live=live)
    assert len(lines) == 2
    assert lines[0].startswith("310 img/s where it had 1,420. Something else uses the cores; the result is the same")
    assert lines[1].startswith("200 img/s")


def test_what_wavers_about_the_limit_is_one_episode_and_what_is_only_slower_none(monkeypatch):
    assert len(told(monkeypatch, [1000, 1000, 1000, 490, 510, 490, 700, 480])) == 1
    assert not told(monkeypatch, [1000, 1000, 900, 700, 600, 550, 1000])
    assert not told(monkeypatch, [20, 20, 19, 1400]), "a slow first tick is no trouble"


COLLAPSED = [f"G has collapsed: its samples differ {share} % as much as real ones do" for share in (4, 3, 2)]
WON = "D has won: it tells real from generated samples apart nearly always"


@pytest.mark.parametrize("where", ["lines", "terminal", "notebook"])
def test_an_alarm_is_told_when_it_begins_and_when_it_is_over(monkeypatch, where):
    out, shown = io.StringIO(), []
    console = Console(file=out, force_terminal=where == "terminal", soft_wrap=True, width=200)
    console.is_jupyter = where == "notebook"
    monkeypatch.setattr(terminal, "console", console)
    monkeypatch.setattr(terminal, "Cell", lambda kimg: SimpleNamespace(show=lambda *tick: shown.append(tick)))
    monkeypatch.setattr(terminal, "say", lambda stage, text: shown.append(text))
    ticks = [(), (COLLAPSED[0],), (COLLAPSED[1], WON), (COLLAPSED[2],), (), (), (WON,)]
    with terminal.training_bar("train", 100) as show:
        for kimg, alarms in enumerate(ticks, 1):
            notes = ("the judge failed",) if kimg in (5, 6) else ()
            show({"kimg": float(kimg), "images_per_second": 100.0}, alarms, notes=notes)
    lines = [line for line in shown if isinstance(line, str) and "alarm" in line]
    told = [
        (2, f"alarm: {COLLAPSED[0]}"), (3, f"alarm: {WON}"), (4, "alarm over: D has won, since kimg 3"),
        (5, "alarm: the judge failed"), (5, "alarm over: G has collapsed, since kimg 2"),
        (6, "alarm: the judge failed"), (7, f"alarm: {WON}"),
    ]  # fmt: skip
    assert lines == [text if where == "lines" else f"kimg {kimg}: {text}" for kimg, text in told]


LONG = {"images_per_second": 1480.0, "loss_g": 1.62, "loss_d": 0.91}
JUDGED = [{"kimg": 212.0, "fd_domain_validation": 11.8}]


def screens(monkeypatch, width, rows, kimg=400, seconds=2.0):
    """Frames of the live bar on a terminal of that width: what each has on its last line."""
    out, now = io.StringIO(), [100.0]
    console = Console(file=out, force_terminal=True, width=width, height=20, color_system=None, soft_wrap=True)
    monkeypatch.setattr(terminal, "console", console)
    monkeypatch.setattr(terminal, "time", SimpleNamespace(monotonic=lambda: now[0]))
    frames, bars = [], []

    class Seen(Progress):
        def start(self):
            bars.append(self)
            super().start()

    monkeypatch.setattr(terminal, "Progress", Seen)
    with terminal.training_bar("train", kimg) as show:
        for row in rows:
            now[0] += seconds
            show(LONG | row, (), JUDGED)
            for later in (0.0, 1.0):
                now[0] += later
                with console.capture() as drawn:
                    console.print(bars[0].get_renderable())
                frames.append(re.sub(r"\r|\x1b\[[0-9;?]*[A-Za-z]", "", drawn.get()).splitlines()[0])
    return frames


@pytest.mark.parametrize("width", [60, 80, 100, 140])
def test_a_live_bar_keeps_bar_position_and_time_on_a_narrow_terminal(monkeypatch, width):
    *_, last, _ = screens(monkeypatch, width, [{"kimg": 200.0}, {"kimg": 212.0}])
    assert len(last) <= width
    assert re.match(r"train      kimg 212/400 ", last), last
    bar = re.search(r"400 ([━╸╺ ]+) \S", last)[1]
    assert (len(bar) >= terminal.LEAST, abs(bar.count("━") - 0.53 * len(bar)) <= 1) == (True, True), last
    assert last.endswith("left")
    assert "…" not in last
    assert ("fd_domain 11.8" in last) == (width >= 60)
    assert ("G 1.62" in last) == (width >= 120)


def test_a_live_bar_moves_between_two_ticks_and_never_beyond_the_next(monkeypatch):
    frames = screens(monkeypatch, 100, [{"kimg": 10.0}, {"kimg": 20.0}, {"kimg": 30.0}], seconds=2.0)
    positions = [int(re.search(r"kimg (\d+)/400", frame)[1]) for frame in frames]
    assert positions == [10, 15, 20, 23, 30, 33]
    moving = terminal._Moving()
    moving.tick(10.0)
    moving.at -= 1e6
    assert moving.position < 20


def test_what_takes_long_is_seen_on_a_terminal_and_nowhere_else(monkeypatch):
    for live in (True, False):
        out = io.StringIO()
        monkeypatch.setattr(terminal, "console", Console(file=out, force_terminal=live, width=80))
        with terminal.working("compare", "measures"):
            pass
        assert ("compare    measures" in out.getvalue()) == live


FOREIGN = "fixes [/issue 12] [bold]and[/bold] [red]more :smile: \x1b[2J\x9b31m\r\x07 done\\"
SHOWN = "fixes [/issue 12] [bold]and[/bold] [red]more :smile: \\x1b[2J\\x9b31m\\x0d\\x07 done\\"
"""What people, paths and servers may write, and what a person is shown of it: all of it, and nothing that is obeyed."""


def foreign_tables():
    """Each table of the commands, with foreign text in every place."""
    yield moves_table(FOREIGN, [Move(FOREIGN[:19], FOREIGN, 1, None, FOREIGN, FOREIGN)]), 4
    yield verify.table(FOREIGN, [verify.Finding(FOREIGN, "bad", FOREIGN)]), 3
    yield doctor.table([doctor.Finding(FOREIGN, "bad", FOREIGN)]), 2
    yield (
        submission.table(
            [dict.fromkeys(("id", "status", "started", "minutes", "commit"), FOREIGN) | {"changes": True}]
        ),
        5,
    )
    told = ("name", "version", "reasons", "run", "patch", "job", "experiment", "fingerprint", "ancestor", "data")
    lineage = dict.fromkeys(told, FOREIGN) | {
        "aliases": [FOREIGN],
        "commit": FOREIGN,
        "changes": True,
        "search": dict.fromkeys(("trial", "search", "run"), FOREIGN),
    }
    lineage |= {"hashes": {FOREIGN: FOREIGN}, "params": {FOREIGN: FOREIGN}}
    yield provenance.show(lineage), 2 + 10 + 3 + 2
    yield provenance.show(lineage, every=True), 2 + 10 + 3 + 2 + 2


@pytest.mark.parametrize("console", [Console, lambda **options: Console(markup=False, emoji=False, **options)])
def test_no_text_in_a_table_is_markup_or_obeyed_by_a_terminal(console):
    for table, times in foreign_tables():
        out = io.StringIO()
        console(file=out, width=2000, highlight=False).print(table)
        assert out.getvalue().count(SHOWN) >= times, out.getvalue()
        assert not set("\x1b\x9b\r\x07") & set(out.getvalue())


def test_no_line_and_no_error_is_markup_or_obeyed_by_a_terminal(capsys):
    terminal.say("train", FOREIGN)
    terminal.refuse(UserError(FOREIGN))
    terminal.refuse(UserError(FOREIGN), "train")
    assert capsys.readouterr().out.splitlines() == [f"train      {SHOWN}", SHOWN, f"train      {SHOWN}"]


def test_tables_and_markup_of_rich_are_used_in_one_place_only():
    files = [path for path in Path(terminal.__file__).parents[1].rglob("*.py") if path.name != "terminal.py"]
    text = {path: path.read_text(encoding="utf-8") for path in files}
    assert not [
        path
        for path, content in text.items()
        if re.search(r"rich\.markup|\[/?(bold|red|green|yellow)|import.* Table$.*rich", content)
    ]
    assert not [
        path
        for path, content in text.items()
        if re.search(r"from rich\.table import .*\bTable\b", content) and path.parent.name != "search"
    ]


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0:00"), (59.6, "1:00"), (3599, "59:59"), (3600, "1:00:00"), (-2, "0:00")]
)
def test_times_read_well(seconds, text):
    assert terminal.clock(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "words", "roughly"),
    [
        (5.6, "6 s", "6 seconds"), (40, "40 s", "40 seconds"), (600, "10 min 0 s", "10 minutes"),
        (7000, "1 h 56 min", "1.9 hours"), (1e6, "277 h 46 min", "12 days"),
    ],
)  # fmt: skip
def test_durations_are_put_in_words(seconds, words, roughly):
    assert terminal.duration(seconds) == words
    assert terminal.duration(seconds, rough=True) == roughly


def test_a_package_that_is_not_installed_is_told_with_its_extra_and_a_defect_is_not(monkeypatch):
    def said(command, name):
        monkeypatch.setattr("sys.argv", ["ganops", *command])
        return terminal.lacking(ModuleNotFoundError(f"No module named {name!r}", name=name))

    assert said(["serve"], "nowhere.x") == "ganops serve needs nowhere: pip install 'ganops[serve]'"
    assert said(["sample", "--walk"], "nowhere") == "ganops sample needs nowhere: pip install 'ganops[pipeline]'"
    assert said([], "nowhere") == "ganops needs nowhere: pip install 'ganops[pipeline]'"
    for defect in ("ganops.nowhere", "json.nowhere", None):
        assert said(["serve"], defect) == ""
    assert terminal.lacking(KeyError("x")) == ""


def test_a_training_on_sounds_counts_clips(monkeypatch):
    lines = []
    monkeypatch.setattr(terminal, "say", lambda stage, text: lines.append(text))
    with terminal.training_bar("train", 100, "clip") as show:
        show({"kimg": 1.0, "images_per_second": 310.0})
    assert "310 clips/s" in lines[0]


def test_the_end_of_a_warm_up_is_no_slowness_and_has_a_time_of_its_own(monkeypatch):
    out = io.StringIO()
    monkeypatch.setattr(terminal, "console", Console(file=out, soft_wrap=True, width=200))
    clock = iter(range(100))
    monkeypatch.setattr(terminal, "time", SimpleNamespace(monotonic=lambda: float(next(clock))))
    warm, game = {"nll": 3.0}, {"loss_g": 1.0, "loss_d": 1.0}
    with terminal.training_bar("train", 100, "text", 3) as show:
        for kimg, terms, speed in [(1, warm, 900), (2, warm, 900), (3, warm, 900), (4, game, 90), (5, game, 90)]:
            show({"kimg": float(kimg), "images_per_second": float(speed), **terms})
    lines = out.getvalue().splitlines()
    assert not any("slow" in line for line in lines)
    assert [line.rpartition("  ")[2] for line in lines] == [
        "0:02 left of the warm-up", "0:01 left of the warm-up", "0:00 left of the warm-up", "17:47 left", "1:35 left",
    ]  # fmt: skip
    assert "900 texts/s  nll 3.000" in lines[0]
