"""What is tried with every version of Datalayer's client."""

import inspect
import os
import pathlib
import subprocess
import sys

from lines import canary

import datalayer_core
from datalayer_core import DatalayerClient

VERSION = datalayer_core.__version__
# What the constructor calls the credential; the flag of the command line is called alike.
ARGUMENT = "api_key" if "api_key" in inspect.signature(DatalayerClient).parameters else "token"
FLAG = "--" + ARGUMENT.replace("_", "-")


def holding(value: str) -> DatalayerClient:
    """A client that shows this credential."""
    return DatalayerClient(**{ARGUMENT: value})


def told(response: dict) -> dict:
    """The answer to a creation, with its value registered."""
    if not response["success"]:
        raise AssertionError(response["message"])
    value = response["access_token"]
    canary(value)
    canary(value.rsplit(".", 1)[-1])
    return response


def command(*words: str, **environment: str) -> tuple[int, str]:
    """Runs the command line; answers its status and what it printed."""
    ran = subprocess.run(
        ["datalayer", *words], capture_output=True, text=True, timeout=120, env=os.environ | environment
    )
    printed = ran.stdout + ran.stderr
    register(printed)
    return ran.returncode, printed


def values(printed: str) -> list[str]:
    """The values of keys that a program printed."""
    return [word for word in printed.split() if word.count(".") == 2 and word.startswith("eyJ")]


def register(printed: str) -> None:
    """Registers the values that a program printed."""
    for value in values(printed):
        canary(value)
        canary(value.rsplit(".", 1)[-1])


def value_in(printed: str) -> str:
    """The value of a key that the command line printed."""
    return values(printed)[0]


def example(name: str, *words: str, **environment: str) -> str:
    """Runs an example program; answers what it printed."""
    program = pathlib.Path(sys.argv[1]) / name
    ran = subprocess.run(
        [sys.executable, program, *words], capture_output=True, text=True, timeout=120, env=os.environ | environment
    )
    register(ran.stdout)
    if ran.returncode:
        raise AssertionError(f"{name} ended with {ran.returncode}: {ran.stderr}")
    return ran.stdout
