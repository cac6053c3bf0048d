// A session of the JavaScript client library with a pod that runs: exec, a copy there and back, a followed log and a
// forwarded port. Prints one JSON object. Usage: client-node-session.ts KUBECONFIG NAMESPACE POD DIRECTORY
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { PassThrough, Readable, Writable } from 'node:stream';
import { setTimeout } from 'node:timers/promises';
import { CoreV1Api, Cp, Exec, KubeConfig, Log, PortForward, type V1Status } from '@kubernetes/client-node';

const [kubeconfig = '', namespace = '', pod = '', directory = ''] = process.argv.slice(2);
const config = new KubeConfig();
config.loadFromFile(kubeconfig);

/** Collects what is written; `until` resolves once it contains `text`. */
function collector() {
  let all = '';
  let look = () => {};
  const stream = new Writable({
    write(chunk: Buffer, _encoding, done) {
      all += chunk.toString();
      look();
      done();
    },
  });
  return {
    stream,
    text: () => all,
    until: (text: string) =>
      new Promise<void>((resolve) => {
        look = () => all.includes(text) && resolve();
        look();
      }),
  };
}

async function exec(command: string[], stdin: Readable | null = null) {
  const out = collector();
  const status = await new Promise<V1Status>((resolve, reject) => {
    new Exec(config).exec(namespace, pod, 'c', command, out.stream, null, stdin, false, resolve).catch(reject);
  });
  return { out: out.text(), status: status.status, code: status.details?.causes?.[0]?.message };
}

const echoed = await exec(['head', '-n', '1'], Readable.from([Buffer.from('over there\n')]));
const failed = await exec(['sh', '-c', 'exit 7']);

// The library's copies go on after they have been started: what they bring is waited for.
mkdirSync(join(directory, 'letters'));
writeFileSync(join(directory, 'letters/letter.txt'), 'dear pod');
const cp = new Cp(config);
await cp.cpToPod(namespace, pod, 'c', 'letters', '/www');
const arrived = await exec(['sh', '-c', 'until [ -s /www/letter.txt ]; do sleep 0.05; done; cat /www/letter.txt']);
await exec(['sh', '-c', 'echo dear client > /www/reply.txt']);
await cp.cpFromPod(namespace, pod, 'c', 'reply.txt', directory, '/www');
const reply = join(directory, 'reply.txt');
while (!existsSync(reply) || readFileSync(reply, 'utf8') === '') await setTimeout(20);

const log = collector();
await new Log(config).log(namespace, pod, 'c', log.stream, { follow: true });
await log.until('started\n');

const page = collector();
const asked = new PassThrough();
const socket = await new PortForward(config).portForward(namespace, pod, [8080], page.stream, null, asked);
asked.write('GET /index.html HTTP/1.0\r\n\r\n');
await page.until(pod);
(socket as { close(): void }).close();

const read = await config.makeApiClient(CoreV1Api).readNamespacedPod({ namespace, name: pod });
console.log(
  JSON.stringify({
    echoed,
    failed,
    arrived: arrived.out,
    reply: readFileSync(reply, 'utf8'),
    log: log.text(),
    page: page.text().split('\r\n')[0],
    phase: read.status?.phase,
  }),
);
process.exit(0);
