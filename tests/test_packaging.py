"""Requirements: all that is imported, no more; the core and each extra are enough for what they are for. The wheel."""

import ast
import os
import re
import subprocess
import sys
import zipfile
from importlib.metadata import packages_distributions
from pathlib import Path

import bare
import pytest
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from typer.testing import CliRunner

from ganops.cli import app
from ganops.core.files import hash_folder
from ganops.core.project import CARRIED

ROOT = Path(__file__).parents[1]
EXTRAS = tuple(bare.PROJECT["optional-dependencies"])
SOURCES = sorted([*(ROOT / "src").rglob("*.py"), *(ROOT / "pipeline").glob("*.py")])
UNSEEN = {
    "dvc": "its command runs the stages",
    "gradio": "imported by its name, after its switches are set",
    "onnx": "torch.onnx writes with it",
    "onnxscript": "torch.onnx writes with it",
    "pandas": "mlflow.pyfunc, and so every registered model, needs it",
}
"""Distributions that no file imports, and why they are declared."""
HOSTS = {"IPython": "notebooks run on it, and it is imported in them alone"}
"""Modules that whoever runs the code brings, and why they are not declared."""


def imported():
    """The modules of others that the sources import, at their tops or in functions."""
    found = set()
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                found.add(node.module.partition(".")[0])
    return found - set(sys.stdlib_module_names) - {"ganops"}


def test_what_is_imported_is_declared_and_what_is_declared_is_imported():
    homes = packages_distributions()
    declared = {canonicalize_name(each.name) for each in bare.declared(*EXTRAS)}
    modules = imported()
    assert len(modules) > 20
    providers = {module: {canonicalize_name(name) for name in homes.get(module, ())} for module in modules}
    assert {module for module, names in providers.items() if not names & declared} == {*HOSTS}
    assert declared - set().union(*providers.values()) == set(UNSEEN)


def test_the_lock_holds_everything_that_is_declared():
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    pinned = dict(re.findall(r"^([a-z0-9-]+)==([^ ;]+)", lock, re.MULTILINE))
    for each in bare.declared(*EXTRAS):
        assert each.specifier.contains(pinned[canonicalize_name(each.name)]), each


def test_versions_of_python_are_the_same_wherever_they_are_named():
    prefix = "Programming Language :: Python :: 3."
    minors = [int(each.removeprefix(prefix)) for each in bare.PROJECT["classifiers"] if each.startswith(prefix)]
    allowed = SpecifierSet(bare.PROJECT["requires-python"])
    assert minors == [minor for minor in range(30) if allowed.contains(f"3.{minor}.0")]
    assert f"(3, {minors[0]}) <= sys.version_info < (3, {minors[-1] + 1})" in (ROOT / "Makefile").read_text()
    for path in SOURCES:  # no newer grammar than that of the oldest
        ast.parse(path.read_text(encoding="utf-8"), feature_version=(3, minors[0]))


def run(extras, program, *arguments):
    """A program where the packages of the core and of some extras are installed, and no others."""
    command = [sys.executable, "-W", "ignore", str(ROOT / "tests" / "bare.py"), extras, program, *arguments]
    path = os.pathsep.join(map(str, (ROOT / "src", ROOT / "pipeline")))
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300, env=environment)
    return done.returncode, done.stdout + done.stderr


TRAIN = """
import sys, tempfile
from pathlib import Path
import numpy as np
import ganops
assert "torch" not in sys.modules
from ganops import GAN
small = {"batch": 8, "tick_kimg": 0.04, "checkpoint_kimg": 0.04}
params = {f"train.{key}": value for key, value in small.items()} | {"model.latent": 8, "model.options": {"width": 4}}
params["features.extractor"] = "pixels"
def squares(count, seed):
    images, rng = np.zeros((count, 16, 16), np.uint8), np.random.default_rng(seed)
    for image in images:
        x, y = rng.integers(1, 8, 2)
        image[y : y + 7, x : x + 7] = rng.integers(120, 256)
    return images
gan = GAN(kimg=0.04, params=params).fit(squares(200, 0))
pictures = gan.predict(3)
from ganops.generator import onnx
with tempfile.TemporaryDirectory() as folder:
    gan.save(Path(folder) / "generator")
    onnx.export_onnx(gan.generator.network, Path(folder) / "generator.onnx", gan.generator.spec, latent=8)
    inputs = onnx.graph_inputs(np.arange(3), 1.0, latent=8, classes=0)
    onnx.compare(onnx.run_onnx(Path(folder) / "generator.onnx", inputs), pictures, gan.generator.spec)
from importlib.util import find_spec
assert not [name for name in ("ray", "mlflow", "dvc", "fastapi", "gradio", "matplotlib", "pyarrow") if find_spec(name)]
scores = gan.evaluate(squares(100, 1), count=100)
assert {"fd_pixels", "coverage"} <= {*scores}
with tempfile.TemporaryDirectory() as folder:
    (Path(folder) / "a.parquet").touch()
    try:
        GAN().fit(Path(folder) / "a.parquet")
    except ValueError as error:
        assert "a.parquet: reading it needs pyarrow: pip install 'ganops[pipeline]'" in str(error), error
print("trained, exported and evaluated")
"""
PROGRAMS = {
    "": TRAIN,
    "pipeline": "import prepare, features, tune, train, evaluate, register, ganops.jobs.submission",
    "serve": "import ganops.serving.deployment; from ganops.reports import page",
    "playground": "import ganops.cli.playground; from ganops.serving import playground; playground._gradio()",
}


SLOW = {"pipeline", "playground"}
"""Extras whose many imports take longest."""


@pytest.mark.parametrize(
    "extra", [pytest.param(extra, marks=pytest.mark.slow if extra in SLOW else ()) for extra in PROGRAMS]
)
def test_an_extra_is_enough_for_what_it_is_for(extra):
    code, told = run(extra, PROGRAMS[extra])
    assert code == 0, told


def test_a_missing_extra_is_a_sentence():
    program = """
import sys
from ganops.cli import main
for command in ("--help", "serve", "playground", "doctor"):
    sys.argv[1:] = [command]
    try:
        main()
    except SystemExit as end:
        print(command, "ends with", end.code)
"""
    _, told = run("", program)
    assert "--help ends with 0" in told
    assert "Traceback" not in told
    assert "ganops serve needs ray: pip install 'ganops[serve]'\nserve ends with 1" in told
    assert re.search(r"ganops playground needs \w+: pip install 'ganops\[playground\]'\nplayground ends with 1", told)
    assert re.search(r"ganops doctor needs \w+: pip install 'ganops\[pipeline\]'\ndoctor ends with 1", told)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel of this tree."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*command, "-w", folder, ROOT], check=True, capture_output=True, timeout=120)
    (path,) = folder.glob("ganops-*.whl")
    return path


def listed(*paths):
    """The files that git knows or would add."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", *paths]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    return {name for name in found if (ROOT / name).exists()}


def test_the_wheel_holds_the_package_what_every_project_has_and_nothing_else(wheel):
    with zipfile.ZipFile(wheel) as content:
        names = {name for name in content.namelist() if ".dist-info/" not in name}
        (metadata,) = (name for name in content.namelist() if name.endswith("dist-info/METADATA"))
        told = content.read(metadata).decode()
    carried = {f"ganops/project/{name}" for name in listed(*CARRIED)}
    assert names == {name.removeprefix("src/") for name in listed("src")} | carried
    assert {"ganops/reports/templates/report.html.j2", "ganops/project/pipeline/train.py"} <= names
    assert set(re.findall(r"^Provides-Extra: (\w+)$", told, re.MULTILINE)) == set(EXTRAS)


def test_an_installed_package_writes_a_project_as_a_checkout_does(wheel, tmp_path):
    """Of the installed one, nothing lies in the place where a checkout has its root."""
    with zipfile.ZipFile(wheel) as content:
        content.extractall(tmp_path / "lib" / "site")
    one, other = tmp_path / "one", tmp_path / "other"
    command = [sys.executable, "-c", "from ganops.cli import main; main()", "init", "--example", "sound", one]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "lib" / "site"), "OMP_NUM_THREADS": "1"}
    subprocess.run(command, env=environment, check=True, capture_output=True, timeout=120)
    assert CliRunner().invoke(app, ["init", "--example", "sound", str(other)]).exit_code == 0
    assert (one / "src" / "ganops").resolve() == tmp_path / "lib" / "site" / "ganops"
    assert hash_folder(one, without=("src", ".git")) == hash_folder(other, without=("src", ".git"))
