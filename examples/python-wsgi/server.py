"""Serves the application with what Python itself has; gunicorn or another WSGI server takes its place in earnest."""

from __future__ import annotations

import os
from socketserver import TCPServer, ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from app import application


class Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True

    def server_bind(self) -> None:
        """Without the look-up of the machine's name, which takes long where no name server answers."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = os.environ["ADDRESS"], int(os.environ["PORT"])
        self.setup_environ()


class Quiet(WSGIRequestHandler):
    def log_message(self, *_arguments: object) -> None:
        """No line for each request."""


make_server(os.environ["ADDRESS"], int(os.environ["PORT"]), application, Server, Quiet).serve_forever()
