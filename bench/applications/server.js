// The application for Node, as people write it. With $FD it listens on a descriptor, with $HANDLER it closes on SIGTERM:
// what an application does that has no helper.
'use strict';

const http = require('node:http');

const NAME = `${process.env.GENERATION ?? '0'}\n`;

async function stream(response, parts, pause) {
  response.write(NAME);
  for (let number = 0; number < parts; number += 1) {
    await new Promise((resolve) => setTimeout(resolve, pause));
    response.write(`${number}\n`);
  }
  response.end();
}

async function answer(request, response) {
  const [, kind, parts, pause] = request.url.split('/');
  if (kind === 'stream') return stream(response, Number(parts), Number(pause));
  if (kind === 'unread') return response.end(NAME);
  const body = [Buffer.from(NAME)];
  for await (const block of request) body.push(block);
  return response.end(Buffer.concat(body));
}

const server = http.createServer((request, response) => answer(request, response).catch(() => response.destroy()));
server.listen(process.env.FD ? { fd: Number(process.env.FD) } : process.env.PORT);
if (process.env.HANDLER) process.on('SIGTERM', () => server.close(() => process.exit(0)));

module.exports = { server };
