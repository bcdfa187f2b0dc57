"""PyJWT: an offline verifier with its own JWKS client."""

import base64
import time
import zlib

import jwt
import requests
from steps import WORLD, Client, code_of, refused, revoke

client = Client("PyJWT")
keys = jwt.PyJWKClient(WORLD["jwks_uri"])


def fresh(which: str = "client") -> str:
    answer = requests.post(
        WORLD["token_endpoint"],
        data={"grant_type": "client_credentials", "audience": WORLD["audience"]},
        auth=(WORLD[f"{which}_id"], WORLD[f"{which}_secret"]),
        timeout=10,
    )
    return answer.json()["access_token"]


def check(token: str, audience: str):
    key = keys.get_signing_key_from_jwt(token)
    read = jwt.decode_complete(
        token,
        key,
        algorithms=["ES256"],
        issuer=WORLD["issuer"],
        audience=audience,
        options={"require": ["exp", "iat", "jti", "sub", "client_id"]},
    )
    if read["header"].get("typ") != "at+jwt":
        raise jwt.InvalidTokenError("not an access token")
    return read["payload"]


def read_list(text: str, uri: str) -> dict:
    assert jwt.get_unverified_header(text)["typ"] == "statuslist+jwt"
    return jwt.decode(
        text,
        keys.get_signing_key_from_jwt(text),
        algorithms=["ES256"],
        issuer=WORLD["issuer"],
        subject=uri,
        options={"require": ["sub", "exp", "iat"]},
    )


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
    assert check(fresh(), WORLD["audience"])["sub"] == WORLD["client_id"]


@client.step("JWT access token is refused for another audience")
def _():
    token = fresh()
    error = refused(lambda: check(token, "somebody-else"))
    assert isinstance(error, jwt.InvalidAudienceError), repr(error)


@client.step("the page's code for offline checks takes a token and no status list")
def _():
    check_of_the_page = compile(code_of("verify-tokens-offline.md")[0], "verify-tokens-offline.md", "exec")
    read = {"token": fresh()}
    exec(check_of_the_page, read)  # noqa: S102: the code of our own page is what is tried
    assert read["claims"]["client_id"] == WORLD["client_id"]
    place = read["claims"]["status"]["status_list"]
    a_list = requests.get(place["uri"], timeout=10).text
    error = refused(lambda: exec(check_of_the_page, {"token": a_list}))  # noqa: S102
    assert isinstance(error, jwt.InvalidTokenError), repr(error)


@client.step("status list: a good token is good, and dead once its key is revoked")
def _():
    claims = check(fresh("doomed"), WORLD["audience"])
    assert status(claims) == 0
    revoke(WORLD["doomed_secret"])
    deadline = time.monotonic() + 10
    while status(claims) == 0:
        assert time.monotonic() < deadline, "the list never says so"
        time.sleep(0.2)
    assert status(claims) == 1
    assert status(check(fresh(), WORLD["audience"])) == 0, "another key's token"


client.end()
