// Lambda's blueprint for CloudWatch Logs in Firehose, as written for Node: gunzip, parse, a line an event, gzip.
//
// blueprint.mjs EVENT ROUNDS: prints the least CPU time of a round in ms; leaves its lines in EVENT.lines.

import { readFileSync, writeFileSync } from "node:fs";
import { gunzipSync, gzipSync } from "node:zlib";

const HOURS_9 = 9 * 3_600_000;

function field(text) {
  text = text.replace(/[\r\n]+$/, "").replace(/\r\n|\n|\r/g, "\\n");
  return /[",]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

function line(envelope, event) {
  if (envelope.logGroup === "/var/log/messages") {
    return `HOGE,HOGE,1,HOGEHOGE,${field(event.message)}`;
  }
  const when = new Date(event.timestamp + HOURS_9).toISOString().slice(0, 19).replace("T", " ");
  return `HOGE,FUGA,2,HOGEFUGA,${when},${field(envelope.logStream)},${field(event.message)}`;
}

function transform(request) {
  const records = JSON.parse(request).records.map((record) => {
    const envelope = JSON.parse(gunzipSync(Buffer.from(record.data, "base64")));
    if (envelope.messageType !== "DATA_MESSAGE") {
      return { recordId: record.recordId, result: "Dropped" };
    }
    const lines = envelope.logEvents.map((event) => line(envelope, event) + "\n").join("");
    return { recordId: record.recordId, result: "Ok", data: gzipSync(lines, { level: 1 }).toString("base64") };
  });
  return JSON.stringify({ records });
}

const [path, rounds] = process.argv.slice(2);
const request = readFileSync(path, "utf8");
let least = Infinity;
let answer;
for (let round = 0; round < Number(rounds); round++) {
  const start = process.cpuUsage();
  answer = transform(request);
  const { user, system } = process.cpuUsage(start);
  least = Math.min(least, (user + system) / 1000);
}
const lines = JSON.parse(answer).records.map((record) => gunzipSync(Buffer.from(record.data, "base64")));
writeFileSync(`${path}.lines`, Buffer.concat(lines));
console.log(least);
