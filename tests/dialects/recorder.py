"""A proxy between a client and Keyholt that writes down what they say, with everything that differs from run to run named."""

import collections
import http.client
import http.server
import json
import pathlib
import re
import sys
import threading

BODY_BYTES_MAX = 1 << 20
# Headers that tell something about the dialect; the others are of the client's library or of every answer.
TOLD = {"authorization", "content-type", "cookie", "set-cookie", "retry-after", "www-authenticate", "x-external-token"}
# Stack Auth's have two spellings, of which newer clients know both.
WORDS = "access-type project-id publishable-client-key secret-server-key super-secret-admin-key access-token refresh-token known-error"
TOLD |= {f"x-{product}-{word}" for product in ("stack", "hexclave") for word in WORDS.split()}

UUID = re.compile(r"(?:\b|(?<=%22))[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b")
TIME = re.compile(r"\b20\d\d-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|\+00:00)?")
PASSWORD = re.compile(r"a(?: |%20|\+)holt[^\"&\n]*")
SECRET = re.compile(r"\b[a-z][a-z0-9]{0,15}(?:_[a-z0-9]{1,16}){0,2}_[0-9A-Za-z]{38}\b")
SHAPED_LIKE_JWT = re.compile(r"\beyJ[\w-]+\.eyJ[\w-]+\.[\w-]+")
HASH = re.compile(r"\$pbkdf2-sha256\$[^\"]*")
PACKED = re.compile(r"mrsm-key:[A-Za-z0-9+/=]+|(?<=Basic )[A-Za-z0-9+/=]+|(?<=Bearer )[A-Za-z0-9+/]{60,}={0,2}")
# Seconds of these decades, and milliseconds of any.
EPOCH = re.compile(r"\b(?:(?:1[7-9]|2\d)\d{8}|[1-9]\d{12})\b")
# What an answer makes up where it is asked for something random; the programs send it back as a secret of theirs.
MADE_UP = re.compile(r'"data": ?"([\w-]{16,})"')
MAKES_UP = "/utils/random/string"
# Events are numbered for the whole house, whoever made the ones before.
EVENT = re.compile(r'("activity": |"id": |/activity/|"revisions": \[\n< +)(\d+)')
# A token's life in milliseconds is what is left of it.
LIFE = re.compile(r'("expires": )\d+')
# Where else Stack Auth's server may be is asked beside the first request; which of them comes first is chance.
BESIDE = "/api/v1/internal/backend-urls"
LAST_FOUR = re.compile(r'("last_four": )"[^"]{4}"')
# Uses are written in batches: whether the last one is seen already is chance.
LAST_USE = re.compile(r'("last_used": )(?:null|"<time>")')


class Names:
    """Gives whatever differs between runs a name that does not."""

    def __init__(self) -> None:
        self.known: dict[str, str] = {}
        self.told: dict[str, str] = {}
        self.counts: collections.Counter[str] = collections.Counter()

    def name(self, kind: str, text: str) -> str:
        if text not in self.known:
            self.counts[kind] += 1
            self.known[text] = f"<{kind} {self.counts[kind]}>"
        return self.known[text]

    def clean(self, text: str) -> str:
        # What a program named itself has no form by which it could be known; the longest comes first.
        for told in sorted(self.told, key=len, reverse=True):
            text = text.replace(told, self.name(self.told[told], told)) if told in text else text
        text = HASH.sub("<hash>", PASSWORD.sub("<password>", text))
        for kind, pattern in (("token", SHAPED_LIKE_JWT), ("packed", PACKED), ("secret", SECRET), ("id", UUID)):
            text = pattern.sub(lambda found, kind=kind: self.name(kind, found.group()), text)
        text = EVENT.sub(lambda found: found[1] + self.name("event", found[2]), text)
        text = LIFE.sub(r"\1<milliseconds>", LAST_FOUR.sub(r'\1"<end>"', TIME.sub("<time>", text)))
        return LAST_USE.sub(r"\1<time or null>", EPOCH.sub("<instant>", text))


class Door(http.server.ThreadingHTTPServer):
    """A listener to which it is nothing special that a client is gone."""

    def handle_error(self, request, client_address) -> None:
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class Recorder:
    """Listens in front of one address; each scene becomes a file."""

    def __init__(self, upstream: str) -> None:
        self.upstream = upstream
        self.names = Names()
        self.scenes: dict[str, list[str]] = {}
        self.scene = "before the first scene"
        # What a client asks by itself, in the midst of a scene or when the next one has begun.
        self.by_itself = ""
        self.said_by_itself: dict[str, str] = {}
        self.is_paused = False
        self.lock = threading.Lock()
        recorder = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                recorder.pass_on(self)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_SEARCH = do_OPTIONS = answer

            def log_message(self, *_) -> None:
                pass

        class Control(Handler):
            def answer(self) -> None:
                length = int(self.headers.get("content-length", "0"))
                with recorder.lock:
                    told = json.loads(self.rfile.read(min(length, BODY_BYTES_MAX)))
                    recorder.by_itself = told.get("by_itself", recorder.by_itself)
                    recorder.scene = told.get("name", recorder.scene)
                    recorder.is_paused = told.get("pause", recorder.is_paused)
                    if "secret" in told:
                        recorder.names.told[told["secret"]] = told["kind"]
                self.send_response(204)
                self.end_headers()

            do_POST = answer

        self.door = Door(("127.0.0.1", 0), Handler)
        self.control = Door(("127.0.0.1", 0), Control)
        for server in (self.door, self.control):
            server.daemon_threads = True
            threading.Thread(target=server.serve_forever, daemon=True).start()

    @staticmethod
    def url(server: http.server.ThreadingHTTPServer) -> str:
        return f"http://127.0.0.1:{server.server_address[1]}"

    def pass_on(self, request: http.server.BaseHTTPRequestHandler) -> None:
        host, prefix = self.upstream.removeprefix("http://").partition("/")[::2]
        length = int(request.headers.get("content-length") or 0)
        body = request.rfile.read(min(length, BODY_BYTES_MAX))
        headers = {name: value for name, value in request.headers.items() if name.lower() not in ("host", "connection")}
        headers["Accept-Encoding"] = "identity"
        path = (f"/{prefix}" if prefix else "") + request.path
        connection = http.client.HTTPConnection(host, timeout=60)
        connection.request(request.command, path, body or None, headers)
        answer = connection.getresponse()
        answered = answer.read(BODY_BYTES_MAX)
        with self.lock:
            if MAKES_UP in request.path:
                for made in MADE_UP.findall(answered.decode(errors="replace")):
                    self.names.told.setdefault(made, "random")
            if not self.is_paused and request.path != BESIDE:
                self.write_down(f"{request.command} {request.path}", answer.status, self.exchange(request, body, answer, answered))
        request.send_response(answer.status, answer.reason)
        for name, value in answer.getheaders():
            if name.lower() not in ("transfer-encoding", "content-length", "connection"):
                request.send_header(name, value)
        request.send_header("Content-Length", str(len(answered)))
        request.end_headers()
        request.wfile.write(answered)
        connection.close()

    def write_down(self, asked: str, status: int, exchange: str) -> None:
        """Adds to the scene what was said; what a client asks by itself, only if it is refused, once, or if nothing else is said."""
        scene = self.scenes.setdefault(self.scene, [])
        if asked == self.by_itself and status == 200:
            self.said_by_itself.setdefault(self.scene, exchange)
        elif asked != self.by_itself or exchange not in scene:
            scene.append(exchange)

    def exchange(self, request, body: bytes, answer, answered: bytes) -> str:
        lines = [f"> {request.command} {request.path}"]
        lines += [f"> {header}" for header in worth_telling(request.headers.items())]
        lines += ["> " + line for line in readable(body)]
        lines += [f"< {answer.status} {answer.reason}"]
        lines += [f"< {header}" for header in worth_telling(answer.getheaders())]
        lines += ["< " + line for line in readable(answered)]
        return "\n".join(lines)

    def written(self) -> dict[str, str]:
        """Each scene's file with its text."""
        files = {}
        width = max(2, len(str(len(self.scenes))))
        for number, (scene, exchanges) in enumerate(self.scenes.items(), 1):
            slug = re.sub(r"[^a-z0-9]+", "-", scene.lower()).strip("-")
            # Cleaned at the end: a program may learn only from an answer what in it is secret.
            text = self.names.clean("\n\n".join(exchanges or [self.said_by_itself[scene]]))
            files[f"{number:0{width}}-{slug}.txt"] = f"# {scene}\n\n{text}\n"
        return files

    def compare(self, folder: pathlib.Path, write: bool) -> list[str]:
        """Names of recordings that are not what was said this time; written anew if asked to."""
        files = self.written()
        there = {path.name: path.read_text() for path in folder.glob("*.txt")} if folder.is_dir() else {}
        stale = [name for name in sorted(files.keys() | there.keys()) if files.get(name) != there.get(name)]
        if write:
            folder.mkdir(parents=True, exist_ok=True)
            for name in there.keys() - files.keys():
                (folder / name).unlink()
            for name, text in files.items():
                (folder / name).write_text(text)
        return stale


def worth_telling(headers) -> list[str]:
    """The headers that tell something, in an order that does not depend on who spelled them how."""
    return sorted(f"{name.lower()}: {value}" for name, value in headers if name.lower() in TOLD)


def readable(body: bytes) -> list[str]:
    """A body as lines; JSON is indented."""
    if not body:
        return []
    text = body.decode(errors="replace")
    try:
        return json.dumps(json.loads(text), indent=2, ensure_ascii=False).splitlines()
    except ValueError:
        return text.splitlines()
