#!/usr/bin/env bash
# A token from the command line, for the user whom the connector `api:keyholt` names. Prints its client id, client secret and API
# key, this once.
#     export MRSM_API_KEYHOLT='{"protocol": "http", "host": "127.0.0.1", "port": 8300, "username": "…", "password": "…"}'
set -euo pipefail

mrsm register token --name weather-sensor --ttl-days 90 --scopes pipes:read pipes:write users:read -i api:keyholt
