"""Stage `features`: data/prepared -> artifacts/features."""

from ganops import assemble, layout
from ganops.data import Prepared
from ganops.terminal import say, stage

with stage(__file__) as name:
    experiment = assemble.load()
    card = assemble.features(experiment, Prepared.open(layout.PREPARED), layout.FEATURES)
    say(name, f"{card}")
