/**
 * A preload for Node 18 and newer: `node --require $MIKOSHI_DRAIN/node.js server.js`.
 *
 * An application that listens on $PORT, or on a port that was handed over, listens on the handed over descriptor instead.
 * From then on SIGTERM drains it: close the listener, answer with `Connection: close` for MIKOSHI_DRAIN_SECONDS, close what
 * is idle, finish what is in flight. Only then the application's own SIGTERM handlers are called, or without any the
 * process exits 0: handlers close servers and databases, or exit, while requests still come.
 *
 * Without a handed over descriptor, and in workers of `cluster` and of `worker_threads`, this does nothing. Must never load
 * anything but Node's own modules, nor change a response beyond its `Connection` header.
 */
'use strict';

const { channel } = require('node:diagnostics_channel');
const http = require('node:http');
const net = require('node:net');
const { isMainThread } = require('node:worker_threads');

const FIRST_FD = 3; // sd_listen_fds(3)
const BACKLOG = 4096; // listen(2) on a shared socket sets the backlog for all who share it; the kernel has its own limit
const INTERVAL = 50; // milliseconds between looks at what is left
const LINGER = 1000; // milliseconds that a client may go on sending a body that nobody wants

/** A number of seconds from the environment, in milliseconds. Ends the process if it is none. */
function milliseconds(name, fallback) {
  const text = (process.env[name] ?? '').trim();
  const seconds = text === '' ? fallback : Number(text);
  if (!(seconds >= 0 && seconds < Infinity)) {
    process.stderr.write(`mikoshi.drain: ${name}: expected a number of seconds like 1.5, got "${text}"\n`);
    process.exit(2);
  }
  return seconds * 1000;
}

/** The handed over descriptors by port. $PORT stands for the first one, whose port systemd's way does not tell. */
function handedOver(env, pid) {
  const ports = new Map();
  const entries = [...(env.SERVER_STARTER_PORT ?? '').matchAll(/(?:^|[:;])(\d+)=(\d+)(?=;|$)/g)];
  for (const [, port, fd] of entries) ports.set(Number(port), Number(fd));
  const systemd = Number(env.LISTEN_FDS) > 0 && env.LISTEN_PID === String(pid);
  const first = systemd ? FIRST_FD : ports.values().next().value;
  const port = Number(env.PORT);
  if (first !== undefined && port > 0 && !ports.has(port)) ports.set(port, first);
  return ports;
}

/** The port that the arguments of `listen` ask for, undefined if they ask for something else. */
function askedPort([first]) {
  const port = first !== null && typeof first === 'object' && !('fd' in first || 'path' in first) ? first.port : first;
  const numeric = typeof port === 'number' || (typeof port === 'string' && port.trim() !== '');
  return numeric && Number.isInteger(Number(port)) ? Number(port) : undefined;
}

/** Arguments of `listen` for a descriptor in place of a port: backlog, signal and callback stay. */
function onDescriptor(fd, args) {
  const options = typeof args[0] === 'object' ? args[0] : {};
  const backlog = options.backlog ?? args.slice(1).find((arg) => typeof arg === 'number') ?? BACKLOG;
  const callback = args.filter((arg) => typeof arg === 'function').slice(-1);
  return [options.signal ? { fd, signal: options.signal } : { fd }, backlog, ...callback];
}

/** Headers as given to `writeHead`, an object or a flat list, saying that the connection ends. */
function closingHeaders(headers) {
  const other = (name) => String(name).toLowerCase() !== 'connection';
  if (!Array.isArray(headers)) {
    return { ...Object.fromEntries(Object.entries(headers).filter(([name]) => other(name))), Connection: 'close' };
  }
  const kept = headers.filter((_, index) => other(headers[index - (index % 2)]));
  return [...kept, 'Connection', 'close'];
}

/** The servers on handed over descriptors, and their way out. */
class Drain {
  /** `quiet`: for how long clients are let go; `patience`: after how long handlers are called all the same. */
  constructor(quiet, patience) {
    this.quiet = quiet;
    this.patience = patience;
    this.draining = false;
    this.over = false;
    this.servers = new Map(); // to whether it has ended
    this.inFlight = new Set(); // responses of HTTP/1
    this.promised = new Set(); // those that let their clients keep the connection
    this.closing = new Set(); // connections that end with their response
    this.sessions = new Set(); // of HTTP/2
    this.holdSignal = () => {};
  }

  /** A server is about to listen on a descriptor of ours. */
  add(server) {
    if (this.servers.size === 0) process.on('SIGTERM', this.holdSignal);
    this.servers.set(server, false);
    server.on('session', (session) => {
      this.sessions.add(session);
      session.once('close', () => this.sessions.delete(session));
    });
    const close = server.close;
    server.close = (callback) => (this.draining ? this.closed(server, callback) : close.call(server, callback));
  }

  /** What an application that closes a server of ours gets, now that we have: no error, and its callback at the end. */
  closed(server, callback) {
    if (typeof callback === 'function') {
      if (this.servers.get(server)) process.nextTick(callback);
      else server.once('close', () => callback());
    }
    return server;
  }

  /** A request of HTTP/1 came, to any server. */
  requested({ response, server }) {
    if (!this.servers.has(server)) return;
    this.inFlight.add(response);
    response.once('close', () => {
      this.inFlight.delete(response);
      if (this.promised.delete(response)) this.keptAt = Date.now();
    });
  }

  /** Whether a response has to say that its connection ends. */
  ends(response, status) {
    return this.draining && status !== 101 && this.inFlight.has(response);
  }

  /** Its head is about to be sent, and says so. */
  ending(response) {
    const { socket, req } = response;
    if (!socket || this.closing.has(socket)) return;
    this.closing.add(socket);
    socket.once('close', () => this.closing.delete(socket));
    // Closed with bytes unread, the connection would be reset, which can take the response away from the client.
    if (!req.complete) {
      socket.destroySoon = () => {
        socket.end();
        const timer = setTimeout(() => socket.destroy(), LINGER);
        socket.once('close', () => clearTimeout(timer));
      };
    }
  }

  /** SIGTERM. */
  begin() {
    if (this.draining) return;
    this.draining = true;
    this.begun = this.keptAt = Date.now();
    this.promised = new Set([...this.inFlight].filter((response) => response.headersSent));
    for (const server of this.servers.keys()) {
      server.once('close', () => this.servers.set(server, true));
      // Not the server's own: since Node 19 that closes idle connections at once, with requests on their way.
      net.Server.prototype.close.call(server);
    }
    for (const session of this.sessions) session.close();
    this.timer = setInterval(() => this.look(), INTERVAL);
  }

  /** See what is left, and do what is next. */
  look() {
    if (this.isDone()) return this.end();
    if (Date.now() - this.begun >= this.patience && process.listenerCount('SIGTERM') > 1) return this.deliver();
    if (!this.idleClosed && this.isQuiet()) {
      this.idleClosed = true;
      // After the poll phase that follows: what has arrived by then is read first, and makes its connection busy.
      setImmediate(() => this.eachHttp1((server) => server.closeIdleConnections()));
    }
  }

  /** Whether no client has been told for a while that its connection stays. */
  isQuiet() {
    return this.promised.size === 0 && Date.now() - this.keptAt >= this.quiet;
  }

  /** Whether every request is answered. Of what is not HTTP/1 only the end of all connections tells. */
  isDone() {
    const left = [...this.servers].filter(([, ended]) => !ended).map(([server]) => server);
    if (left.length === 0) return true;
    const answered = this.idleClosed && this.inFlight.size === 0 && this.closing.size === 0;
    return answered && left.every((server) => typeof server.closeIdleConnections === 'function');
  }

  /** Everything is answered. Connections on which nothing was ever asked would still hold the server. */
  end() {
    this.eachHttp1((server) => server.closeAllConnections());
    this.deliver();
  }

  /** The signal goes where it would have gone. */
  deliver() {
    clearInterval(this.timer);
    this.over = true;
    process.removeListener('SIGTERM', this.holdSignal);
    if (process.listenerCount('SIGTERM') === 0) process.exit(0);
    process.emit('SIGTERM', 'SIGTERM', 15);
  }

  eachHttp1(act) {
    for (const server of this.servers.keys()) if (typeof server.closeIdleConnections === 'function') act(server);
  }
}

/** Put `drain` where applications ask for sockets, answer requests and hear of signals. */
function install(ports, drain) {
  const { listen } = net.Server.prototype;
  net.Server.prototype.listen = function (...args) {
    const port = askedPort(args);
    const fd = ports.get(port);
    if (fd === undefined) return listen.apply(this, args);
    ports.delete(port);
    drain.add(this);
    return listen.apply(this, onDescriptor(fd, args));
  };

  const { writeHead } = http.ServerResponse.prototype;
  http.ServerResponse.prototype.writeHead = function (status, ...rest) {
    if (this.headersSent || !drain.ends(this, status)) return writeHead.call(this, status, ...rest);
    drain.ending(this);
    const [reason, last] = typeof rest[0] === 'string' ? [[rest[0]], rest[1]] : [[], rest[1] ?? rest[0]];
    if (last) return writeHead.call(this, status, ...reason, closingHeaders(last));
    this.setHeader('Connection', 'close');
    return writeHead.call(this, status, ...reason);
  };

  // Node binds `process.emit` when the first handler for a signal is added: this has to be here before.
  const { emit } = process;
  process.emit = function (name, ...rest) {
    if (name !== 'SIGTERM' || drain.over || drain.servers.size === 0) return emit.call(this, name, ...rest);
    drain.begin();
    return true;
  };

  // Referenced, as Node 18 forgets a channel that is not, with its subscribers.
  drain.requests = channel('http.server.request.start');
  drain.requests.subscribe((message) => drain.requested(message));
}

function main() {
  if (!isMainThread || process.env.NODE_UNIQUE_ID !== undefined) return;
  const ports = handedOver(process.env, process.pid);
  if (ports.size === 0) return;
  // Processes that the application starts must not take the descriptors for theirs.
  for (const name of ['LISTEN_FDS', 'LISTEN_PID', 'LISTEN_FDNAMES', 'SERVER_STARTER_PORT']) delete process.env[name];
  install(ports, new Drain(milliseconds('MIKOSHI_DRAIN_SECONDS', 1), milliseconds('MIKOSHI_DRAIN_PATIENCE', 20)));
}

main();
