"""Paths of what the stages read and make, relative to the project's folder; the same paths stand in `dvc.yaml`."""

from pathlib import Path

PACKAGE = Path("src/ganops")
DATA = Path("data")
PREPARED = Path("data/prepared")
PREVIEW = Path("reports/prepare/preview.png")
ABOUT = Path("reports/prepare/about.json")
FEATURES = Path("artifacts/features")
BEST_PARAMS = Path("artifacts/best_params.yaml")
TUNE_REPORT = Path("reports/tune")
GENERATOR = Path("artifacts/generator")
TRAIN_METRICS = Path("metrics/train.json")
HISTORY = Path("reports/train/history.csv")
SPEED = Path("reports/train/speed.csv")
VALIDATION = Path("reports/train/validation.csv")
FILMSTRIP = Path("reports/train/samples")
EVALUATION = Path("metrics/evaluation.json")
EVALUATION_REPORT = Path("reports/evaluation")
SEEDS = Path("artifacts/seeds")
REGISTRATION = Path("metrics/registration.json")
REGISTRATION_REPORT = Path("reports/registration")
VOTES = Path("reports/votes.jsonl")
