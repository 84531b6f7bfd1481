import base64
import gzip
import io
import re
from dataclasses import fields, replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pages
import pytest
from PIL import Image
from playwright.sync_api import sync_playwright

from ganops.core.errors import UserError
from ganops.core.pictures import save_grid
from ganops.kinds import sound, video
from ganops.metrics.intervals import COVERS
from ganops.metrics.protocol import SELECTED
from ganops.reports import plots
from ganops.reports.content import Report
from ganops.reports.report import MAX_BYTES, render, write

ROOT = Path(__file__).parents[2]
FASHION = ROOT / "data" / "fashion-mnist-10k"
CLASSES = ["T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag"]
CLASSES += ["<script>alert(1)</script>"]
VOID = {"meta", "img", "wbr", "br", "hr", "input", "link"}


def fashion():
    with gzip.open(FASHION / "t10k-images-idx3-ubyte.gz") as file:
        images = np.frombuffer(file.read(), np.uint8, offset=16).reshape(-1, 1, 28, 28)
    with gzip.open(FASHION / "t10k-labels-idx1-ubyte.gz") as file:
        labels = np.frombuffer(file.read(), np.uint8, offset=8)
    return np.pad(images, ((0, 0), (0, 0), (2, 2), (2, 2))), labels


def blurred(images, noise, rng):
    """Stand-ins for a generator that has not learnt yet: the more `noise`, the earlier."""
    noisy = images * (1 - noise) + noise * rng.uniform(0, 255, images.shape)
    return noisy.clip(0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    images, labels = fashion()
    rng = np.random.default_rng(0)
    by_class = [images[labels == c][:8] for c in range(10)]
    neighbours = [images[labels == c][8:15] for c in range(8)]
    pictures = {
        name: folder / f"{name}.{kind}"
        for name, kind in {
            "samples": "png", "preview": "png", "by_class": "svg",
            "truncation": "svg", "interpolation": "png", "neighbours": "svg", "memorisation": "svg",
        }.items()
    }  # fmt: skip
    save_grid(pictures["samples"], images[:64])
    save_grid(pictures["preview"], images[64:128])
    pictures["by_class"].write_bytes(plots.sheet(by_class, CLASSES))
    pictures["truncation"].write_bytes(plots.sheet([images[200:208]] * 3, ["ψ 0.5", "ψ 0.8", "ψ 1.0"]))
    save_grid(pictures["interpolation"], images[300:332])
    pictures["neighbours"].write_bytes(plots.sheet(neighbours, [f"distance {3 + i / 7:.2f}" for i in range(8)], lead=1))
    near = {"generated": rng.lognormal(1, 0.3, 900), "held-out images": rng.lognormal(0.9, 0.3, 500)}
    near["copies"] = near["held-out images"] / 10
    pictures["memorisation"].write_bytes(plots.distances(near))
    filmstrip = []
    for i, kimg in enumerate(np.linspace(0, 400, 21)):
        save_grid(folder / f"{i}.png", blurred(images[:36], np.exp(-kimg / 90), rng), columns=6)
        filmstrip.append((float(kimg), folder / f"{i}.png"))
    history = [
        {
            "kimg": float(kimg),
            "loss_g": 1.6 + 0.5 * np.exp(-kimg / 60) + rng.normal(0, 0.06),
            "loss_d": 0.9 - 0.3 * np.exp(-kimg / 40) + rng.normal(0, 0.03),
            "score_real": 1.1 + rng.normal(0, 0.1),
            "score_fake": -0.9 + rng.normal(0, 0.1),
            "learning_rate_g": 4e-4 * (1 + np.cos(np.pi * kimg / 400)) / 2,
            "learning_rate_d": 2e-4 * (1 + np.cos(np.pi * kimg / 400)) / 2,
            "images_per_second": 1480 + rng.normal(0, 30),
            **({"fd_domain": 9 + 190 * np.exp(-kimg / 35) + rng.uniform(0, 3)} if i % 5 == 0 else {}),
        }
        for i, kimg in enumerate(np.linspace(4, 400, 100))
    ]
    trials = [
        {
            "number": i,
            "parameters": {
                "train.learning_rate.generator": float(10 ** rng.uniform(-4, -2.7)),
                "train.learning_rate.discriminator": float(10 ** rng.uniform(-4, -2.7)),
                "loss.name": ["non_saturating", "relativistic"][i % 2],
            },
            "score": None if i == 5 else float(rng.lognormal(3.6, 0.4)),
            "kimg": 30.0 if i % 3 or i == 5 else 10.0,
            "rung": 3 if i % 3 or i == 5 else 1,
            "status": "failed" if i == 5 else "finished" if i % 3 else "stopped",
        }
        for i in range(12)
    ]
    return Report(
        title="ganops-generator",
        version=7,
        date="2026-11-30",
        summary={"fd_domain": 7.9, "coverage": 0.66},
        manifest={
            "source": {"name": "fashion-mnist-10k", "kind": "idx"},
            "sample": {"shape": [1, 32, 32], "dtype": "uint8"},
            "classes": CLASSES,
            "splits": {
                split: {"samples": count, "classes": {name: count // 10 - 7 * i for i, name in enumerate(CLASSES)}}
                for split, count in {"train": 8012, "validation": 986, "test": 1002}.items()
            },
            "duplicates": 3,
            "rejected": [{"name": f"img_{i:04}.png", "reason": f"truncated after {512 + i} bytes"} for i in range(14)],
            "sha256": "9f2c41d0a7b3e855" * 4,
        },
        history=history,
        metrics={
            "fd_domain": {"value": 7.9, "interval": [7.7, 8.2], "floor": 0.31},
            "fd_domain_infinity": 6.4,
            "kd_domain": 0.00042,
            "kd_domain_std": 0.00007,
            "precision": {"value": 0.71, "interval": [0.7, 0.72]},
            "recall": 0.38,
            "density": 0.93,
            "coverage": {"value": 0.66, "interval": [0.64, 0.68], "real": 0.97, "noise": 0.0},
            "is_domain": 7.1,
            "is_domain_std": 0.12,
            "class_kl": 0.013,
            "home_made": 3,
        },
        champion={
            "version": 4,
            "samples": 10000,
            "metrics": {
                "fd_domain": {"one": 9.1, "other": 7.9, "difference": -1.2, "interval": [-1.5, -0.9],
                              "other_is": "better"},
            },
        },
        decision={
            "passed": False,
            "reasons": ["coverage 0.66 is not at least 0.7"],
            "checks": [
                {"metric": "fd_domain", "value": 7.9, "bound": {"at_most": 15}, "passed": True},
                {"metric": "coverage", "value": 0.66, "bound": {"at_least": 0.7}, "passed": False},
            ],
            "improvement": {"passed": True, "reason": "fd_domain 7.9 against 9.1 of the champion v4: better"},
        },
        memorisation={
            "verdict": "some",
            "copied_share": 0.123,
            "signs": {
                "authenticity": {"generated": 0.552, "held_out": 0.619, "copied": 0.0},
                "ct": {"generated": -4.54, "held_out": 0.529, "copied": -30.5},
                "near_copies": {"generated": 0.131, "held_out": 0.011, "copied": 1.0},
            },
        },
        protocol={"extractor": "domain", "samples": 10000, "split": "test", "resize": None, "seed": 0},
        card={
            "extractor": "domain",
            "published": False,
            "dimensions": 128,
            "hash": "7b" * 32,
            "details": {"accuracy": 0.904, "chance": 0.1, "minimum_accuracy": 0.5},
            "ladder": {
                "real": 0.3, "faint_noise": 2.1, "strong_noise": 44.0, "faint_blur": 3.4, "strong_blur": 31.0,
                "noise": 214.0, "half": 52.1, "half_coverage": 0.41, "half_control": 0.6, "half_control_coverage": 0.94,
                "few": 18.0, "few_coverage": 0.12, "few_control": 0.3, "few_control_coverage": 0.95,
            },
        },
        trials=trials,
        params={
            "seed": 0,
            "data": {"source": "fashion-mnist-10k", "resolution": 32, "channels": "auto"},
            "model": {"architecture": "dcgan", "latent": 128, "options": {"width": 64}},
            "train": {"kimg": 400, "batch": 64, "learning_rate": {"generator": 0.0004, "discriminator": 0.0004}},
        },
        provenance={
            "commit": "52655fb0c1d24e8a9b7",
            "commands": ["git checkout 52655fb", "dvc pull", "dvc repro"],
            "versions": {"python": "3.11.2", "torch": "2.15.0", "ray": "2.60.0", "ganops": "0.1.0"},
            "hashes": {"data/prepared": "4f1c2a9d6b.dir", "artifacts/generator": "8d0e7b3c55.dir"},
            "hardware": "1 × NVIDIA H200",
            "precision": "bf16",
        },
        pictures=pictures,
        filmstrip=filmstrip,
    )  # fmt: skip


@pytest.fixture(scope="module")
def page(report):
    return render(report)


class Page(HTMLParser):
    """Reads a page and holds it to the grammar: every tag closes where it should."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.attributes, self.texts = [], [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.attributes += attrs
        assert len(dict(attrs)) == len(attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open[-1:] != ["style"]:
            self.texts.append(data)

    @property
    def text(self):
        return " ".join("".join(self.texts).split())

    @property
    def sections(self):
        return [attrs["id"] for tag, attrs in self.tags if tag == "section"]


PARTS = {
    "decision": ["decision"],
    "manifest": ["data"],
    "history": ["training"],
    "filmstrip": ["training"],
    "metrics": ["numbers"],
    "champion": [],
    "card": ["numbers"],
    "memorisation": ["memorisation"],
    "trials": ["search"],
    "protocol": ["reproduce"],
    "params": ["reproduce"],
    "provenance": ["training", "reproduce"],
}


def test_the_page_is_whole_and_says_everything(report, page):
    read = Page(page)
    assert read.sections == [
        "decision", "data", "training", "pictures", "numbers", "memorisation", "search", "reproduce",
    ]  # fmt: skip
    assert [attrs["href"] for tag, attrs in read.tags if tag == "a"] == [f"#{name}" for name in read.sections]
    for words in (
        "ganops-generator", "fd_domain", "8,012", "9f2c41d0a7b3", "img_0009.png", "4 more are listed",
        "1 × NVIDIA H200", "400 kimg", "7.9 [7.7, 8.2]", "noise 214", "real 0.3", "± 7e-5", "Lower is better",
        "half of the classes", "faint noise", "0.94", "10 stopped", "dvc repro", "52655fb0c1d24e8a9b7",
        "latent: 128", "4f1c2a9d6b.dir", "home_made", "copying of training imagessome", "copied share0.123",
        "near_copiesShare of images", "0.552 0.619 0", "-4.54 0.529 -30.5",
    ):  # fmt: skip
        assert words in read.text, words
    assert "img_0010.png" not in page
    assert "9f2c41d0a7b3e855" not in page


def test_nothing_is_loaded_and_nothing_runs(page):
    read = Page(page)
    images = [attrs for tag, attrs in read.tags if tag == "img"]
    assert len(images) > 20
    assert all(re.match(r"data:image/(png|svg\+xml|webp);base64,[A-Za-z0-9+/]+=*$", attrs["src"]) for attrs in images)
    assert not {tag for tag, _ in read.tags} & {"script", "link", "iframe", "object", "embed", "base", "form"}
    assert not [name for name, _ in read.attributes if name.startswith("on")]
    assert not re.search(r"https?:|url\(|@import", page)
    assert "default-src 'none'" in page


def test_everyone_can_read_it(page):
    read = Page(page)
    assert all(attrs["alt"].strip() for tag, attrs in read.tags if tag == "img")
    assert all(attrs["scope"] in ("row", "col") for tag, attrs in read.tags if tag == "th")
    assert ("html", {"lang": "en"}) in read.tags
    assert len([tag for tag, _ in read.tags if tag == "h1"]) == 1
    ids = [value for name, value in read.attributes if name == "id"]
    assert len(set(ids)) == len(ids)
    assert {value for name, value in read.attributes if name == "aria-labelledby"} <= set(ids)
    assert all("aria-label" in attrs for _, attrs in read.tags if attrs.get("role") in ("img", "region"))


def test_letters_stand_out_from_the_page_in_both_schemes(page):
    """Contrast of at least 4.5 (WCAG 2.2, success criterion 1.4.3)."""
    from test_plots import luminance

    schemes = re.findall(r"--page: (#\w{6}).*?--raised: (#\w{6}); --ink: (#\w{6}); --muted: (#\w{6}).*?"
                         r"--accent: (#\w{6})", page, re.S)  # fmt: skip
    assert len(schemes) == 2
    for ground, raised, *letters in schemes:
        for below in (ground, raised):
            for colour in letters:
                light, dark = sorted((luminance(below), luminance(colour)), reverse=True)
                assert (light + 0.05) / (dark + 0.05) >= 4.5, (below, colour)


HOSTILE = "\"><script>alert('x')</script><img src=http://evil.example onerror=alert(1)>"


def test_what_users_wrote_is_text_wherever_it_stands(tmp_path):
    save_grid(tmp_path / "picture.png", np.zeros((2, 1, 8, 8), np.uint8))
    page = render(
        Report(
            title=HOSTILE,
            summary={HOSTILE: HOSTILE},
            manifest={
                "source": {"name": HOSTILE}, "splits": {HOSTILE: {"samples": 1, "classes": {HOSTILE: 1}}},
                "sha256": HOSTILE, "rejected": [{"name": HOSTILE, "reason": HOSTILE}],
            },
            metrics={HOSTILE: HOSTILE, "coverage": 0.5},
            memorisation={"verdict": HOSTILE, "signs": {HOSTILE: {"generated": HOSTILE, "held_out": 1, "copied": 0}}},
            protocol={HOSTILE: HOSTILE},
            card={"extractor": HOSTILE, "hash": HOSTILE, "ladder": {HOSTILE: 1.0, "noise": 2.0}},
            trials=[{"number": 0, "parameters": {HOSTILE: HOSTILE}, "score": 1.0, "status": HOSTILE}],
            params={HOSTILE: HOSTILE},
            provenance={
                "commands": [HOSTILE], "commit": HOSTILE, "hashes": {HOSTILE: HOSTILE}, "hardware": HOSTILE,
                "patch": {"name": HOSTILE, "content": HOSTILE.encode()},
                "search": {"search": HOSTILE, "trial": HOSTILE, "parameters": {HOSTILE: HOSTILE}, "reason": HOSTILE},
            },
            pictures={HOSTILE: tmp_path / "picture.png"},
        )
    )  # fmt: skip
    read = Page(page)
    assert "script" not in {tag for tag, _ in read.tags}
    assert not [name for name, _ in read.attributes if name.startswith("on")]
    assert all(attrs["src"].startswith("data:") for tag, attrs in read.tags if tag == "img")
    assert read.text.count("<script>alert('x')</script>") >= 15


LESSON = [
    {"kimg": 4.0, "error": 0.13, "divergence": 22.0, "loss": 0.69, "images_per_second": 579.0},
    {"kimg": 8.0, "error": 0.07, "divergence": 34.9, "loss": 0.32, "images_per_second": 615.0},
    {"kimg": 12.0, "code_error": 0.9, "code_divergence": 2.5, "loss": 1.4, "images_per_second": 900.0},
    {"kimg": 16.0, "code_error": 0.8, "code_divergence": 3.5, "loss": 1.3, "images_per_second": 900.0},
]


def test_the_curves_of_an_autoencoder_are_those_it_has():
    panels = [attrs["alt"] for tag, attrs in Page(render(Report(title="x", history=LESSON))).tags if tag == "img"]
    assert panels == [
        "Loss; last: loss 1.3", "Error of reconstructions; last: error 0.07", "Divergence; last: divergence 34.9",
        "Second stage: error of codes; last: code_error 0.8", "Second stage: divergence; last: code_divergence 3.5",
        "Images per second; last: images_per_second 900",
    ]  # fmt: skip


LEARNT = {
    "reconstruction": {"error": 24.378, "interval": [23.926, 24.825], "samples": 1018, "split": "test",
                       "what": "Root of it."},
    "bound": {"bits_per_dimension": 6.8315, "interval": [6.809, 6.8532], "nats": 4848.9, "what": "A bound of it."},
    "parameters": {"generator": 558657, "encoder": 691872},
    "seconds": 72.4,
}  # fmt: skip
"""Fields of the report of a VAE that the other one lacks."""


@pytest.mark.parametrize("part", LEARNT)
def test_what_a_vae_says_alone_brings_its_own_section_alone(part):
    section = "training" if part in ("parameters", "seconds") else "reconstructions"
    assert Page(render(Report(title="lonely", **{part: LEARNT[part]}))).sections == [section]


def test_reconstructions_have_a_section_of_their_own(report, tmp_path):
    save_grid(tmp_path / "pairs.png", np.zeros((2, 1, 8, 16), np.uint8))
    shown = {**report.pictures, "reconstructions": tmp_path / "pairs.png"}
    made = replace(report, history=LESSON, pictures=shown, **LEARNT)
    page = render(made)
    read = Page(page)
    assert read.sections.index("reconstructions") == read.sections.index("pictures") + 1
    for words in (
        "error, grey levels of 25524.38 [23.93, 24.82]", "bits per dimension, at most6.832 [6.809, 6.853]",
        "nats per sample, at most4,849", "samples of the test split1,018", "Root of it.", "A bound of it.",
        "parameters of the generator558,657", "parameters of the encoder691,872", "time of the steps1 min 12 s",
    ):  # fmt: skip
        assert words.replace(" ", "") in read.text.replace(" ", ""), words
    assert len([tag for tag, attrs in read.tags if "Pairs" in attrs.get("alt", "")]) == 1
    (numbers,) = re.findall(r'<section id="numbers".*?</section>', page, re.S)
    assert "6.832" not in numbers
    assert "24.38" not in numbers


def test_texts_stand_beside_their_reconstructions():
    error = {"error": 0.321, "interval": [0.31, 0.33], "whole": 0.12, "samples": 923, "split": "test", "what": "Share."}
    bound = {"nats": 32.85, "interval": [31.95, 33.74], "divergence": 0.0113, "alarm": "it says nothing", "what": "A."}
    curve = {"model": [{"truncation": 1.0, "fd_language": 1.0}], "left_out": {"nll_test": "it is not known"}}
    made = Report(
        title="x", manifest={"sample": {"kind": "text", "shape": [12]}}, reconstruction=error, bound=bound,
        again=[("a <red> dog", "a red cat")], curve=curve,
        history=[{"kimg": k, "bound": 30.0, "reconstruction": 29.0, "divergence": 1.0, "beta": k} for k in (0.5, 1.0)],
    )  # fmt: skip
    read = Page(render(made))
    for words in (
        "words that differ, share0.321 [0.31, 0.33]", "texts that come back whole, share0.12",
        "nats per sample, at most32.85 [31.95, 33.74]", "what the code says0.0113", "alarmit says nothing",
        "a <red> doga red cat", "nll_test is left out: it is not known.", "Bound of the likelihood",
        "Weight of the divergence",
    ):  # fmt: skip
        assert words.replace(" ", "") in read.text.replace(" ", ""), words
    assert "grey levels" not in read.text
    assert "bits per" not in read.text


def test_an_autoencoder_without_a_bound_or_an_encoder_says_so():
    figures = {"error": 24.4, "interval": [23.9, 24.8], "samples": 10, "split": "test", "what": "Root of it."}
    text = Page(render(Report(title="x", reconstruction=figures))).text
    assert "bits per dimension" not in text
    lost = Page(render(Report(title="x", reconstruction={"left_out": "there is no encoder.safetensors"}))).text
    assert "there is no encoder.safetensors" in lost
    assert Page(render(Report(title="x"))).sections == []


def test_changes_that_no_commit_holds_come_with_the_page():
    known = {"commands": ["git checkout abc"], "commit": "abc", "changed": True}
    read = Page(render(Report(title="t", provenance={**known, "patch": {"name": "c.patch", "content": b"\xffdiff"}})))
    ((_, link),) = [(tag, attrs) for tag, attrs in read.tags if "download" in attrs]
    assert link["download"] == "c.patch"
    assert base64.b64decode(link["href"].partition("base64,")[2]) == b"\xffdiff"
    assert "into which c.patch was saved" in re.sub(r"\s+", " ", read.text)
    assert "not at hand" not in read.text
    assert "Files differed from it, and the differences are not at hand" in render(Report(title="t", provenance=known))
    assert "differ" not in render(Report(title="t", provenance={**known, "changed": False})).partition("<main>")[2]


@pytest.mark.parametrize("part", PARTS)
def test_a_part_alone_brings_its_own_section_alone(report, part):
    page = render(Report(title="lonely", **{part: getattr(report, part)}))
    assert Page(page).sections == PARTS[part]
    assert "None" not in page
    assert 'class="with-picture"' not in page


def test_a_picture_alone_brings_its_own_section_alone(report):
    special = {"samples": [], "preview": ["data"], "memorisation": ["memorisation"]}
    places = {name: special.get(name, ["pictures"]) for name in report.pictures}
    for name, sections in places.items():
        page = Page(render(Report(title="lonely", pictures={name: report.pictures[name]})))
        assert page.sections == sections
        assert len([tag for tag, _ in page.tags if tag == "img"]) == 1


def test_with_nothing_there_is_the_title():
    page = Page(render(Report(title="alone")))
    assert page.text == "alone alone"  # the window's title and the headline
    assert not {tag for tag, _ in page.tags} & {"section", "nav", "img", "table", "figure", "dl"}


def test_it_says_what_intervals_cover_and_what_is_left_out():
    alike = dict.fromkeys(("cas", "cas_gap"), "the generator takes no labels")
    protocol = {"intervals": COVERS, "left_out": {"fd_domain_infinity": "too few samples", **alike}}
    text = Page(render(Report(title="t", metrics={"fd_domain": 7.9}, protocol=protocol))).text
    assert "Intervals are 95 %, over latents and real samples, not over training seeds." in text
    assert "left out: too few samples" in text
    assert text.count("left out: the generator takes no labels") == 1


def test_the_champion_stands_beside_the_figures_or_the_reason_why_not(page):
    assert "The champion, version 4, was drawn again from the registry: 10,000 samples" in Page(page).text
    assert "champion 9.1, difference -1.2 [-1.5, -0.9]: better" in Page(page).text
    selected = {"version": 4, "samples": 9, "metrics": {}, "selected": SELECTED}
    assert SELECTED in Page(render(Report(title="t", metrics={"fd_domain": 7.9}, champion=selected))).text
    reason = {"version": 4, "reason": "it draws 16 x 16 x 1 images, the challenger 32 x 32 x 1"}
    alone = Page(render(Report(title="t", metrics={"fd_domain": 7.9}, champion=reason))).text
    assert "The champion, version 4, cannot stand beside it: it draws 16 x 16 x 1 images" in alone


def test_the_decision_says_what_was_asked_and_found(page):
    text = Page(page).text
    assert text.count("It did not pass the gate: coverage 0.66 is not at least 0.7.") == 2, "head and section"
    assert "fd_domain 7.9 against 9.1 of the champion v4: better" in text
    passed = {"passed": True, "checks": [], "improvement": None}
    assert "It passed the gate." in Page(render(Report(title="t", decision=passed))).text
    again = Page(render(Report(title="t", decision={**passed, "standing": "fd_domain 7 against 9: better."}))).text
    assert "It is the champion already: fd_domain 7 against 9: better." in again


def test_the_head_says_which_version_of_when_and_how_good(page):
    text = Page(page).text
    head = text[: text.index("Decision")]
    for words in ("version7", "trained2026-11-30", "datafashion-mnist-10k, 10,000 images"):
        assert words in head.replace(" version 7", "version7"), words
    for words in ("It did not pass the gate: coverage 0.66", "fd_domain7.9", "95 % [7.7, 8.2], floor 0.31, noise 214"):
        assert words in head, words
    alone = Page(render(Report(title="t", summary={"fd_domain": 7.9}))).text
    assert "floor" not in alone
    assert "noise" not in alone


def test_parameters_and_hashes_are_folded(page):
    folded = " ".join(re.findall(r"<details>.*?</details>", page, re.S))
    for words in ("latent: 128", "4f1c2a9d6b.dir", "9f2c41d0a7b3", "7b7b7b7b7b7b"):
        assert page.count(words) == folded.count(words) == 1, words


def test_every_field_is_a_part_that_was_tested():
    assert {f.name for f in fields(Report)} == {
        "title",
        "version",
        "date",
        "summary",
        "pictures",
        "played",
        "again",
        "improved",
        *PARTS,
        *LEARNT,
        *READ,
    }


def test_same_input_same_bytes_and_no_trace_of_the_machine(report, page, tmp_path):
    write(report, tmp_path / "new" / "report.html")
    assert (tmp_path / "new" / "report.html").read_text(encoding="utf-8") == page
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["report.html"]
    assert str(report.pictures["samples"].parent) not in page


def test_the_worst_pictures_still_make_a_small_page(report, tmp_path):
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 255, (400, 560, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "noise.png")
    rows = [rng.integers(0, 255, (8, 3, 128, 128), np.uint8)] * 4
    (tmp_path / "sheet.svg").write_bytes(plots.sheet(rows, ["noise"] * 4))
    names = {name: path.suffix == ".svg" for name, path in report.pictures.items() if name != "memorisation"}
    names |= {"realism": True, "reconstructions": True}
    worst = replace(
        report,
        pictures={name: tmp_path / ("sheet.svg" if sheet else "noise.png") for name, sheet in names.items()},
        filmstrip=[(float(kimg), tmp_path / "noise.png") for kimg in range(50)],
        trials=[*report.trials] * 100,
    )
    page = render(worst)
    assert len(page.encode()) <= MAX_BYTES
    assert page.count(" kimg</figcaption>") == 10
    assert "0 kimg</figcaption>" in page
    assert "49 kimg</figcaption>" in page
    assert "1,150 more are not shown" in Page(page).text


def scales(page):
    return [float(place) for place in re.findall(r'class="dot" style="left:([\d.]+)%"', page)]


@pytest.mark.parametrize(
    ("value", "noise", "real", "place"),
    [
        (0.5, 0.0, 1.0, 50),
        (10.0, 100.0, 1.0, 50),  # the middle of a logarithmic line
        (1.0, 3.0, 1.0, 100),
        (3.0, 3.0, 1.0, 0),
        (0.1, 100.0, 1.0, 100),  # better than real stands at the end
        (1e9, 100.0, 1.0, 0),
        (-0.1, 10.0, -0.2, 99.02),  # an unbiased distance may be negative
    ],
)
def test_a_value_stands_between_noise_on_the_left_and_real_on_the_right(value, noise, real, place):
    page = render(Report(title="t", metrics={"kid": {"value": value, "noise": noise, "real": real}}))
    assert scales(page) == [place]


def test_the_ladder_judges_the_distance_of_its_own_extractor_only():
    ladder = {"real": 1.0, "blur": 10.0, "blur_coverage": 0.5, "noise": 100.0}
    metrics = {"fd_domain": 10.0, "fd_other": 10.0, "mine": 1.0, "recall": {"value": 0.25, "interval": [0.2, 0.3]}}
    page = render(Report(title="t", metrics=metrics, card={"extractor": "domain", "ladder": ladder}))
    assert scales(page) == [50, 25]
    assert re.findall(r'class="rung" style="left:([\d.]+)%"', page) == ["100", "50.0", "0"]
    assert 'style="left:20.0%;right:70.0%"' in page


def test_a_distance_has_its_floor_and_a_blind_metric_is_marked():
    metrics = {
        "fd_domain": {"value": 1.12, "interval": [1.03, 1.21], "floor": 0.6},
        "precision": {"value": 0.9, "blind": "blind to low rank on these images"},
        "recall": 0.7,
    }
    text = Page(render(Report(title="t", metrics=metrics))).text
    assert "floor 0.6" in text
    assert text.count("floor") == 1
    assert text.count("blind to low rank on these images: it decides nothing") == 1


@pytest.mark.parametrize("value", [float("nan"), None, "diverged"])
def test_a_metric_that_is_no_number_has_no_place_on_a_line(value):
    page = render(Report(title="t", metrics={"recall": {"value": value}, "coverage": 0.5}))
    assert scales(page) == [50]


def test_small_images_stay_crisp_and_large_ones_smooth():
    def crisp(shape):
        return '<body class="crisp">' in render(Report(title="t", manifest={"sample": {"shape": shape}}))

    assert crisp([1, 32, 32])
    assert crisp([3, 64, 64])
    assert not crisp([3, 128, 128])


def test_trials_that_came_furthest_lead_and_failed_ones_end():
    def trial(number, score, rung, status="finished"):
        parameters = {"seed": f"trial{number}"}
        return {"number": number, "parameters": parameters, "score": score, "rung": rung, "status": status}

    trials = [trial(0, None, 0, "failed"), trial(1, 30.0, 3), trial(2, 20.0, 3), trial(3, 10.0, 1, "stopped")]
    trials.append(trial(4, 1.0, 3, "diverged"))
    assert re.findall(r"trial\d", Page(render(Report(title="t", trials=trials))).text) == [
        "trial2",
        "trial1",
        "trial3",
        "trial0",
        "trial4",
    ]


def test_published_weights_alone_make_the_ladder_one_of_fid():
    ladder = {"real": 1.0, "noise": 100.0}
    for published, places in ((True, [50.0]), (False, [])):
        card = {"extractor": "inception", "published": published, "ladder": ladder}
        assert scales(render(Report(title="t", metrics={"fid": 10.0}, card=card))) == places


@pytest.mark.parametrize("content", [None, b"not a picture"])
def test_a_missing_or_broken_picture_is_named(tmp_path, content):
    path = tmp_path / "samples.png"
    if content:
        path.write_bytes(content)
    with pytest.raises(UserError, match=r"samples\.png.*Run the stage"):
        render(Report(title="t", pictures={"samples": path}))


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("fid", "InceptionV3"),
        ("fid_infinity", "endlessly many"),
        ("fd_domain", "crowd of generated samples"),
        ("fd_domain_infinity", "endlessly many"),
        ("kd_domain", "Kernel distance"),
        ("is_domain", "Inception score"),
        ("fidelity", None),
    ],
)
def test_each_metric_says_what_it_means(name, sentence):
    text = Page(render(Report(title="t", metrics={name: 1.5, f"{name}_std": 0.25}))).text
    assert "1.5 ± 0.25" in text
    assert f"{name}_std" not in text
    assert sentence in text if sentence else "is better. 1.5" not in text


# Sounds.

KNOWN = """players => Promise.all(players.map(each => each.readyState >= 1 ? each.duration :
    new Promise(known => each.onloadedmetadata = () => known(each.duration))))"""


def at(truncation, distance, nats, **more):
    figures = {"fd_language": distance, "nll_language": nats, **more}
    return {"truncation": truncation, **figures, "intervals": {"fd_language": [distance - 0.1, distance + 0.1]}}


READ = {
    "sentences": {
        "Most likely": [("the act of <b>moving</b>", 2.5), ("שלום עולם", 2.75)],
        "noun": [("a small plant", 4.0)],
    },
    "curve": {
        "model": [at(1.0, 3.0, 36.0, nll_test=40.0), at(0.8, 5.0, 30.0, nll_test=42.0)],
        "baseline": [at(1.0, 2.0, 35.0, nll_test=38.0), at(0.8, 4.0, 29.0, nll_test=39.0)],
        "real": {"fd_language": 1.5, "nll_language": 35.5},
        "domination": [{"truncation": 1.0, "by": 1.0}, {"truncation": 0.8, "by": 0.8}],
    },
}
"""Fields of the report on texts that others lack."""


@pytest.mark.parametrize("part", READ)
def test_what_texts_say_alone_brings_its_own_section_alone(part):
    assert Page(render(Report(title="lonely", **{part: READ[part]}))).sections == [part]


def test_it_begins_with_texts_to_read_in_their_own_direction(report):
    page = render(replace(report, **READ))
    read = Page(page)
    assert read.sections[0] == "sentences"
    assert "the act of <b>moving</b>" in read.text
    assert "b>moving" not in page.replace("&lt;b&gt;moving", "")
    cells = [attrs for tag, attrs in read.tags if tag == "td" and "dir" in attrs]
    assert [attrs["dir"] for attrs in cells] == ["auto"] * 3


def test_the_curve_is_a_chart_a_table_and_a_sentence():
    read = Page(render(Report(title="t", **READ)))
    charts = [attrs["alt"] for tag, attrs in read.tags if tag == "img"]
    assert [alt.partition(" over")[0] for alt in charts] == ["nll_language", "nll_test"]
    for words in ("this model", "likelihood baseline", "real samples", "0.8", "3 [2.9, 3.1]"):
        assert words in read.text, words
    assert "Dominated: at each of its temperatures the likelihood baseline has one" in read.text


@pytest.mark.parametrize(
    ("by", "words"),
    [
        ((None, None), "Not dominated: at none of its temperatures has the likelihood baseline one"),
        ((None, 0.8), "Not dominated: at temperature 1 the likelihood baseline has none"),
        ((1.0, 1.0), "Dominated: at each"),
    ],
)
def test_the_sentence_says_where_it_is_dominated(by, words):
    judged = [{"truncation": t, "by": each} for t, each in zip((1.0, 0.8), by, strict=True)]
    curve = {**READ["curve"], "domination": judged}
    assert words in Page(render(Report(title="t", curve=curve, improved=True))).text
    same = Page(render(Report(title="t", curve=curve, improved=False))).text  # nothing was held against itself
    assert words not in same
    assert "the model is itself the baseline" in same


def test_a_model_of_likelihood_alone_is_its_own_baseline():
    alone = {"model": READ["curve"]["model"], "real": READ["curve"]["real"]}
    page = render(Report(title="t", curve=alone, params={"loss": {"name": "likelihood"}}))
    assert "it is itself the baseline" in page
    assert "baseline" not in render(Report(title="t", curve=alone)).partition("<main>")[2]


def test_every_point_of_the_curve_is_labelled_with_its_truncation():
    svg = plots.trade_off({"one": [(1.0, 2.0, 3.0), (0.35, 3.0, 2.0)], "real": [(None, 1.0, 2.5)]}, "x", "y").decode()
    assert ">1<" in svg
    assert ">0.35<" in svg
    assert "None" not in svg


PLAYED = """player => new Promise(played => {
    player.ontimeupdate = () => player.currentTime > 0.05 && played(player.currentTime)
    player.play()
})"""


def wav(path, seconds, rate=8000):
    tone = np.sin(np.arange(round(seconds * rate)) * (2 * np.pi * 440 / rate))
    path.write_bytes(sound.file(np.rint(8000 * tone).astype(np.int16), {"rate": rate})[2])
    return path


@pytest.fixture
def heard(report, tmp_path):
    """The report of a training on sounds, as long as any, with ten samples of each side that can be heard."""
    manifest = {**report.manifest, "sample": {"kind": "sound", "shape": [1, 32, 32], "dtype": "uint8"}}
    sounds = [
        (name, {side: wav(tmp_path / f"{side}-{i}.wav", 0.1 * (i + 1)) for side in ("generated", "real")})
        for i, name in enumerate(CLASSES)
    ]
    return replace(report, manifest=manifest, played=sounds)


def test_sounds_are_heard_in_the_page_itself(heard):
    read = Page(render(heard))
    players = [attrs for tag, attrs in read.tags if tag == "audio"]
    assert len(players) == 20
    assert all("controls" in attrs and attrs["aria-label"] for attrs in players)
    sides = ("generated", "real")
    wanted = [sides_of[side].read_bytes() for _, sides_of in heard.played for side in sides]
    assert [base64.b64decode(attrs["src"].removeprefix("data:audio/wav;base64,")) for attrs in players] == wanted
    assert all(name in read.text for name in CLASSES)
    assert "media-src data:" in render(heard)
    assert "listen" in read.sections


def test_a_report_of_sounds_speaks_of_clips_and_one_of_images_has_no_players(heard, page):
    text = Page(render(heard)).text
    for words in ("Clips per second", "Nearest training clips", "other real clips", "copying of training clips"):
        assert words in text, words
    shown = re.sub(r"data:[^\"]*", "", render(heard))
    body = shown[shown.index("<main>") :]
    assert "image" not in re.sub(r"<img|role=\"img\"|images_per_second", "", body).lower()
    assert "<audio" not in page
    assert "media-src" not in page
    assert ".heard" not in page


@pytest.fixture
def watched(report, tmp_path):
    """The report of a training on films, with samples that move."""
    facts = {"fps": 8.0}
    manifest = {**report.manifest, "sample": {"kind": "video", "shape": [1, 3, 8, 8], "dtype": "uint8", "facts": facts}}
    rng, files = np.random.default_rng(0), []

    def film(name):
        files.append(tmp_path / f"{name}.webp")
        files[-1].write_bytes(video.file(rng.integers(0, 256, (3, 8, 8, 1), np.uint8), facts)[2])
        return files[-1]

    played = [(name, {side: film(f"{side}-{i}") for side in ("generated", "real")}) for i, name in enumerate(CLASSES)]
    pictures = {**report.pictures, "samples": film("samples"), "preview": film("preview")}
    return replace(report, manifest=manifest, played=played, pictures=pictures), files


def test_films_move_in_the_page_itself(watched):
    report, files = watched
    html = render(report)
    read = Page(html)
    shown = [attrs["src"] for tag, attrs in read.tags if tag == "img" and "image/webp" in attrs.get("src", "")]
    moving = {base64.b64decode(src.removeprefix("data:image/webp;base64,")) for src in shown}
    assert {path.read_bytes() for path in files} <= moving
    assert "watch" in read.sections
    assert "listen" not in read.sections
    assert "media-src" not in html
    for words in ("Films per second", "Nearest training films", "Generated films, and beside each a real one"):
        assert words in read.text, words


def test_long_sounds_are_as_many_as_a_page_of_two_megabytes_holds(heard, tmp_path):
    rng, paths = np.random.default_rng(0), []
    for i in range(20):
        paths.append(tmp_path / f"long-{i}.wav")
        paths[-1].write_bytes(sound.file(rng.integers(-999, 999, 5 * 22050).astype(np.int16), {"rate": 22050})[2])
    long = [("", {"generated": one, "real": other}) for one, other in zip(paths[::2], paths[1::2], strict=True)]
    page = render(replace(heard, played=long))
    assert 1_000_000 < len(page.encode()) <= MAX_BYTES
    assert (shown := page.count("<audio")) >= 2
    assert f"{10 - shown // 2} more lie in {tmp_path.name}" in Page(page).text


def test_large_films_are_shown_smaller_and_move_as_before(watched, tmp_path):
    report, _ = watched
    frames = np.random.default_rng(0).integers(0, 256, (16, 128, 128, 3), np.uint8)
    content = video.file(frames, {"fps": 8.0})[2]
    (tmp_path / "large.webp").write_bytes(content)
    assert len(content) > 200_000
    large = tmp_path / "large.webp"
    page = render(replace(
        report, played=[("", {"generated": large, "real": large})] * 10,
        pictures={**report.pictures, "samples": large, "preview": large, "interpolation": large},
    ))  # fmt: skip
    assert len(page.encode()) <= MAX_BYTES
    assert page.count("<figcaption>generated</figcaption>") == 10
    smaller = plots.smaller_film(large, 40_000)
    with Image.open(large) as one, Image.open(io.BytesIO(smaller)) as other:
        one.load(), other.load()
        assert (one.n_frames, one.info["duration"]) == (other.n_frames, other.info["duration"])
    assert len(smaller) <= 40_000


def test_a_large_patch_lies_beside_the_page():
    known = {"commands": ["git checkout abc"], "patch": {"name": "c.patch", "content": bytes(10**6)}}
    page = render(Report(title="t", provenance=known))
    assert "c.patch was saved, which lies beside this report" in Page(page).text
    assert len(page) < 50_000


def test_a_sound_that_is_missing_is_named(tmp_path):
    with pytest.raises(UserError, match=r"expected a sample at .*real-0\.wav.*Run the stage"):
        render(Report(title="t", played=[("one", {"real": tmp_path / "real-0.wav"})]))


@pytest.mark.skipif(pages.CHROMIUM is None, reason="no Chromium or Chrome on this machine")
def test_a_browser_plays_the_sounds_on_a_phone_and_on_a_desk(heard, tmp_path):
    write(heard, tmp_path / "report.html")
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=pages.CHROMIUM, args=pages.QUIET)
        for width in (390, 1280):
            page = browser.new_page(viewport={"width": width, "height": 800})
            told = []
            page.on("console", lambda message, told=told: told.append(message.text))
            page.goto((tmp_path / "report.html").as_uri())
            players = page.locator("audio")
            lengths = players.evaluate_all(KNOWN)
            assert lengths == pytest.approx([0.1 * (i + 1) for i in range(10) for _ in range(2)], abs=1e-3)
            assert players.last.evaluate(PLAYED) > 0.05
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            assert all(box["x"] >= 0 and box["x"] + box["width"] <= width for box in
                       (players.nth(i).bounding_box() for i in range(20)))  # fmt: skip
            assert told == []
            page.close()
        browser.close()


def test_a_game_that_did_not_improve_on_its_warm_up_is_told():
    words = "the game has not improved on its warm-up"
    assert words in Page(render(Report(title="x", improved=False))).text
    assert all(words not in Page(render(Report(title="x", improved=each))).text for each in (True, None))


def test_a_likelihood_has_its_chart():
    history = [{"kimg": 1.0, "nll": 3.0}, {"kimg": 2.0, "nll": 2.5}]
    (panel,) = [attrs["alt"] for tag, attrs in Page(render(Report(title="x", history=history))).tags if tag == "img"]
    assert panel == "Likelihood; last: nll 2.5"
