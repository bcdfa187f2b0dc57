"""One line of JSON per step of a client, so that the runner can make its table."""

import importlib.metadata
import json
import os
import pathlib
import re
import sys
import urllib.request

WORLD = json.loads(pathlib.Path(os.environ["TRIAL_WORLD"]).read_text())
EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"


class Client:
    """Reports the steps of one client library."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.version = importlib.metadata.version(name)
        self.failed = False

    def step(self, name):
        def decorator(run):
            failure = None
            try:
                run()
            except Exception as error:  # noqa: BLE001: whatever went wrong is what the table must tell
                failure = f"{type(error).__name__}: {error}"
                self.failed = True
            line = {"client": self.name, "version": self.version, "step": name, "failure": failure}
            print(json.dumps(line), flush=True)
            return run

        return decorator

    def end(self) -> None:
        sys.exit(1 if self.failed else 0)


def refused(run):
    """The error that a call must end with."""
    try:
        granted = run()
    except Exception as error:  # noqa: BLE001
        return error
    raise AssertionError(f"it was granted: {sorted(granted or [])}")


def code_of(page: str) -> list[str]:
    """The blocks of Python on a page of the how-tos, with the addresses of this run in the place of the page's."""
    text = (pathlib.Path(WORLD["pages"]) / page).read_text()
    blocks = re.findall(r"^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    issuer = "https://keys.example.com/projects/0197a3c4-7b1e-7c00-8000-6f9d2f3f1a20"
    real = {issuer: WORLD["issuer"], "https://keys.example.com": WORLD["api"], "https://orders.example.com": WORLD["audience"]}
    for example, here in real.items():
        blocks = [block.replace(example, here) for block in blocks]
    return blocks


def revoke(secret: str) -> None:
    """Revokes a key by possession, as its holder can."""
    request = urllib.request.Request(
        f"{WORLD['api']}/v1/self/revoke",
        json.dumps({"cause": "the client's trial is over"}).encode(),
        {"Authorization": f"Bearer {secret}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert answer.status == 200
