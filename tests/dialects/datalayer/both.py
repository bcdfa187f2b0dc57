"""What is tried with every version of Datalayer's client."""

import asyncio
import inspect
import os
import pathlib
import subprocess
import sys

from lines import Lines, canary, equal

import datalayer_core
from datalayer_core import DatalayerClient
from datalayer_core.authn.authn import AuthenticationManager

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


def authenticate(line: Lines) -> None:
    """The ways to say who one is that have nothing to do with what a key is called."""

    @line("DATALAYER_EXTERNAL_TOKEN, which is sent twice")
    def _():
        usual = os.environ.pop("DATALAYER_API_KEY")
        os.environ["DATALAYER_EXTERNAL_TOKEN"] = os.environ["BOB_KEY"]
        try:
            client = DatalayerClient()
            equal((client.authenticate(), client.get_profile().handle), (True, "bob"))
        finally:
            del os.environ["DATALAYER_EXTERNAL_TOKEN"]
            os.environ["DATALAYER_API_KEY"] = usual

    @line("AuthenticationManager.login, whoami, logout")
    def _():
        manager = AuthenticationManager(os.environ["DATALAYER_IAM_URL"])
        user, token = asyncio.run(manager.login(handle="bob", password=os.environ["PASSWORD"]))
        register(token)
        equal((user["handle_s"], manager.is_authenticated()), ("bob", True))
        equal(asyncio.run(manager.whoami())["handle_s"], "bob")
        equal(holding(token).authenticate(), True)
        asyncio.run(manager.logout())
        equal((manager.is_authenticated(), holding(token).authenticate()), (False, False))


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
