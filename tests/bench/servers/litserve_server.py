"""LitServe: two processes a model, batches of up to 64 rows or 5 ms."""

# LitServe reads the annotation of `request` as it stands: no postponed evaluation here.
import os
from typing import Any

import joblib
import litserve
import numpy as np


class Predictor(litserve.LitAPI):
    def __init__(self, name: str) -> None:
        super().__init__(max_batch_size=64, batch_timeout=0.005, api_path=f"/{name}")
        self.name = name

    def setup(self, device: str) -> None:
        self.model = joblib.load(f"{os.environ['MODELS']}/{self.name}/model.joblib")

    def decode_request(self, request: dict[str, Any]) -> Any:
        return request["row"]

    def batch(self, inputs: list[Any]) -> Any:
        return np.asarray(inputs)

    def predict(self, rows: Any) -> Any:
        return self.model.predict(rows)

    def unbatch(self, output: Any) -> list[Any]:
        return list(output.tolist())

    def encode_response(self, output: Any) -> dict[str, Any]:
        return {"data": [output]}


if __name__ == "__main__":
    server = litserve.LitServer([Predictor("lr"), Predictor("rf")], accelerator="cpu", workers_per_device=int(os.environ["WORKERS"]))
    server.run(host="127.0.0.1", port=int(os.environ["PORT"]), generate_client_file=False, log_level="warning")
