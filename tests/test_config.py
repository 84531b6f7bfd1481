"""`params.yaml`: what is accepted, what is refused, and in which words."""

import json
import re
import time
from pathlib import Path

import pytest
import torch
import yaml

from ganops import config
from ganops.core.errors import ConfigError
from ganops.experiment import build, checks, identity
from ganops.losses import LESSONS, LOSSES
from ganops.metrics.extractors import EXTRACTORS, options_of
from ganops.metrics.memorisation import SIGNS
from ganops.models import ARCHITECTURES

ROOT = Path(__file__).parents[1]


def refused(content) -> str:
    with pytest.raises(ConfigError) as error:
        checks.check(config.parse(content))
    return str(error.value)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"train": {"kimgs": 3}}, "params.train.kimgs: unknown; did you mean kimg?"),
        ({"foo": 1}, "params.foo: unknown; known: seed, data,"),
        ({"train": {"learning_rate": {"generater": 1}}}, "generater: unknown; did you mean generator?"),
        (
            {"tune": {"space": {"train.batch": {"loguniform": [1, 2]}}}},
            "loguniform: unknown; did you mean log_uniform?",
        ),
        ({"train": {"kimg": "many"}}, "params.train.kimg: expected number"),
        ({"train": {"kimg": float("nan")}}, "params.train.kimg: expected a finite number"),
        ({"train": {"kimg": 0}}, "params.train.kimg: expected greater than 0, got 0"),
        ({"train": {"batch": 2.5}}, "params.train.batch: expected integer"),
        (
            {"train": {"augment": {"consistency": 10}}},
            "params.train.augment.consistency: needs transforms",
        ),
        ({"train": {"beta2": {"start": 0.9, "end": 1.0}}}, "params.train.beta2: must stay below 1"),
        ({"train": 5}, "params.train: expected a section"),
        ({"loss": {"r1": -1}}, "params.loss.r1: expected greater than or equal to 0, got -1"),
        ({"loss": {"r1": {"start": 1}}}, "params.loss.r1.end: missing"),
        (
            {"loss": {"name": "hinged"}},
            "params.loss.name: unknown 'hinged'; known: began, hinge, least_squares,",
        ),
        ({"loss": {"penalty": "gp"}}, "params.loss.penalty: unknown 'gp'; known: none, dragan"),
        ({"loss": {"options": {"gamma": 1}}}, "params.loss.options.gamma: Unexpected keyword argument"),
        (
            {"loss": {"name": "began", "options": {"gamma": "x"}}},
            "params.loss.options.gamma: Input should be a valid number",
        ),
        (
            {"loss": {"name": "began", "options": {"gamma": 1.5}}},
            "params.loss.options.gamma: expected a ratio of errors from 0 to 1, got 1.5",
        ),
        (
            {"loss": {"name": "began", "options": {"rate": 0}}},
            "params.loss.options.rate: expected a rate above 0, got 0",
        ),
        ({"train": {"augment": {"strength": 2}}}, "params.train.augment.strength: must not exceed 1"),
        (
            {"loss": {"name": "wasserstein"}, "train": {"augment": {"transforms": "ada"}}},
            "params.train.augment.strength: adaptive follows how often D takes real samples for real, and no score of "
            "D says so where loss.name is wasserstein; expected a number such as 0.3",
        ),
        (
            {
                "model": {"architecture": "began"},
                "loss": {"name": "began"},
                "train": {"augment": {"transforms": "bgc", "strength": "adaptive"}},
            },
            "no score of D says so where loss.name is began",
        ),
        ({"train": {"augment": {"strength": {"start": 0, "end": 3}}}}, "strength: must not exceed 1"),
        (
            {"train": {"augment": {"transforms": "adda"}}},
            "params.train.augment.transforms: unknown 'adda'; known: none",
        ),
        ({"train": {"augment": {"transforms": {"flip": 1}}}}, "params.train.augment.transforms.flip: unknown 'flip'"),
        ({"data": {"validation": 0.6, "test": 0.5}}, "nothing is left to train on"),
        ({"data": {"validation": 0}}, "must both be above 0"),
        ({"data": {"resolution": 33}}, "params.data.resolution: expected 16, 32, 64, 128 or 256, got 33"),
        ({"data": {"channels": 2}}, "params.data.channels: expected 'auto', 1 or 3, got 2"),
        (
            {"features": {"extractor": "vgg"}},
            "params.features.extractor: unknown 'vgg'; known: domain, inception, inception_bf16, language, motion, "
            "oracle, pixels",
        ),
        (
            {"features": {"extractor": "pixels"}, "register": {"gate": {"is_pixels": {"at_least": 2}}}},
            "unknown 'is_pixels'; known: fd_pixels, fd_pixels_infinity, kd_pixels, precision",
        ),
        (
            {"model": {"architecture": "biggan"}},
            "params.model.architecture: unknown 'biggan'; known: began, dcgan, infogan, lstm, mlp, mocogan, r3gan",
        ),
        (
            {"model": {"options": {"widht": 3}}},
            "params.model.options: an unexpected keyword argument 'widht'; dcgan takes width, norm",
        ),
        ({"model": {"architecture": "r3gan", "options": {"groups": 7}}}, "7 does not divide"),
        (
            {"model": {"architecture": "r3gan", "options": {"groups": 0}}},
            "params.model.options: groups: expected at least 1, got 0",
        ),
        (
            {"model": {"architecture": "mlp", "options": {"bias": -1.0}}},
            "params.model.options: bias: expected a standard deviation of at least 0, got -1",
        ),
        ({"tune": {"space": {"train.kimg": {"uniform": [3, 1]}}}}, "the lower bound 3 is not below the upper bound 1"),
        ({"tune": {"space": {"train.kimg": {"log_uniform": [0, 1]}}}}, "greater than 0, got 0"),
        ({"tune": {"space": {"train.kimg": {"choice": []}}}}, "params.tune.space.train.kimg.choice"),
        ({"tune": {"space": {"train.kimgs": {"choice": [1]}}}}, "params.train.kimgs: unknown"),
        ({"tune": {"space": {"data.resolution": {"choice": [32]}}}}, "only parameters of model, loss and train"),
        ({"register": {"gate": {"fd_domain": {}}}}, "params.register.gate.fd_domain: expected at_most or at_least"),
        ({"register": {"gate": {"fid": {"at_most": 5}}}}, "params.register.gate.fid: unknown 'fid'; known: fd_domain"),
        ({"register": {"name": "../up"}}, "params.register.name"),
        ({"compute": {"workers": 0}}, "params.compute.workers"),
        ({"compute": {"workers": [4, 1]}}, "params.compute.workers: expected [fewest, most], got [4, 1]"),
        ({"compute": {"workers": [0, 1]}}, "params.compute.workers.0: expected greater than or equal to 1, got 0"),
        (
            {"train": {"batch": 4}, "compute": {"workers": [5, 6]}},
            "params.compute.workers: 5 workers cannot share a batch of 4 samples: at most 4 can",
        ),
        (
            {"model": {"architecture": "stylegan2"}, "train": {"batch": 12}, "compute": {"workers": 4}},
            "params.compute.workers: 4 workers cannot share a batch of 12 samples in groups of 4 that D compares "
            "(model.options.group): at most 3 can",
        ),
        (
            {"train": {"batch": 4}, "compute": {"trial": {"workers": 5}}},
            "params.compute.trial.workers: 5 workers cannot share a batch of 4 samples: at most 4 can",
        ),
        (
            {"compute": {"storage": "s4://bucket"}},
            "params.compute.storage: expected a folder, or an address that begins",
        ),
        ({"compute": {"storage": "s3://key:secret@bucket/runs"}}, "keys do not belong into an address"),
        ({"compute": {"storage": "s3://"}}, "params.compute.storage: expected a folder, or an address that begins"),
        ({"data": {"storage": "ftp://host"}}, "params.data.storage: expected a folder, or an address that begins"),
        ({"data": {"storage": "s3://key:secret@bucket/sets"}}, "keys do not belong into an address"),
        ({"data": {"shard": 0}}, "params.data.shard"),
        ({"compute": {"cache": "much"}}, "params.compute.cache: expected bytes, or words such as 2 GB, got 'much'"),
        (
            {"compute": {"launcher": "local", "storage": "s3://bucket/runs"}},
            "params.compute: storage: s3://bucket/runs needs launcher: ray; launcher: local keeps",
        ),
        ({"compute": {"launcher": "local", "validation": "apart"}}, "params.compute: validation: apart needs launcher"),
        (
            {"compute": {"device": "mps"}},
            "params.compute: device: mps needs launcher: local; Ray's workers have no GPU of Apple",
        ),
        (
            {"compute": {"device": "mps", "launcher": "local"}, "train": {"precision": "fp64"}},
            "params: train.precision: Apple's GPU (compute.device: mps) has no fp64; auto is fp32 there",
        ),
        (
            {"compute": {"device": "mps", "launcher": "local"}},
            "params: tune.trials: a search runs on Ray, which has no GPU of Apple; expected 0 for mps",
        ),
        ([1], "params: expected a section"),
        (
            {"model": {"options": {"width": True}}},
            "params.model.options.width: Input should be a valid integer, got True",
        ),
        ({"model": {"options": {"width": 0}}}, "params.model: dcgan with these options has a layer without a single"),
        (
            {"model": {"options": {"width": 1_000_000}}},
            "params.model: dcgan with these options has at least 8,192,000,000 parameters in 1 tensors (31 GiB, and "
            "its training takes about five times as much); expected at most 2,000,000,000 in 2,000",
        ),
        ({"model": {"architecture": "mlp", "options": {"depth": 10**9, "width": 1}}}, "parameters in 2,001 tensors"),
        ({"model": {"architecture": "stylegan2", "options": {"mapping": 10**9}}}, "parameters in 2,001 tensors"),
        ({"train": {"batch": 10**12}}, "params.train.batch: expected less than or equal to 1048576, got 1000000000000"),
        (
            {"register": {"improve": "fd_domian"}},
            "params.register.improve: unknown 'fd_domian'; known: auto, none, fd_domain, fd_domain_infinity,",
        ),
        ({"register": {"improve": "cas"}}, "params.register.improve: unknown 'cas'; known: auto, none, fd_domain,"),
        (
            {"register": {"improve": "fid_infinity"}, "features": {"extractor": "inception"}},
            "params.register.improve: unknown 'fid_infinity'; known: auto, none, fid, kid,",
        ),
        ({"register": {"improve": "fid"}}, "params.register.improve: unknown 'fid'"),
    ],
)
def test_refusals_name_the_path_and_what_was_expected(content, words):
    assert words in refused(content)


FAMILIES = {"loss.name": {"choice": ["non_saturating", "vae"]}}
"""A search over a game and a lesson."""


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (
            {"loss": {"name": "vae", "options": {"beta": 0}}},
            "params.loss.options.beta: expected a weight above 0, got 0",
        ),
        (
            {"loss": {"name": "vae", "options": {"beta": -2}}},
            "params.loss.options.beta: expected a weight above 0, got",
        ),
        (
            {"loss": {"name": "vae", "options": {"beta": "x"}}},
            "params.loss.options.beta: Input should be a valid number",
        ),
        (
            {"loss": {"name": "two_stage_vae", "options": {"second": 1.5}}},
            "params.loss.options.second: expected a share between 0 and 1, got 1.5",
        ),
        (
            {"loss": {"name": "two_stage_vae", "options": {"hidden": 10**5}}},
            "params.loss: two_stage_vae with these options has at least",
        ),
        (
            {"loss": {"name": "autoencoder", "options": {"prior": "cauchy"}}},
            "params.loss.options.prior: Input should be 'gaussian' or 'mixture'; autoencoder takes prior",
        ),
        ({"loss": {"name": "vae", "options": {"prior": "mixture"}}}, "params.loss.options.prior: Unexpected keyword"),
        (
            {"loss": {"name": "vae"}, "model": {"architecture": "mlp", "options": {"critic": "autoencoder"}}},
            "params.model.options.critic: autoencoder makes a D without features, of which vae could make its encoder "
            "(loss.name); expected score",
        ),
        (
            {"loss": {"name": "vae"}, "tune": {"space": {"loss.r1": {"uniform": [0, 1]}}}},
            "params.tune.space.loss.r1: means nothing where loss.name is vae; leave it out",
        ),
        (
            {"tune": {"space": {**FAMILIES, "loss.r1": {"uniform": [0, 1]}}}},
            "params.tune.space.loss.r1: means nothing where loss.name is vae; give it the condition "
            "when: {loss.name: [non_saturating]}",
        ),
        (
            {"tune": {"space": {**FAMILIES, "train.augment.kimg": {"uniform": [1, 2]}}}},
            "params.tune.space.train.augment.kimg: means nothing where loss.name is vae",
        ),
        (
            {"tune": {"space": {**FAMILIES, "loss.options.beta": {"uniform": [1, 2]}}}},
            "params.tune.space.loss.options.beta: means nothing where loss.name is non_saturating; give it the "
            "condition when: {loss.name: [vae]}",
        ),
        (
            {"tune": {"space": {**FAMILIES, "loss.options.beta": {"uniform": [-1, 1], "when": {"loss.name": "vae"}}}}},
            "params.tune.space: with loss.name vae, loss.options.beta -1.0: params.loss.options.beta: expected a "
            "weight above 0",
        ),
        (
            {"loss": {"name": "vae", "options": {"beta": 2}}, "tune": {"space": FAMILIES}},
            "params.tune.space: with loss.name non_saturating: params.loss.options.beta: Unexpected keyword argument; "
            "non_saturating takes none",
        ),
        (
            {"tune": {"space": FAMILIES, "scheduler": "pbt"}},
            "params.tune.space.loss.name: cannot change while a training goes on (loss.name), which scheduler: pbt",
        ),
    ],
)
def test_what_a_lesson_cannot_be_is_refused_with_its_path(content, words):
    assert refused(content).startswith(words)


OF_SCORES = [
    {"architecture": "dcgan"}, {"architecture": "mlp"}, {"architecture": "infogan"}, {"architecture": "r3gan"},
    {"architecture": "sngan"}, {"architecture": "stylegan2"},
]  # fmt: skip
OF_ERRORS = [
    {"architecture": "began"},
    {"architecture": "mlp", "options": {"critic": "autoencoder"}},
    {"architecture": "infogan", "options": {"critic": "autoencoder"}},
]


@pytest.mark.parametrize("model", OF_SCORES)
def test_a_game_of_errors_is_refused_with_a_d_that_gives_scores(model):
    """D's loss has no lower bound there: scores can fall for ever, which the errors of a reconstruction cannot."""
    words = "params.loss.name: began goes with an autoencoder D (model.architecture: began, or model.options.critic: "
    with pytest.raises(ConfigError, match=re.escape(words)):
        checks.check(config.parse({"model": model, "loss": {"name": "began"}}))
    checks.check(config.parse({"model": model}))


@pytest.mark.parametrize("model", OF_ERRORS)
@pytest.mark.parametrize("loss", sorted(name for name in LOSSES if name != "began"))
def test_a_game_of_scores_is_refused_with_a_d_that_gives_errors(model, loss):
    with pytest.raises(ConfigError, match=f"D with began alone; got {loss} with a D that is an autoencoder"):
        checks.check(config.parse({"model": model, "loss": {"name": loss}}))
    checks.check(config.parse({"model": model, "loss": {"name": "began"}}))


def test_the_d_of_began_may_become_an_encoder():
    checks.check(config.parse({"model": {"architecture": "began"}, "loss": {"name": "vae"}, "tune": {"trials": 0}}))


def test_a_search_over_families_needs_a_condition_for_what_belongs_to_one():
    space = {
        **FAMILIES,
        "loss.r1": {"uniform": [0, 1], "when": {"loss.name": "non_saturating"}},
        "loss.options.beta": {"uniform": [0.5, 2], "when": {"loss.name": "vae"}},
        "train.learning_rate.generator": {"log_uniform": [1e-4, 1e-3]},
    }
    experiment = config.parse({"tune": {"space": space}})
    checks.check(experiment)
    for scheduler, search in (("asha", "random"), ("none", "optuna")):
        checks.check(experiment.override({"tune.scheduler": scheduler, "tune.search": search}))


@pytest.mark.parametrize("name", LESSONS)
def test_the_embedded_experiment_is_a_lesson_once_its_name_is(name):
    """Defaults that belong to games are in nobody's way."""
    content = yaml.safe_load((ROOT / "params.yaml").read_text())
    content["loss"]["name"] = name
    del content["tune"]["space"]["loss.r1"]
    experiment = config.parse(content)
    checks.check(experiment)
    assert checks.idle(experiment) == ()


def test_what_was_set_without_effect_is_told():
    given = {"loss.r1": 3, "loss.penalty": "dragan", "train.augment.transforms": "ada", "train.beta1": 0.9}
    game = config.parse({}).override(given)
    assert checks.idle(game) == ()
    lesson = game.override({"loss.name": "vae", "train.d_steps": 2})
    checks.check(lesson)
    assert checks.idle(lesson) == ("loss.r1", "loss.penalty", "train.d_steps", "train.augment")


def test_a_limit_for_what_so_few_samples_cannot_say_is_refused():
    gate = {"register": {"gate": {"fd_inception_infinity": {"at_most": 5}}}, "features": {"extractor": "inception"}}
    checks.check(config.parse({**gate, "evaluate": {"samples": 9216}}))
    with pytest.raises(
        ConfigError, match=r"gate.fd_inception_infinity: cannot .* at least 9,216.*Raise evaluate.samples"
    ):
        checks.check(config.parse({**gate, "evaluate": {"samples": 9215}}))


def test_a_gate_may_limit_the_signs_of_memorisation():
    for name in (*SIGNS, "copied_share", "memorisation_verdict"):
        checks.check(config.parse({"register": {"gate": {name: {"at_most": 0.1}}}}))


def test_all_problems_are_told_at_once():
    assert len(refused({"train": {"kimgs": 3, "batch": 0}, "foo": 1}).splitlines()) == 3


def test_numbers_of_yaml_1_2(tmp_path):
    """PyYAML would read 4e-4 as text."""
    path = tmp_path / "params.yaml"
    path.write_text("train: {learning_rate: {generator: 4e-4}}\n")
    assert config.load(path).train.learning_rate.generator == 0.0004


@pytest.mark.parametrize("text", ["train: {", "train: {kimg: 1, kimg: 2}", "a: b: c"])
def test_malformed_files_are_refused(tmp_path, text):
    (tmp_path / "params.yaml").write_text(text)
    with pytest.raises(ConfigError, match="not valid YAML"):
        config.load(tmp_path / "params.yaml")


@pytest.mark.parametrize("text", ["[]", "false", "0", "''", "0.0"])
def test_what_is_no_section_is_no_empty_file(tmp_path, text):
    path = tmp_path / "params.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match="params: expected a section of keys and values, got"):
        config.load(path)
    for empty in ("", "# nothing\n", "{}", "~"):
        path.write_text(empty)
        assert config.load(path) == config.parse({})


def numbers(content, path=()):
    """The places of an experiment that hold a number."""
    if isinstance(content, dict):
        for key, value in content.items():
            yield from numbers(value, (*path, key))
    elif isinstance(content, list):
        for i, value in enumerate(content):
            yield from numbers(value, (*path, i))
    elif isinstance(content, int | float) and not isinstance(content, bool):
        yield path


FULL = {
    "data": {"channels": 1},
    "train": {"learning_rate": 1e-3, "augment": {"transforms": {"xint": 1}, "strength": {"start": 0.1, "end": 1}}},
    "loss": {"r1": {"start": 1, "end": 1}},
    "tune": {
        "minutes": 1, "limits": {"coverage": {"at_least": 1}},
        "space": {
            "loss.r2": {"uniform": [0, 1], "points": 3}, "train.beta1": [{"log_uniform": [0.1, 1]}],
            "train.d_steps": {"integer": [1, 3]},
        },
    },
    "register": {"gate": {"fd_domain": {"at_most": 1}}},
    "compute": {"workers": [1, 4], "threads": 1},
}  # fmt: skip
"""A number wherever one may stand."""


@pytest.mark.parametrize("truth", [True, False])
def test_true_is_no_number_wherever_one_may_stand(truth):
    def put(content, path):
        *parents, last = path
        for key in parents:
            content = content[key]
        content[last] = truth

    places = list(numbers(config.parse(FULL).content()))
    assert len(places) > 50
    for place in places:
        content = config.parse(FULL).content()
        put(content, place)
        with pytest.raises(ConfigError) as error:
            config.parse(content)
        assert str(error.value).startswith(f"params.{place[0]}"), place


def test_true_and_false_stay_where_they_are_meant():
    content = {"data": {"mirror": True}, "tune": {"space": {"model.conditional": {"choice": [True, False]}}}}
    experiment = config.parse(content)
    assert experiment.data.mirror is True
    assert experiment.tune.space["model.conditional"].choice == (True, False)


@pytest.mark.parametrize(
    ("space", "words"),
    [
        ({"train.batch": {"log_uniform": [16, 64]}}, "expected integer, got a number with a fractional part"),
        ({"model.architecture": {"choice": ["r3gan"]}, "model.options.groups": {"integer": [1, 4]}}, "groups"),
        ({"train.start": {"choice": [None, "x"]}}, "all trials begin alike"),
        (
            {"loss.warm_up": {"choice": [None, {"kimg": 2}]}, "loss.warm_up.kimg": {"uniform": [1, 2]}},
            "lies in loss.warm_up, which is searched as a whole",
        ),
    ],
)
def test_what_lies_within_a_space_is_checked_before_a_search(space, words):
    assert words in refused({"tune": {"trials": 4, "space": space}})


def test_a_range_of_workers_is_no_loop_over_it():
    started = time.process_time()
    checks.check(config.parse({"compute": {"workers": [1, 10**9]}}))
    assert "1000000000 workers cannot share a batch of 32" in refused({"compute": {"workers": 10**9}})
    assert time.process_time() - started < 1


@pytest.mark.parametrize("architecture", [name for name in ARCHITECTURES if name != "mocogan"])
def test_every_network_is_measured_without_its_memory(architecture):
    """What `check` counts is what a training holds, but for mocogan, which is made of parts of more than it keeps."""
    content = {"model": {"architecture": architecture}, "data": {"resolution": 16}}
    if architecture == "lstm":
        content = {
            "model": {"architecture": "lstm", "latent": 8},
            "data": {"kind": "text", "length": 4, "words": 50},
            "features": {"extractor": "language"},
        }
    if architecture == "wavegan":
        content = {"model": {"architecture": "wavegan"}, "data": {"kind": "wave", "samples": 128}}
    if architecture == "began":
        content["loss"] = {"name": "began"}
    experiment = config.parse(content)
    with pytest.MonkeyPatch.context() as patch:
        built = build.networks(experiment, experiment.data.spec)
        size = sum(weight.numel() for player in built for weight in player.parameters())
        patch.setattr(checks, "PARAMETERS", size)
        checks._together.cache_clear()
        checks.check(experiment)
        patch.setattr(checks, "PARAMETERS", size - 1)
        checks._together.cache_clear()
        with pytest.raises(ConfigError, match=f"at least {size:,} parameters"):
            checks.check(experiment)
    checks._together.cache_clear()


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="missing"):
        config.load(tmp_path / "params.yaml")


def test_override_is_checked_like_the_file():
    experiment = config.parse({}).override({"train.batch": 32, "train.learning_rate.generator": 1e-3})
    assert (experiment.train.batch, experiment.train.learning_rate.generator) == (32, 1e-3)
    with pytest.raises(ConfigError, match=r"params\.train\.bach: unknown; did you mean batch"):
        experiment.override({"train.bach": 32})
    with pytest.raises(ConfigError, match="is a value, not a section"):
        experiment.override({"train.batch.size": 32})


def test_sections_are_frozen():
    with pytest.raises(ValueError, match="frozen"):
        config.parse({}).train.batch = 3


def test_every_key_has_its_sentence():
    schema = config.Experiment.model_json_schema(by_alias=True)
    sections = {"": schema, **schema["$defs"]}
    silent = [
        f"{section}.{name}"
        for section, content in sections.items()
        for name, field in content["properties"].items()
        # the sentence of a key that is a section is the section's own
        if "description" not in {**sections.get(field.get("$ref", "").rpartition("/")[2] or None, {}), **field}
    ]
    assert silent == []


def test_the_schema_of_the_editors_is_current():
    stored = json.loads((ROOT / "params.schema.json").read_text())
    assert stored == config.Experiment.model_json_schema(by_alias=True)


def test_the_defaults_are_the_embedded_run():
    embedded = checks.load(ROOT / "params.yaml")
    about_these_images = embedded.register_.model_dump(include={"gate"})
    asked = {"tune": {"space": embedded.tune.space}, "register": about_these_images}
    assert config.parse(asked) == embedded


def test_no_licence_is_inherited_by_another_source():
    content = yaml.safe_load((ROOT / "params.yaml").read_text())
    assert {content["data"].get(key, "auto") for key in ("name", "licence")} == {"auto"}
    assert "MIT" not in (ROOT / "params.yaml").read_text()
    said = refused({"register": {"data_licence": "MIT"}})
    assert said == "params.register.data_licence: is now data.licence, beside the source whose images it is about"


def test_the_snippets_of_the_readme_are_accepted():
    snippets = re.findall(r"```yaml\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert len(snippets) > 1
    for snippet in snippets:
        content = yaml.safe_load((ROOT / "params.yaml").read_text())
        for section, values in yaml.safe_load(snippet).items():
            # a section of another kind stands in the place of the former one
            content[section] = values if "kind" in values else {**content[section], **values}
        checks.check(config.parse(content))


def test_tune_and_train_depend_on_all_code_that_decides_the_weights():
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    for name in ("tune", "train"):
        assert {f"src/ganops/{place}" for place in identity.DECISIVE} <= set(stages[name]["deps"])


def test_stages_depend_on_sections_that_exist_and_never_on_where_they_run():
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    known = {field.alias or name for name, field in config.Experiment.model_fields.items()}
    for stage in stages.values():
        params = (
            [p for entry in stage["params"] for p in (*entry.values(),)[0]]
            if isinstance(stage["params"][0], dict)
            else stage["params"]
        )
        assert {param.split(".")[0] for param in params} <= known - {"compute"}


def test_each_extractor_is_named_in_its_sentence_and_given_what_it_takes():
    sentence = config.Experiment.model_json_schema()["$defs"]["Features"]["properties"]["extractor"]["description"]
    taken = {}
    for name in EXTRACTORS:
        assert f"{name}:" in sentence
        experiment = config.parse({"features": {"extractor": name, "weights": "w.pth", "minimum_accuracy": 0.9}})
        taken[name] = options_of(experiment.features.model_dump(mode="json"))
    assert taken == {
        "domain": {"minimum_accuracy": 0.9},
        "inception": {"weights": "w.pth"},
        "inception_bf16": {"weights": "w.pth"},
        "language": {},
        "motion": {"minimum_accuracy": 0.9},
        "oracle": {"weights": "w.pth"},
        "pixels": {},
    }


def test_the_name_of_fid_is_for_the_inception_network_alone():
    for name in EXTRACTORS:
        metrics = checks.known_metrics(config.parse({"features": {"extractor": name}}))
        assert ("fid" in metrics) == (name == "inception")
        assert {f"fd_{name}", "coverage"} <= set(metrics)


def test_one_number_is_the_learning_rate_of_both_players():
    both = config.parse({}).override({"train.learning_rate": 2e-4}).train.learning_rate
    assert (both.generator, both.discriminator) == (2e-4, 2e-4)
    assert "learning_rate.generator: expected greater than or equal to 0" in refused({"train": {"learning_rate": -1}})
    allowed = config.Experiment.model_json_schema()["$defs"]["Train"]["properties"]["learning_rate"]["anyOf"]
    assert {"minimum": 0, "type": "number"} in allowed


@pytest.mark.parametrize(
    ("augment", "strength"),
    [
        ({"transforms": "diffaugment"}, 1),
        ({"transforms": "diffaugment", "strength": "auto"}, 1),
        ({"transforms": "diffaugment", "strength": 0.3}, 0.3),
        ({"transforms": "diffaugment", "strength": "adaptive"}, None),
        ({"transforms": "ada"}, None),
        ({"transforms": {"xint": 1}}, None),
        ({"transforms": {"xint": 1}, "strength": 0.5}, 0.5),
    ],
)
def test_an_augmentation_begins_where_its_authors_have_it_unless_a_strength_is_given(augment, strength):
    experiment = config.parse({"train": {"augment": augment}})
    course, augmentation = build.recipe(experiment).strength, build.augmentation(experiment, torch.device("cpu"))
    assert augmentation.adaptive == (strength is None)
    assert [course(0), course(1)] == [strength, strength] if course else strength is None


@pytest.mark.parametrize(
    "address",
    [
        "abfss://container@account.dfs.core.windows.net/runs",
        "abfs://account@container/x",
        "s3://b/x?region=eu",
        "hdfs://me@h/x",
    ],
)
def test_an_account_or_a_container_in_an_address_is_no_password(address):
    assert config.parse({"compute": {"storage": address}}).compute.storage == address


@pytest.mark.parametrize("address", ["abfss://c:pw@account/x", "s3://key:pw@b/x", "s3://key@b/x", "gs://k:p@w@b/x"])
@pytest.mark.parametrize("where", ["compute.storage", "data.source"])
def test_keys_do_not_belong_into_addresses(address, where):
    section, key = where.split(".")
    with pytest.raises(ConfigError, match=f"{where}: keys do not belong into an address") as told:
        config.parse({section: {key: address}})
    assert "pw" not in str(told.value)


@pytest.mark.parametrize(("given", "size"), [(5, 5), ("2 GB", 2 * 10**9), ("1.5 GiB", 3 * 2**29)])
def test_the_size_of_a_cache_is_in_bytes_or_in_words(given, size):
    cache = config.parse({"compute": {"cache": given}})
    assert cache.compute.cache == size
    assert config.parse(cache.content()) == cache
