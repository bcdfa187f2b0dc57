"""Meerschaum's tokens: create, fetch, edit, invalidate, delete. The connector `api:keyholt` leads to Keyholt.

    export MRSM_API_KEYHOLT='{"protocol": "http", "host": "127.0.0.1", "port": 8300, "username": "…", "password": "…"}'
"""

from datetime import datetime, timedelta, timezone

import meerschaum as mrsm
from meerschaum.core import Token, User

conn = mrsm.get_connector("api:keyholt")

# Creating a token.
token = Token(
    label="weather-sensor",
    user=User("ada", instance=conn),
    expiration=datetime.now(timezone.utc) + timedelta(days=90),  # None: the token never ends
    scopes=["pipes:read", "pipes:write", "users:read"],
    instance=conn,
)
success, msg = token.register()
assert success, msg
print(f"Client ID: {token.id}")
print(f"Client Secret: {token.secret}")  # shown this once
print(f"API Key: {token.get_api_key()}")

# Fetching tokens.
for found in conn.get_tokens(labels=["weather-sensor"]):
    print(f"{found.label}: ends {found.expiration:%Y-%m-%d}, may {', '.join(found.scopes)}")

# Editing a token.
token.label = "barometer"
token.expiration = datetime.now(timezone.utc) + timedelta(days=30)
token.scopes = ["pipes:read"]
success, msg = token.edit()
assert success, msg

# Invalidating a token: it cannot be used, but stays registered. Deleting it takes it away.
success, msg = token.invalidate()
assert success, msg
assert not token.to_model(refresh=True).is_valid
success, msg = token.delete()
assert success, msg
assert not token.exists()
print("Deleted.")
