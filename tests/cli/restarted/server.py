"""A web server that opens its port itself, as one that a `restart` starts: while it is restarted nobody listens."""

import os
from http.server import BaseHTTPRequestHandler
from socketserver import ThreadingTCPServer


class Page(BaseHTTPRequestHandler):
    """Answers every request."""

    def do_GET(self) -> None:
        """Whatever is asked for: the number of the deployment."""
        number = os.environ["MIKOSHI_SEQ"]
        self.send_response(200)
        self.send_header("Content-Length", str(len(number)))
        self.send_header("X-Deployment", number)
        self.end_headers()
        self.wfile.write(number.encode())

    def log_message(self, *_arguments: object) -> None:
        """No line for each request."""


class Server(ThreadingTCPServer):
    """Listens again at once after a restart."""

    allow_reuse_address = True
    daemon_threads = True


Server(("127.0.0.1", int(os.environ["PORT"])), Page).serve_forever()
