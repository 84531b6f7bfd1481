"""Published comparisons: what a study.yaml may say, what a scale makes of it, and how rankings are compared."""

import itertools
import json
import re
from dataclasses import replace
from pathlib import Path

import pages
import pytest
import yaml
from scipy import stats

from ganops.core.errors import ConfigError
from ganops.experiment import build, checks
from ganops.losses import LESSONS
from ganops.models import infogan
from ganops.studies import study
from ganops.studies.study import Outcome, Point, Result

ROOT = Path(__file__).parents[2]
LUCIC = study.load(str(ROOT / "experiments" / "lucic2018"))


def corners(space):
    """Each bound of a range and each value of a choice, once at least."""
    values = {path: next(iter(kinds.values())) for path, kinds in space.items()}
    for i in range(max(map(len, values.values()))):
        yield {path: each[i % len(each)] for path, each in values.items()}


@pytest.mark.parametrize("name", LUCIC.models)
def test_each_model_of_lucic2018_can_be_trained_at_the_corners_of_its_space(name):
    experiment = study.plan(LUCIC, 1).experiments[name]
    checks.check(experiment)
    model = LUCIC.models[name]
    for values in (model.authors, *corners(LUCIC.space_of(name))):
        changed = experiment.override(values)
        checks.check(changed)
        assert changed.train.learning_rate.generator == changed.train.learning_rate.discriminator


def test_lucic2018_is_what_was_published():
    """Its rules, its ranking, and the players' sizes: 8.5 million parameters of D, 1.3 of BEGAN's."""
    plan = study.plan(LUCIC, 1)
    wgan = plan.experiments["wgan"]
    assert (plan.configurations, len(plan.seeds), plan.trainings) == (100, 50, 1500)
    assert wgan.train.kimg * 1000 / wgan.train.batch == 15625
    assert (wgan.train.batch, wgan.model.latent, wgan.train.beta2, wgan.loss.r1) == (64, 64, 0.999, 0)
    known = {name: model.published for name, model in LUCIC.models.items()}
    means = {name: each.mean for name, each in known.items() if not isinstance(each, str)}
    assert {name: each for name, each in known.items() if name not in means} == {
        "vae": "not verified", "autoencoder": "not in the study", "two_stage_vae": "not in the study",
    }  # fmt: skip
    by_rank = sorted(means, key=means.get)
    assert by_rank == ["wgan", "began", "wgan_gp", "ns_gan", "dragan", "mm_gan", "lsgan"]
    given = {"shape": (3, 32, 32), "classes": 0, "latent": 64}
    for critic, millions in (("score", 8.5), ("autoencoder", 1.3)):
        _, D = infogan.players(**given, critic=critic)
        assert sum(each.numel() for each in D.parameters()) / 1e6 == pytest.approx(millions, abs=0.05)


def test_an_autoencoder_is_searched_over_nothing_that_belongs_to_games():
    plan = study.plan(LUCIC, 1)
    lessons = [each for each in plan.experiments.values() if each.loss.name in LESSONS]
    assert len(lessons) == 3
    for experiment in lessons:
        assert {"train.learning_rate", "train.beta1", "model.options.norm"} <= set(experiment.tune.space)
        assert not {path for path in experiment.tune.space if path.startswith(OF_A_GAME)}
        assert experiment.model == plan.experiments["mm_gan"].model, "the same decoder, of the same width"
        assert experiment.train == plan.experiments["mm_gan"].train, "the same budget"


OF_A_GAME = ("train.d_steps", "loss.r1", "loss.r2", "loss.clip", "loss.penalty", "loss.interval")


@pytest.mark.parametrize("scale", [0.0001, 0.01, 0.037, 0.1, 0.5, 1])
def test_everything_follows_the_scale_down_to_its_floor(scale):
    plan, least = study.plan(LUCIC, scale), LUCIC.least
    assert plan.configurations == max(least.configurations, round(100 * scale))
    assert len(plan.seeds) == max(least.seeds, round(50 * scale))
    for name, experiment in plan.experiments.items():
        assert experiment.tune.trials == plan.configurations - 1
        assert experiment.train.kimg == pytest.approx(max(least.kimg, 1000 * scale), abs=0.16)
        assert experiment.evaluate.samples == max(least.samples, round(10000 * scale))
        for turns in (1, 5):
            recipe = build.recipe(experiment.override({"train.d_steps": turns}))
            assert recipe.steps * recipe.samples == pytest.approx(experiment.train.kimg * 1000), name
            assert 4 <= recipe.steps / recipe.tick_steps <= 21, "ticks enough for four checkpoints"
        assert experiment.seed not in plan.seeds, "the seed of the search is not drawn again"


def test_a_plan_may_be_of_some_models_and_other_data():
    plan = study.plan(LUCIC, 0.01, data="fashion-mnist", models=["began", "wgan"])
    assert list(plan.experiments) == ["wgan", "began"]
    assert {each.data.source for each in plan.experiments.values()} == {"fashion-mnist"}
    assert "2 models, each with 3 configurations and 3 seeds of the best: 12 trainings" in plan.summary()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"scale": 0}, "scale: expected a number above 0, at most 1, got 0"),
        ({"scale": 2}, "at most 1, got 2"),
        ({"scale": 1, "models": ["gan"]}, "models: gan not known; known: mm_gan, ns_gan"),
    ],
)
def test_impossible_plans_are_refused(given, words):
    with pytest.raises(ConfigError, match=re.escape(words)):
        study.plan(LUCIC, **given)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda content: content.update(seed=3), "seed: Extra inputs"),
        (lambda content: content["models"]["wgan"]["authors"].pop("loss.clip"), r"authors: .*'loss.clip'\] differ"),
        (lambda content: content.pop("least"), "least: Field required"),
        (lambda content: content["models"]["wgan"].pop("published"), "models.wgan.published: Field required"),
        (lambda content: content["models"]["vae"].pop("without"), r"vae.authors: .*'train.d_steps'\] differ"),
    ],
)
def test_a_malformed_study_is_refused(tmp_path, change, words):
    content = yaml.safe_load((ROOT / "experiments/lucic2018/study.yaml").read_text())
    change(content)
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(content))
    with pytest.raises(ConfigError, match=words):
        study.load(str(tmp_path))


def test_a_study_that_is_missing_names_those_that_are_there(monkeypatch):
    monkeypatch.chdir(ROOT)
    assert study.load("lucic2018") == LUCIC
    with pytest.raises(ConfigError, match=r"a study's name \(lucic2018\), got lucic2019"):
        study.load("lucic2019")


def results(means, spread=0.1):
    """Of models whose published values are 1, 2, 3, ..."""
    return [
        Result(f"m{i}", f"M{i}", float(i), 0.1, (mean - spread, mean, mean + spread), (mean - 1, mean + 1))
        for i, mean in enumerate(means, 1)
    ]


def test_equal_rankings_agree_and_reversed_ones_do_not():
    ordered = [10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 70.0]
    for means, tau in ((ordered, 1), (ordered[::-1], -1)):
        found = study.agreement(results(means))
        assert (found.tau, found.interval, found.models) == (tau, (tau, tau), 7)
        assert found.p == pytest.approx(2 / 5040), "of all orders of seven only these two are so extreme"


def test_a_model_without_a_published_figure_is_no_part_of_the_agreement():
    known = results([10.0, 20.0, 30.0])
    unknown = Result("m", "M", None, None, (1.0, 2.0, 3.0), (1.0, 3.0), unpublished="not in the study")
    assert study.agreement([unknown, *known]) == study.agreement(known)
    assert study.agreement([unknown, known[0]]) is None


def test_tau_and_its_probability_are_those_of_all_permutations():
    means = [3.0, 1.0, 2.0, 5.0, 4.0]
    found = study.agreement(results(means))
    assert found.tau == pytest.approx(stats.kendalltau(means, range(5)).statistic)
    every = [stats.kendalltau(order, range(5)).statistic for order in itertools.permutations(range(5))]
    as_extreme = sum(abs(tau) >= abs(found.tau) - 1e-9 for tau in every)
    assert found.p == pytest.approx(as_extreme / len(every))


def test_the_interval_of_tau_opens_where_seeds_overlap():
    apart, mixed = (study.agreement(results([1.0, 2.0, 3.0, 4.0], spread)) for spread in (0.1, 5.0))
    assert apart.interval == (1, 1)
    assert mixed.interval[0] < mixed.tau == 1
    assert mixed == study.agreement(results([1.0, 2.0, 3.0, 4.0], 5.0)), "the same seeds, the same interval"


def test_published_values_that_tie_are_ranked_as_far_as_they_differ():
    def published(values):
        return [
            replace(result, published=value) for result, value in zip(results([10.0, 20.0, 30.0]), values, strict=True)
        ]

    found = study.agreement(published([24.5, 24.5, 30.0]))
    assert found.tau == pytest.approx(stats.kendalltau([10, 20, 30], [24.5, 24.5, 30]).statistic)
    assert found.interval == pytest.approx((found.tau, found.tau)), "the same statistic, of means that lie far apart"
    assert study.agreement(published([24.5] * 3)) is None


def test_equal_means_are_no_ranking():
    assert study.agreement(results([5.0, 5.0, 5.0])) is None
    assert study.agreement(results([5.0])) is None
    assert study.agreement(results([5.0, 5.0, 7.0])).tau == pytest.approx(
        stats.kendalltau([5, 5, 7], [1, 2, 3]).statistic
    )


def test_ranks_are_shared_by_equals():
    assert study.ranks({"a": 2.0, "b": 1.0, "c": 2.0, "d": 3.0}) == {"a": 2, "b": 1, "c": 2, "d": 4}


def figures(published):
    return (None, None) if isinstance(published, str) else (published.mean, published.deviation)


@pytest.fixture
def outcome():
    plan = study.plan(LUCIC, 0.01)
    found = [
        Result(
            name, model.title, *figures(model.published), (5.0 + i, 6.0 + i, 7.0 + i), (4.0, 9.0),
            model.authors, by_authors=i == 0, seconds=10.0, course=(Point(1.0, 2.0, 9.0 + i), Point(2.0, 4.0, 6.0 + i)),
            unpublished=model.published if isinstance(model.published, str) else "",
        )
        for i, (name, model) in enumerate(LUCIC.models.items())
    ]  # fmt: skip
    found[3] = replace(found[3], values=(), interval=None, parameters={}, failed_configurations=3,
                       reason="no trial of 3 ended:\n  trial 1: <NaN> | at step 3")  # fmt: skip
    return Outcome(
        plan, tuple(found), "fd_domain", {"split": "test"}, "a machine", "10 images", "2026-11-30T12:00:00+00:00"
    )


def test_the_reports_hold_every_model_and_a_failed_one_has_its_reason(outcome, tmp_path):
    study.publish(outcome, tmp_path)
    kept = json.loads((tmp_path / "results.json").read_text())
    assert [row["rank"] for row in kept["models"]] == [1, 2, 3, 4, 5, 6, 7, 8, 9, None]
    assert kept["models"][-1]["name"] == "wgan"
    assert kept["models"][-1]["published_rank"] == 1
    assert kept["agreement"]["models"] == 6
    assert kept["finished"] == outcome.finished
    table, page = ((tmp_path / name).read_text() for name in ("table.md", "report.html"))
    rows = [line for line in table.splitlines() if line.startswith("| ")]
    assert len({line.replace("\\|", "").count("|") for line in rows}) == 1, "a reason breaks no row"
    assert rows[-1].startswith(
        "| – | WGAN | – | – | 21.5 ± 1.6 | 1 | no trial of 3 ended: trial 1: <NaN> \\| at step 3"
    )
    assert rows[-1].endswith("| 3 configurations | 10 |")
    assert rows[-2].endswith("| none | 10 |")
    for text in (*(model.title for model in LUCIC.models.values()), "their authors", "&lt;NaN&gt;", "not in those of"):
        assert text in page.replace("its authors", "their authors")
    assert "<script" not in page
    assert re.search(r"<dt>finished</dt>\s*<dd>2026-11-30</dd>", page)
    assert "finished" not in study.page(replace(outcome, finished="")), "nor is the clock asked"
    for deviation in LUCIC.deviations:
        assert " ".join(deviation.split()) in table


def test_a_model_that_the_study_did_not_have_says_so(outcome, tmp_path):
    study.publish(outcome, tmp_path)
    lines = (tmp_path / "table.md").read_text().splitlines()
    (row,) = [line for line in lines if "| Two-stage VAE |" in line]
    assert row.startswith("| 9 | Two-stage VAE | 15 ± 1 | [4, 9] | not in the study | – |")
    assert any("not among them: VAE, Autoencoder, Two-stage VAE." in line for line in lines)


def test_the_report_shows_distance_against_kimg_and_against_seconds(outcome, tmp_path):
    study.publish(outcome, tmp_path)
    row = json.loads((tmp_path / "results.json").read_text())["models"][0]
    assert row["course"] == [[1.0, 2.0, 9.0], [2.0, 4.0, 6.0]], "kimg, seconds, distance"
    page = (tmp_path / "report.html").read_text()
    assert "Against kimg." in page
    assert "Against seconds of training." in page
    unknown = replace(outcome, results=tuple(replace(each, course=()) for each in outcome.results))
    assert "Against" not in study.page(unknown)


def test_its_page_can_be_read_on_a_phone_on_a_desk_and_on_paper(outcome, tmp_path):
    study.publish(outcome, tmp_path)
    with pages.browsing() as browser:
        tab = browser.new_page(viewport={"width": 1280, "height": 900})
        tab.goto((tmp_path / "report.html").as_uri())
        assert pages.on_screens(tab) == {}
        assert pages.on_paper(tab) == []


def test_a_study_without_results_still_has_its_report(outcome, tmp_path):
    nothing = tuple(replace(each, values=(1.0,), interval=None, reason="diverged") for each in outcome.results)
    study.publish(replace(outcome, results=nothing), tmp_path)
    assert json.loads((tmp_path / "results.json").read_text())["agreement"] is None
    assert "there is no ranking to compare" in (tmp_path / "report.html").read_text()


def test_a_warm_up_is_of_the_scale_of_its_training():
    name, model = next(iter(LUCIC.models.items()))
    warm = model.model_copy(update={"parameters": {**model.parameters, "loss.warm_up": {"kimg": 120.0}}})
    found = study.plan(LUCIC.model_copy(update={"models": {name: warm}}), 0.1).experiments[name]
    full = LUCIC.base["train"]["kimg"]
    assert found.loss.warm_up.kimg == pytest.approx(120 * found.train.kimg / full)
