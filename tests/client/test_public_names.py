from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import celeriac
import pytest

ROOT = Path(__file__).parents[2]


def test_every_public_name_is_exported_and_nothing_else() -> None:
    public = {
        name
        for name, value in vars(celeriac).items()
        if not name.startswith("_") and getattr(value, "__module__", "").startswith("celeriac")
    }
    assert public == set(celeriac.__all__)
    assert sorted(celeriac.__all__) == celeriac.__all__


def test_the_synchronous_client_is_generated_from_the_asynchronous_one() -> None:
    done = subprocess.run([sys.executable, "scripts/client", "--check"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_importing_the_client_imports_no_library_of_the_server() -> None:
    code = "import sys, celeriac; print(*sorted({'numpy', 'pandas', 'redis', 'celery', 'fastapi', 'app', 'tqdm'} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


@pytest.mark.slow
def test_the_old_imports_of_model_code_still_work_and_warn() -> None:
    code = "from app.extensions import progress, step; import celeriac; assert step is celeriac.step"
    done = subprocess.run([sys.executable, "-W", "always", "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "app.extensions is deprecated" in done.stderr


def test_the_canvas_of_the_client_is_the_one_of_the_server() -> None:
    from celeriac.canvas import app, predict

    from app import canvas

    assert (app, predict) == (canvas.app, canvas.predict)


def test_publishing_without_the_server_says_what_to_install() -> None:
    hidden = "import importlib.metadata as m; m.entry_points = lambda **_: ()\n"
    code = hidden + "import celeriac; celeriac.publish(None, 'x', sample=[])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "celeriac.publish needs the server. Install it with: pip install celeriac-server" in done.stderr
