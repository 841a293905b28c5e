"""Run on a small file system at RUN/served: `python -m tests.serve.small_disk RUN`. Prints what became of the events as JSON."""

import json
import sys
from pathlib import Path

from fastapi.testclient import TestClient

from headrace.contracts.serving import ServeConfig
from headrace.serve.app import create_app
from headrace.serve.logs.events import served_events
from tests.serve.test_app import bought

BALLAST = 2_500_000
AT_ONCE = 50


def read_counter(client: TestClient, name: str) -> float:
    lines = [line for line in client.get("/metrics").text.splitlines() if line.startswith(f"{name} ")]
    return float(lines[0].split()[1])


def main(run: Path) -> dict[str, object]:
    """Events until the disk is full, then some more, then room, then one more and a stop."""
    served, kept, refused = run / "served", list[str](), list[object]()
    (served / "ballast").write_bytes(bytes(BALLAST))
    with TestClient(create_app(run, ServeConfig(rotate_s=0.5))) as client:
        while len(refused) < 5:
            ids = [f"e{len(kept) + n}" for n in range(AT_ONCE)]
            sent = [bought(f"c{n % 40}", f"p{n % 8}", event_id=one, query="q" * 400) for n, one in enumerate(ids)]
            answer = client.post("/v1/events", json=sent)
            if answer.status_code == 200:
                kept += ids
            else:
                refused.append(answer)
        asked = [{"user_id": f"c{n}", "request_id": f"r{n}"} for n in range(40)]
        meanwhile = {client.post("/v1/recommend", json=one).status_code for one in asked}
        unnoted = read_counter(client, "headrace_unnoted_total")
        (served / "ballast").unlink()
        again = client.post("/v1/events", json=[bought("c1", "p1", event_id=one) for one in kept]).json()
        after = client.post("/v1/events", json=bought("c1", "p1", event_id="after")).json()["stored"]
        last = [client.post("/v1/recommend", json={"user_id": user, "request_id": "last"}).status_code for user in ("c1", "c2")]
    logged = [one for events in served_events(served) for one in events["event_id"]]
    told = refused[-1].json()["error"]["message"], refused[-1].status_code  # type: ignore[attr-defined]
    return {
        "taken": len(kept), "refused": len(refused), "says": told[0], "status": told[1],
        "answered_meanwhile": sorted(meanwhile), "unnoted": unnoted, "remembered": last == [200, 409],
        "lost": again["stored"] + len({*kept, "after"} - set(logged)), "twice": len(logged) - len(set(logged)),
        "after": after, "in_files": len(logged),
    }  # fmt: skip


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(Path(sys.argv[1]))))
