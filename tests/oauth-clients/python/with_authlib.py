"""Authlib: client, discovery-free, with its own revocation and introspection calls."""

import requests
from authlib.integrations.requests_client import OAuth2Session
from steps import ACCESS_TOKEN, EXCHANGE, WORLD, Client, refused

client = Client("Authlib")
metadata = requests.get(WORLD["metadata_uri"], timeout=10).json()
session = OAuth2Session(
    WORLD["client_id"],
    WORLD["client_secret"],
    token_endpoint=metadata["token_endpoint"],
    revocation_endpoint_auth_method="client_secret_basic",
)


@client.step("client credentials, Basic")
def _():
    token = session.fetch_token(grant_type="client_credentials", scope="orders:read", audience=WORLD["audience"])
    assert token["scope"] == "orders:read", token.keys()


@client.step("introspection (RFC 7662)")
def _():
    told = session.introspect_token(metadata["introspection_endpoint"], session.token["access_token"]).json()
    assert told["active"] is True and told["client_id"] == WORLD["client_id"], told


@client.step("token exchange (RFC 8693)")
def _():
    subject = session.token["access_token"]
    with OAuth2Session(WORLD["client_id"], WORLD["client_secret"]) as other:
        narrow = other.fetch_token(
            metadata["token_endpoint"], grant_type=EXCHANGE, subject_token=subject, subject_token_type=ACCESS_TOKEN
        )
    assert narrow["issued_token_type"] == ACCESS_TOKEN, narrow.keys()


@client.step("refusals carry the error of RFC 6749")
def _():
    with OAuth2Session(WORLD["client_id"], WORLD["client_secret"]) as other:
        error = refused(
            lambda: other.fetch_token(
                metadata["token_endpoint"], grant_type="client_credentials", scope="users:delete"
            )
        )
    assert getattr(error, "error", None) == "invalid_scope", repr(error)


@client.step("revocation (RFC 7009)")
def _():
    token = session.token["access_token"]
    assert session.revoke_token(metadata["revocation_endpoint"], token).status_code == 200
    told = session.introspect_token(metadata["introspection_endpoint"], token).json()
    assert told == {"active": False}, told


client.end()
