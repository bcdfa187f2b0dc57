"""PyJWT: an offline verifier with its own JWKS client."""

import jwt
import requests
from steps import WORLD, Client, refused

client = Client("PyJWT")
keys = jwt.PyJWKClient(WORLD["jwks_uri"])


def fresh() -> str:
    answer = requests.post(
        WORLD["token_endpoint"],
        data={"grant_type": "client_credentials", "audience": WORLD["audience"]},
        auth=(WORLD["client_id"], WORLD["client_secret"]),
        timeout=10,
    )
    return answer.json()["access_token"]


def check(token: str, audience: str):
    key = keys.get_signing_key_from_jwt(token)
    return jwt.decode(
        token,
        key,
        algorithms=["ES256"],
        issuer=WORLD["issuer"],
        audience=audience,
        options={"require": ["exp", "iat", "jti", "sub", "client_id"]},
    )


@client.step("JWT checked offline with a remote JWKS")
def _():
    assert check(fresh(), WORLD["audience"])["sub"] == WORLD["client_id"]


@client.step("JWT access token is refused for another audience")
def _():
    token = fresh()
    error = refused(lambda: check(token, "somebody-else"))
    assert isinstance(error, jwt.InvalidAudienceError), repr(error)


client.end()
