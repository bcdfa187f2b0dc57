"""joserfc: an offline verifier that is strict about claims."""

import base64
import time
import zlib

import requests
from joserfc import jwt
from joserfc.jwk import KeySet
from steps import WORLD, Client, code_of, refused, revoke

client = Client("joserfc")


def fresh(which: str = "client", audience: str | None = WORLD["audience"]) -> str:
    answer = requests.post(
        WORLD["token_endpoint"],
        data={"grant_type": "client_credentials", "audience": audience},
        auth=(WORLD[f"{which}_id"], WORLD[f"{which}_secret"]),
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


def read_list(text: str, uri: str) -> dict:
    keys = KeySet.import_key_set(requests.get(WORLD["jwks_uri"], timeout=10).json())
    token = jwt.decode(text, keys, algorithms=["ES256"])
    assert token.header["typ"] == "statuslist+jwt", token.header
    registry = jwt.JWTClaimsRegistry(
        iss={"essential": True, "value": WORLD["issuer"]},
        sub={"essential": True, "value": uri},
        exp={"essential": True},
    )
    registry.validate(token.claims)
    return token.claims


def status(token: dict) -> int:
    """What the list says of a token, fetched anew."""
    place = token["status"]["status_list"]
    answer = requests.get(place["uri"], timeout=10)
    assert answer.headers["Content-Type"] == "application/statuslist+jwt", answer.headers
    claims = read_list(answer.text, place["uri"])
    packed = claims["status_list"]["lst"]
    unpacked = zlib.decompress(base64.urlsafe_b64decode(packed + "=" * (-len(packed) % 4)))
    bits = claims["status_list"]["bits"]
    at = place["idx"] * bits
    return unpacked[at >> 3] >> (at & 7) & ((1 << bits) - 1)


@client.step("JWT checked offline with a remote JWKS")
def _():
    token = check(fresh(), WORLD["audience"])
    assert token.header["typ"] == "at+jwt", token.header
    assert token.claims["client_id"] == WORLD["client_id"]


@client.step("JWT access token is refused for another audience")
def _():
    token = fresh()
    refused(lambda: check(token, "somebody-else"))


@client.step("the page's code for an exchange makes a narrower token")
def _():
    world = {"token": fresh("client", audience=None)}
    exec(code_of("exchange-tokens.md")[0], world)  # noqa: S102: the code of our own page is what is tried
    assert check(world["narrower"], WORLD["audience"]).claims["scope"] == "orders:read"


for algorithm, issuer in WORLD["other_issuers"].items():

    @client.step(f"JWT signed with {algorithm} checked offline")
    def _(algorithm=algorithm, issuer=issuer):
        answer = requests.post(
            WORLD["token_endpoint"],
            data={"grant_type": "client_credentials"},
            auth=(issuer["client_id"], issuer["client_secret"]),
            timeout=10,
        )
        keys = KeySet.import_key_set(requests.get(issuer["jwks_uri"], timeout=10).json())
        token = jwt.decode(answer.json()["access_token"], keys, algorithms=[algorithm])
        assert (token.header["alg"], token.header["typ"]) == (algorithm, "at+jwt"), token.header
        assert token.claims["iss"] == issuer["issuer"]
        others = [other for other in ["ES256", "EdDSA", "RS256"] if other != algorithm]
        refused(lambda: jwt.decode(answer.json()["access_token"], keys, algorithms=others).claims)


@client.step("status list: a good token is good, and dead once its key is revoked")
def _():
    claims = check(fresh("doomed"), WORLD["audience"]).claims
    assert status(claims) == 0
    revoke(WORLD["doomed_secret"])
    deadline = time.monotonic() + 10
    while status(claims) == 0:
        assert time.monotonic() < deadline, "the list never says so"
        time.sleep(0.2)
    assert status(claims) == 1
    assert status(check(fresh(), WORLD["audience"]).claims) == 0, "another key's token"


client.end()
