"""Makes at Keyholt the API keys that somebody has at Datalayer: the same names, descriptions and types, with new values.

    OLD_KEY=… NEW_KEY=… python move.py --from https://prod1.datalayer.run --to https://keys.acme.example/datalayer --days 90

Prints a line for each key: its name and its new value. With --dry-run it makes none.
"""

import argparse
import os
import sys
import time

from datalayer_core import DatalayerClient
from datalayer_core.utils.urls import DatalayerURLs

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--from", dest="old", required=True, help="the IAM URL of the old service")
parser.add_argument("--to", dest="new", required=True, help="where Keyholt speaks Datalayer")
parser.add_argument("--days", type=int, required=True, help="how long the new keys work")
parser.add_argument("--dry-run", action="store_true", help="only tell what would be made")
asked = parser.parse_args()

old = DatalayerClient(urls=DatalayerURLs.from_environment(iam_url=asked.old), api_key=os.environ["OLD_KEY"])
new = DatalayerClient(urls=DatalayerURLs.from_environment(iam_url=asked.new), api_key=os.environ["NEW_KEY"])
there = {key.name for key in new.list_api_keys()}
end = int(time.time()) + asked.days * 24 * 60 * 60

for key in old.list_api_keys():
    if key.name in there:
        print(f"is there    {key.name}", file=sys.stderr)
    elif asked.dry_run:
        print(f"would make  {key.name}  {key.description}")
    else:
        made = new.create_api_key(key.name, key.description, expiration_date=end, api_key_type=key.api_key_type)
        if not made["success"]:
            sys.exit(f"{key.name}: {made['message']}")
        print(f"{key.name}  {made['accessToken']}")
