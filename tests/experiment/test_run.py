"""One training with its journal."""

import copy
import resource
import time
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache

import numpy as np
import pytest
import torch
from phrases import strip

from ganops import config
from ganops.core.errors import DamageError, TrainingError, UserError
from ganops.core.files import read_json, write_json
from ganops.core.labels import Labelling
from ganops.experiment import identity, machine, selection
from ganops.experiment.checkpoint import JOURNAL, STATE
from ganops.experiment.publication import publish
from ganops.experiment.run import Run
from ganops.experiment.selection import MOST_PENDING
from ganops.generator import DESCRIPTION, Generator
from ganops.generator.encoder import Encoder
from ganops.kinds import Spec


class Arrays:
    """Samples in memory."""

    spec = Spec("image", (1, 16, 16), 2)
    class_names = ("0", "1")

    def __init__(self, hash="a"):
        self.hash = hash

    def samples(self, split):
        return np.random.default_rng(0).integers(0, 256, (30, 1, 16, 16), np.uint8)

    def labels(self, split):
        return np.arange(30) % 2


class Judge:
    """Distances from a list, one for each time that it is asked."""

    name, hash = "fd_fake_validation", "judge"

    def __init__(self, distances):
        self.distances = list(distances)

    def distance(self, generator, seeds):
        assert generator.sample(seeds).shape == (100, 1, 16, 16)
        return self.distances.pop(0)

    def submit(self, generator, seeds):
        future = Future()
        future.set_result(self.distance(generator, seeds))
        return future


class Sees(Judge):
    """The mean of the pictures."""

    def distance(self, generator, seeds):
        assert np.array_equal(seeds, np.arange(100))
        self.distances.append(float(generator.sample(seeds).mean()))
        return self.distances[-1]


class Looks(Judge):
    """A distance that follows from the pictures alone, and is smallest in the middle of the training."""

    wanted = 0.0

    def distance(self, generator, seeds):
        return abs(Sees([]).distance(generator, seeds) - self.wanted)


@pytest.fixture(scope="module", autouse=True)
def _wanted():
    seen = Sees([])
    list(run(judge=seen, **OFTEN).play())
    Looks.wanted = seen.distances[len(seen.distances) // 2]


class Later(Looks):
    """The same, computed by a slow thread; what is under way at its death is lost."""

    def __init__(self, seconds):
        self.seconds, self.most, self.under_way = seconds, 0, []
        self.pool = ThreadPoolExecutor(1)

    def submit(self, generator, seeds):
        generator = copy.deepcopy(generator)

        def work():
            time.sleep(self.seconds)
            return self.distance(generator, seeds)

        future = self.pool.submit(work)
        self.under_way = [each for each in [*self.under_way, future] if not each.done()]
        self.most = max(self.most, len(self.under_way))
        return future


class Silent(Looks):
    """Takes the work and never answers, as an actor for whose node no other comes."""

    def __init__(self):
        pass

    def submit(self, generator, seeds):
        return Future()


class Dead(Looks):
    """Takes the work and dies, every second time."""

    def __init__(self):
        self.asked = 0

    def submit(self, generator, seeds):
        self.asked += 1
        if self.asked % 2:
            return super().submit(generator, seeds)
        future = Future()
        future.set_exception(RuntimeError("the actor died\nand more"))
        return future


PARAMS = {
    "train.batch": 10, "train.kimg": 0.06, "train.tick_kimg": 0.01, "train.checkpoint_kimg": 0.02,
    "train.validation_samples": 100, "model.options": {"width": 4}, "model.latent": 8,
    "train.learning_rate.generator": 0.1,
}  # fmt: skip


def run(distances=(3, 1, 2), samples=None, judge=None, **params):
    experiment = config.parse({}).override({**PARAMS, **params})
    return Run(experiment, samples or Arrays(), judge or Judge(distances), torch.device("cpu"))


OFTEN = {"train.kimg": 0.12, "train.checkpoint_kimg": 0.01}


def outcome(training):
    """All that must not depend on where and when it is judged."""
    curve = [{k: v for k, v in row.items() if k != "images_per_second"} for row in training.history]
    best = {k: v for k, v in training.selection.best.row.items() if k != "images_per_second"}
    return curve, best, {name: tensor.numpy().tobytes() for name, tensor in training.selection.best.weights.items()}


def test_the_shares_of_the_training_samples_travel_with_the_generator(tmp_path):
    class Imbalanced(Arrays):
        def labels(self, split):
            return np.arange(30) // 24  # 24 and 6

    training = run(samples=Imbalanced())
    list(training.play())
    assert training.best_generator().description.class_counts == training.generator(0).class_counts == (24, 6)
    training.best_generator().save(tmp_path / "generator")
    assert Generator.load(tmp_path / "generator").class_counts == (24, 6)
    content = read_json(tmp_path / "generator" / DESCRIPTION)
    del content["class_counts"]  # as it was written before they were known
    write_json(tmp_path / "generator" / DESCRIPTION, content)
    assert Labelling.of(Generator.load(tmp_path / "generator")) == Labelling(2)
    assert run(samples=Imbalanced(), **{"model.conditional": False}).generator(0).class_counts == ()


def test_the_best_weights_are_those_of_the_smallest_validation_distance():
    training, kept = run(), {}
    for progress in training.play():
        if progress.checkpoint:
            kept[progress.row["kimg"]] = training.generator(0).sample(np.arange(3))
    assert list(kept) == [0.02, 0.04, 0.06]
    best = training.best_generator()
    assert best.description.kimg == 0.04
    assert np.array_equal(best.sample(np.arange(3)), kept[0.04])
    assert not np.array_equal(kept[0.04], kept[0.06])


def test_a_tick_brings_the_picture_of_the_film_strip():
    training = run()
    heard = {f"{progress.row['kimg']:09.3f}.png": progress.picture for progress in training.play()}
    assert {name: png for name, png in heard.items() if png} == training.log.pictures
    assert training.log.pictures


def test_a_resume_restores_history_pictures_and_best(tmp_path):
    whole = run()
    list(whole.play())
    first = run()
    list(first.play(until=4))
    first.save(tmp_path / "checkpoint")
    second = run(distances=[2])
    second.load(tmp_path / "checkpoint")
    list(second.play())
    assert strip(second) == strip(whole)
    assert np.array_equal(second.best_generator().sample(np.arange(2)), whole.best_generator().sample(np.arange(2)))
    curve = [{k: v for k, v in row.items() if k != "images_per_second"} for row in whole.history]
    assert [{k: v for k, v in row.items() if k != "images_per_second"} for row in second.history] == curve


@pytest.mark.parametrize("seconds", [0, 0.01, 0.1])
def test_judged_later_equals_judged_in_line(seconds):
    whole, later = run(judge=Looks([]), **OFTEN), run(judge=Later(seconds), **OFTEN)
    list(whole.play())
    heard = [row["kimg"] for progress in later.play() for row in progress.judged]
    assert outcome(later) == outcome(whole)
    assert heard == [row["kimg"] for row in whole.history], "the listener hears each distance once, in order"
    assert 1 <= later.judge.most <= MOST_PENDING
    assert whole.selection.best.row not in (whole.history[0], whole.history[-1]), "a choice that could go wrong"


def test_killed_while_a_judgement_is_under_way(tmp_path):
    whole = run(judge=Looks([]), **OFTEN)
    list(whole.play())
    first = run(judge=Later(0.2), **OFTEN)
    for progress in first.play():
        if progress.step == 5:
            break
    assert 0 < len(first.selection.pending) <= MOST_PENDING
    first.save(tmp_path / "checkpoint")
    for judge in (Later(0.05), Looks([])):
        second = run(judge=judge, **OFTEN)
        second.load(tmp_path / "checkpoint")
        list(second.play())
        assert outcome(second) == outcome(whole)
    second.save(tmp_path / "checkpoint")
    assert not list((tmp_path / "checkpoint").glob("pending*")), "at its end a run waits for all judgements"


FAMILIES = {
    "autoencoder": {"loss.name": "autoencoder"},
    "autoencoder, mixture": {"loss.name": "autoencoder", "loss.options": {"prior": "mixture"}},
    "vae": {"loss.name": "vae"},
    "two_stage_vae": {"loss.name": "two_stage_vae", "loss.options": {"hidden": 8}},
}
BORDER = 6
"""The step between the stages of the two-stage one, of 12 in all."""


def lesson(family, judge=None, **params):
    changes = {**OFTEN, **FAMILIES[family], "train.learning_rate.generator": 3e-3, **params}
    return run(judge=judge or Looks([]), **changes)


@cache
def whole_lesson(family):
    training = lesson(family)
    list(training.play())
    return training


@pytest.mark.parametrize(
    ("family", "step"),
    [
        *((name, step) for name in FAMILIES for step in (2, 7)),
        *(("two_stage_vae", step) for step in (1, BORDER - 1, BORDER, 11)),
    ],
)
def test_a_lesson_that_is_killed_ends_in_the_bits_of_one_that_is_not(tmp_path, family, step):
    whole, first, second = whole_lesson(family), lesson(family, Later(0.1)), lesson(family, Later(0))
    for progress in first.play():
        if progress.step == step:
            break
    assert first.selection.pending, "the judgement of this step is under way"
    first.save(tmp_path / "checkpoint")
    second.load(tmp_path / "checkpoint")
    list(second.play())
    assert outcome(second) == outcome(whole)
    assert strip(second) == strip(whole)
    state = second.state.tensors()
    assert state.keys() == whole.state.tensors().keys()
    assert all(torch.equal(tensor, state[name]) for name, tensor in whole.state.tensors().items())
    images, labels = Arrays().samples("train"), Arrays().labels("train")
    assert np.array_equal(*(each.best_encoder().moments(images, labels) for each in (whole, second)))
    assert np.array_equal(*(each.best_generator().sample(np.arange(20)) for each in (whole, second)))


@pytest.mark.parametrize("family", FAMILIES)
def test_the_best_encoder_is_that_of_the_best_generator(family, tmp_path):
    training, heads = lesson(family, Judge([9] * 4 + [1] + [9] * 7)), {}
    for progress in training.play():
        heads[progress.step] = training.state.D.head.weight.detach().clone()
    assert training.selection.best.row["kimg"] == 0.05
    encoder, generator = training.best_encoder(), training.best_generator()
    assert torch.equal(encoder.network.head.weight, heads[5])
    assert not torch.equal(heads[5], heads[6])
    generator.save(tmp_path / "generator")
    encoder.save(tmp_path / "generator")
    kept = Encoder.load(tmp_path / "generator", Generator.load(tmp_path / "generator"))
    images, labels = Arrays().samples("train"), Arrays().labels("train")
    assert np.array_equal(kept.moments(images, labels), encoder.moments(images, labels))
    assert kept.variance == encoder.variance
    assert (kept.variance > 0) == ("vae" in family)
    codes = kept.encode(images, labels)
    assert np.array_equal(kept.decode(codes, labels), encoder.decode(codes, labels))


def test_an_encoder_of_another_latent_is_refused(tmp_path):
    one, other = lesson("vae"), lesson("vae", **{"model.latent": 4})
    one.generator(0).save(tmp_path)
    Encoder(other.state.D, other.state.average, other.generator(0).description).save(tmp_path)
    words = r"encoder.safetensors is another generator's: expected 16 numbers for each picture \(codes of 8\), got 8"
    with pytest.raises(UserError, match=words):
        Encoder.load(tmp_path, Generator.load(tmp_path))


def test_a_game_has_no_encoder():
    training = run()
    list(training.play())
    assert training.best_encoder() is None


def test_turns_of_d_are_those_of_games():
    one, two = lesson("vae").recipe, lesson("vae", **{"train.d_steps": 2}).recipe
    assert (one.steps, one.tick_steps, one.d_steps) == (two.steps, two.tick_steps, two.d_steps) == (12, 1, 1)


def test_the_work_of_a_dead_judge_is_done_in_line_and_told():
    whole, training = run(judge=Looks([]), **OFTEN), run(judge=Dead(), **OFTEN)
    list(whole.play())
    told = [note for progress in training.play() for note in progress.notes if "judge failed" in note]
    assert outcome(training) == outcome(whole)
    assert len(told) == 6
    assert told[0] == "the judge failed on 0.02 kimg, its work was done in line (RuntimeError: the actor died)"


def test_a_judge_that_never_answers_is_not_waited_for_without_end(monkeypatch):
    monkeypatch.setattr(selection, "LONGEST", 0.01)
    whole, training = run(judge=Looks([]), **OFTEN), run(judge=Silent(), **OFTEN)
    list(whole.play())
    told = [note for progress in training.play() for note in progress.notes if "judge failed" in note]
    assert outcome(training) == outcome(whole)
    assert told[0].startswith("the judge failed on 0.01 kimg, its work was done in line (TimeoutError")


def test_a_checkpoint_from_before_judgements_could_wait_is_loaded(tmp_path):
    first = run(judge=Looks([]))
    list(first.play(until=4))
    first.save(tmp_path / "checkpoint")
    journal = read_json(tmp_path / "checkpoint" / JOURNAL)
    del journal["pending"]
    write_json(tmp_path / "checkpoint" / JOURNAL, journal)
    second = run(judge=Looks([]))
    second.load(tmp_path / "checkpoint")
    assert second.history == first.history


def test_a_full_disk_is_told_and_leaves_the_former_checkpoint(tmp_path):
    training = run()
    training.save(tmp_path / "checkpoint")
    before = {path.name: path.read_bytes() for path in (tmp_path / "checkpoint").iterdir() if path.is_file()}
    list(training.play(until=2))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))  # no file can grow past this
    try:
        with pytest.raises(TrainingError, match=r"checkpoint cannot be written: .*Make room"):
            training.save(tmp_path / "checkpoint")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert {path.name: path.read_bytes() for path in (tmp_path / "checkpoint").iterdir() if path.is_file()} == before
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint"]


@pytest.mark.parametrize(
    ("change", "named"), [({"loss.r1": 0.7}, "loss.r1"), ({"seed": 4}, "seed"), ({"samples": Arrays(hash="b")}, "data")]
)
def test_a_checkpoint_of_another_training_is_refused_by_name(tmp_path, change, named):
    first = run()
    first.save(tmp_path / "checkpoint")
    with pytest.raises(TrainingError, match=f"another training: {named} differ"):
        run(**change).load(tmp_path / "checkpoint")


def test_where_it_runs_is_no_part_of_its_meaning():
    assert run(**{"compute.launcher": "local"}).fingerprint == run().fingerprint
    assert run(**{"train.batch": 20}).fingerprint != run().fingerprint


def test_published_tables(tmp_path):
    training = run()
    list(training.play())
    publish(
        training,
        generator=tmp_path / "generator",
        metrics=tmp_path / "train.json",
        history=tmp_path / "history.csv",
        validation=tmp_path / "validation.csv",
        pictures=tmp_path / "samples",
    )
    assert (tmp_path / "validation.csv").read_text().splitlines()[0] == "kimg,distance"
    assert len((tmp_path / "validation.csv").read_text().splitlines()) == 4
    assert len(list((tmp_path / "samples").iterdir())) == len((tmp_path / "history.csv").read_text().splitlines()) - 1


def test_where_the_samples_lie_changes_nothing():
    def weights(place):
        training = run(**{"compute.data": place})
        for _ in training.play():
            pass
        return training.state.average.state_dict()

    held, streamed = weights("device"), weights("stream")
    assert all(torch.equal(held[name], streamed[name]) for name in held)


def test_a_streamed_training_goes_on_in_the_middle_of_an_epoch(tmp_path):
    whole = run(**{"compute.data": "device"})
    list(whole.play())
    first, second = run(**{"compute.data": "stream"}), run(distances=[2], **{"compute.data": "stream"})
    list(first.play(until=4))
    assert 4 * first.experiment.train.batch % len(first.batches.samples), "4 steps end within an epoch"
    first.save(tmp_path / "checkpoint")
    second.load(tmp_path / "checkpoint")
    list(second.play())
    expected = whole.state.average.state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in second.state.average.state_dict().items())


def test_samples_stream_when_they_would_take_more_than_half_of_the_memory():
    cpu = torch.device("cpu")
    assert not machine.streams(config.parse({}), 10**6, cpu)
    assert machine.streams(config.parse({}), 10**18, cpu)


def threads_while(training, until=None):
    """The threads that torch really has while a run takes its batches, and what it says about them."""
    found, notes, batches = set(), [], training.batches

    def seen(*args):
        found.add(torch.get_num_threads())
        return batches(*args)

    seen.close = batches.close
    training.batches = seen
    for progress in training.play(until):
        notes += progress.notes
    training.batches = batches
    return found, notes


def test_a_small_game_computes_with_one_thread_whatever_torch_would_take():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        training = run()
        begun = training.play()
        next(begun)
        assert torch.get_num_threads() == 2, "what is left off halfway, and closed who knows when, holds nothing"
        assert threads_while(run()) == ({1}, [])
        assert torch.get_num_threads() == 2, "a notebook keeps its own"
        assert training.hardware["threads"] == 1
    finally:
        torch.set_num_threads(before)


def test_a_resume_keeps_the_threads_that_the_run_began_with(tmp_path):
    first = run(**{"compute.threads": 2})
    assert threads_while(first, until=4)[0] == {2}
    first.save(tmp_path / "two")
    second = run(distances=[2])
    assert second.threads == 1
    second.load(tmp_path / "two")
    threads, notes = threads_while(second)
    assert threads == {2}
    assert second.hardware["threads"] == 2
    assert notes == (
        ["threads: 2 as it began, on fewer cores (1): the same bits, but slow"] if second.cores < 2 else []
    )
    second.save(tmp_path / "end")
    assert read_json(tmp_path / "end" / JOURNAL)["hardware"]["threads"] == 2


def test_threads_that_were_asked_for_go_before_and_are_told(tmp_path):
    first = run(**{"compute.threads": 2})
    list(first.play(until=4))
    first.save(tmp_path / "two")
    second = run(distances=[2], **{"compute.threads": 1})
    second.load(tmp_path / "two")
    assert threads_while(second) == ({1}, ["threads: 1 (compute.threads) where it had 2: equal up to rounding"])
    assert second.hardware["threads"] == 1


def test_a_training_that_goes_on_elsewhere_says_so_and_names_both_machines(tmp_path, monkeypatch):
    first = run(**{"train.precision": "auto"})
    list(first.play(until=4))
    first.save(tmp_path / "here")
    for place, precision in (("Old, 4 cores", "fp32"), (first.hardware["hardware"], "bf16")):
        monkeypatch.setattr(machine, "hardware", lambda device, place=place: place)
        monkeypatch.setattr(machine, "precision", lambda *_, precision=precision: precision)
        other = run(distances=[2], **{"train.precision": "auto"})
        other.load(tmp_path / "here")
        assert other.hardware == first.hardware, "it has computed nothing yet, as a driver never does"
        notes = [note for progress in other.play(until=8) for note in progress.notes]
        had = first.hardware["precision"]
        told = f"precision: {precision} on {place} (train.precision: auto) where it had {had}: the weights are those"
        assert [note.startswith(told) for note in notes] == [True] * (precision != had)
        there = [first.hardware["hardware"], *["Old, 4 cores"] * place.startswith("Old")]
        assert other.hardware["hardware"] == ", then ".join(there)
        assert other.hardware["precision"] == ", then ".join(dict.fromkeys((had, precision)))


def test_other_workers_have_other_slices_and_so_their_own_threads(tmp_path):
    first = run(**{"compute.threads": 2})
    first.save(tmp_path / "two")
    experiment = config.parse({}).override(PARAMS)
    team = Run(experiment, Arrays(), Judge([]), torch.device("cpu"), workers=2)
    team.load(tmp_path / "two")
    assert team.threads == 1


def test_labels_may_serve_the_extractor_only():
    """The same pictures then come of data with labels as of data without, and the weights know no label."""
    unconditional = run(**{"model.conditional": False})
    list(unconditional.play())
    assert unconditional.batches(0)[1] is None
    description = unconditional.best_generator().description
    assert (description.classes, tuple(description.class_names)) == (0, ())
    assert not any("embed" in name for name in unconditional.state.D.state_dict())
    assert unconditional.fingerprint != run().fingerprint


def journal_with(folder, meaning, **entries):
    """Changes what a checkpoint says of the code that wrote it."""
    journal = read_json(folder / JOURNAL)
    journal["meaning"] = {key: value for key, value in {**journal["meaning"], **meaning}.items() if value is not None}
    write_json(folder / JOURNAL, journal | entries)


def test_another_commit_of_the_same_mathematics_continues_to_the_same_bits(tmp_path):
    whole, first, second = run(), run(), run()
    list(whole.play())
    list(first.play(2))
    first.save(tmp_path / "run")
    assert read_json(tmp_path / "run" / JOURNAL)["commit"] == identity.code().commit
    second.load(tmp_path / "run")
    assert second.continues == ""
    journal_with(tmp_path / "run", {}, commit="abc1234def")
    second.load(tmp_path / "run")
    assert second.continues == f"commit abc1234; the mathematics is the same, version {identity.MATHEMATICS}"
    list(second.play())
    a, b = whole.state.tensors(), second.state.tensors()
    assert all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize(
    ("meaning", "entries", "words"),
    [
        (
            {"mathematics": identity.MATHEMATICS + 1},
            {},
            f"by commit abc1234 with version {identity.MATHEMATICS + 1} of the mathematics, and here it is version "
            f"{identity.MATHEMATICS}: continue it with that commit, or remove it",
        ),
        ({"edits": "e"}, {"edited": ["a.py"]}, "by commit abc1234 with edits in a.py that no commit held"),
        ({"mathematics": None, "edits": None, "code": "c"}, {}, "before checkpoints named the version"),
    ],
)
@pytest.mark.parametrize("takeover", [True, False])
def test_other_code_is_refused_with_what_differs(tmp_path, meaning, entries, words, takeover):
    training = run()
    list(training.play(2))
    training.meaning["edits"] = ""
    training.save(tmp_path / "run")
    journal_with(tmp_path / "run", meaning, commit="abc1234def", **entries)
    with pytest.raises(TrainingError, match=words):
        training.load(tmp_path / "run", takeover=takeover)


def test_edits_here_are_named(tmp_path, monkeypatch):
    training = run()
    list(training.play(2))
    training.meaning["edits"] = ""
    training.save(tmp_path / "run")
    monkeypatch.setattr(
        identity, "code", lambda told=None: identity.Code("abc", "e", ("src/ganops/experiment/run.py",))
    )
    with pytest.raises(
        TrainingError, match=r"src/ganops/experiment/run.py here has edits that no commit holds: commit or undo"
    ):
        run().load(tmp_path / "run")


def left(folder, ticks):
    """A checkpoint after so many ticks."""
    training = run(judge=Looks([]), **OFTEN)
    list(training.play(until=ticks))
    training.save(folder)
    return folder


def flip(path, place):
    """Changes one bit of a file."""
    content = bytearray(path.read_bytes())
    content[place % len(content)] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("name", [STATE, "best.safetensors"])
def test_a_flipped_bit_anywhere_in_a_checkpoint_is_noticed_and_changes_nothing(tmp_path, name):
    path = left(tmp_path / "checkpoint", 3) / name
    training, whole = run(judge=Looks([]), **OFTEN), path.read_bytes()
    before = {name: tensor.clone() for name, tensor in training.state.tensors().items()}
    for place in np.random.default_rng(0).integers(0, 2**31, 25):
        flip(path, int(place))
        with pytest.raises(DamageError, match=f"checkpoint is damaged .*{name}: not as written"):
            training.load(tmp_path / "checkpoint")
        path.write_bytes(whole)
    assert (training.state.step, training.history, training.selection.best, training.log.names) == (0, [], None, [])
    assert all(torch.equal(before[name], tensor) for name, tensor in training.state.tensors().items())
    training.load(tmp_path / "checkpoint")
    assert training.state.step == 3


def test_a_flipped_bit_of_the_journal_is_noticed_where_it_would_decide_anything(tmp_path):
    path = left(tmp_path / "checkpoint", 3) / JOURNAL
    whole, meant = path.read_bytes(), run(judge=Looks([]), **OFTEN)
    meant.load(tmp_path / "checkpoint")
    for place in np.random.default_rng(0).integers(0, len(whole), 150):
        flip(path, int(place))
        training = run(judge=Looks([]), **OFTEN)
        try:
            training.load(tmp_path / "checkpoint")
        except TrainingError:
            assert (training.state.step, training.history) == (0, [])
        else:  # the name of a commit, or space
            assert outcome(training) == outcome(meant)
            assert training.hardware == meant.hardware
        path.write_bytes(whole)


@pytest.mark.parametrize("hashed", [True, False])
@pytest.mark.parametrize("name", [STATE, "best.safetensors", JOURNAL])
@pytest.mark.parametrize("damage", ["half", "empty", "gone"])
def test_half_a_file_or_none_is_damage_with_hashes_and_without(tmp_path, name, damage, hashed):
    path = left(tmp_path / "checkpoint", 2) / name
    if not hashed:  # as it was written before there were any
        journal = read_json(tmp_path / "checkpoint" / JOURNAL)
        write_json(tmp_path / "checkpoint" / JOURNAL, {k: v for k, v in journal.items() if k not in ("hash", "hashes")})
        run(judge=Looks([]), **OFTEN).load(tmp_path / "checkpoint")
    content = path.read_bytes()
    path.unlink()
    if damage != "gone":
        path.write_bytes(content[: len(content) // 2] if damage == "half" else b"")
    if (name, damage, hashed) == ("best.safetensors", "gone", False):
        return  # a run without a judgement had none
    with pytest.raises(DamageError, match=r"checkpoint is damaged \("):
        run(judge=Looks([]), **OFTEN).load(tmp_path / "checkpoint")


def test_the_newest_whole_checkpoint_is_taken_and_what_was_passed_over_is_said(tmp_path):
    whole = run(judge=Looks([]), **OFTEN)
    list(whole.play())
    folders = [left(tmp_path / str(ticks), ticks) for ticks in (7, 5, 3)]
    assert run(judge=Looks([]), **OFTEN).resume(folders) == folders[0]
    flip(folders[0] / STATE, 12345)
    (folders[1] / JOURNAL).write_text("{")
    for damaged, taken in ((folders, folders[2]), (folders[:2], None)):
        training = run(judge=Looks([]), **OFTEN)
        assert training.resume(damaged) == taken
        notes = [note for progress in training.play() for note in progress.notes]
        where = f"it goes on from {taken}" if taken else "no other is whole: it begins anew"
        assert [note.partition(" is damaged")[0] for note in notes] == [
            f"the checkpoint {each}" for each in folders[:2]
        ]
        assert all(note.endswith(where) for note in notes)
        assert outcome(training) == outcome(whole)
        a, b = whole.state.tensors(), training.state.tensors()
        assert all(torch.equal(a[name], b[name]) for name in a)
