"""Models of libraries that start threads while they load."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

TRAIN = """
import json, shutil, sys
from pathlib import Path
import joblib, numpy as np, xgboost
from lightgbm import LGBMClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from app.registry.repository import Repository
from app.runtime.publishing import publish

root = Path(sys.argv[1])
X = np.random.default_rng(0).normal(size=(200, 4))
estimator = make_pipeline(StandardScaler(), LGBMClassifier(n_estimators=5, verbose=-1)).fit(X, (X[:, 0] > 0).astype(int))
manifest = publish(Repository(root), estimator, "new", sample=X, format="joblib")
print(manifest.format, manifest.load, *manifest.requires)
for name in ("bare", "text", "binary"):
    (root / name).mkdir()
joblib.dump(estimator, root / "bare" / "model.joblib")
estimator[-1].booster_.save_model(root / "text" / "model.txt")
data = xgboost.DMatrix(X, (X[:, 0] > 0).astype(int))
xgboost.train({"objective": "binary:logistic"}, data, 5).save_model(root / "binary" / "model.ubj")
shutil.copytree(root / "new", root / "old")  # as the first release published it
described = json.loads((root / "old/1/model.json").read_text()) | {"name": "old", "load": "parent"}
del described["requires"]
(root / "old/1/model.json").write_text(json.dumps(described))
"""
SERVE = """
import os, signal, sys
from pathlib import Path
from app.core.inputs import from_rows
from app.registry.repository import Repository
from app.runtime.arrays import to_array
from app.runtime.loading import load
from app.runtime.threads import limit_threads

models = [load(Repository(Path(sys.argv[1])), *key) for key in (("new", "1"), ("old", "1"), ("bare", "0"), ("text", "0"), ("binary", "0"))]
print("lightgbm" in sys.modules or "xgboost" in sys.modules, flush=True)
if os.fork() == 0:
    limit_threads(1)
    signal.alarm(60)
    for model in models:
        model.verify()
        (answer,) = model.predict(from_rows(model.manifest, [[2.0, 0.0, 0.0, 0.0]]), ["predict"])
        print(model.manifest.name, to_array(answer).round().astype(int), flush=True)
    # Another one, on demand: this process has threads of the library.
    print(load(Repository(Path(sys.argv[1])), "bare", "0").manifest.inputs[0].shape, flush=True)
    os._exit(0)
print(os.wait()[1])
"""

MISSING = """
import sys
from pathlib import Path
from app.core.errors import CeleriacError
from app.registry.repository import Repository
from app.runtime.loading import load

sys.modules["lightgbm"] = sys.modules["xgboost"] = None
for key in (("new", "1"), ("bare", "0"), ("text", "0"), ("binary", "0")):
    try:
        load(Repository(Path(sys.argv[1])), *key).verify()
    except CeleriacError as error:
        print(error.detail)
"""


def _run(program: str, root: Path) -> str:
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", program, str(root)], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


def test_a_model_of_another_compiled_library_is_loaded_after_the_fork_and_answers(root: Path) -> None:
    assert _run(TRAIN, root).startswith("joblib child lightgbm==")
    assert _run(SERVE, root) == "False\nnew [1]\nold [1]\nbare [1]\ntext [1]\nbinary [1]\n(-1, 4)\n0\n"


def test_a_package_that_is_missing_is_named_with_the_command_that_installs_it(root: Path) -> None:
    new, bare, text, binary = _run(MISSING, root).splitlines()
    assert new.startswith("new@1 needs lightgbm, which is not installed here. Run: ")
    assert "pip install lightgbm==" in new
    assert bare.startswith("bare@0 needs lightgbm, which is not installed here. Run: ")
    assert text.startswith("text@0 needs lightgbm, which is not installed here. Run: ")
    assert binary.startswith("binary@0 needs xgboost, which is not installed here. Run: ")
