"""How gunicorn runs the application: a process for each processor, threads in each, connections kept open."""

import multiprocessing

bind = "127.0.0.1:0"
worker_class = "gthread"
workers = multiprocessing.cpu_count()
threads = 8
keepalive = 60
loglevel = "error"


def when_ready(server):
    host, port = server.LISTENERS[0].sock.getsockname()
    print(f"listens on http://{host}:{port}", flush=True)
