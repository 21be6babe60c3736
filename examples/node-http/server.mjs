// A small HTTP server: it says what runs, counts visits in the shared directory, and signs with a secret.
import { createHmac } from "node:crypto";
import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";

const VERSION = "1";
const { GREETING, MIKOSHI_SEQ, PORT, SECRET_KEY } = process.env;

const answers = {
  "/": () => `${GREETING} from version ${VERSION}, deployment ${MIKOSHI_SEQ}\n`,
  "/up": () => "up\n",
  "/visits": () => `${countVisit()}\n`,
  "/signed": () => `${createHmac("sha256", SECRET_KEY).update(VERSION).digest("hex")}\n`,
};

// var/ is a link to the shared directory: the count outlives deployments. One process counts, one request at a time.
function countVisit() {
  const visits = lastCount() + 1;
  writeFileSync("var/visits.new", String(visits));
  renameSync("var/visits.new", "var/visits");
  return visits;
}

function lastCount() {
  try {
    return Number(readFileSync("var/visits", "utf8"));
  } catch (error) {
    if (error.code === "ENOENT") return 0;
    throw error;
  }
}

const server = createServer((request, response) => {
  const answer = answers[new URL(request.url, "http://localhost").pathname];
  response.writeHead(answer ? 200 : 404, { "Content-Type": "text/plain; charset=utf-8" });
  response.end(answer ? answer() : "not found\n");
});

server.listen(Number(PORT));
