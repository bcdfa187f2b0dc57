"""The people whom the clients of the dialects belong to, made through the native API."""

import json
import os
import pathlib
import re
import time
import urllib.request

from lines import canary

TOKEN = re.compile(r"echo (\S+) \|")
SPOKEN = re.compile(r"The dialect (\w+) is spoken at (\S+)")
GREETING_SECONDS_MAX = 60
# Long, and in nobody's list of common passwords.
PASSWORD = "a holt is a den, this one is for keys"
canary(PASSWORD)


class Native:
    """The native API, as an operator."""

    def __init__(self, url: str, said: str) -> None:
        self.url = url
        token = TOKEN.search(said).group(1)
        self.secret = ""
        self.secret = self.call("POST", "/v1/setup", {"token": token, "name": "Olga"})["secret"]
        canary(self.secret)

    def call(self, method: str, path: str, body=None):
        request = urllib.request.Request(self.url + path, method=method)
        if self.secret:
            request.add_header("Authorization", f"Bearer {self.secret}")
        if body is not None:
            request.add_header("Content-Type", "application/json")
            request.data = json.dumps(body).encode()
        with urllib.request.urlopen(request, timeout=30) as answer:
            text = answer.read()
        return json.loads(text) if text else None


def greeting(output: pathlib.Path) -> str:
    """All that the server says when it starts; it answers before it has said everything."""
    deadline = time.monotonic() + GREETING_SECONDS_MAX
    while "users create" not in (said := output.read_text()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"the server has not said what to do next:\n{said}")
        time.sleep(0.05)
    return said


def open_village() -> dict[str, str]:
    """Makes everybody; answers what the clients need to know, as environment."""
    said = greeting(pathlib.Path(os.environ["TRIAL_OUTPUT"]))
    native = Native(f"http://{os.environ['TRIAL_ADDRESS']}", said)
    native.call("POST", "/v1/projects", {"slug": "acme", "name": "Acme"})
    people = {"ada": "member", "bob": "member", "root": "admin"}
    env = {"NATIVE_URL": native.url, "OPERATOR_KEY": native.secret, "PASSWORD": PASSWORD}
    for name, role in people.items():
        user = {"external_id": name, "name": name.title() + " Lovelace", "email": f"{name}@example.com", "roles": [role]}
        made = native.call("POST", "/v1/projects/acme/users", user)
        native.call("PUT", f"/v1/projects/acme/users/{name}/password", {"password": PASSWORD})
        env[f"{name.upper()}_ID"] = made["id"]
        key = {"name": "laptop", "owner": {"user": name}, "scopes": "everything"}
        made = native.call("POST", "/v1/projects/acme/keys", key)
        canary(made["secret"])
        env[f"{name.upper()}_KEY"] = made["secret"]
        env[f"{name.upper()}_KEY_ID"] = made["key"]["id"]
    for dialect, url in SPOKEN.findall(said):
        env[f"{dialect.upper()}_URL"] = url
    return env
