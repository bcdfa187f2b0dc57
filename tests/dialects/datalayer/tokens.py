"""Every function of Datalayer's client 1.1.24 that has to do with tokens, its command line, and the example program."""

import os
import time

from both import VERSION, authenticate, command, example, told, value_in
from datalayer_core import DatalayerClient
from datalayer_core.models.token import TokenModel, TokenType
from lines import Lines, equal, scene

line = Lines(f"datalayer-core {VERSION}")
client = DatalayerClient()
made = {}


@line("authenticate")
def _():
    equal(client.authenticate(), True)
    equal(DatalayerClient(token="not-a-key-of-anybody").authenticate(), False)


@line("get_profile")
def _():
    profile = client.get_profile()
    equal((profile.handle, profile.email), ("ada", "ada@example.com"))
    equal((profile.first_name, profile.last_name), ("Ada", "Lovelace"))
    equal(profile.uid, os.environ["ADA_ID"])


@line("create_token with name and description")
def _():
    response = made["basic"] = told(client.create_token(name="API_ACCESS_TOKEN", description="Automated access, für alle"))
    equal((response["name"], response["type"]), ("API_ACCESS_TOKEN", "user_token"))
    equal(type(response["token"]), str)


@line("create_token with an expiration")
def _():
    end = int(time.time()) + 30 * 24 * 60 * 60
    response = made["brief"] = told(client.create_token("TEMPORARY_ACCESS_TOKEN", "30 days", expiration_date=end))
    equal(response["expiration_date"], end)


@line("create_token with a type")
def _():
    response = made["typed"] = told(client.create_token("USER_API_TOKEN", "typed", token_type=TokenType.USER))
    equal(response["type"], "user_token")
    response = made["other"] = told(client.create_token("OTHER", "typed by a word", token_type="robot_token"))
    equal(response["type"], "robot_token")


@line("create_token that cannot be")
def _():
    for wrong in ({"name": "", "description": "x"}, {"name": "a", "description": "x", "expiration_date": 1}):
        response = client.create_token(**wrong)
        equal((response["success"], "422" in response["message"]), (False, True))


@line("list_tokens, and the search in it")
def _():
    tokens = client.list_tokens()
    equal([type(token) for token in tokens], [TokenModel] * 5)
    equal([token.name for token in tokens][:4], ["OTHER", "USER_API_TOKEN", "TEMPORARY_ACCESS_TOKEN", "API_ACCESS_TOKEN"])
    basic = next(token for token in tokens if token.uid == made["basic"]["uid"])
    equal((basic.description, basic.token_type), ("Automated access, für alle", "user_token"))
    equal([token.name for token in tokens if "temporary" in token.name.lower()], ["TEMPORARY_ACCESS_TOKEN"])


@line("a token as credential of another client")
def _():
    other = DatalayerClient(token=made["basic"]["token"])
    equal(other.authenticate(), True)
    equal(other.get_profile().handle, "ada")
    equal(len(other.list_tokens()), 5)


@line("delete_token by uid and by object")
def _():
    equal(client.delete_token(made["brief"]["uid"]), True)
    equal(client.delete_token(next(token for token in client.list_tokens() if token.name == "OTHER")), True)
    equal(client.delete_token("token-uid-12345"), False)
    equal(client.delete_token(os.environ["BOB_KEY_ID"]), False)
    equal(DatalayerClient(token=made["brief"]["token"]).authenticate(), False)
    equal(client.list_tokens()[0].name, "USER_API_TOKEN")


@line("command line: tokens create")
def _():
    status, printed = command("tokens", "create", "CLI_TOKEN", "from the command line")
    equal(status, 0)
    equal(DatalayerClient(token=value_in(printed)).authenticate(), True)


@line("command line: tokens ls, tokens-ls")
def _():
    for words in (("tokens", "ls"), ("tokens-ls",)):
        status, printed = command(*words)
        equal((status, "CLI_TOKEN" in printed), (0, True))


@line("command line: tokens delete")
def _():
    uid = next(token.uid for token in client.list_tokens() if token.name == "CLI_TOKEN")
    equal(command("tokens", "delete", uid)[0], 0)
    equal([token.name for token in client.list_tokens()].count("CLI_TOKEN"), 0)


@line("command line: whoami")
def _():
    status, printed = command("whoami")
    equal((status, "ada" in printed), (0, True))


authenticate(line)


@line("command line: login with a key")
def _():
    status, printed = command("login", "--token", made["basic"]["token"])
    equal((status, "ada" in printed), (0, True))


@line("command line: login with a handle and a password")
def _():
    status, printed = command("login", "--handle", "ada", "--password", os.environ["PASSWORD"])
    equal((status, "ada" in printed), (0, True))
    for key in client.list_tokens():
        if key.name == "datalayer login":
            client.delete_token(key)


@line("command line: logout")
def _():
    equal(command("logout")[0], 0)


@line("examples/datalayer/tokens.py")
def _():
    equal(example("tokens.py").splitlines()[-1], "Deleted token 'API_ACCESS_TOKEN': True")


scene(f"{line.client} afterwards")
for kept in ("basic", "typed"):
    client.delete_token(made[kept]["uid"])
line.end()
