from __future__ import annotations

import subprocess
import sys

HEAVY = ("numpy", "onnxruntime", "pandas", "sklearn", "scipy", "joblib", "pyarrow")


def imported(code: str) -> set[str]:
    program = f"import sys; {code}; print(*[name for name in {HEAVY} if name in sys.modules])"
    return set(subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split())


def test_an_api_process_without_direct_versions_imports_no_model_library() -> None:
    assert imported("import app.direct.lane; from app.api.app import create; create()") == set()


def test_the_direct_lane_imports_onnx_runtime_and_numpy_only() -> None:
    assert imported("import app.direct.loading") == {"numpy", "onnxruntime"}
