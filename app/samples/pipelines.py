"""Sample pipelines, and the models that they need besides the sample models."""

from __future__ import annotations

from importlib.resources import files

from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler

from app.core.models import PRODUCTION
from app.registry.pipelines import Pipelines
from app.registry.repository import Repository
from app.runtime.publishing import publish
from app.samples.models import SAMPLES, publish_samples

_VOTERS = {
    "digits-linear": (
        "A logistic regression on the digits' pixels.",
        lambda: make_pipeline(MinMaxScaler(), LogisticRegression(max_iter=200)),
    ),
    "digits-neighbours": ("The five nearest neighbors among the digits.", KNeighborsClassifier),
}


def publish_sample_pipelines(repository: Repository, pipelines: Pipelines) -> list[str]:
    """Publish the missing sample pipelines and their models, and return the names of the pipelines. Takes a few seconds."""
    publish_samples(repository)
    present, data = set(repository.models()), SAMPLES["digits"].data()
    for name, (description, estimator) in _VOTERS.items():
        if name not in present:
            fitted = estimator().fit(data.train, data.train_labels)
            metrics = {"accuracy": round(float(fitted.score(data.held_out, data.labels)), 4)}
            publish(
                repository, fitted, name, sample=data.held_out, columns=data.columns, version="1", description=description,
                metrics=metrics, promote=PRODUCTION,
            )  # fmt: skip
    published = []
    for file in sorted((file for file in files("app.samples").iterdir() if file.name.endswith(".yaml")), key=lambda file: file.name):
        name = file.name.removesuffix(".yaml")
        if name not in pipelines.names():
            pipelines.publish(name, file.read_text())
            published.append(name)
    return published
