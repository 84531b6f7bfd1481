"""The model card: the family, its objective, its size, and figures that stand apart from the metrics."""

from dataclasses import replace

import pytest
from packages import package

from ganops.losses import OBJECTIVES
from ganops.registry.card import _metrics, model_card

EVALUATION = {
    "fd_domain": 31.1, "protocol": {"extractor": "domain"},
    "reconstruction": {"error": 24.38, "interval": [23.93, 24.83], "what": "Root.", "samples": 1018, "split": "test"},
    "bound": {"bits_per_dimension": 6.832, "interval": [6.809, 6.853], "nats": 4848.9, "what": "An upper bound."},
}  # fmt: skip
TRAINING = {"kimg": 20.0, "best_kimg": 16.0, "seconds": 72.4, "hardware": "AMD EPYC, 2 cores"}


def card(folder, name, **changes):
    made = package(folder)
    return model_card("pictures", replace(made, params={**made.params, "loss": {"name": name}}, **changes))


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("autoencoder", "Ghosh et al. 2020"),
        ("vae", "Kingma & Welling 2014"),
        ("two_stage_vae", "Dai & Wipf 2019"),
        ("hinge", "Lim & Ye 2017"),
    ],
)
def test_the_family_is_named_with_its_objective_and_source(tmp_path, name, source):
    said = card(tmp_path, name)
    family = "a GAN" if name == "hinge" else f"the decoder of an autoencoder (`{name}`)"
    assert f"trained as {family} on `photos`." in said
    (objective,) = [line for line in said.splitlines() if line.startswith(f"The objective is `{name}`. ")]
    assert source in objective
    assert ("GAN" in said.replace("number of a GAN", "")) == (name == "hinge")


@pytest.mark.parametrize("name", OBJECTIVES)
def test_each_objective_names_a_source(tmp_path, name):
    (objective,) = [line for line in card(tmp_path, name).splitlines() if line.startswith("The objective is")]
    assert "20" in objective.partition("(")[2], objective


def test_an_autoencoder_says_what_it_can_apart_from_the_metrics(tmp_path):
    said = card(
        tmp_path, "vae", evaluation=EVALUATION, training=TRAINING,
        parameters={"generator": 558657, "encoder": 691872},
    )  # fmt: skip
    for words in (
        "\n## Reconstructions\n\nOf 1,018 samples of the test split, with the 95 % interval over them. They compare",
        "\n* Error: 24.38 [23.93, 24.83]. Root.",
        "\n* Bits per dimension: at most 6.832 [6.809, 6.853] (4,849 nats per sample). An upper bound.",
        "\nParameters: 558,657 of the generator; 691,872 of the encoder that it learnt with.",
        "\n20 thousand samples (kimg) were learnt from in 1 min 12 s of steps (AMD EPYC, 2 cores); the weights are",
        "those of 16 kimg.",
    ):
        assert words in said, words
    rows = [line for line in said.splitlines() if line.startswith("|")]
    assert not [row for row in rows if "24.38" in row or "6.832" in row or "bound" in row]


def test_a_vae_of_texts_says_how_much_its_code_does(tmp_path):
    bound = {"nats": 32.85, "interval": [31.95, 33.74], "divergence": 0.0113, "what": "An upper bound."}
    said = card(tmp_path, "vae", evaluation={**EVALUATION, "bound": bound})
    assert "\n* Nats: at most 32.85 [31.95, 33.74], 0.0113 of them divergence. An upper bound.\n" in said
    said = card(tmp_path, "vae", evaluation={**EVALUATION, "bound": {**bound, "alarm": "it says nothing"}})
    assert " divergence. Alarm: it says nothing. An upper bound." in said
    assert "Bits per dimension" not in said


def test_what_is_not_known_leaves_no_trace(tmp_path):
    said = card(tmp_path, "hinge")
    assert "## Reconstructions" not in said
    assert "Parameters:" not in said
    assert "kimg)" not in said
    without = {key: value for key, value in EVALUATION.items() if key not in ("reconstruction", "bound")}
    lost = {**without, "reconstruction": {"left_out": "there is no encoder.safetensors beside the generator"}}
    assert "## Reconstructions" not in card(tmp_path, "vae", evaluation=lost)


@pytest.mark.parametrize(("split", "samples"), [("test", "training texts"), ("train", "test texts")])
def test_floors_are_told_by_their_samples(split, samples):
    evaluation = {
        "fd_language": 2.0,
        "nll_language": 35.0,
        "floors": {"fd_language": 1.0},
        "protocol": {"split": split},
    }
    told = f"Floor: the distance that {samples} have in the place of generated ones"
    assert f"{told}." in _metrics(evaluation, "text")
    likely = {**evaluation, "floors": {"fd_language": 1.0, "nll_language": 34.9}}
    assert f"{told}; of nll_*: the nats of held-out texts." in _metrics(likely, "text")
