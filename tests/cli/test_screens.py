"""Screens of 60, 80 and 120 columns: what commands show through a terminal of that width, as pyte draws it."""

import os
import pty
import re
import subprocess
import sys

import pyte
import pytest
from projects import Project

WIDTHS = (60, 80, 120)
COMMANDS = ("check", "doctor", "history", "lineage")
PROGRAM = """
import os, sys, termios, time
from ganops.cli import app
from ganops.core.terminal import training_bar

def mark(name):
    sys.stdout.flush()
    os.write(1, f"\\f{name}\\f".encode())  # a live bar puts what is printed above itself

for width in map(int, sys.argv[1].split(",")):
    termios.tcsetwinsize(1, (100, width))
    for command in sys.argv[2].split(","):
        mark(f"{command} {width}")
        try:
            app([command], standalone_mode=False)
        except SystemExit:
            pass
    mark(f"bar {width}")
    with training_bar("train", 400) as show:
        for kimg in (200.0, 212.0):
            show({"kimg": kimg, "images_per_second": 1480.0, "loss_g": 1.62, "loss_d": 0.91}, (),
                 [{"kimg": kimg, "fd_domain_validation": 11.8}])
            time.sleep(0.3)
        mark("end")
"""
"""All screens in one process, since its imports take longer than they do; each begins with its name."""


@pytest.fixture(scope="module")
def told(finished):
    """(what, width) -> all that it sent to its terminal."""
    above, below = pty.openpty()
    command = [sys.executable, "-W", "ignore", "-c", PROGRAM, ",".join(map(str, WIDTHS)), ",".join(COMMANDS)]
    environment = {**Project(finished.folder).environment(), "TERM": "xterm-256color"}
    for fixed in ("COLUMNS", "LINES"):  # pytest-xdist sets them, and rich believes them more than the terminal
        environment.pop(fixed, None)
    with subprocess.Popen(command, cwd=finished.folder, env=environment, stdin=below, stdout=below,
                          stderr=subprocess.DEVNULL) as running:  # fmt: skip
        os.close(below)
        sent = b"".join(iter(lambda: read(above), b""))
        os.close(above)
    assert running.returncode == 0
    _, *parts = sent.decode().split("\f")
    return {
        (what, int(width)): text
        for name, text in zip(parts[::2], parts[1::2], strict=True) if name != "end"
        for what, width in [name.split()]
    }  # fmt: skip


@pytest.fixture(scope="module")
def screens(told):
    """(what, width) -> the lines of its screen, without spaces at their ends and without empty ones."""
    return {(what, width): drawn(text, width) for (what, width), text in told.items()}


def read(terminal):
    """The bytes that a terminal shows next; none where its program has ended."""
    try:
        return os.read(terminal, 2**16)
    except OSError:
        return b""


def drawn(text, width):
    screen = pyte.Screen(width + 1, 100)  # a line that is too long shows in the last column
    pyte.Stream(screen).feed(text)
    return [line.rstrip() for line in screen.display if line.strip()]


def cells(lines):
    """The rows of a table as lists of cells: what was broken into several lines is one again."""
    rows = []
    for line in lines:
        parts = [part.strip() for part in re.split("[│┃]", line)[1:-1]]
        if parts and not parts[0] and rows:
            rows[-1] = [f"{whole} {part}".strip() for whole, part in zip(rows[-1], parts, strict=True)]
        elif parts:
            rows.append(parts)
    return rows


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("what", [*COMMANDS, "bar"])
def test_no_line_is_longer_than_the_screen(screens, what, width):
    assert max(map(len, screens[what, width])) <= width, "\n".join(screens[what, width])
    assert not [line for line in screens[what, width] if "…" in line]


@pytest.mark.parametrize("width", WIDTHS)
def test_the_live_bar_has_position_time_and_as_much_as_there_is_room_for(screens, width):
    (line,) = screens["bar", width]
    assert re.match(r"train      kimg 2\d\d/400 ━+[╸╺]?━* .*fd_domain 11\.8.* \d+:\d\d left$", line), line
    assert ("G 1.62  D 0.91" in line, "1,480 img/s" in line) == (width == 120, width >= 80)


@pytest.mark.parametrize("width", WIDTHS)
def test_history_has_all_columns(screens, width):
    head, *moves = cells(screens["history", width])
    assert head == ["when (UTC)", "champion", "before", "by", "how", "why"]
    assert [(move[1], move[4]) for move in moves] == [("v1", "gate")]


@pytest.mark.parametrize("width", WIDTHS)
def test_lineage_has_its_facts(screens, width):
    facts = dict(cells(screens["lineage", width]))
    assert {"aliases", "decision", "run", "commit", "data", "generator", "fingerprint"} <= set(facts)
    assert facts["aliases"] == "challenger, champion"


@pytest.mark.parametrize("width", WIDTHS)
def test_doctor_has_a_row_for_each_look(screens, width):
    rows = [line for line in screens["doctor", width] if re.match("[✔•✘]", line)]
    assert {"versions", "parameters", "source", "git", "MLflow"} <= {line[3:].split("  ")[0] for line in rows}, rows


@pytest.mark.parametrize("width", WIDTHS)
def test_check_says_that_all_is_fine(screens, width):
    assert screens["check", width][-1] == "check      params.yaml and data/tiny are fine"


@pytest.mark.parametrize("what", COMMANDS)
def test_a_command_shows_that_it_works_before_it_has_anything_to_say(told, what):
    assert re.match(rf"(?:\x1b\[\?25l|\r|\x1b\[2K)*{what} +looks", told[what, 80]), told[what, 80]
