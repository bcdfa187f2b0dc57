"""oauthlib through requests-oauthlib: the back-end application client."""

import os

from oauthlib.oauth2 import BackendApplicationClient
from requests_oauthlib import OAuth2Session
from steps import WORLD, Client, refused

# oauthlib wants TLS; the trial's server listens on the loopback address of this machine.
os.environ["OAUTHLIB_INSECURE_TRANSPORT"] = "1"

client = Client("requests-oauthlib")


def fetch(secret, **parameters):
    with OAuth2Session(client=BackendApplicationClient(WORLD["client_id"])) as session:
        return session.fetch_token(
            WORLD["token_endpoint"], client_id=WORLD["client_id"], client_secret=secret, **parameters
        )


@client.step("client credentials, Basic")
def _():
    token = fetch(WORLD["client_secret"])
    assert token["token_type"].lower() == "bearer", token.keys()


@client.step("client credentials, body")
def _():
    token = fetch(WORLD["client_secret"], include_client_id=True, auth=False)
    assert token["expires_in"] > 0, token.keys()


@client.step("the token opens the native API")
def _():
    with OAuth2Session(client=BackendApplicationClient(WORLD["client_id"]), token=fetch(WORLD["client_secret"])) as api:
        answer = api.get(f"{WORLD['api']}/v1/self")
    assert answer.status_code == 200, answer.text
    assert answer.json()["key"]["id"] == WORLD["client_id"], answer.text


@client.step("wrong secret is refused with invalid_client")
def _():
    error = refused(lambda: fetch("wrong"))
    assert getattr(error, "error", None) == "invalid_client", repr(error)


client.end()
