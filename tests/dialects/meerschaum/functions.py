"""Every function of Meerschaum's client that has to do with tokens, its command line, and the example programs."""

import json
import os
import pathlib
import re
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
import uuid
from base64 import b64encode
from datetime import datetime, timedelta, timezone

from lines import Lines, canary, equal

url = urllib.parse.urlsplit(os.environ["DIALECT_URL"])
place = {"host": url.hostname, "port": url.port, "protocol": "http"}
pair = f"{os.environ['ADA_KEY_ID']}:{os.environ['ADA_KEY']}"
api_key = "mrsm-key:" + b64encode(pair.encode()).decode()
canary(api_key)
# Connectors that programs name without knowing where they lead.
os.environ["MRSM_API_KEYHOLT"] = json.dumps(place | {"api_key": api_key})
os.environ["MRSM_API_ADA"] = json.dumps(place | {"username": "ada", "password": os.environ["PASSWORD"]})

import meerschaum as mrsm  # noqa: E402
from meerschaum.core import Token, User  # noqa: E402

line = Lines(f"meerschaum {mrsm.__version__}")
connector = mrsm.get_connector("api:keyholt")
ada = User("ada", instance=connector)
made: dict[str, Token] = {}


def register(label: str, **kw) -> Token:
    token = Token(label=label, user=ada, instance=connector, **kw)
    equal(token.register(), (True, f"Registered token '{label}'."))
    for secret in (token.secret, token.get_api_key()):
        canary(secret)
    return token


def ask(method: str, path: str, authorization: str | None, body: bytes | None = None):
    """A request as curl would send it."""
    request = urllib.request.Request(url.geturl() + path, method=method, data=body)
    if authorization:
        request.add_header("Authorization", authorization)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


@line("APIConnector.get_mrsm_version")
def _():
    equal(connector.get_mrsm_version(), "4.1.7")


@line("APIConnector.get_chaining_status")
def _():
    equal(connector.get_chaining_status(), False)


@line("APIConnector.test_connection")
def _():
    equal(connector.test_connection(), True)


@line("APIConnector.login with an API key")
def _():
    equal(connector.login(), (True, "API key is valid."))


@line("APIConnector.get_user_id")
def _():
    equal(connector.get_user_id(ada), uuid.UUID(os.environ["ADA_ID"]))


@line("APIConnector.get_users")
def _():
    equal(connector.get_users(), ["ada"])


@line("Token.register without a user asks nothing of the server")
def _():
    equal(Token(label="nobody", instance=connector).register(), (False, "Cannot register a token without a user."))


@line("Token.register with label, expiration and scopes")
def _():
    end = datetime.now(timezone.utc) + timedelta(days=30)
    token = made["sensor"] = register("sensor", expiration=end, scopes=["pipes:read", "pipes:write", "users:read"])
    equal(token.get_api_key(), "mrsm-key:" + b64encode(f"{token.id}:{token.secret}".encode()).decode())
    equal(abs(token.expiration - end) < timedelta(seconds=1), True)


@line("Token.register with the client's defaults")
def _():
    token = made["defaults"] = register("defaults")
    equal(len(token.scopes), 23)
    equal(token.to_model(refresh=True).expiration, token.expiration)


@line("Token.register without an end")
def _():
    token = made["endless"] = register("endless", expiration=None, scopes=["*"])
    equal(token.to_model(refresh=True).expiration, None)


@line("APIConnector.get_tokens")
def _():
    tokens = connector.get_tokens()
    equal([token.label for token in tokens], ["endless", "defaults", "sensor", "laptop"])
    equal([type(token) for token in tokens], [Token] * 4)
    equal({token._user_id for token in tokens}, {os.environ["ADA_ID"]})


@line("APIConnector.get_tokens with one label and with two")
def _():
    equal([token.label for token in connector.get_tokens(labels=["sensor"])], ["sensor"])
    equal([token.label for token in connector.get_tokens(labels=["sensor", "endless"])], ["endless", "sensor"])


@line("Token.exists and APIConnector.token_exists")
def _():
    equal(made["sensor"].exists(), True)
    equal(connector.token_exists(made["sensor"].id), True)
    equal(Token(id=uuid.uuid4(), instance=connector).exists(), False)


@line("APIConnector.get_token_model and Token.to_model")
def _():
    model = connector.get_token_model(made["sensor"].id)
    equal(model, made["sensor"].to_model(refresh=True))
    equal((model.label, model.is_valid, model.user_id), ("sensor", True, uuid.UUID(os.environ["ADA_ID"])))
    equal(sorted(model.scopes), ["pipes:read", "pipes:write", "users:read"])
    equal(connector.get_token_model(uuid.uuid4()), None)


@line("Token.get_scopes, and what the client makes of get_token_scopes")
def _():
    equal(made["sensor"].get_scopes(), ["pipes:read", "pipes:write", "users:read"])
    # The client looks for scopes in a list of scopes: it finds none on any server.
    equal(connector.get_token_scopes(made["sensor"].id), [])


@line("Token.edit of label, expiration and scopes")
def _():
    token = made["sensor"]
    token.label, token.scopes = "thermometer", ["pipes:read", "users:read"]
    token.expiration = datetime.now(timezone.utc) + timedelta(days=60)
    equal(token.edit(), (True, "Success"))
    model = token.to_model(refresh=True)
    equal((model.label, model.scopes), ("thermometer", ["pipes:read", "users:read"]))
    equal(abs(model.expiration - token.expiration) < timedelta(seconds=1), True)


@line("Token.edit of a token that does not exist")
def _():
    missing = Token(label="x", id=uuid.UUID(os.environ["BOB_KEY_ID"]), instance=connector)
    equal(missing.edit(), (False, f"Token {missing.id} does not exist."))


@line("an API key in every form of Authorization header")
def _():
    token = made["sensor"]
    bare = b64encode(f"{token.id}:{token.secret}".encode()).decode()
    canary(bare)
    for form in (
        f"Bearer {token.get_api_key()}",
        token.get_api_key(),
        f"Basic {token.get_api_key()}",
        f"Bearer {bare}",
        f"Basic {bare}",
    ):
        equal(ask("GET", "/users/ada/id", form), (200, os.environ["ADA_ID"]))
        equal(ask("POST", "/tokens/validate", form), (200, [True, "Success"]))


@line("what a token may not do")
def _():
    status, told = ask("POST", "/tokens/register", made["sensor"].get_api_key(), b"{}")
    equal((status, told), (403, {"detail": "Missing required scope: 'keyholt:keys:write'"}))
    equal(ask("GET", "/tokens", None)[0], 401)
    equal(ask("POST", "/tokens/validate", "Bearer mrsm-key:nonsense"), (401, {"detail": "Invalid or revoked token."}))


@line("a connector with a token's own API key")
def _():
    other = mrsm.get_connector("api", "sensor", **place, api_key=made["sensor"].get_api_key())
    equal(other.login()[0], True)
    equal(other.get_user_id(ada), uuid.UUID(os.environ["ADA_ID"]))


@line("Token.get_expiration_status")
def _():
    equal(made["sensor"].get_expiration_status(), False)
    made["defaults"].expiration = datetime.now(timezone.utc) - timedelta(days=1)
    equal(made["defaults"].get_expiration_status(), True)
    equal(made["defaults"].to_model(refresh=True).is_valid, False)


@line("Token.invalidate")
def _():
    token = made["sensor"]
    equal(token.invalidate(), (True, "Success"))
    equal(ask("POST", "/tokens/validate", f"Bearer {token.get_api_key()}")[0], 401)
    equal(token.to_model(refresh=True).is_valid, False)
    token.is_valid = True
    equal(token.edit(), (False, "The token is invalidated; that is final. Register a new one."))


@line("Token.delete")
def _():
    for token in made.values():
        equal(token.delete(), (True, "Success"))
        equal(token.exists(), False)
    token = made["sensor"]
    equal(token.delete(), (False, f"Token {token.id} does not exist."))
    equal([token.label for token in connector.get_tokens()], ["laptop"])


@line("APIConnector.login with name and password")
def _():
    by_name = mrsm.get_connector("api:ada")
    equal(by_name.login_scheme, "password")
    equal(by_name.login()[0], True)
    equal(by_name._expires > datetime.now(timezone.utc).replace(tzinfo=None), True)
    equal(by_name.get_user_id(ada), uuid.UUID(os.environ["ADA_ID"]))
    wrong = mrsm.get_connector("api", "wrong", **place, username="ada", password="a holt is a den, and no other")
    equal(wrong.login(warn=False)[0], False)


@line("a connector that is given as a URI")
def _():
    name = urllib.parse.quote(os.environ["PASSWORD"])
    by_uri = mrsm.get_connector("api", "uri", uri=f"http://ada:{name}@{place['host']}:{place['port']}")
    equal((by_uri.host, by_uri.port, by_uri.username), (place["host"], place["port"], "ada"))
    equal(by_uri.login()[0], True)
    equal(by_uri.get_user_id(ada), uuid.UUID(os.environ["ADA_ID"]))


@line("APIConnector.login with client id and client secret")
def _():
    token = Token(label="client", user=ada, scopes=["users:read"], instance=mrsm.get_connector("api:ada"))
    equal(token.register()[0], True)
    canary(token.secret)
    canary(token.get_api_key())
    client = mrsm.get_connector("api", "client", **place, client_id=str(token.id), client_secret=token.secret)
    equal(client.login_scheme, "client_credentials")
    equal(client.login()[0], True)
    equal(client.get_user_id(ada), uuid.UUID(os.environ["ADA_ID"]))
    equal(client.get_tokens(), [])
    equal(token.invalidate()[0], True)
    # What the token has made ends with it.
    equal(client.get_users(), [])
    equal(client.login(warn=False)[0], False)
    equal(token.delete()[0], True)


def mrsm_command(*words: str) -> tuple[int, str]:
    """Runs the command line; answers its status and what it printed."""
    ran = subprocess.run(["mrsm", *words], capture_output=True, text=True, timeout=180, stdin=subprocess.DEVNULL)
    printed = ran.stdout + ran.stderr
    for found in re.findall(r"mrsm-key:[A-Za-z0-9+/=]+|\"secret\": \"[^\"]+\"|Client Secret: \S+", printed):
        canary(found.split(": ")[-1].strip('"'))
    return ran.returncode, printed


@line("command line: mrsm login")
def _():
    equal(mrsm_command("login", "api:ada")[0], 0)


@line("command line: mrsm register token")
def _():
    status, printed = mrsm_command(
        "register", "token", "--name", "by-hand", "--ttl-days", "30", "--scopes", "pipes:read", "users:read", "-i", "api:ada"
    )
    equal((status, "Client ID" in printed and "API Key" in printed), (0, True))
    end = f"{datetime.now(timezone.utc).year + 1}-06-01"
    status, printed = mrsm_command("register", "token", "--name", "until", "--end", end, "--scopes", "users:read", "-i", "api:ada")
    equal((status, f"Expiration: {end}" in re.sub(" +", " ", printed)), (0, True))
    status, printed = mrsm_command("register", "token", "--name", "by-script", "--nopretty", "-i", "api:ada")
    equal((status, '"by-script"' in printed), (0, True))
    for token in connector.get_tokens(labels=["by-hand", "until", "by-script"]):
        equal(token.delete(), (True, "Success"))


@line("a token of another Meerschaum, imported with its hash")
def _():
    from meerschaum.core.User import hash_password

    old, secret = uuid.uuid4(), "Zq7" + uuid.uuid4().hex
    packed = "mrsm-key:" + b64encode(f"{old}:{secret}".encode()).decode()
    for text in (secret, packed):
        canary(text)
    row = {
        "id": str(old),
        "username": "ada",
        "label": "veteran",
        "expiration": None,
        "is_valid": True,
        "scopes": ["users:read"],
        "secret_hash": hash_password(secret, rounds=100_000),
    }
    admin = f"Bearer {os.environ['ROOT_KEY']}"
    for dry_run in (True, False):
        body = json.dumps({"dry_run": dry_run, "tokens": [row]}).encode()
        status, told = ask("POST", "/tokens/import", admin, body)
        equal((status, told["accepted"], told["refused"]), (200, 1, []))
    veteran = mrsm.get_connector("api", "veteran", **place, api_key=packed)
    equal(veteran.login(), (True, "API key is valid."))
    equal(veteran.get_user_id(ada), uuid.UUID(os.environ["ADA_ID"]))
    token = Token(label="veteran", id=old, secret=secret, instance=connector)
    equal((token.exists(), token.delete()), (True, (True, "Success")))
    equal(veteran.login()[0], False)


def example(name: str, **environment: str) -> str:
    """Runs an example program; answers what it printed."""
    program = pathlib.Path(sys.argv[1]) / name
    command = [sys.executable, program] if program.suffix == ".py" else ["bash", program]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=120, env=os.environ | environment)
    if ran.returncode:
        raise AssertionError(f"{name} ended with {ran.returncode}: {ran.stdout}{ran.stderr}")
    return ran.stdout


@line("examples/meerschaum/tokens.py")
def _():
    told = example("tokens.py")
    for found in re.findall(r"^(?:Client Secret|API Key): (\S+)$", told, re.MULTILINE):
        canary(found)
    equal(told.splitlines()[-1], "Deleted.")


@line("examples/meerschaum/register.sh")
def _():
    told = example("register.sh", MRSM_API_KEYHOLT=os.environ["MRSM_API_ADA"])
    for found in re.findall(r"mrsm-key:[A-Za-z0-9+/=]+|Client Secret: +\S+", told):
        canary(found.split(": ")[-1].strip())
    equal([words in told for words in ("Client ID", "Client Secret", "API Key")], [True] * 3)
    [token] = connector.get_tokens(labels=["weather-sensor"])
    equal((sorted(token.scopes), token.delete()), (["pipes:read", "pipes:write", "users:read"], (True, "Success")))


@line("examples/meerschaum/curl.sh")
def _():
    token = register("curl", scopes=["users:read"])
    shown = {"CLIENT_ID": str(token.id), "CLIENT_SECRET": token.secret, "API_KEY": token.get_api_key()}
    equal(example("curl.sh", SERVER=url.geturl(), **shown), "ada\nada\n")
    equal(token.delete(), (True, "Success"))


line.end()
