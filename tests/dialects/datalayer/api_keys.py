"""Every function of Datalayer's clients from 1.1.25 on that has to do with API keys, their command line, and the programs."""

import os
import time

from both import FLAG, VERSION, authenticate, command, example, holding, told, value_in
from datalayer_core import DatalayerClient
from datalayer_core.models.api_key import ApiKeyModel, ApiKeyType
from lines import Lines, equal, scene

line = Lines(f"datalayer-core {VERSION}")
client = DatalayerClient()
end = int(time.time()) + 30 * 24 * 60 * 60
made = {}
# Up to 1.2.18 the clients send seconds, and may leave them out; later ones send milliseconds, and refuse to.
is_newer = tuple(map(int, VERSION.split("."))) > (1, 2, 18)
# What a key is when nobody says.
usual = "user_token" if hasattr(ApiKeyType, "USER") else "secret"


@line("authenticate")
def _():
    equal(client.authenticate(), True)
    equal(holding("not-a-key-of-anybody").authenticate(), False)


@line("get_profile")
def _():
    profile = client.get_profile()
    equal((profile.handle, profile.email), ("ada", "ada@example.com"))
    equal(profile.uid, os.environ["ADA_ID"])


@line("create_api_key")
def _():
    response = made["basic"] = told(client.create_api_key("ACCESS", "Automated access, für alle", expiration_date=end))
    equal((response["name"], response["type"], response["expiration_date"]), ("ACCESS", usual, end))


@line("create_api_key with a type")
def _():
    for kind in (getattr(ApiKeyType, "RESTRICTED", "restricted"), "robot"):
        word = getattr(kind, "value", kind)
        made[word] = told(client.create_api_key(f"A_{word}", "dGV4dA==", expiration_date=end, api_key_type=kind))
        equal(made[word]["type"], word)


if is_newer:

    @line("create_api_key without an end is refused by the client")
    def _():
        try:
            client.create_api_key("ENDLESS", "x", expiration_date=0)
        except ValueError:
            return
        raise AssertionError("it was not refused")

else:

    @line("create_api_key without an end")
    def _():
        equal(client.delete_api_key(told(client.create_api_key("ENDLESS", "x"))["uid"]), True)


@line("create_api_key that cannot be")
def _():
    response = client.create_api_key("PAST", "x", expiration_date=1)
    equal((response["success"], "422" in response["message"]), (False, True))


@line("list_api_keys")
def _():
    keys = client.list_api_keys()
    equal([type(key) for key in keys], [ApiKeyModel] * 4)
    equal([key.name for key in keys][:3], ["A_robot", "A_restricted", "ACCESS"])
    equal((keys[0].description, keys[0].api_key_type), ("dGV4dA==", "robot"))
    equal(keys[2].description, "Automated access, für alle")


@line("an API key as credential of another client")
def _():
    other = holding(made["basic"]["accessToken"])
    equal(other.authenticate(), True)
    equal(other.get_profile().handle, "ada")


@line("delete_api_key by uid and by object")
def _():
    equal(client.delete_api_key(made["robot"]["uid"]), True)
    equal(client.delete_api_key(next(key for key in client.list_api_keys() if key.name == "A_restricted")), True)
    equal(client.delete_api_key("key-uid-12345"), False)
    equal(client.delete_api_key(os.environ["BOB_KEY_ID"]), False)
    equal(holding(made["robot"]["accessToken"]).authenticate(), False)


@line("command line: api-keys create")
def _():
    status, printed = command("api-keys", "create", "CLI_KEY", "from the command line", "--expiration-date", str(end))
    equal(status, 0)
    equal(holding(value_in(printed)).authenticate(), True)


@line("command line: api-keys ls, api-keys list, api-keys-ls")
def _():
    for words in (("api-keys", "ls"), ("api-keys", "list"), ("api-keys-ls",)):
        status, printed = command(*words)
        equal((status, "CLI_KEY" in printed), (0, True))


@line("command line: api-keys delete")
def _():
    uid = next(key.uid for key in client.list_api_keys() if key.name == "CLI_KEY")
    equal(command("api-keys", "delete", uid)[0], 0)


@line("command line: whoami, whoami --details")
def _():
    for words in (("whoami",), ("whoami", "--details")):
        status, printed = command(*words)
        equal((status, "ada" in printed), (0, True))


authenticate(line)


@line("command line: login with a key")
def _():
    status, printed = command("login", FLAG, made["basic"]["accessToken"])
    equal((status, "ada" in printed), (0, True))


@line("command line: login with a handle and a password")
def _():
    status, printed = command("login", "--handle", "ada", "--password", os.environ["PASSWORD"])
    equal((status, "ada" in printed), (0, True))
    for key in client.list_api_keys():
        if key.name == "datalayer login":
            client.delete_api_key(key)


@line("command line: logout")
def _():
    equal(command("logout")[0], 0)


if is_newer:

    @line("examples/datalayer/api_keys.py")
    def _():
        equal(example("api_keys.py").splitlines()[-1], "Deleted key 'API_ACCESS_KEY': True")

    @line("examples/datalayer/move.py")
    def _():
        places = ("--from", os.environ["DIALECT_URL"], "--to", os.environ["DIALECT_URL"], "--days", "30")
        keys = {"OLD_KEY": os.environ["ADA_KEY"], "NEW_KEY": os.environ["BOB_KEY"]}
        bob = holding(os.environ["BOB_KEY"])
        told = example("move.py", *places, "--dry-run", **keys)
        equal(told, "would make  ACCESS  Automated access, für alle\n")
        name, value = example("move.py", *places, **keys).split()
        equal((name, holding(value).get_profile().handle), ("ACCESS", "bob"))
        equal(bob.delete_api_key(next(key for key in bob.list_api_keys() if key.name == "ACCESS")), True)

scene(f"{line.client} afterwards")
client.delete_api_key(made["basic"]["uid"])
line.end()
