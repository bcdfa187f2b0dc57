#!/usr/bin/env bash
# The two ways to authenticate with a token of Meerschaum's, with curl.
# Give it SERVER (http://127.0.0.1:8300), CLIENT_ID, CLIENT_SECRET and API_KEY. Secrets go in by standard input, because a
# process list shows command lines to everybody.
set -euo pipefail

# 1. Post the client id and the client secret to /login: the answer is a bearer token for some minutes.
access_token=$(printf 'client_id=%s&client_secret=%s' "$CLIENT_ID" "$CLIENT_SECRET" |
    curl -fsS "$SERVER/login" -d @- | jq -r .access_token)
printf 'Authorization: Bearer %s\n' "$access_token" | curl -fsS "$SERVER/users/me" -H @- | jq -r .username

# 2. Put the API key directly into the Authorization header.
printf 'Authorization: %s\n' "$API_KEY" | curl -fsS "$SERVER/users/me" -H @- | jq -r .username
