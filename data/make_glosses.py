"""Makes the glosses of the example of texts of the data files of WordNet 3.0: `python data/make_glosses.py DICT OUT`.

DICT is the folder with data.noun, data.verb, data.adj and data.adv, as in the Debian package wordnet-base 1:3.0-37; OUT
is the file glosses.tsv. The rules stand in src/ganops/cli/examples/glosses/README.md.
"""

import hashlib
import re
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from ganops.data.text_decoder import words

FILES = {"noun": "noun", "verb": "verb", "adjective": "adj", "adverb": "adv"}
"""Label -> ending of its file."""
COUNT = 10_000
"""Glosses that are kept."""
LENGTHS = (4, 12)
"""Fewest and most words of a gloss, punctuation marks included."""
VOCABULARY = 2_500
"""Commonest words of which a gloss may consist."""
PLAIN = re.compile(r"(?!.*\bsex)[a-z][a-z ,'-]*[a-z]")
"""Glosses that are kept: of small letters alone, without brackets, numbers and names, and fit for an example."""


def glosses(folder: Path) -> Iterator[tuple[str, str]]:
    """Label and gloss of each synset: its first definition, without what stands in brackets."""
    for label, ending in FILES.items():
        for line in (folder / f"data.{ending}").read_text(encoding="utf-8").splitlines():
            if line.startswith("  "):  # the licence
                continue
            gloss = line.partition(" | ")[2].partition(";")[0]
            gloss = re.sub(r"\([^()]*\) *", "", gloss).strip().rstrip(".: ")
            if PLAIN.fullmatch(gloss):
                yield label, " ".join(gloss.split())


def main() -> None:
    """Write `COUNT` glosses, in the order of the alphabet."""
    folder, out = map(Path, sys.argv[1:])
    found = {gloss: (label, words(gloss)) for label, gloss in glosses(folder)}
    found = {gloss: each for gloss, each in found.items() if LENGTHS[0] <= len(each[1]) <= LENGTHS[1]}
    counts = Counter(part for _, parts in found.values() for part in parts)
    while True:  # what is left out takes its words along
        known = {part for part, _ in sorted(counts.items(), key=lambda each: (-each[1], each[0]))[:VOCABULARY]}
        kept = {gloss: each for gloss, each in found.items() if known.issuperset(each[1])}
        again = Counter(part for _, parts in kept.values() for part in parts)
        if again == counts:
            break
        found, counts = kept, again
    # of the label as well: the hash of the text alone decides the split, and those with small ones are no fair draw
    chosen = sorted(found, key=lambda gloss: hashlib.sha256(f"{found[gloss][0]} {gloss}".encode()).digest())[:COUNT]
    out.write_text("".join(f"{found[gloss][0]}\t{gloss}\n" for gloss in sorted(chosen)), encoding="utf-8")


if __name__ == "__main__":
    main()
