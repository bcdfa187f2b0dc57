"""Datalayer's API keys, with the clients that have them (1.1.25 and newer): create, list, search, delete.

    export DATALAYER_IAM_URL=http://127.0.0.1:7311/datalayer DATALAYER_API_KEY=…
"""

import time

from datalayer_core import DatalayerClient
from datalayer_core.models.api_key import ApiKeyType

client = DatalayerClient()

# These clients always want an expiration: 30 days from now.
expiration_timestamp = int(time.time()) + (30 * 24 * 60 * 60)
response = client.create_api_key(
    name="API_ACCESS_KEY",
    description="Key for automated API access",
    expiration_date=expiration_timestamp,
    api_key_type=ApiKeyType.SECRET,
)
print(f"Key created: {response['name']}")
print(f"Key value: {response['accessToken']}")  # Store securely!
print(f"Key UID: {response['uid']}")
print(f"Expires at: {time.ctime(expiration_timestamp)}")

# List all.
keys = client.list_api_keys()
print(f"Found {len(keys)} keys:")
for key in keys:
    print(f"  - {key.name}: {key.uid}, {key.api_key_type}, {key.description}")


def find_keys(client, search_term):
    """Find keys by name or description."""
    wanted = search_term.lower()
    return [key for key in client.list_api_keys() if wanted in f"{key.name} {key.description}".lower()]


# Delete by object; a UID works as well.
old_key = find_keys(client, "automated api")[0]
success = client.delete_api_key(old_key)
print(f"Deleted key '{old_key.name}': {success}")
