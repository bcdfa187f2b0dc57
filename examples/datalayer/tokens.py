"""Datalayer's tokens, with the clients that have them (up to 1.1.24): create, list, search, delete.

    export DATALAYER_RUN_URL=http://127.0.0.1:7311/datalayer DATALAYER_API_KEY=…
"""

import time

# Older texts import TokenType from datalayer_core.tokens, which no published version has. Clients from 1.1.25 on have
# datalayer_core.models.api_key.ApiKeyType instead; see api_keys.py.
from datalayer_core import DatalayerClient
from datalayer_core.models.token import TokenType

client = DatalayerClient()

# Basic creation.
token_response = client.create_token(
    name="API_ACCESS_TOKEN",
    description="Token for automated API access",
)
print(f"Token created: {token_response['name']}")
print(f"Token value: {token_response['token']}")  # Store securely!
print(f"Token UID: {token_response['uid']}")

# With an expiration: 30 days from now.
expiration_timestamp = int(time.time()) + (30 * 24 * 60 * 60)
temporary = client.create_token(
    name="TEMPORARY_ACCESS_TOKEN",
    description="30-day temporary access token",
    expiration_date=expiration_timestamp,
)
print(f"Token created with expiration: {temporary['name']}")
print(f"Expires at: {time.ctime(expiration_timestamp)}")

# Of a type.
user_token = client.create_token(
    name="USER_API_TOKEN",
    description="User API access token",
    token_type=TokenType.USER,
)
print(f"Created {user_token['type']} token: {user_token['name']}")

# List all.
tokens = client.list_tokens()
print(f"Found {len(tokens)} tokens:")
for token in tokens:
    print(f"  - {token.name}")
    print(f"    UID: {token.uid}")
    print(f"    Type: {token.token_type}")
    print(f"    Description: {token.description}")


def find_tokens(client, search_term):
    """Find tokens by name or description."""
    matching_tokens = []
    for token in client.list_tokens():
        if search_term.lower() in token.name.lower() or search_term.lower() in token.description.lower():
            matching_tokens.append(token)
    return matching_tokens


assert [token.name for token in find_tokens(client, "30-day")] == ["TEMPORARY_ACCESS_TOKEN"]

# Delete by UID, and by object.
for uid in (temporary["uid"], user_token["uid"]):
    print(f"Token deletion successful: {client.delete_token(uid)}")
old_token = find_tokens(client, "automated api")[0]
success = client.delete_token(old_token)
print(f"Deleted token '{old_token.name}': {success}")
