import base64
import io
import re
import subprocess
import sys
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image
from searches import asha

from ganops.reports import plots
from ganops.search.trials import ranked

SVG = "{http://www.w3.org/2000/svg}"
HISTORY = [{"kimg": 4.0 * i, "loss_g": 1 / i, "loss_d": float(i), "fd_domain": abs(i - 7.0) + 1} for i in range(1, 11)]
TRIALS = [
    {
        "number": i,
        "parameters": {"train.lr": 10.0**-i, "loss.name": "ab"[i % 2]},
        "score": 5.0 + i,
        "status": "finished",
    }
    for i in range(1, 6)
]
DRAWINGS = {
    "curves": lambda: plots.curves(HISTORY, ["loss_g", "loss_d"], "loss", log=True),
    "classes_bar": lambda: plots.classes_bar({"a": 3, "b": 5}),
    "classes_bar, many": lambda: plots.classes_bar({str(i): i for i in range(1000)}),
    "ladder_bar": lambda: plots.ladder_bar({"real/real": 0.1, "blur": 4.0, "noise": 214.0}, 7.9, "fd_domain"),
    "trials_plot": lambda: plots.trials_plot(TRIALS),
    "slopes": lambda: plots.slopes({"a": 1.0, "b": 2.0}, {"b": 30.0, "a": 40.0}, "theirs", "ours"),
    "distances": lambda: plots.distances({"generated": np.linspace(1, 4, 90), "copies": np.linspace(0, 0.4, 50)}),
    "distances, all 0": lambda: plots.distances({"generated": np.zeros(9)}),
    "sheet": lambda: plots.sheet([np.zeros((3, 1, 8, 8), np.uint8)] * 2, ["one", "two"], lead=1),
}


def texts(svg):
    return ["".join(element.itertext()) for element in ElementTree.fromstring(svg).iter(f"{SVG}text")]


def images(svg):
    for element in ElementTree.fromstring(svg).iter(f"{SVG}image"):
        yield element, decoded(element.get("href"))


def decoded(uri):
    return Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2])))


def luminance(colour):
    """Relative luminance of WCAG 2."""
    channels = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4) @ (
        0.2126,
        0.7152,
        0.0722,
    )


@pytest.mark.parametrize("draw", DRAWINGS.values(), ids=DRAWINGS)
def test_a_drawing_is_well_formed_svg_with_both_schemes_and_the_same_bytes_each_time(draw):
    svg = draw()
    root = ElementTree.fromstring(svg)
    assert root.tag == f"{SVG}svg"
    assert root.get("viewBox")
    assert b"prefers-color-scheme:dark" in svg
    assert b"dc:date" not in svg
    assert draw() == svg


def test_slopes_join_each_name_with_itself_the_smallest_value_on_top():
    svg = plots.slopes({"a": 1.0, "b": 2.0, "c": 3.0}, {"b": 10.0, "c": 20.0, "a": 30.0}, "theirs", "ours")
    assert texts(svg)[:2] == ["theirs", "ours"]
    assert sorted(texts(svg)[2:]) == sorted(["a  1", "30  a", "b  2", "10  b", "c  3", "20  c"])


def test_matplotlib_waits_until_something_is_drawn_and_keeps_no_figure_or_setting():
    program = (
        "import sys; from ganops.reports import plots, report; assert 'matplotlib' not in sys.modules;"
        "import matplotlib; before = matplotlib.rcParams.copy(); plots.classes_bar({'a': 1});"
        "assert matplotlib.rcParams.copy() == before; assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_a_persons_matplotlibrc_does_not_change_the_bytes():
    import matplotlib

    plain = plots.classes_bar({"a": 1})
    with matplotlib.rc_context({"lines.linewidth": 9, "axes.facecolor": "red", "xtick.major.size": 30}):
        assert plots.classes_bar({"a": 1}) == plain


@pytest.mark.parametrize(
    "name", ["$\\frac{$", "</text><script>alert(1)</script>", "a & b", "\x00\x1b\ud800", "ズボン", "x" * 999, ""]
)
def test_any_class_name_can_be_drawn(name):
    for svg in (plots.classes_bar({name: 3, "other": 2}), plots.sheet([np.zeros((1, 3, 8, 8), np.uint8)], [name])):
        assert not list(ElementTree.fromstring(svg).iter(f"{SVG}script"))
        # backslashes, dollars and foreign letters arrive as they are; control characters are marked
        shown = "".join(letter if letter.isprintable() else "\ufffd" for letter in name)
        assert any(text in (shown, shown[:21] + "…") for text in ["", *texts(svg)] if text or not name)


def test_the_best_tick_is_marked_even_where_ticks_are_thinned_out():
    history = [{"kimg": float(i), "fd": 100.0} for i in range(5000)]
    history[4321]["fd"] = 2.5
    svg = plots.curves(history, ["fd"], log=True, best="fd")
    assert "best 2.5 at 4,321 kimg" in texts(svg)
    assert len(svg) < 60_000


@pytest.mark.parametrize("broken", [float("nan"), float("inf"), None, "N/A"])
def test_a_value_that_is_no_number_leaves_the_line_out_and_is_never_the_best(broken):
    history = [{"kimg": 0.0, "fd": broken}, {"kimg": 1.0}, {"kimg": 2.0, "fd": 8.0}, {"kimg": 3.0, "fd": 9.0}]
    svg = plots.curves(history, ["fd"], log=True, best="fd")
    assert "best 8 at 2 kimg" in texts(svg)
    assert b"nan" not in svg.lower().replace(b"nano", b"")


def test_an_axis_is_logarithmic_only_for_positive_values_far_apart():
    def ticks(low):
        return set(texts(plots.ladder_bar({"a": low, "b": 3.0, "c": 150.0})))

    assert {"1", "10", "100"} <= ticks(0.5)
    assert {"50", "100", "150"} <= ticks(-0.5)
    assert "1" not in ticks(-0.5)


def test_distances_are_shares_of_each_set_in_steps_of_the_logarithm():
    svg = plots.distances({"generated": np.full(10, 3.0), "held-out": np.full(500, 3.0), "copies": np.full(9, 0.03)})
    shown = texts(svg)
    assert {"generated", "held-out", "copies", "0.1", "1", "share"} <= set(shown)
    lines = re.findall(r'<path d="([^"]*)"[^>]*style="fill: none; stroke: (#\w+)', svg.decode())
    generated, held_out, copies = ({path for path, c in lines if c == colour} for colour in plots.SERIES[:3])
    assert max(generated, key=len) == max(held_out, key=len) != max(copies, key=len)  # sizes of the sets do not matter


def test_a_distance_of_zero_stands_in_the_first_step():
    zeros, small = (plots.distances({"a": np.array([value, 2.0]), "b": np.array([0.1])}) for value in (0.0, 0.1))
    assert zeros == small


def test_trials_without_a_score_are_left_out_and_the_best_is_marked_once():
    failed = {"number": 9, "parameters": {}, "score": None}
    svg = plots.trials_plot([*TRIALS, failed, failed | {"score": float("nan")}]).decode()
    assert plots.trials_plot(TRIALS).decode() == svg
    assert plots.trials_plot([failed, failed | {"score": 0.1, "status": "diverged"}]) == b""
    panels = 3  # trial, train.lr, loss.name
    assert svg.count(f'style="fill: {plots.MARK}; stroke: {plots.MARK}"') == panels
    assert {"trial", "train.lr", "loss.name", "a", "b"} <= set(texts(svg))


def test_a_trial_that_stopped_early_is_hollow_and_never_the_best():
    early = {"number": 8, "parameters": {}, "score": 0.1, "rung": 1}
    whole = {"number": 9, "parameters": {}, "score": 7.0, "rung": 3}
    assert sorted([early, whole], key=plots.standing) == [whole, early]
    svg = plots.trials_plot([early, whole]).decode()
    hollow, best = f"fill-opacity: 0; stroke: {plots.SERIES[0]}", f"fill: {plots.MARK}; stroke: {plots.MARK}"
    assert [style for style in re.findall('<use .* style="(.*)"', svg) if style in (hollow, best)] == [hollow, best]
    assert hollow not in plots.trials_plot([whole, whole]).decode()


def test_trials_stand_in_the_order_of_the_search():
    found = asha(40).trials
    rows = sorted(map(vars, found), key=plots.standing)
    order = ranked(found)
    assert [row["number"] for row in rows[: len(order)]] == [trial.number for trial in order]
    assert all(plots.standing(row)[0] for row in rows[len(order) :])


def test_a_trial_may_lack_a_parameter_that_others_have():
    svg = plots.trials_plot([*TRIALS, {"number": 6, "parameters": {"train.lr": 1e-3}, "score": 1.0}])
    ElementTree.fromstring(svg)


def test_a_sheet_holds_each_image_unchanged_in_its_place():
    rng = np.random.default_rng(0)
    rows = [rng.integers(0, 255, (3, 3, 8, 8), np.uint8), rng.integers(0, 255, (2, 3, 8, 8), np.uint8)]
    svg = plots.sheet(rows, ["distance 1.5", "distance <2>"], lead=1)
    assert texts(svg) == ["distance 1.5", "distance <2>"]
    found = list(images(svg))
    for (_, shown), image in zip(found, [*rows[0], *rows[1]], strict=True):
        np.testing.assert_array_equal(np.asarray(shown).transpose(2, 0, 1), image)
    x = [float(element.get("x")) for element, _ in found[:3]]
    width = float(found[0][0].get("width"))
    assert x[1] - x[0] - width > 2 * (x[2] - x[1] - width) > 0
    assert x[2] + width == pytest.approx(plots.WIDTH, abs=0.1)
    assert found[3][0].get("y") > found[0][0].get("y")


def test_a_sheet_of_large_images_stays_small():
    noise = np.random.default_rng(0).integers(0, 255, (4, 8, 3, 256, 256), np.uint8)
    assert len(plots.sheet(noise, ["noise"] * 4)) < 4 / 3 * plots.BYTES_OF_SHEET + 10_000


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P", "1"])
def test_a_picture_is_exact_where_it_fits_and_smaller_where_it_does_not(mode):
    noise = np.random.default_rng(0).integers(0, 255, (128, 128, 3), np.uint8)
    picture = Image.fromarray(noise).convert(mode)
    exact = plots.data_uri(picture, limit=100_000)
    assert exact.startswith("data:image/png;base64,")
    np.testing.assert_array_equal(np.asarray(decoded(exact).convert("RGB")), np.asarray(picture.convert("RGB")))
    small = plots.data_uri(picture, limit=1_500)
    assert len(base64.b64decode(small.partition(",")[2])) <= 1_500
    assert decoded(small).width / decoded(small).height == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (7.9, "7.9"),
        (0.66, "0.66"),
        (214, "214"),
        (10000, "10,000"),
        (1482.3, "1,482"),
        (0, "0"),
        (0.0, "0"),
        (-0.90312, "-0.903"),
        (0.00152, "0.00152"),
        (4e-4, "4e-4"),
        (6.14e-12, "6.14e-12"),
        (999.6, "1,000"),
        (float("inf"), "inf"),
    ],
)
def test_numbers_read_well(value, text):
    assert plots.number(value) == text


@pytest.mark.parametrize(("page", "colours"), [("#fcfbf9", plots.DARK.keys()), ("#15171c", plots.DARK.values())])
def test_letters_and_lines_stand_out_from_the_page(page, colours):
    """Contrast of at least 4.5 (WCAG 2.2, success criterion 1.4.3)."""
    for colour in set(colours) - {plots.GRID, plots.DARK[plots.GRID]}:
        light, dark = sorted((luminance(page), luminance(colour)), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 4.5, colour
