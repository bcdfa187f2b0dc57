"""Meerschaum's API on PostgreSQL, with a user who has tokens.

`python server.py FOLDER COUNT` registers COUNT tokens in the database that MRSM_SQL_BENCH names, writes them to FOLDER/keys as
base64 of id and secret, then serves.
"""

import base64
import http.client
import os
import pathlib
import socket
import sys
import time
import uuid

folder, count = pathlib.Path(sys.argv[1]), int(sys.argv[2])
root = folder / "meerschaum"
root.mkdir()
os.environ |= {"MRSM_ROOT_DIR": str(root), "MRSM_NO_AUTO_INSTALL": "1", "MRSM_NOASK": "1"}

import meerschaum  # noqa: E402  (the environment comes first)
from meerschaum.core import Token, User  # noqa: E402


def made(outcome):
    """What went well; anything else ends the program."""
    good, why = outcome
    if not good:
        raise SystemExit(why)


connector = meerschaum.get_connector("sql", "bench")
user = User("olga", "correct horse battery staple", instance=connector)
made(connector.register_user(user))
keys = []
for number in range(count):
    # As long as the longest that it makes itself; all of one length, so that a load can put one in another's place.
    token = Token(label=f"key {number}", user=user, instance=connector, id=uuid.uuid4(), secret=uuid.uuid4().hex)
    made(token.register())
    keys.append(base64.b64encode(f"{token.id}:{token.secret}".encode()).decode())
(folder / "keys").write_text("\n".join(keys))

with socket.create_server(("127.0.0.1", 0)) as probe:
    port = probe.getsockname()[1]

if os.fork() == 0:
    # The server takes this process's place; its child says when it answers, and is gone.
    while True:
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port)
            connection.request("GET", "/version/mrsm")
            connection.getresponse()
            break
        except OSError:
            time.sleep(0.02)
    print(f"listens on http://127.0.0.1:{port}", flush=True)
    os._exit(0)

program = pathlib.Path(sys.executable).with_name("mrsm")
flags = ["--host", "127.0.0.1", "-p", str(port), "-i", "sql:bench", "-w", "1", "--no-dash", "--no-webterm"]
# It logs every request, as it does by default; stdout tells where it listens, and nothing else.
log = os.open(folder / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
os.dup2(log, 1)
os.dup2(log, 2)
os.execv(program, [str(program), "start", "api", *flags])
