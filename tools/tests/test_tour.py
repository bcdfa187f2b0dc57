"""The tour must notice when a README and the program say different things."""

import os
import pathlib
import subprocess
import sys
import tempfile
import textwrap
import unittest

TOOLS = pathlib.Path(__file__).resolve().parent.parent

# A stand-in for the program: it says a token, listens, and prints what it is told.
PROGRAM = f"#!{sys.executable}\n" + textwrap.dedent(
    '''
    import http.server, sys

    match sys.argv[1:]:
        case ["serve", "--listen", address, *rest]:
            host, port = address.split(":")
            listener = http.server.HTTPServer((host, int(port)), http.server.SimpleHTTPRequestHandler)
            print(f"listening on http://{address}\\nset-up token: khs_{'q7' * 8}\\ndatabase: {rest}", flush=True)
            try:
                listener.serve_forever()
            except SystemExit:
                pass
        case ["fail"]:
            sys.exit(1)
        case ["leave"]:
            import os, signal
            os.kill(os.getppid(), signal.SIGKILL)
        case said:
            print(*said, sep="\\n")
    '''
).replace("import http.server, sys", "import http.server, signal, sys\n\nsignal.signal(signal.SIGTERM, lambda *_: sys.exit(0))")

TRUE = """
# Product

```console
$ this is not part of the tour
```

```console tour
$ make run
listening on http://127.0.0.1:7070
set-up token: khs_…
...
```

Then:

```console tour
$ keyholt khs_… one
khs_q7q7q7q7q7q7q7q7
one
$ name=alice; keyholt \\
>   two
two
$ keyholt "$name" http://127.0.0.1:7070 three four
alice
http://127.0.0.1:7070
...
fo[..]
$ keyholt fail; echo "status $?"
status 1
$ true
```
"""


class Tour(unittest.TestCase):
    def walk(self, readme: str, **settings: str) -> subprocess.CompletedProcess:
        with tempfile.TemporaryDirectory() as home:
            program, page = pathlib.Path(home) / "keyholt", pathlib.Path(home) / "README.md"
            program.write_text(PROGRAM)
            program.chmod(0o755)
            page.write_text(readme)
            inherited = {name: value for name, value in os.environ.items() if not name.startswith(("TRIAL_", "TOUR_"))}
            return subprocess.run(
                [TOOLS / "tour", page],
                env=inherited | {"TRIAL_BINARY": str(program)} | settings,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )

    def assert_lost(self, readme: str, *says: str) -> None:
        walked = self.walk(readme)
        self.assertEqual(walked.returncode, 1, walked.stdout)
        for words in says:
            self.assertIn(words, walked.stdout)

    def test_a_true_readme_is_walked_to_its_end(self):
        walked = self.walk(TRUE)
        self.assertEqual(walked.returncode, 0, walked.stdout)
        self.assertIn("all 6 steps of README.md are true (sqlite)", walked.stdout)

    def test_the_same_tour_runs_against_postgresql(self):
        walked = self.walk(TRUE.replace("...\n```", "database: ['--database', 'postgres://…']\n```", 1), TOUR_DATABASE="postgres")
        self.assertEqual(walked.returncode, 0, walked.stdout)
        self.assertIn("are true (postgres)", walked.stdout)

    def test_a_different_line_is_shown_beside_the_promised_one(self):
        self.assert_lost(TRUE.replace("two\ntwo", "two\nTWO"), "-TWO", "+two", "line 21")

    def test_a_missing_line_is_noticed(self):
        self.assert_lost(TRUE.replace("\none\n", "\n"), "+one")

    def test_an_output_that_was_not_promised_is_noticed(self):
        self.assert_lost(TRUE.replace("$ true", "$ echo extra"), "+extra")

    def test_a_command_that_fails_is_noticed(self):
        self.assert_lost(TRUE.replace("$ true", "$ keyholt fail"), "`keyholt fail` ended with 1")

    def test_a_word_that_was_never_shown_cannot_be_pasted(self):
        self.assert_lost(TRUE.replace("keyholt khs_…", "keyholt khx_…"), "begins with `khx_`")

    def test_a_shell_that_dies_is_noticed(self):
        self.assert_lost(TRUE.replace("$ true", "$ keyholt leave"), "ended the shell")

    def test_a_readme_without_a_tour_is_not_a_walked_one(self):
        self.assert_lost(TRUE.replace("console tour", "console"), "nothing was walked")

    def test_a_file_that_a_page_shows_is_written_as_it_stands_there(self):
        walked = self.walk(TRUE + "\n```python tour said.py\nprint('$HOME', '`x`')\n```\n\n```console tour\n$ python3 said.py\n$HOME `x`\n```\n")
        self.assertEqual(walked.returncode, 0, walked.stdout)
        self.assertIn("all 8 steps", walked.stdout)

    def test_what_a_page_leaves_running_ends_with_the_tour(self):
        with tempfile.TemporaryDirectory() as apart:
            told = pathlib.Path(apart) / "pid"
            walked = self.walk(TRUE.replace("$ true", f"$ sh -c 'echo $$ > {told}; exec sleep 1000' &\n$ until [ -s {told} ]; do sleep 0.1; done"))
            self.assertEqual(walked.returncode, 0, walked.stdout)
            command = pathlib.Path("/proc") / told.read_text().strip() / "cmdline"
            self.assertFalse(command.exists() and command.read_bytes(), "it still sleeps")

    def test_a_server_that_does_not_start_is_noticed(self):
        walked = self.walk(TRUE, TRIAL_BINARY="/bin/false")
        self.assertEqual(walked.returncode, 1)
        self.assertIn("the server ended with 1", walked.stdout)


if __name__ == "__main__":
    unittest.main()
