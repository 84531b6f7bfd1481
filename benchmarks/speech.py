"""Digits that an independent recogniser understands: of real clips, through the vocoder, and of a generator.

    python benchmarks/speech.py FSDD.zip [--model FOLDER|VERSION] [--clips 200] [--seed S] [--json]

FSDD.zip is the Free Spoken Digit Dataset (Jackson et al. 2018), or any archive of 16-bit wav files named
<digit>_<speaker>_<take>.wav. The recogniser is PocketSphinx with its own English model and a grammar of ten words; it
has never heard these speakers, nor learnt from anything that the pipeline learns from. Chance is 0.10.

As many clips of each digit are drawn. `vocoder` are the same clips, stored as spectrograms and shown again, with the
statistics of all other clips: no generator of spectrograms is understood better than that, but by chance. A generator
is asked for each digit by its label: --model is the folder that a training wrote, or a registered version of the
project in the working folder (champion, models:/NAME@champion), whose classes are the digits in order.
"""

import argparse
import io
import json
import math
import re
import tempfile
import time
import wave
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.signal import resample_poly

from ganops.experiment import machine
from ganops.kinds import sound
from ganops.registry.model_version import sampler

WORDS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
HEARD = 16000
"""Samples a second that the recogniser's model is of."""
FORM = {"rate": 8000, "samples": 8192, "window": 256, "hop": 128, "bands": 64}
"""Facts of the spectrograms, but for their statistics."""
NAME = re.compile(r"(?:.*/)?(\d)_[^/]*\.wav")
Clips = NDArray[np.int16]


def listener() -> Callable[[Clips, int], int | None]:
    """Return the recogniser: a clip int16 [T] and its rate -> the digit it understands, or None."""
    try:
        from pocketsphinx import Decoder
    except ImportError as error:
        raise SystemExit(
            "benchmarks/speech.py needs PocketSphinx, which comes with its model: pip install pocketsphinx"
        ) from error
    with tempfile.NamedTemporaryFile("w", suffix=".gram") as grammar:
        grammar.write(f"#JSGF V1.0;\ngrammar digits;\npublic <digit> = {' | '.join(WORDS)};\n")
        grammar.flush()
        # cepstral means of the clip itself: those that run along would let a clip depend on the ones before it
        decoder = Decoder(jsgf=grammar.name, samprate=HEARD, cmn="batch", loglevel="FATAL")

    def hear(clip: Clips, rate: int) -> int | None:
        common = math.gcd(HEARD, rate)
        x = np.rint(resample_poly(clip.astype(float), HEARD // common, rate // common)).clip(-32768, 32767)
        decoder.start_utt()
        decoder.process_raw(x.astype("<i2").tobytes(), no_search=False, full_utt=True)
        decoder.end_utt()
        found = decoder.hyp()
        return WORDS.index(found.hypstr) if found and found.hypstr in WORDS else None

    return hear


def read(archive: Path) -> tuple[Clips, NDArray[np.int64]]:
    """Return all clips, int16 [N, 8192], in the middle of silence or cut behind, and their digits."""
    clips, digits = [], []
    with zipfile.ZipFile(archive) as opened:
        for name in sorted(opened.namelist()):
            if not (known := NAME.fullmatch(name)):
                continue
            with wave.open(io.BytesIO(opened.read(name))) as read:
                if (read.getframerate(), read.getsampwidth(), read.getnchannels()) != (FORM["rate"], 2, 1):
                    raise SystemExit(f"{name}: expected 16-bit samples of one channel at {FORM['rate']} Hz")
                clip = np.frombuffer(read.readframes(FORM["samples"]), "<i2")
            missing = FORM["samples"] - len(clip)
            clips.append(np.pad(clip, (missing // 2, missing - missing // 2)))
            digits.append(int(known[1]))
    if {*digits} != {*range(10)}:
        raise SystemExit(f"{archive}: expected clips of all ten digits, got those of {sorted({*digits})}")
    return np.array(clips, np.int16), np.array(digits)


def drawn(digits: NDArray[np.int64], each: int, seed: int) -> NDArray[np.bool_]:
    """Return which clips are drawn: `each` of every digit."""
    generator = np.random.default_rng(seed)
    chosen = np.zeros(len(digits), bool)
    for digit in range(10):
        chosen[generator.choice(np.flatnonzero(digits == digit), each, replace=False)] = True
    return chosen


def facts_of(clips: Clips) -> dict[str, Any]:
    """Return the facts of spectrograms with the statistics of these clips."""
    spectra = sound.spectrogram(clips, FORM).astype(float)
    mean, deviation = (statistic(spectra, axis=(0, 2)).tolist() for statistic in (np.mean, np.std))
    return {**FORM, "mean": mean, "deviation": deviation}


def generated(model: str, digits: NDArray[np.int64], seed: int) -> tuple[Clips, int]:
    """Return one clip of the model for each digit, int16 [N, T], and their rate."""
    seeds = np.arange(len(digits), dtype=np.int64) + seed * len(digits)
    with sampler(model) as source:
        spec = source.spec
        if (spec.kind, spec.classes) != ("sound", 10):
            raise SystemExit(f"{model}: expected a generator of sounds of 10 classes, got {spec.kind}, {spec.classes}")
        return source.shown(source.sample(seeds, digits)), spec.facts["rate"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("archive", type=Path, help="FSDD as a zip")
    parser.add_argument("--model", help="a generator's folder, or the MLflow address of a registered version")
    parser.add_argument("--clips", type=int, default=200, help="clips of each sort, as many of every digit")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of the table")
    options = parser.parse_args()
    hear = listener()
    clips, digits = read(options.archive)
    chosen = drawn(digits, max(1, options.clips // 10), options.seed)
    facts, real, asked = facts_of(clips[~chosen]), clips[chosen], digits[chosen]
    started = time.perf_counter()
    spoken = sound.shown(sound.quantised(sound.spectrogram(real, facts), facts), facts)
    milliseconds = 1000 * (time.perf_counter() - started) / len(real)
    sorts = {"real": (real, facts["rate"]), "vocoder": (spoken, facts["rate"])}
    if options.model:
        sorts["generated"] = generated(options.model, asked, options.seed)
    understood = {
        name: float(np.mean([hear(clip, rate) == digit for clip, digit in zip(given, asked, strict=True)]))
        for name, (given, rate) in sorts.items()
    }
    hardware = machine.hardware(torch.device("cpu"))
    found = {"hardware": hardware, "clips": len(real), "seed": options.seed, "understood": understood}
    if options.json:
        print(json.dumps({**found, "milliseconds_per_clip": milliseconds}))
        return
    print(f"{hardware}, seed {options.seed}: {milliseconds:.1f} ms of the vocoder a clip\n")
    print(f"| {len(real)} clips | digits understood |\n|---|---|\n| chance | 0.10 |")
    for name, share in understood.items():
        print(f"| {name} | {share:.3f} ± {math.sqrt(share * (1 - share) / len(real)):.3f} |")


if __name__ == "__main__":
    main()
