"""Saves the models beside this file with MLflow, in an environment of its own because MLflow brings many packages:

uv run --no-project --with mlflow==3.17.2,scikit-learn==1.9.1,skops,lightgbm,xgboost-cpu,catboost,onnx,onnxruntime,skl2onnx \
    python tests/runtime/mlflow/save.py

Each version of scikit-learn needs models that it has saved.
"""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import catboost
import lightgbm
import mlflow
import numpy as np
import pandas as pd
import xgboost
from mlflow.models import infer_signature
from scipy.sparse import csr_matrix
from skl2onnx import to_onnx
from sklearn.compose import make_column_transformer
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

FOLDER = Path(__file__).parent / "models"
UNUSED = ("conda.yaml", "python_env.yaml", "requirements.txt", "serving_input_example.json")
ROWS = pd.DataFrame({"age": [31.0, 45.0, 52.0, 38.0] * 5, "visits": [1.0, 4.0, 2.0, 7.0] * 5})
MIXED = ROWS.assign(visits=[1, 4, 2, 7] * 5, city=["Bern", "Oulu", "Bern", "Turku"] * 5)
ARRAY = ROWS.to_numpy()
LABELS = np.array([0, 1, 0, 1] * 5)
TEXTS = ["sun rain", "rain snow", "sun sun", "snow ice"]


def save(name: str, write: Callable[..., Any], model: Any, **options: Any) -> None:
    write(model, FOLDER / name, pip_requirements=[], **options)
    for file in UNUSED:
        (FOLDER / name / file).unlink(missing_ok=True)


def main() -> None:
    warnings.simplefilter("ignore")
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir()
    named, plain = LogisticRegression().fit(ROWS, LABELS), LogisticRegression().fit(ARRAY, LABELS)
    columns = make_column_transformer((OneHotEncoder(handle_unknown="ignore"), ["city"]), remainder="passthrough")
    sklearn, signature = mlflow.sklearn.save_model, infer_signature(ROWS, named.predict(ROWS))
    save("frame", sklearn, named, input_example=ROWS[:2])
    save("pickle", sklearn, named, serialization_format="pickle", signature=signature)
    save("cloudpickle", sklearn, named, serialization_format="cloudpickle", input_example=ROWS[:2])
    save("mixed", sklearn, make_pipeline(columns, LogisticRegression()).fit(MIXED, LABELS), input_example=MIXED[:2])
    save("array", sklearn, plain, input_example=ARRAY[:2])
    save("sparse", sklearn, plain, input_example=csr_matrix(ARRAY[:2]))
    save("json", sklearn, named, input_example={"age": [31.0, 45.0], "visits": [1.0, 4.0]})
    save("texts", sklearn, make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(TEXTS, LABELS[:4]), input_example=TEXTS[:2])
    save(
        "onnx",
        mlflow.onnx.save_model,
        to_onnx(plain, ARRAY[:1].astype("f4"), options={"zipmap": False}),
        input_example=ARRAY[:2].astype("f4"),
    )
    xgb = xgboost.XGBClassifier(n_estimators=3).fit(ROWS, LABELS)
    save("xgboost", mlflow.xgboost.save_model, xgb, input_example=ROWS[:2])
    save("xgboost-booster", mlflow.xgboost.save_model, xgb.get_booster(), input_example=ROWS[:2])
    lgbm = lightgbm.LGBMClassifier(n_estimators=3, min_child_samples=2, verbose=-1).fit(ROWS, LABELS)
    save("lightgbm", mlflow.lightgbm.save_model, lgbm, input_example=ROWS[:2])
    save("lightgbm-booster", mlflow.lightgbm.save_model, lgbm.booster_, input_example=ROWS[:2])
    cat = catboost.CatBoostClassifier(iterations=3, verbose=0, allow_writing_files=False).fit(ROWS, LABELS)
    save("catboost", mlflow.catboost.save_model, cat, input_example=ROWS[:2])


if __name__ == "__main__":
    main()
