"""The command must find a durable PostgreSQL, its status must come back, and nothing may stay behind."""

import pathlib
import subprocess
import unittest

TOOLS = pathlib.Path(__file__).resolve().parent.parent


def beside_postgres(command: str) -> subprocess.CompletedProcess:
    return subprocess.run([TOOLS / "with-postgres", "bash", "-c", command], capture_output=True, text=True)


class WithPostgres(unittest.TestCase):
    def test_the_command_finds_a_durable_server_and_its_status_comes_back(self):
        queries = '-c "show fsync" -c "show synchronous_commit" -c "create database trial"'
        psql = '"$(ls -d /usr/lib/postgresql/*/bin | tail -n 1)/psql"'
        ran = beside_postgres(f'{psql} -v ON_ERROR_STOP=1 -At {queries} "$KEYHOLT_TEST_POSTGRES" && exit 7')
        self.assertEqual((ran.stdout, ran.returncode), ("on\non\nCREATE DATABASE\n", 7), ran.stderr)

    def test_nothing_is_left_behind(self):
        ran = beside_postgres('head -n 1 "$KEYHOLT_TEST_POSTGRES_DATA/postmaster.pid"; echo "$KEYHOLT_TEST_POSTGRES_DATA"')
        self.assertEqual(ran.returncode, 0, ran.stderr)
        pid, data = ran.stdout.split()
        self.assertFalse(pathlib.Path(data).parent.exists())
        state = pathlib.Path(f"/proc/{pid}/stat")
        # A zombie has ended; only its parent has not asked yet.
        self.assertTrue(not state.exists() or state.read_text().split(") ")[1][0] == "Z")


if __name__ == "__main__":
    unittest.main()
