"""The alias and its record: moves, undone and interrupted ones, and what others do to it."""

import json
import time

import pytest
from registering import NAME
from rich.console import Console

from ganops.core.errors import RegistryError
from ganops.registry import champions, tracking
from ganops.registry.champions import CHAMPION, ChampionMovedError, current, history, promote, rollback
from ganops.registry.model import Model
from ganops.registry.moves import table


@pytest.fixture
def client(root):
    """A store with four versions that hold nothing."""
    client = tracking.connect(root)
    client.create_registered_model(NAME)
    for _ in range(4):
        client.create_model_version(NAME, source=(root / "mlflow").as_uri())
    return client


def chain(client):
    return [(move.to, move.over) for move in history(Model(client, NAME))]


def later(monkeypatch):
    """Long after all moves so far."""
    now = time.time_ns
    monkeypatch.setattr(champions.time, "time_ns", lambda: now() + int(2e9 * champions.YOUNG_SECONDS))


def test_moves_are_undone_one_after_the_other(client):
    assert promote(Model(client, NAME), "1", why="the first") is None
    assert promote(Model(client, NAME), "2") == "1"
    assert promote(Model(client, NAME), "2") is None
    assert promote(Model(client, NAME), "4", why="looks better") == "2"
    assert rollback(Model(client, NAME), why="it does not") == "2"
    assert rollback(Model(client, NAME)) == "1"
    with pytest.raises(RegistryError, match="version 1 is the first champion"):
        rollback(Model(client, NAME))
    assert promote(Model(client, NAME), "3") == "1"
    assert rollback(Model(client, NAME)) == "1"
    assert chain(client) == [(1, None), (2, 1), (4, 2), (2, 4), (1, 2), (3, 1), (1, 3)]
    first, *_, last = history(Model(client, NAME))
    assert (first.kind, first.why, last.kind) == ("promote", "the first", "rollback")
    assert first.by
    assert first.at.startswith("20")


def test_a_decision_is_void_once_the_champion_moved(client):
    promote(Model(client, NAME), "1")
    with pytest.raises(ChampionMovedError, match="is version 1, the decision was made against nobody"):
        promote(Model(client, NAME), "2", kind="gate", over=None)
    promote(Model(client, NAME), "2", kind="gate", over=1)
    with pytest.raises(ChampionMovedError, match="is version 2, the decision was made against version 1"):
        promote(Model(client, NAME), "3", kind="gate", over=1)
    assert (current(Model(client, NAME)), chain(client)) == ("2", [(1, None), (2, 1)])


def test_of_two_decisions_at_once_one_holds(client, monkeypatch):
    """Both saw the same champion; the other was written first."""
    promote(Model(client, NAME), "1")
    write = champions._write

    def late(*arguments):
        monkeypatch.setattr(champions, "_write", write)
        promote(Model(client, NAME), "2", kind="gate", over=1)
        return write(*arguments)

    monkeypatch.setattr(champions, "_write", late)
    with pytest.raises(ChampionMovedError, match="no longer version 1: another move came first"):
        promote(Model(client, NAME), "3", kind="gate", over=1)
    assert (current(Model(client, NAME)), chain(client)) == ("2", [(1, None), (2, 1)])
    assert len([key for key in client.get_registered_model(NAME).tags if key.startswith(champions.HISTORY)]) == 2


def test_of_two_decisions_whose_keys_come_out_of_order_the_one_that_was_told_so_holds(client, monkeypatch):
    """The other drew its key first and wrote it last: it sees the later one, and takes its own back."""
    promote(Model(client, NAME), "1")
    token = champions.secrets.token_hex

    def slow(size):
        monkeypatch.setattr(champions.secrets, "token_hex", token)
        assert promote(Model(client, NAME), "2", kind="gate", over=1) == "1"
        return token(size)

    monkeypatch.setattr(champions.secrets, "token_hex", slow)
    with pytest.raises(ChampionMovedError, match="no longer version 1"):
        promote(Model(client, NAME), "3", kind="gate", over=1)
    assert (current(Model(client, NAME)), chain(client)) == ("2", [(1, None), (2, 1)])


@pytest.mark.parametrize("ahead", [3600, 10 * 365 * 86400])
def test_a_clock_that_is_ahead_does_not_bury_later_moves(client, monkeypatch, ahead):
    promote(Model(client, NAME), "1")
    with monkeypatch.context() as patch:
        now = time.time_ns
        patch.setattr(champions.time, "time_ns", lambda: now() + ahead * 10**9)
        promote(Model(client, NAME), "2")
    assert promote(Model(client, NAME), "1") == "2"
    assert (current(Model(client, NAME)), chain(client)) == ("1", [(1, None), (2, 1), (1, 2)])
    assert promote(Model(client, NAME), "3", kind="gate", over=1) == "1"
    assert rollback(Model(client, NAME)) == "1"
    assert (current(Model(client, NAME)), len(chain(client))) == ("1", 5)


def test_no_promotion_is_claimed_that_another_undid(client, monkeypatch):
    promote(Model(client, NAME), "1")
    align = champions._align

    def overtaken(*arguments):
        monkeypatch.setattr(champions, "_align", align)
        promote(Model(client, NAME), "2")
        align(*arguments)

    monkeypatch.setattr(champions, "_align", overtaken)
    with pytest.raises(ChampionMovedError, match="the champion of faces is version 2: another move came at the same"):
        promote(Model(client, NAME), "3")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("x", "hello"),
        ("x", '{"at": "2026", "kind": "gate", "to": 1, "over": null, "by": "me", "why": ""}'),
        ("1.ab", "{}"),
        ("99999999999999999999.ab", '{"at": "2026", "kind": "gate", "to": "2", "over": null, "by": "me", "why": ""}'),
        ("5.ab", "[" * 5000),
    ],
)
def test_a_tag_of_others_that_is_no_move_is_passed_over(client, capfd, key, value):
    promote(Model(client, NAME), "1")
    client.set_registered_model_tag(NAME, champions.HISTORY + key, value)
    champions._pass_over.cache_clear()
    assert promote(Model(client, NAME), "2", kind="gate", over=1) == "1"
    assert (current(Model(client, NAME)), chain(client)) == ("2", [(1, None), (2, 1)])
    told = capfd.readouterr().err.strip()
    assert told.startswith(
        f"registry: a tag of {NAME}, 'ganops.history.{key}', is no move of the champion and is passed"
    )
    assert len(told.splitlines()) == 1


def test_what_people_write_is_no_markup(client, capsys):
    promote(Model(client, NAME), "1", why="fixes [/issue 12] [bold]and[/bold] [red]more")
    console = Console(width=300)
    console.print(table(NAME, history(Model(client, NAME))))
    assert "fixes [/issue 12] [bold]and[/bold] [red]more" in capsys.readouterr().out


def test_an_interrupted_move_is_finished_by_the_next_one(client, monkeypatch):
    promote(Model(client, NAME), "1")
    with monkeypatch.context() as patch:
        patch.setattr(champions, "_align", lambda *_: None)
        promote(Model(client, NAME), "2", kind="gate", over=1)
    assert current(Model(client, NAME)) == "1"
    assert promote(Model(client, NAME), "2", kind="gate", over=1) is None
    assert (current(Model(client, NAME)), chain(client)) == ("2", [(1, None), (2, 1)])


def test_an_alias_that_was_moved_by_hand_is_recorded(client, monkeypatch):
    promote(Model(client, NAME), "1")
    promote(Model(client, NAME), "2")
    client.set_registered_model_alias(NAME, CHAMPION, "3")
    later(monkeypatch)
    assert promote(Model(client, NAME), "4") == "3"
    assert chain(client) == [(1, None), (2, 1), (3, 2), (4, 3)]
    assert history(Model(client, NAME))[2].kind == "found"
    assert rollback(Model(client, NAME)) == "3"


def test_a_move_beside_which_the_alias_is_looked_at_is_recorded_once(client, monkeypatch):
    """A whole move comes between two looks of another process, long after the move before it."""
    promote(Model(client, NAME), "1")
    promote(Model(client, NAME), "2")
    monkeypatch.setattr(champions, "YOUNG_SECONDS", 0.2)
    time.sleep(0.3)
    looks = {"current": champions.current, "_read": champions._read}

    def look(name, model):
        with pytest.MonkeyPatch.context() as patch:
            for each, plain in looks.items():
                patch.setattr(champions, each, plain)
            found = looks[name](model)
            promote(model, "3", kind="gate", over=2) if len(history(model)) < 3 else None
        return found

    for name in looks:
        monkeypatch.setattr(champions, name, lambda model, name=name: look(name, model))
    champions.settle(Model(client, NAME))
    monkeypatch.undo()
    assert chain(client) == [(1, None), (2, 1), (3, 2)]
    assert rollback(Model(client, NAME)) == "2"


def test_a_hand_that_two_have_recorded_is_one_move_to_a_rollback(client, monkeypatch):
    promote(Model(client, NAME), "1")
    promote(Model(client, NAME), "2")
    client.set_registered_model_alias(NAME, CHAMPION, "3")
    later(monkeypatch)
    write = champions._write

    def beside(*arguments):
        monkeypatch.setattr(champions, "_write", write)
        champions.settle(Model(client, NAME))
        return write(*arguments)

    monkeypatch.setattr(champions, "_write", beside)
    champions.settle(Model(client, NAME))
    assert chain(client) == [(1, None), (2, 1), (3, 2), (3, 3)]
    assert rollback(Model(client, NAME)) == "2"
    assert rollback(Model(client, NAME)) == "1"


def test_a_rollback_beside_which_the_champion_was_another_and_came_back_is_one_step(client, monkeypatch):
    for version in "412":
        promote(Model(client, NAME), version)
    expect = champions._expect

    def beside(model, version):
        monkeypatch.setattr(champions, "_expect", expect)
        promote(model, "3")
        promote(model, "2")
        expect(model, version)

    monkeypatch.setattr(champions, "_expect", beside)
    assert rollback(Model(client, NAME)) == "1"
    assert rollback(Model(client, NAME)) == "4", "and the next one goes further back"


def test_who_has_a_number_for_a_name_moves_the_champion(client, monkeypatch):
    def nameless():
        raise KeyError("getpwuid(): uid not found: 54321")

    monkeypatch.setattr(tracking.getpass, "getuser", nameless)
    monkeypatch.setattr(champions.os, "getuid", lambda: 54321)
    promote(Model(client, NAME), "1")
    assert history(Model(client, NAME))[0].by == "uid 54321"


def test_an_alias_that_was_there_before_any_record(client):
    client.set_registered_model_alias(NAME, CHAMPION, "3")
    assert promote(Model(client, NAME), "4") == "3"
    assert chain(client) == [(3, None), (4, 3)]


def test_an_alias_that_was_taken_away_comes_back(client):
    promote(Model(client, NAME), "1")
    client.delete_registered_model_alias(NAME, CHAMPION)
    promote(Model(client, NAME), "1")
    assert current(Model(client, NAME)) == "1"


def test_a_champion_that_was_deleted_leaves_room_for_the_next(client, monkeypatch):
    promote(Model(client, NAME), "1")
    client.delete_model_version(NAME, "1")
    assert promote(Model(client, NAME), "2", kind="gate", over=None) is None
    assert (current(Model(client, NAME)), chain(client)) == ("2", [(1, None), (None, 1), (2, None)])
    with pytest.raises(RegistryError, match="version 2 is the first champion"):
        rollback(Model(client, NAME))
    client.delete_registered_model_alias(NAME, CHAMPION)
    later(monkeypatch)
    assert promote(Model(client, NAME), "3", kind="gate", over=None) is None
    assert current(Model(client, NAME)) == "3"


def test_the_grounds_of_a_champion_are_those_of_its_own_move(client):
    model = Model(client, NAME)
    promote(model, "1", kind="gate", why="it is the first", over=None)
    promote(model, "2", why="looks better")
    rollback(model, why="it does not")
    assert [champions.grounds(model, version) for version in "13"] == ["it is the first", ""]
    assert champions.grounds(model, "2") == f"{history(model)[1].by} promoted it: looks better"


def test_what_a_person_took_back_is_known(client):
    promote(Model(client, NAME), "1")
    promote(Model(client, NAME), "2")
    assert not champions.taken_back(Model(client, NAME), "2")
    rollback(Model(client, NAME))
    assert [champions.taken_back(Model(client, NAME), version) for version in "123"] == [False, True, False]
    promote(Model(client, NAME), "2")
    assert not champions.taken_back(Model(client, NAME), "2")


def test_what_was_taken_back_is_a_generator_with_all_its_versions(client):
    model = Model(client, NAME)
    promote(model, "1")
    promote(model, "2")
    rollback(model)
    assert [champions.taken_back(model, version, "23") for version in "23"] == [True, True]
    assert not champions.taken_back(model, "4", "4")
    promote(model, "3")  # by a person: it is back, in each of its versions
    assert [champions.taken_back(model, version, "23") for version in "23"] == [False, False]
    promote(model, "4", kind="gate", over=3)
    rollback(model)
    assert [champions.taken_back(model, version, "23") for version in "23"] == [False, False]
    assert champions.taken_back(model, "4", "4")


def test_a_version_in_whose_place_another_one_of_the_same_generator_was_wanted_stays_away(client):
    model = Model(client, NAME)
    promote(model, "1")
    promote(model, "2", kind="gate", over=1)
    rollback(model)
    assert [champions.taken_back(model, version, "123") for version in "123"] == [False, True, False]
    promote(model, "2")
    assert not champions.taken_back(model, "2", "123")


def test_what_is_not_there(client):
    with pytest.raises(RegistryError, match="no version 7 of faces"):
        promote(Model(client, NAME), "7")
    with pytest.raises(RegistryError, match="no model nothing"):
        rollback(Model(client, "nothing"))
    with pytest.raises(RegistryError, match="has no champion to roll back from"):
        rollback(Model(client, NAME))
    promote(Model(client, NAME), "1")
    promote(Model(client, NAME), "2")
    client.delete_model_version(NAME, "1")
    with pytest.raises(RegistryError, match="no version 1 of faces"):
        rollback(Model(client, NAME))
    assert current(Model(client, NAME)) == "2"


def test_a_record_is_a_tag_that_people_can_read(client):
    promote(Model(client, NAME), "1", why="x" * 10_000)
    (value,) = [v for k, v in client.get_registered_model(NAME).tags.items() if k.startswith(champions.HISTORY)]
    assert set(json.loads(value)) == {"at", "kind", "to", "over", "by", "why"}
    assert len(value) < 5000
