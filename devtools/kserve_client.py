"""What a client of the Open Inference Protocol learns from a server, as JSON.

python kserve_client.py HOST:PORT MODEL      (in the environment kserve)
"""

from __future__ import annotations

import json
import sys

import numpy as np
from tritonclient.http import InferenceServerClient, InferInput, InferRequestedOutput
from tritonclient.utils import InferenceServerException


def _tensor(name: str, values: list[float]) -> InferInput:
    tensor = InferInput(name, [len(values), 1], "FP64")
    tensor.set_data_from_numpy(np.array(values)[:, None], binary_data=False)
    return tensor


def main(address: str, model: str) -> None:
    client = InferenceServerClient(address)
    output = InferRequestedOutput("predictions", binary_data=False)
    columns = [_tensor(f"x{i}", [1.5, -0.25 * i]) for i in range(3)]
    found = client.infer(model, columns, outputs=[output], request_id="mine")
    try:
        client.infer(model, columns[:2], outputs=[output])
        refused = ""
    except InferenceServerException as problem:
        refused = problem.message()
    print(
        json.dumps(
            {
                "live": client.is_server_live(),
                "ready": client.is_server_ready() and client.is_model_ready(model),
                "name": client.get_server_metadata()["name"],
                "inputs": [i["name"] for i in client.get_model_metadata(model)["inputs"]],
                "id": found.get_response()["id"],
                "predictions": found.as_numpy("predictions").tolist(),
                "refused": refused,
            }
        )
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
