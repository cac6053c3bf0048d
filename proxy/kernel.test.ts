// The rendered rules in a real kernel: a network namespace as the host, two more as pods, busybox as server.
import { execFile, execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { renderRemoval, renderTable, renderUpdate } from './nft.ts';
import type { PortRule } from './rules.ts';

const busybox = process.env['SAMPAN_BUSYBOX'] ?? resolve(import.meta.dirname, '../.cache/tools/bin/busybox');
const id = `sp${process.pid % 100_000}`;
const host = `${id}h`;
const pods = [`${id}a`, `${id}b`] as const;
const webRoot = mkdtempSync(join(tmpdir(), 'sampan-proxy-'));
const servers: ChildProcess[] = [];

const ip = (...args: string[]) => execFileSync('ip', args);
const inside = (netns: string, ...command: string[]) => ['nsenter', `--net=/run/netns/${netns}`, ...command] as const;
const nft = (transaction: string) => {
  const [command, ...args] = inside(host, 'nft', '-f', '-');
  execFileSync(command as string, args, { input: transaction });
};

/** The body of one HTTP answer, or `refused`, or `failed: ...`. bash is the client, without its start-up file: busybox wget loads name services and crashes. */
function fetchFrom(netns: string, url: string): Promise<string> {
  const { hostname, port } = new URL(url);
  const script = `exec 3<>/dev/tcp/${hostname}/${port || 80} && printf 'GET / HTTP/1.0\\r\\n\\r\\n' >&3 && cat <&3`;
  const [command, ...args] = inside(netns, 'timeout', '3', 'bash', '--norc', '-c', script);
  return new Promise((done) => {
    execFile(command as string, args, { encoding: 'utf8' }, (error, stdout, stderr) => {
      if (!error) done(stdout.split('\r\n\r\n')[1]?.trim() ?? '');
      else done(/refused/i.test(stderr) ? 'refused' : `failed: ${stderr.trim()}`);
    });
  });
}

const rule = (change: Partial<PortRule>): PortRule => ({
  id: 'default/web:http',
  protocol: 'tcp',
  port: 80,
  addresses: ['10.96.0.5'],
  nodePort: 30_080,
  endpoints: [
    { ip: '10.244.0.2', port: 8080 },
    { ip: '10.244.0.3', port: 8080 },
  ],
  externalEndpoints: [{ ip: '10.244.0.2', port: 8080 }],
  affinitySeconds: 0,
  keepsClientAddress: false,
  ...change,
});
const setOf = (...rules: PortRule[]) => new Map(rules.map((each) => [each.id, each]));

beforeAll(async () => {
  ip('netns', 'add', host);
  ip('-n', host, 'link', 'set', 'lo', 'up');
  ip('-n', host, 'link', 'add', 'br0', 'type', 'bridge');
  ip('-n', host, 'addr', 'add', '10.244.0.1/24', 'dev', 'br0');
  ip('-n', host, 'link', 'set', 'br0', 'up');
  // The output hook rewrites a packet only after a route for its first destination was found.
  ip('-n', host, 'route', 'add', '10.96.0.0/12', 'dev', 'br0');
  const [command, ...args] = inside(
    host,
    'sh',
    '-c',
    'echo 1 > /proc/sys/net/ipv4/ip_forward; echo 1 > /proc/sys/net/bridge/bridge-nf-call-iptables',
  );
  execFileSync(command as string, args);
  for (const [index, pod] of pods.entries()) {
    ip('netns', 'add', pod);
    ip('-n', host, 'link', 'add', `v${index}`, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', pod);
    ip('-n', host, 'link', 'set', `v${index}`, 'master', 'br0', 'up');
    execFileSync('bridge', ['-n', host, 'link', 'set', 'dev', `v${index}`, 'hairpin', 'on']);
    ip('-n', pod, 'addr', 'add', `10.244.0.${index + 2}/24`, 'dev', 'eth0');
    ip('-n', pod, 'link', 'set', 'eth0', 'up');
    ip('-n', pod, 'link', 'set', 'lo', 'up');
    ip('-n', pod, 'route', 'add', 'default', 'via', '10.244.0.1');
    const directory = mkdtempSync(join(webRoot, 'pod-'));
    writeFileSync(join(directory, 'index.html'), pod);
    const [first, ...rest] = inside(pod, busybox, 'httpd', '-f', '-p', '8080', '-h', directory);
    servers.push(spawn(first as string, rest, { stdio: 'ignore' }));
  }
  for (const [index] of pods.entries()) {
    const url = `http://10.244.0.${index + 2}:8080/`;
    while ((await fetchFrom(host, url)) !== pods[index]);
  }
});

afterAll(() => {
  for (const server of servers) server.kill('SIGKILL');
  for (const netns of [host, ...pods]) ip('netns', 'del', netns);
  rmSync(webRoot, { recursive: true, force: true });
});

describe('with two endpoints', () => {
  beforeAll(() => nft(renderTable(setOf(rule({})))));

  test('the cluster IP answers from the host and reaches both', async () => {
    const answers = await Promise.all(Array.from({ length: 16 }, () => fetchFrom(host, 'http://10.96.0.5/')));
    expect(new Set(answers)).toEqual(new Set(pods));
  });

  test('a pod reaches its Service even when it is picked itself', async () => {
    const answers = await Promise.all(Array.from({ length: 16 }, () => fetchFrom(pods[0], 'http://10.96.0.5/')));
    expect(new Set(answers)).toEqual(new Set(pods));
  });

  test('the node port answers on the node address, only from its own endpoints', async () => {
    const answers = await Promise.all(Array.from({ length: 8 }, () => fetchFrom(pods[1], 'http://10.244.0.1:30080/')));
    expect(new Set(answers)).toEqual(new Set([pods[0]]));
  });
});

test('a change is one transaction: an endpoint that went away is not picked any more', async () => {
  const before = setOf(rule({}));
  const after = setOf(rule({ endpoints: [{ ip: '10.244.0.3', port: 8080 }] }));
  nft(renderTable(before));
  nft(renderUpdate(before, after));
  const answers = await Promise.all(Array.from({ length: 8 }, () => fetchFrom(host, 'http://10.96.0.5/')));
  expect(new Set(answers)).toEqual(new Set([pods[1]]));
  expect(renderUpdate(after, after)).toBe('');
});

test('without endpoints a connection is refused at once, and works again when one comes', async () => {
  const none = setOf(rule({ endpoints: [], externalEndpoints: [] }));
  const some = setOf(rule({}));
  nft(renderTable(none));
  expect(await fetchFrom(pods[0], 'http://10.96.0.5/')).toBe('refused');
  expect(await fetchFrom(host, 'http://10.96.0.5/')).toBe('refused');
  expect(await fetchFrom(pods[0], 'http://10.244.0.1:30080/')).toBe('refused');
  nft(renderUpdate(none, some));
  expect(pods).toContain(await fetchFrom(pods[0], 'http://10.96.0.5/'));
});

test('client affinity sticks to one endpoint', async () => {
  nft(renderTable(setOf(rule({ affinitySeconds: 60 }))));
  const first = await fetchFrom(pods[0], 'http://10.96.0.5/');
  const answers = await Promise.all(Array.from({ length: 12 }, () => fetchFrom(pods[0], 'http://10.96.0.5/')));
  expect(new Set(answers)).toEqual(new Set([first]));
});

test('any sequence of changes ends as the whole table written at once would', () => {
  const variants = [
    rule({}),
    rule({ endpoints: [] }),
    rule({ affinitySeconds: 30 }),
    rule({ affinitySeconds: 30, endpoints: [{ ip: '10.244.0.3', port: 8080 }] }),
    rule({ nodePort: 0, addresses: ['10.96.0.5', '192.0.2.7'] }),
    rule({ id: 'default/other:', port: 81, nodePort: 30_081 }),
  ];
  const list = () => {
    const [command, ...args] = inside(host, 'nft', 'list', 'table', 'ip', 'sampan_proxy');
    return execFileSync(command as string, args, { encoding: 'utf8' });
  };
  const normalized = (text: string) => {
    // Order of chains, sets and map elements is that of creation.
    const blocks = text.split('\n\t}\n').map((block) => block.replaceAll(/\s+/g, ' '));
    return blocks.map((block) => (block.includes('elements = {') ? [...block].toSorted().join('') : block)).toSorted();
  };
  let current: ReadonlyMap<string, PortRule> = new Map();
  nft(renderTable(current));
  let seed = 7;
  const random = (below: number) => {
    seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648;
    return seed % below;
  };
  for (let step = 0; step < 25; step++) {
    const next = setOf(...variants.filter(() => random(3) === 0));
    const transaction = renderUpdate(current, next);
    if (transaction) nft(transaction);
    current = next;
  }
  const reached = normalized(list());
  nft(renderTable(current));
  expect(reached).toEqual(normalized(list()));
});

test('removal leaves no table, and removing nothing is no error', () => {
  nft(renderTable(setOf(rule({}))));
  nft(renderRemoval());
  nft(renderRemoval());
  const [command, ...args] = inside(host, 'nft', 'list', 'tables');
  expect(execFileSync(command as string, args, { encoding: 'utf8' })).toBe('');
});
