"""Serves the application with what Python itself has; gunicorn or another WSGI server takes its place in earnest.

It takes connections from the socket that it was given, and finishes what it has begun when it is told to stop: so the
next deployment can start beside it, and nobody notices the change.
"""

from __future__ import annotations

import signal
import socket
import sys
from socketserver import ThreadingMixIn
from threading import Thread
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from app import application


class Server(ThreadingMixIn, WSGIServer):
    daemon_threads = False

    def take(self, listener: socket.socket) -> None:
        """Serve on a socket that listens already. Others may be faster at a connection: that must not block."""
        self.socket.close()
        self.socket = listener
        listener.setblocking(False)
        self.server_name, self.server_port = listener.getsockname()[:2]
        self.setup_environ()
        self.set_app(application)


class Quiet(WSGIRequestHandler):
    def log_message(self, *_arguments: object) -> None:
        """No line for each request."""


with Server(("", 0), Quiet, bind_and_activate=False) as server:
    server.take(socket.socket(fileno=int(sys.argv[1])))
    signal.signal(signal.SIGTERM, lambda *_: Thread(target=server.shutdown).start())
    server.serve_forever(poll_interval=0.1)  # the end of `with` waits for the requests under way
