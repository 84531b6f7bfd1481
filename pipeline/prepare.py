"""Stage `prepare`: the source -> data/prepared, reports/prepare."""

from pathlib import Path

from ganops.core import layout
from ganops.core.terminal import say, stage
from ganops.data import Prepared, decoders, prepare
from ganops.data.about import About
from ganops.data.sources import below
from ganops.distributed import decoding
from ganops.experiment import checks
from ganops.registry import precedents


def main() -> None:
    """Runs the stage."""
    with stage(__file__) as name:
        experiment = checks.load()
        data = experiment.data
        source = below(layout.DATA, data.source)
        about = About.of_source(source, data.name, data.licence)
        prepare(
            source,
            layout.PREPARED,
            layout.PREVIEW,
            decoders.of(data),
            labels=data.labels,
            group=data.group,
            validation=data.validation,
            test=data.test,
            max_rejected=data.max_rejected,
            shard=data.shard,
            storage=data.storage,
            mapper=decoding.mapper(experiment.compute),
            decoded=layout.DECODED,
        )
        about.write(layout.ABOUT)  # beside the set and not in it: no training depends on a licence
        previews = " ".join(map(str, sorted(layout.PREVIEW.parent.glob(f"{layout.PREVIEW.stem}.*"))))
        say(name, f"{Prepared.open(layout.PREPARED).summary()}   {previews}")
        for line in precedents.concerns(experiment, Path()):  # now that shapes and classes are known
            say(name, line)


if __name__ == "__main__":
    main()
