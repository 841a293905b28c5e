"""Cornac's server over its EASE: fits what it is given, saves it as its documentation does, answers until it is told to stop.

Runs in Cornac's environment, in a folder of its own. SETTINGS names port, lambda and how its users and items are called: by their
number in the given arrays. Flask's own server is what Cornac's documentation starts; it has a thread a request.
"""

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from cornac.data import Dataset  # type: ignore[import-not-found]
from cornac.models import EASE  # type: ignore[import-not-found]


def main(given: str, settings: dict[str, Any]) -> None:
    log = np.load(given)
    rows = np.repeat(np.arange(len(log["offsets"]) - 1), np.diff(log["offsets"]))
    data = Dataset.from_uir(
        [(str(user), str(item), 1.0) for user, item in zip(rows.tolist(), log["items"].tolist(), strict=True)]
    )
    started = time.process_time()
    model = EASE(lamb=settings["lambda"], verbose=False).fit(data)
    fit_s = time.process_time() - started
    folder = Path("model").absolute()
    path = model.save(str(folder), save_trainset=True)
    os.environ |= {"MODEL_PATH": path, "MODEL_CLASS": "cornac.models.EASE", "FLASK_DEBUG": "0"}
    from cornac.serving.app import app  # type: ignore[import-not-found]

    print(json.dumps({"fit_s": fit_s}), flush=True)
    app.run(port=settings["port"], threaded=True)


if __name__ == "__main__":
    main(sys.argv[1], json.loads(sys.argv[2]))
