"""A line for each function of a client that is tried, and a scene for each in the recorded conversation."""

import json
import os
import sys
import traceback
import urllib.request


class Lines:
    """Tries functions of one client and tells of each in a line."""

    def __init__(self, client: str) -> None:
        self.client = client
        self.failed = 0

    def __call__(self, what: str):
        """`@line("Token.register")` runs the function below it at once."""

        def run(tried):
            scene(f"{self.client} {what}")
            try:
                tried()
            except Exception:
                self.failed += 1
                print(f"FAILED  {self.client}  {what}", flush=True)
                traceback.print_exc(file=sys.stdout)
            else:
                print(f"ok      {self.client}  {what}", flush=True)
            return tried

        return run

    def end(self) -> None:
        """Ends the program, with trouble if there was any."""
        sys.exit(1 if self.failed else 0)


def scene(name: str) -> None:
    """Tells the recorder what is tried next."""
    tell_recorder({"name": name})


def known_as(kind: str, text: str) -> None:
    """Tells the recorder what this text is, where it differs from run to run."""
    tell_recorder({"secret": text, "kind": kind})


def tell_recorder(what: dict[str, str]) -> None:
    control = os.environ.get("DIALECT_RECORDER")
    if control:
        request = urllib.request.Request(control, json.dumps(what).encode(), method="POST")
        urllib.request.urlopen(request, timeout=10).close()


def canary(secret: str) -> None:
    """Registers a secret with the gate at the end of the suite, which searches everything that was written for it."""
    folder = os.environ.get("TRIAL_CANARY")
    if folder:
        with open(os.path.join(folder, "secrets"), "a") as secrets:
            secrets.write(secret + "\n")


def equal(seen, expected) -> None:
    """As `assert`, but tells both sides."""
    if seen != expected:
        raise AssertionError(f"{seen!r} is not {expected!r}")
