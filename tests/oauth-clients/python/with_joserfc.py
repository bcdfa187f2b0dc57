"""joserfc: an offline verifier that is strict about claims."""

import requests
from joserfc import jwt
from joserfc.jwk import KeySet
from steps import WORLD, Client, refused

client = Client("joserfc")


def fresh() -> str:
    answer = requests.post(
        WORLD["token_endpoint"],
        data={"grant_type": "client_credentials", "audience": WORLD["audience"]},
        auth=(WORLD["client_id"], WORLD["client_secret"]),
        timeout=10,
    )
    return answer.json()["access_token"]


def check(text: str, audience: str):
    keys = KeySet.import_key_set(requests.get(WORLD["jwks_uri"], timeout=10).json())
    token = jwt.decode(text, keys, algorithms=["ES256"])
    registry = jwt.JWTClaimsRegistry(
        iss={"essential": True, "value": WORLD["issuer"]},
        aud={"essential": True, "value": audience},
        exp={"essential": True},
        jti={"essential": True},
    )
    registry.validate(token.claims)
    return token


@client.step("JWT checked offline with a remote JWKS")
def _():
    token = check(fresh(), WORLD["audience"])
    assert token.header["typ"] == "at+jwt", token.header
    assert token.claims["client_id"] == WORLD["client_id"]


@client.step("JWT access token is refused for another audience")
def _():
    token = fresh()
    refused(lambda: check(token, "somebody-else"))


client.end()
