"""Node as it is and as it drains: real processes, applications that know nothing of descriptors, and their handlers."""

from __future__ import annotations

import signal
import subprocess
from dataclasses import replace
from http.client import HTTPConnection
from pathlib import Path

import pytest
from bench.loader import failures, generations
from bench.swap import Subject, Swapper
from tools.findings import ROOT

from tests.drain.conftest import PROFILES, Start, answer, node, swapped, until_closing

pytestmark = pytest.mark.needs("node")
APPLICATION = ROOT / "bench/applications/server.js"
SERVER = f"const {{ server }} = require({str(APPLICATION)!r});\n"
PLAIN = "const http = require('node:http');\nconst answer = (request, response) => response.end('1\\n');\n"
CLOSES = "process.on('SIGTERM', () => server.close(() => process.exit(0)));\n"


def written(directory: Path, text: str, name: str = "app.js") -> Path:
    (directory / name).write_text(text)
    return directory / name


@pytest.mark.parametrize(
    "handler",
    [
        "",
        CLOSES,
        "process.on('SIGTERM', () => process.exit(0));\n",
        "process.once('SIGTERM', () => server.close((error) => process.exit(error ? 1 : 0)));\n",
        "process.on('SIGTERM', async () => { server.closeAllConnections(); server.close(); });\n",
    ],
    ids=["none", "closes", "exits", "closes and looks at the error", "cuts connections"],
)
def test_no_request_is_lost_whatever_the_application_does_on_term(tmp_path: Path, drain: Path, handler: str) -> None:
    seen = swapped(node(drain, written(tmp_path, SERVER + handler)), tmp_path)
    assert failures(seen.samples) == []
    assert set(generations(seen.samples)) == {"1", "2"}
    assert seen.codes == [0]


def test_node_as_it_is_loses_requests_with_the_handler_that_everyone_writes(tmp_path: Path, drain: Path) -> None:
    subject = node(drain, APPLICATION, helped=False, FD="{fd}", HANDLER="1")
    seen = swapped(subject, tmp_path, profiles=PROFILES[:2])
    assert len(failures(seen.samples)) > 0


@pytest.mark.parametrize(
    "listen",
    [
        "server.listen(process.env.PORT)",
        "server.listen(Number(process.env.PORT), '127.0.0.1')",
        "server.listen(Number(process.env.PORT), '0.0.0.0', 100, () => console.log('called back'))",
        "server.listen({ port: process.env.PORT, host: '::1', exclusive: true })",
        "server.listen({ port: Number(process.env.PORT), signal: new AbortController().signal }, () => {})",
    ],
)
def test_every_form_of_listen_on_the_port_takes_the_descriptor(
    tmp_path: Path, drain: Path, start: Start, listen: str
) -> None:
    text = PLAIN + f"const server = http.createServer(answer);\n{listen};\n"
    text += "server.on('listening', () => console.log('at', server.address().port));\n"
    running = start(node(drain, written(tmp_path, text)))
    assert f"at {running.swapper.port}" in running.log
    assert ("called back" in running.log) == ("called back" in listen)
    assert running.end() == 0


@pytest.mark.parametrize(
    "env",
    [{"SERVER_STARTER_PORT": ""}, {"LISTEN_FDS": ""}, {"LISTEN_FDS": "", "PORT": ""}],
    ids=["systemd", "server-starter", "server-starter, own port"],
)
def test_each_way_of_handing_over_is_served(tmp_path: Path, drain: Path, start: Start, env: dict[str, str]) -> None:
    text = PLAIN + "http.createServer(answer).listen(process.env.ASKED);\n"
    subject = node(drain, written(tmp_path, text), ASKED="{port}")
    running = start(replace(subject, env={**subject.env, **env}))
    assert running.end() == 0


def test_it_drains_with_tls(tmp_path: Path, drain: Path, start: Start, certificate: tuple[Path, Path]) -> None:
    key, chain = (f"require('node:fs').readFileSync({str(file)!r})" for file in certificate)
    text = PLAIN + f"require('node:https').createServer({{ key: {key}, cert: {chain} }}, answer)"
    running = start(node(drain, written(tmp_path, text + ".listen(process.env.PORT);\n"), seconds=2), waits=False)
    kept, other = running.connect(secure=True), running.connect(secure=True)
    for connection in (kept, other):
        assert answer(connection)[0] == b"1\n"
    running.process.send_signal(signal.SIGTERM)
    until_closing(kept)
    assert answer(other) == (b"1\n", "close")
    assert running.process.wait(20) == 0


def test_modules_are_served_and_other_servers_do_not_hold_the_process(
    tmp_path: Path, drain: Path, start: Start
) -> None:
    text = "import { createServer } from 'node:http';\nconst name = `${process.env.GENERATION}\\n`;\n"
    text += "createServer((request, response) => response.end(name)).listen(process.env.PORT);\n"
    text += "createServer().listen(0, '127.0.0.1');\n"
    running = start(node(drain, written(tmp_path, text, "app.mjs")))
    assert answer(running.connect())[0] == b"1\n"
    running.process.send_signal(signal.SIGTERM)
    assert running.process.wait(20) == 0


def test_other_ports_are_left_alone(tmp_path: Path, drain: Path, start: Start) -> None:
    text = PLAIN + "const other = http.createServer((request, response) => response.end('other\\n'));\n"
    text += "other.listen(0, '127.0.0.1', () => console.log(`other ${other.address().port} here`));\n"
    text += "http.createServer(answer).listen(process.env.PORT);\n"
    running = start(node(drain, written(tmp_path, text), seconds=2))
    other = HTTPConnection("127.0.0.1", int(running.log.partition("other ")[2].split()[0]), timeout=20)
    kept = running.connect()
    assert answer(other)[0] == b"other\n"
    assert answer(kept)[0] == b"1\n"
    running.process.send_signal(signal.SIGTERM)
    until_closing(kept)
    assert running.process.wait(20) == 0
    other.close()


def test_without_a_handed_over_descriptor_nothing_is_changed(tmp_path: Path, drain: Path) -> None:
    text = PLAIN + "const { listen } = require('node:net').Server.prototype;\n"
    text += "console.log(listen.name, process.listenerCount('SIGTERM'), process.emit.name);\n"
    script = written(tmp_path, text)
    runs = [
        subprocess.run(
            ["node", *options, str(script)], capture_output=True, text=True, check=True, timeout=20, env={"PATH": PATH}
        ).stdout
        for options in ([], ["--require", str(drain / "node.js")])
    ]
    assert runs[0] == runs[1]


PATH = "/usr/local/bin:/usr/bin:/bin"


def test_processes_that_the_application_starts_see_no_descriptors(tmp_path: Path, drain: Path, start: Start) -> None:
    text = PLAIN + "http.createServer(answer).listen(process.env.PORT);\n"
    text += "console.log(require('node:child_process').execFileSync('env').toString());\n"
    running = start(node(drain, written(tmp_path, text)))
    assert "GENERATION=1" in running.log
    for name in ("LISTEN_FDS", "LISTEN_PID", "SERVER_STARTER_PORT"):
        assert name not in running.log


@pytest.mark.parametrize(
    "head",
    [
        "response.writeHead(200, { connection: 'keep-alive' });",
        "response.writeHead(200, 'Fine', { Connection: 'keep-alive', 'X-Own': 1 });",
        "response.writeHead(200, ['Connection', 'keep-alive', 'X-Own', '1']);",
        "response.setHeader('Connection', 'keep-alive');",
        "response.setHeader('Connection', 'keep-alive'); response.writeHead(200, { 'X-Own': 1 });",
        "response.flushHeaders();",
    ],
)
def test_while_draining_every_response_ends_its_connection(
    tmp_path: Path, drain: Path, start: Start, head: str
) -> None:
    text = PLAIN + f"http.createServer((request, response) => {{ {head} response.end('1\\n'); }})"
    running = start(node(drain, written(tmp_path, text + ".listen(process.env.PORT);\n"), seconds=2))
    kept, other = running.connect(), running.connect()
    for connection in (kept, other):
        assert answer(connection)[1] != "close"
    running.process.send_signal(signal.SIGTERM)
    until_closing(kept)
    other.request("GET", "/")
    response = other.getresponse()
    assert (response.read(), response.getheader("connection")) == (b"1\n", "close")
    assert response.getheader("x-own") == ("1" if "X-Own" in head else None)
    assert running.process.wait(20) == 0


def test_a_stream_that_outlives_the_while_is_finished_and_its_connection_good_for_another_request(
    drain: Path, start: Start
) -> None:
    running = start(node(drain, APPLICATION, seconds=0.4))
    connection = running.connect()
    connection.request("GET", "/stream/9/100")
    response = connection.getresponse()
    assert response.readline() == b"1\n"
    running.process.send_signal(signal.SIGTERM)
    assert response.read() == b"".join(b"%d\n" % number for number in range(9))
    assert answer(connection) == (b"1\n", "close")
    assert running.process.wait(20) == 0


def test_a_post_whose_body_nobody_reads_is_answered_while_draining(drain: Path, start: Start) -> None:
    running = start(node(drain, APPLICATION, seconds=2))
    connection, probe = running.connect(), running.connect()
    for each in (connection, probe):
        assert answer(each)[0] == b"1\n"
    running.process.send_signal(signal.SIGTERM)
    until_closing(probe)
    connection.putrequest("POST", "/unread")
    connection.putheader("Content-Length", "100000")
    connection.endheaders()
    connection.send(bytes(50_000))
    connection.send(bytes(50_000))
    response = connection.getresponse()
    assert (response.read(), response.getheader("connection")) == (b"1\n", "close")
    connection.close()
    assert running.process.wait(20) == 0


def test_handlers_are_called_once_and_after_the_last_response(tmp_path: Path, drain: Path, start: Start) -> None:
    text = SERVER + "process.on('SIGTERM', (name, number) => { console.log('told', name, number);\n"
    text += "server.close((error) => { console.log('closed', error); process.exit(7); }); });\n"
    running = start(node(drain, written(tmp_path, text), seconds=0.1))
    connection = running.connect()
    connection.request("GET", "/stream/4/100")
    response = connection.getresponse()
    assert response.readline() == b"1\n"
    for _ in range(3):
        running.process.send_signal(signal.SIGTERM)
    assert response.read() == b"0\n1\n2\n3\n"
    assert "told" not in running.log
    assert running.process.wait(20) == 7
    assert running.log.count("told SIGTERM 15") == 1
    assert "closed undefined" in running.log


def test_handlers_that_end_endless_responses_are_called_when_patience_is_over(
    tmp_path: Path, drain: Path, start: Start
) -> None:
    text = PLAIN + "const open = new Set();\nhttp.createServer((request, response) => {\n"
    text += "if (request.url === '/') return response.end('1\\n');\n"
    text += "open.add(response); response.write('begin\\n'); }).listen(process.env.PORT);\n"
    text += "process.on('SIGTERM', () => { for (const each of open) each.end('bye\\n', () => process.exit(0)); });\n"
    subject = node(drain, written(tmp_path, text), seconds=0.1, MIKOSHI_DRAIN_PATIENCE="0.5")
    running = start(subject)
    connection = running.connect()
    connection.request("GET", "/events")
    response = connection.getresponse()
    assert response.readline() == b"begin\n"
    running.process.send_signal(signal.SIGTERM)
    assert response.read() == b"bye\n"
    assert running.process.wait(20) == 0


def test_an_upgraded_connection_does_not_hold_the_process(tmp_path: Path, drain: Path, start: Start) -> None:
    text = SERVER + "server.on('upgrade', (request, socket) => { socket.on('end', () => socket.end());\n"
    text += "socket.write('HTTP/1.1 101 Go\\r\\nConnection: Upgrade\\r\\nUpgrade: own\\r\\n\\r\\n'); });\n"
    running = start(node(drain, written(tmp_path, text), seconds=0.1))
    connection = running.connect()
    connection.putrequest("GET", "/")
    for name, value in (("Connection", "Upgrade"), ("Upgrade", "own")):
        connection.putheader(name, value)
    connection.endheaders()
    assert connection.sock is not None
    assert connection.sock.recv(12) == b"HTTP/1.1 101"
    assert running.end() == 0


def test_with_nobody_connected_it_ends_without_waiting(drain: Path, start: Start) -> None:
    assert start(node(drain, APPLICATION, seconds=600)).end() == 0


def test_http_2_finishes_its_streams(tmp_path: Path, drain: Path) -> None:
    text = "const http2 = require('node:http2');\nconst server = http2.createServer((request, response) => {\n"
    text += "setTimeout(() => response.end('done'), 300); process.kill(process.pid, 'SIGTERM'); });\n"
    text += "server.listen(process.env.PORT, () => { const client = http2.connect(`http://127.0.0.1:${process.env.PORT}`);\n"
    text += "client.request().on('data', (data) => console.log(String(data))); });\n"
    run = run_once(node(drain, written(tmp_path, text)), tmp_path)
    assert (run.returncode, run.stdout) == (0, "done\n")


def run_once(subject: Subject, directory: Path) -> subprocess.CompletedProcess[str]:
    """Run a server that ends by itself; what it printed."""
    with Swapper(subject, directory) as swapper:
        code = swapper.start("1").wait(20)
        return subprocess.CompletedProcess([], code, swapper.log.read_text())


@pytest.mark.parametrize(("name", "text"), [("MIKOSHI_DRAIN_SECONDS", "soon"), ("MIKOSHI_DRAIN_PATIENCE", "-1")])
def test_a_setting_that_is_no_number_of_seconds_is_refused(tmp_path: Path, drain: Path, name: str, text: str) -> None:
    subject = node(drain, APPLICATION)
    run = run_once(replace(subject, env={**subject.env, name: text}), tmp_path)
    assert run.returncode == 2
    assert run.stdout.startswith(f"mikoshi.drain: {name}: expected a number")
