"""The shop of the tour: a web server that says which version of it, in which deployment, answers."""

import os
from http.server import BaseHTTPRequestHandler
from socketserver import ThreadingTCPServer

TITLE = "The shop"
VERSION = "1"


class Window(BaseHTTPRequestHandler):
    """Answers every request."""

    def do_GET(self) -> None:
        """The page; `/up` is the same, for the health check."""
        page = f"{TITLE}, version {VERSION}\n".encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(page)))
        self.send_header("X-Deployment", os.environ["MIKOSHI_SEQ"])
        self.end_headers()
        self.wfile.write(page)

    def log_message(self, *_arguments: object) -> None:
        """No line for each request."""


class Server(ThreadingTCPServer):
    """Listens again at once after a restart."""

    allow_reuse_address = True
    daemon_threads = True


Server(("127.0.0.1", int(os.environ["PORT"])), Window).serve_forever()
