// CPU of the API server per operation: `scripts/node bench/api.ts [--store embedded|memory] [--main FILE] [--only create,get,...]`.
// The server is a process of its own (the bundle when it is there, else the sources), driven over TLS and HTTP/2 as the
// administrator; its CPU is what the kernel counted for it. The floor, in the same run and by the same client: a node:http2
// server that answers a constant body. Upstream's figures are kube-apiserver 1.36.2's with etcd, on two cores.
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import http2 from 'node:http2';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { encodeObject } from '../api/protobuf.ts';
import {
  Client,
  connect,
  inFlight,
  IN_FLIGHT,
  json,
  measure,
  type Row,
  type Server,
  sleep,
  startServer,
} from './processes.ts';

const LISTED = 5_000;
const NAMESPACE = 'bench';
const PODS = `/api/v1/namespaces/${NAMESPACE}/pods`;

const { values: flags } = parseArgs({
  options: {
    store: { type: 'string', default: 'embedded' },
    main: { type: 'string' },
    only: { type: 'string' },
    /** Passed to the server's Node, such as `--cpu-prof`. */
    node: { type: 'string' },
    floor: { type: 'string' },
    /** Multiplies how often each operation is done. */
    times: { type: 'string', default: '1' },
  },
});

async function main(): Promise<void> {
  const root = new URL('..', import.meta.url).pathname;
  const bundle = join(root, 'build/sampan/main.mjs');
  const program = flags.main ?? (existsSync(bundle) ? bundle : join(root, 'cli/main.ts'));
  const directory = mkdtempSync(join(tmpdir(), 'sampan-bench-'));
  const wanted = flags.only?.split(',');
  const wants = (name: string) => !wanted || wanted.some((each) => name.startsWith(each));
  const rows: Row[] = [];
  const lines: string[] = [];
  let server: Server | undefined;
  let floor: Server | undefined;
  try {
    const start = () =>
      startServer([
        ...['--disable-warning=ExperimentalWarning', ...(flags.node?.split(' ') ?? [])],
        ...[program, 'apiserver', '--data-dir', directory, '--address', '127.0.0.1', '--port', '0'],
        ...['--store', flags.store, '--log-level', 'warn'],
      ]);
    for (const which of ['first', 'second']) {
      await server?.stop();
      server = await start();
      lines.push(`start, ${which}: ready in ${server.readyMillis.toFixed(0)} ms, ${server.cpuMillis()} ms CPU`);
    }
    const ours = server as Server;
    await sleep(1000);
    lines.push(`memory at rest: ${ours.memory()}`);
    floor = await startServer(['--disable-warning=ExperimentalWarning', import.meta.filename, '--floor', directory]);
    const client = new Client(ours.url, directory);
    const bare = new Client(floor.url, directory);
    await client.must('POST', '/api/v1/namespaces', json({ metadata: { name: NAMESPACE } }));
    await client.must(
      'POST',
      `/api/v1/namespaces/${NAMESPACE}/serviceaccounts`,
      json({ metadata: { name: 'default' } }),
    );

    const floorOf: Record<string, number> = {};
    for (const [name, body] of [
      ['read', undefined],
      ['write', json(podOf('floor'))],
    ] as const) {
      const one = () => bare.must(body ? 'POST' : 'GET', '/x', body);
      await inFlight(1000, one);
      const row = await measure(floor, `floor: ${name}`, 6000, one);
      floorOf[name] = row.cpuMillis / row.count;
      rows.push(row);
    }
    const operate = async (
      name: string,
      count: number,
      upstream: number | undefined,
      floorName: 'read' | 'write',
      one: (n: number) => Promise<unknown>,
    ) => {
      if (!wants(name)) return;
      rows.push({
        ...(await measure(ours, name, count * Number(flags.times), one)),
        upstream,
        floorMillis: floorOf[floorName],
      });
    };

    const patchType = (type: string) => ({ 'content-type': `application/${type}-patch+json` });
    const protobuf = { 'content-type': 'application/vnd.kubernetes.protobuf' };
    const kept = 200;
    await inFlight(kept, (n) => client.must('POST', PODS, json(podOf(`kept-${n}`))));
    // Both ends warm: what is compared is a server that has been running.
    await inFlight(600, (n) => client.must('POST', PODS, json(podOf(`warm-${n}`))));
    await inFlight(600, (n) => client.must('GET', `${PODS}/warm-${n}`));
    await inFlight(600, (n) => client.must('DELETE', `${PODS}/warm-${n}`, json({ gracePeriodSeconds: 0 })));

    await operate('create, JSON', 2000, 5.2, 'write', (n) => client.must('POST', PODS, json(podOf(`json-${n}`))));
    await operate('create, protobuf', 2000, 5.2, 'write', (n) =>
      client.must('POST', PODS, encodeObject('core.v1.Pod', podOf(`proto-${n}`) as never), protobuf),
    );
    await operate('get', 5000, 2.1, 'read', (n) => client.must('GET', `${PODS}/kept-${n % kept}`));
    await operate('patch, merge', 2000, 5.2, 'write', (n) =>
      client.must(
        'PATCH',
        `${PODS}/kept-${n % kept}`,
        json({ metadata: { labels: { n: String(n) } } }),
        patchType('merge'),
      ),
    );
    await operate('patch, strategic (status)', 2000, 5.2, 'write', (n) =>
      client.must('PATCH', `${PODS}/kept-${n % kept}/status`, json(statusOf(n)), patchType('strategic-merge')),
    );
    await operate('apply, server-side', 2000, 5.2, 'write', (n) =>
      client.must(
        'PATCH',
        `${PODS}/kept-${n % kept}?fieldManager=bench&force=true`,
        json({
          apiVersion: 'v1',
          kind: 'Pod',
          metadata: { name: `kept-${n % kept}`, labels: { applied: String(n) }, annotations: { by: 'bench' } },
        }),
        { 'content-type': 'application/apply-patch+yaml' },
      ),
    );
    const objects = await Promise.all(
      Array.from({ length: kept }, async (_, n) => JSON.parse((await client.must('GET', `${PODS}/kept-${n}`)).text)),
    );
    await operate('update', 2000, 5.2, 'write', async (n) => {
      const object = objects[n % kept];
      object.metadata.labels.n = `u${n}`;
      delete object.metadata.resourceVersion;
      await client.must('PUT', `${PODS}/kept-${n % kept}`, json(object));
    });
    if (wants('create, JSON'))
      await operate('delete', 2000, 5.2, 'write', (n) =>
        client.must('DELETE', `${PODS}/json-${n}`, json({ gracePeriodSeconds: 0 })),
      );

    for (const watchers of [100, 1000]) {
      const name = `watch, ${watchers} watchers`;
      if (wants(name)) rows.push({ ...(await fanOut(ours, name, directory, watchers, kept)), upstream: 0.082 });
    }

    if (wants('list') || wants('memory')) {
      const before = ours.residentBytes();
      const present = JSON.parse((await client.must('GET', PODS)).text).items.length as number;
      const missing = Math.max(0, LISTED - present);
      await inFlight(missing, (n) => client.must('POST', PODS, json(podOf(`list-${n}`))));
      const grown = ours.residentBytes() - before;
      lines.push(`memory per 10,000 pods: ${(((grown / missing) * 10_000) / 2 ** 20).toFixed(0)} MB more resident`);
      const table = { accept: 'application/json;as=Table;g=meta.k8s.io;v=v1' };
      const listed = async (query: string, want: number, headers = {}, field: 'items' | 'rows' = 'items') => {
        const { text } = await client.must('GET', `${PODS}${query}`, undefined, headers);
        const found = field === 'items' ? text.split('"apiVersion":"v1","metadata":{"resourceVersion"').length : want;
        if (field === 'items' && found < want) throw new Error(`${found} of ${want} listed`);
        return text;
      };
      const total = Math.max(LISTED, present);
      await listed('', total);
      const list = (what: string, count: number, upstream: number | undefined, one: () => Promise<unknown>) =>
        operateAt(1, what, count, upstream, one);
      const operateAt = async (
        width: number,
        what: string,
        count: number,
        upstream: number | undefined,
        one: () => Promise<unknown>,
      ) => {
        if (wants(what)) rows.push({ ...(await measure(ours, what, count, one, width)), upstream });
      };
      await list('list of 5,000', 10, 491, () => listed('', total));
      await list('list of 5,000 by label (1 in 10)', 20, undefined, () => listed('?labelSelector=tenth%3D3', 0));
      await list('list of 5,000 as Table', 6, undefined, () => listed('', total, table, 'rows'));
      await list('list of 5,000, metadata only', 6, undefined, () =>
        listed('', 0, { accept: 'application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1' }),
      );
      await list('list of 5,000 in chunks of 500', 10, undefined, async () => {
        let next = '';
        do {
          const text = await listed(`?limit=500${next && `&continue=${next}`}`, 0);
          next = /"continue":"([^"]+)"/.exec(text.slice(0, 500))?.[1] ?? '';
        } while (next !== '');
      });
    }
    lines.push(`memory at the end: ${ours.memory()}`);
    lines.push(`CPU by thread (user+system ms): ${ours.threads()}`);
    await client.close();
    await bare.close();
  } finally {
    await server?.stop();
    await floor?.stop();
    rmSync(directory, { recursive: true, force: true });
  }
  console.log(
    `${program}, store ${flags.store}, ${IN_FLIGHT} in flight; load average ${loadavg()
      .map((each) => each.toFixed(1))
      .join(' ')}`,
  );
  console.log(
    `${'operation'.padEnd(34)}${'count'.padStart(8)}${'/s'.padStart(9)}${'ms CPU each'.padStart(14)}${'x floor'.padStart(9)}${'upstream'.padStart(10)}${'of it'.padStart(9)}`,
  );
  for (const row of rows) console.log(format(row));
  for (const line of lines) console.log(line);
}

function format({ name, count, cpuMillis, wallMillis, upstream, floorMillis }: Row): string {
  const each = cpuMillis / count;
  return [
    name.padEnd(34),
    String(count).padStart(8),
    ((count / wallMillis) * 1000).toFixed(0).padStart(9),
    each.toFixed(each < 0.05 ? 4 : 3).padStart(14),
    (floorMillis ? (each / floorMillis).toFixed(1) : '').padStart(9),
    (upstream ? String(upstream) : '').padStart(10),
    (upstream ? `1/${(upstream / each).toFixed(1)}` : '').padStart(9),
  ].join('');
}

// ── The processes ──────────────────────────────────────────────────────

function serveFloor(directory: string): void {
  const pki = join(directory, 'pki');
  const answer = Buffer.from(JSON.stringify(podOf('constant')).padEnd(1800));
  const server = http2.createSecureServer({
    key: readFileSync(join(pki, 'apiserver.key')),
    cert: readFileSync(join(pki, 'apiserver.crt')),
    ca: readFileSync(join(pki, 'ca.crt')),
    requestCert: true,
  });
  server.on('stream', (stream) => {
    stream.on('error', () => {});
    stream.on('data', () => {});
    stream.on('end', () => {
      stream.respond({ ':status': 200, 'content-type': 'application/json', 'content-length': answer.length });
      stream.end(answer);
    });
  });
  server.listen(0, '127.0.0.1', () => {
    process.stderr.write(`floor ready at https://127.0.0.1:${(server.address() as { port: number }).port}\n`);
  });
  process.on('SIGTERM', () => process.exit(0));
}

/** Changes of pods that every watcher gets; the CPU is that of the writes and of all deliveries together. */
async function fanOut(server: Server, name: string, directory: string, watchers: number, kept: number): Promise<Row> {
  const events = watchers > 500 ? 300 : 1000;
  const sessions = Array.from({ length: 10 }, () => connect(server.url, directory));
  let delivered = 0;
  const done = Promise.withResolvers<void>();
  const writer = new Client(server.url, directory);
  const list = JSON.parse((await writer.must('GET', `${PODS}?limit=1`)).text);
  const from = list.metadata.resourceVersion as string;
  await Promise.all(
    Array.from({ length: watchers }, (_, n) => {
      const session = sessions[n % sessions.length] as http2.ClientHttp2Session;
      const stream = session.request({ ':path': `${PODS}?watch=1&resourceVersion=${from}` });
      stream.on('error', () => {});
      stream.on('data', (chunk: Buffer) => {
        for (let at = chunk.indexOf(10); at >= 0; at = chunk.indexOf(10, at + 1)) delivered++;
        if (delivered >= events * watchers) done.resolve();
      });
      return new Promise((resolve) => stream.once('response', resolve));
    }),
  );
  const cpu = server.cpuMillis();
  const startMs = performance.now();
  const headers = { 'content-type': 'application/merge-patch+json' };
  await inFlight(events, (n) =>
    writer.must(
      'PATCH',
      `${PODS}/kept-${n % kept}`,
      json({ metadata: { labels: { w: `${watchers}-${n}` } } }),
      headers,
    ),
  );
  await done.promise;
  const row = { name, count: delivered, cpuMillis: server.cpuMillis() - cpu, wallMillis: performance.now() - startMs };
  if (delivered !== events * watchers) throw new Error(`${delivered} of ${events * watchers} events delivered`);
  for (const session of sessions) session.destroy();
  await writer.close();
  return row;
}

// ── The objects ────────────────────────────────────────────────────────

function podOf(name: string) {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name,
      labels: { app: 'bench', tenth: String(name.length > 0 ? name.charCodeAt(name.length - 1) % 10 : 0) },
    },
    spec: {
      containers: [
        {
          name: 'main',
          image: 'registry.example/web:1',
          command: ['/web', '--port=8080'],
          env: [{ name: 'POD', valueFrom: { fieldRef: { fieldPath: 'metadata.name' } } }],
          ports: [{ containerPort: 8080 }],
          resources: { requests: { cpu: '10m', memory: '16Mi' }, limits: { memory: '64Mi' } },
          readinessProbe: { httpGet: { path: '/ready', port: 8080 } },
        },
      ],
    },
  };
}

function statusOf(n: number) {
  const now = '2026-01-01T00:00:00Z';
  return {
    status: {
      phase: 'Running',
      podIP: `10.244.0.${n % 250}`,
      conditions: [{ type: 'Ready', status: n % 2 === 0 ? 'True' : 'False', lastTransitionTime: now }],
    },
  };
}

if (flags.floor) serveFloor(flags.floor);
else await main();
