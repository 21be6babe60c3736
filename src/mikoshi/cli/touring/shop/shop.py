"""The shop of the tour: a web server that says which version of it, in which deployment, answers.

`shop.py FD` serves on the listening socket FD, beside the version before it, and finishes what it began when it is told
to stop.
"""

import os
import signal
import socket
import sys
from http.server import BaseHTTPRequestHandler
from socketserver import ThreadingTCPServer
from threading import Thread

TITLE = "The shop"
VERSION = "1"


class Window(BaseHTTPRequestHandler):
    """Answers every request."""

    timeout = 5  # seconds for a request to arrive

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
    """Takes connections from a socket that others may take them from as well."""

    def __init__(self, listener: socket.socket) -> None:
        """Serve on `listener`. Another process may be faster at a connection: that must not block."""
        super().__init__(listener.getsockname(), Window, bind_and_activate=False)
        self.socket.close()
        self.socket = listener
        listener.setblocking(False)


with Server(socket.socket(fileno=int(sys.argv[1]))) as server:
    signal.signal(signal.SIGTERM, lambda *_: Thread(target=server.shutdown).start())
    print(f"version {VERSION} is open", flush=True)
    server.serve_forever(poll_interval=0.05)  # the end of `with` waits for the requests under way
