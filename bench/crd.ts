// Custom resources: `scripts/node bench/crd.ts [--store embedded|memory] [--main FILE]`. How long a definition takes until its
// resource is served, alone and a hundred at once; what a write costs the server, without rules and with ten. The server is a
// process of its own, driven over TLS and HTTP/2; its CPU is what the kernel counted for it.
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { Client, json, measure, type Row, type Server, sleep, startServer } from './processes.ts';

const DEFINITIONS = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions';
const GROUP = 'bench.example.com';
const AT_ONCE = 100;
const ALONE = 20;
const CREATES = 3_000;

const { values: flags } = parseArgs({
  options: { store: { type: 'string', default: 'embedded' }, main: { type: 'string' } },
});

async function main(): Promise<void> {
  const root = new URL('..', import.meta.url).pathname;
  const bundle = join(root, 'build/sampan/main.mjs');
  const program = flags.main ?? (existsSync(bundle) ? bundle : join(root, 'cli/main.ts'));
  const directory = mkdtempSync(join(tmpdir(), 'sampan-bench-'));
  let server: Server | undefined;
  let client: Client | undefined;
  try {
    server = await startServer([
      ...['--disable-warning=ExperimentalWarning', program, 'apiserver', '--data-dir', directory],
      ...['--address', '127.0.0.1', '--port', '0', '--store', flags.store, '--log-level', 'warn'],
    ]);
    client = new Client(server.url, directory);
    await sleep(1000);
    const lines = [await alone(client), await together(server, client), await documents(server, client)];
    const rows: Row[] = [];
    for (const rules of [0, 10]) rows.push(await creates(server, client, rules));
    console.log(lines.join('\n'));
    for (const { name, count, cpuMillis, wallMillis } of rows) {
      const each = (cpuMillis / count).toFixed(3);
      console.log(`${name}: ${((count / wallMillis) * 1000).toFixed(0)}/s, ${each} ms CPU each`);
    }
  } finally {
    await client?.close();
    await server?.stop();
    rmSync(directory, { recursive: true, force: true });
  }
}

const schemaOf = (rules: number) => ({
  type: 'object',
  properties: {
    spec: {
      type: 'object',
      properties: {
        replicas: { type: 'integer', minimum: 0, default: 1 },
        image: { type: 'string', maxLength: 200 },
        ports: {
          type: 'array',
          maxItems: 10,
          items: { type: 'object', properties: { name: { type: 'string', maxLength: 20 }, port: { type: 'integer' } } },
        },
      },
      ...(rules > 0 && {
        'x-kubernetes-validations': Array.from({ length: rules }, (_, i) => ({
          rule: `self.replicas >= ${-i} && self.image.startsWith('registry') && self.ports.all(p, p.port > ${i})`,
          message: `rule ${i}`,
        })),
      }),
    },
  },
});

function definition(plural: string, rules = 0) {
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: `${plural}.${GROUP}` },
    spec: {
      group: GROUP,
      scope: 'Namespaced',
      names: { plural, kind: `Kind${plural}` },
      versions: [{ name: 'v1', served: true, storage: true, schema: { openAPIV3Schema: schemaOf(rules) } }],
    },
  };
}

const pathOf = (plural: string) => `/apis/${GROUP}/v1/namespaces/default/${plural}`;

/** From sending the definition until its resource answers. */
async function served(client: Client, plural: string, rules = 0): Promise<number> {
  const startMs = performance.now();
  await client.must('POST', DEFINITIONS, json(definition(plural, rules)));
  while (!(await client.must('GET', pathOf(plural)).catch(() => undefined))) await sleep(2);
  return performance.now() - startMs;
}

async function alone(client: Client): Promise<string> {
  const times: number[] = [];
  for (let i = 0; i < ALONE; i++) times.push(await served(client, `alone${i}`));
  times.sort((a, b) => a - b);
  const [first, last] = [times[ALONE >> 1] as number, times.at(-1) as number];
  return `definition created to served: median ${first.toFixed(1)} ms, worst ${last.toFixed(1)} ms`;
}

async function together(server: Server, client: Client): Promise<string> {
  const cpu = server.cpuMillis();
  const startMs = performance.now();
  await Promise.all(Array.from({ length: AT_ONCE }, (_, i) => served(client, `many${i}`)));
  const took = performance.now() - startMs;
  return `${AT_ONCE} at once: all served in ${took.toFixed(0)} ms, ${server.cpuMillis() - cpu} ms CPU`;
}

/** What the first client after a change waits for. */
async function documents(server: Server, client: Client): Promise<string> {
  await served(client, 'late');
  const parts: string[] = [];
  const headers = { accept: 'application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList' };
  for (const [name, path, accept] of [
    ['discovery', '/apis', headers],
    ['openapi v3 index', '/openapi/v3', {}],
    ['openapi v3 of the group', `/openapi/v3/apis/${GROUP}/v1`, {}],
    ['openapi v2', '/openapi/v2', {}],
  ] as const) {
    const cpu = server.cpuMillis();
    const startMs = performance.now();
    const { text } = await client.must('GET', path, undefined, accept);
    if (!text.includes(GROUP) && !text.includes('late')) throw new Error(`${path} does not know the new resource`);
    parts.push(`${name} ${(performance.now() - startMs).toFixed(0)} ms (${server.cpuMillis() - cpu} CPU)`);
  }
  return `with ${ALONE + AT_ONCE + 1} definitions, first after a change: ${parts.join(', ')}`;
}

async function creates(server: Server, client: Client, rules: number): Promise<Row> {
  const plural = `rules${rules}`;
  await served(client, plural, rules);
  const body = (name: string) =>
    json({
      apiVersion: `${GROUP}/v1`,
      kind: `Kind${plural}`,
      metadata: { name },
      spec: {
        replicas: 3,
        image: 'registry.example/web:1',
        ports: [
          { name: 'http', port: 80 },
          { name: 'metrics', port: 9090 },
        ],
      },
    });
  await measure(server, '', 300, (n) => client.must('POST', pathOf(plural), body(`warm-${n}`)));
  const name = `create, ${rules} rules`;
  return measure(server, name, CREATES, (n) => client.must('POST', pathOf(plural), body(`one-${n}`)));
}

await main();
