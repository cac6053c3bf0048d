// Recovery as a plan, and the checkpoint files it starts from.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { ContainerFacts, SandboxHandle } from '../launch/port.ts';
import { EventHub, eventLimit } from './events.ts';
import { type ContainerRecord, containerState, exitReason, type SandboxRecord } from './records.ts';
import { planRecovery } from './recover.ts';
import { Store } from './store.ts';

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'sampan-store-'));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const handle: SandboxHandle = { id: 's', netnsPath: '/n', ips: ['10.0.0.2'], pausePid: undefined };
const box = (id: string, more: Partial<SandboxRecord> = {}): SandboxRecord => ({
  id,
  config: { metadata: { name: id, uid: id, namespace: 'n' } },
  runtimeHandler: '',
  createdAtNs: 1,
  hostNetwork: false,
  cgroupParent: '/p',
  hostname: id,
  handle: { ...handle, id },
  ...more,
});
const tin = (id: string, sandboxId: string, more: Partial<ContainerRecord> = {}): ContainerRecord => ({
  id,
  sandboxId,
  config: { metadata: { name: id } },
  imageId: 'i',
  imageRef: 'i',
  diffIds: [],
  createdAtNs: 1,
  logPath: '',
  stopSignal: 'SIGTERM',
  cgroup: '/p/c',
  process: {
    args: [],
    env: [],
    cwd: '/',
    uid: 0,
    gid: 0,
    additionalGids: [],
    terminal: false,
    capabilities: [],
    noNewPrivileges: false,
  },
  resources: {},
  pid: 5,
  ...more,
});
const exited = (id: string): ContainerFacts => ({
  state: 'exited',
  startedAtNs: 2,
  exit: { containerId: id, exitCode: 3, signal: 0, oomKilled: true, finishedAtNs: 9 },
});

function plan(input: {
  sandboxes?: SandboxRecord[];
  containers?: ContainerRecord[];
  known?: Record<string, SandboxHandle>;
  facts?: Record<string, ContainerFacts>;
  torn?: string[];
}) {
  return planRecovery({
    sandboxes: input.sandboxes ?? [],
    containers: input.containers ?? [],
    tornSandboxes: [],
    tornContainers: input.torn ?? [],
    knownSandboxes: new Map(Object.entries(input.known ?? {})),
    facts: new Map(Object.entries(input.facts ?? {})),
    nowNs: 100,
  });
}
const nothing = { removeSandboxes: [], removeContainers: [], stopSandboxes: [], started: [], exited: [], handles: [] };

test('what runs goes on', () => {
  const s = box('s');
  expect(
    plan({
      sandboxes: [s],
      containers: [tin('c', 's', { startedAtNs: 2 })],
      known: { s: s.handle as SandboxHandle },
      facts: { c: { state: 'running', pid: 5, startedAtNs: 2 } },
    }),
  ).toEqual(nothing);
});

test('a start and an exit that were not recorded are taken from the facts', () => {
  const s = box('s');
  const result = plan({
    sandboxes: [s],
    containers: [tin('a', 's'), tin('b', 's', { startedAtNs: 2 })],
    known: { s: s.handle as SandboxHandle },
    facts: { a: { state: 'running', pid: 7, startedAtNs: 4 }, b: exited('b') },
  });
  expect(result.started).toEqual([{ id: 'a', pid: 7, startedAtNs: 4 }]);
  expect(result.exited).toEqual([{ id: 'b', startedAtNs: 2, exit: { exitCode: 3, oomKilled: true, finishedAtNs: 9 } }]);
});

test('half-made, torn and unknown things are removed', () => {
  const s = box('s');
  const result = plan({
    sandboxes: [s, box('half', { handle: undefined })],
    containers: [tin('made', 's', { pid: undefined }), tin('orphan', 'half')],
    known: { s: s.handle as SandboxHandle, stranger: handle },
    facts: { lost: { state: 'created', pid: 1 } },
    torn: ['torn'],
  });
  expect(result.removeSandboxes).toEqual(['half', 'stranger']);
  expect(result.removeContainers).toEqual(['torn', 'made', 'orphan', 'lost']);
});

test('a removal that was begun is finished', () => {
  const s = box('s');
  const result = plan({
    sandboxes: [s],
    containers: [tin('a', 's', { pid: 7, startedAtNs: 1, isRemoving: true })],
    known: { s: s.handle as SandboxHandle },
    facts: { a: exited('a') },
  });
  expect(result.removeContainers).toEqual(['a']);
  expect(result.exited).toEqual([]);
});

test('after a reboot nothing runs', () => {
  const result = plan({ sandboxes: [box('s')], containers: [tin('c', 's', { startedAtNs: 2 })] });
  expect(result.stopSandboxes).toEqual(['s']);
  expect(result.exited).toEqual([
    { id: 'c', startedAtNs: 2, exit: { exitCode: 255, reason: 'Unknown', oomKilled: false, finishedAtNs: 100 } },
  ]);
});

test('an exit that is recorded stays as it is', () => {
  const s = box('s');
  const c = tin('c', 's', { startedAtNs: 2, exit: { exitCode: 0, finishedAtNs: 5, oomKilled: false } });
  expect(
    plan({ sandboxes: [s], containers: [c], known: { s: s.handle as SandboxHandle }, facts: { c: exited('c') } })
      .exited,
  ).toEqual([]);
  expect([containerState(c), exitReason(c.exit)]).toEqual(['CONTAINER_EXITED', 'Completed']);
});

test('records survive, torn ones are told apart, a temporary file is not a record', () => {
  const store = new Store(directory);
  store.sandboxes.add(box('s'));
  store.containers.add(tin('c', 's'));
  store.containers.update('c', () => ({ startedAtNs: 3 }));
  mkdirSync(join(directory, 'containers/torn'));
  writeFileSync(join(directory, 'containers/torn/container.json'), '{"id": "to');
  mkdirSync(join(directory, 'containers/early'));
  writeFileSync(join(directory, 'containers/early/container.json.tmp'), '{}');
  const loaded = new Store(directory).containers.files.load();
  expect(loaded.records.map((c) => [c.id, c.startedAtNs])).toEqual([['c', 3]]);
  expect(loaded.torn.sort()).toEqual(['early', 'torn']);
});

test('names are reserved until removal, prefixes must be unambiguous', () => {
  const store = new Store(directory);
  store.sandboxes.add(box('abc1'));
  expect(() => store.sandboxes.add({ ...box('abd2'), config: box('abc1').config })).toThrow('is reserved for "abc1"');
  store.sandboxes.add(box('abd2'));
  expect(store.sandboxes.find('ab').kind).toBe('ambiguous');
  expect(store.sandboxes.find('abc')).toMatchObject({ kind: 'found', value: { id: 'abc1' } });
  store.sandboxes.remove('abc1');
  store.sandboxes.add({ ...box('abe3'), config: box('abc1').config });
});

test('the first reader gets what happened before it, a slow one is ended', async () => {
  const hub = new EventHub<number>();
  hub.emit(1);
  const first = hub.subscribe();
  hub.emit(2);
  expect([(await first.next()).value, (await first.next()).value]).toEqual([1, 2]);
  for (let i = 0; i <= eventLimit; i++) hub.emit(i);
  await expect(first.next()).rejects.toThrow('fell more than');
  const second = hub.subscribe();
  hub.emit(7);
  expect((await second.next()).value).toBe(7);
});
