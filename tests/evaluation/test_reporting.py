"""What stands beside a result."""

from ganops import config
from ganops.evaluation import reporting
from ganops.experiment.identity import flatten
from ganops.losses import OF_GAMES


def test_a_parameter_without_effect_stands_beside_no_result():
    game, vae = (flatten(reporting.effective(config.parse({"loss": {"name": name}}))) for name in ("hinge", "vae"))
    idle = {path for path in game if path.startswith(OF_GAMES)}
    assert {"loss.r1", "train.d_steps", "train.augment.strength"} < idle
    assert set(vae) == set(game) - idle
    assert vae["loss.name"] == "vae"
    assert not any(path.startswith(("register", "compute")) for path in game)
