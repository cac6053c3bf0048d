import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import type { Pod } from '../../api/types/core-v1.ts';
import { silentLogger } from '../../lib/log.ts';
import { createHarness, makePod } from '../testing/harness.ts';
import { defaultPool, freeRange, type IdRange, poolOf } from './id-ranges.ts';
import { UserNamespaces } from './user-namespaces.ts';

const range = (hostId: number, length = 65_536): IdRange => ({ hostId, containerId: 0, length });

describe('the pool of ids', () => {
  it('begins after the ids of hosts and has a range per pod', () => {
    expect(defaultPool(110)).toEqual({ first: 65_536, perPod: 65_536, pods: 110 });
    expect(defaultPool(110, 131_072)).toEqual({ first: 131_072, perPod: 131_072, pods: 110 });
    expect(defaultPool(1_000_000).pods).toBe(65_534);
  });

  it('is what the host sets aside for the user kubelet', () => {
    const line = 'other:100000:65536\nkubelet:131072:7208960\n';
    expect(poolOf(line, line, 110)).toEqual({ first: 131_072, perPod: 65_536, pods: 110 });
    expect(poolOf('other:1:2\n', '', 110)).toBeUndefined();
  });

  it.each([
    ['kubelet:65536:7208960', '', 'one range, the same'],
    ['kubelet:65536:7208960', 'kubelet:131072:7208960', 'one range, the same'],
    ['kubelet:65536:65536\nkubelet:262144:65536', 'kubelet:65536:65536', 'one range, the same'],
    ['kubelet:1000:7208960', 'kubelet:1000:7208960', 'must not be below 65536'],
    ['kubelet:70000:7208960', 'kubelet:70000:7208960', 'not a multiple of 65536'],
    ['kubelet:65536:65536', 'kubelet:65536:65536', 'too few for 110 pods'],
    ['kubelet:65536:x', 'kubelet:65536:x', 'too few'],
  ])('refuses %j and %j', (subuid, subgid, message) => {
    expect(() => poolOf(subuid, subgid, 110)).toThrow(message);
  });

  it('gives the lowest free range, and none that overlaps one in use', () => {
    const pool = { first: 65_536, perPod: 65_536, pods: 3 };
    expect(freeRange(pool, [])).toEqual(range(65_536));
    expect(freeRange(pool, [range(131_072), range(65_536)])).toEqual(range(196_608));
    expect(freeRange(pool, [range(65_536, 131_072)])).toEqual(range(196_608));
    expect(freeRange(pool, [range(100_000)])).toEqual(range(196_608));
    expect(
      freeRange(
        pool,
        [65_536, 131_072, 196_608].map((each) => range(each)),
      ),
    ).toBeUndefined();
  });
});

describe('user namespaces', () => {
  const directories: string[] = [];
  afterEach(() => {
    for (const each of directories.splice(0)) rmSync(each, { recursive: true });
  });
  const made = (stateDir: string, pods = 2) =>
    new UserNamespaces({
      stateDir,
      pool: { first: 65_536, perPod: 65_536, pods },
      handlers: new Set(['', 'other']),
      log: silentLogger,
    });
  const stateDir = () => {
    const made = mkdtempSync(join(tmpdir(), 'userns-'));
    directories.push(made);
    return made;
  };
  const pod = (uid: string, hostUsers?: boolean): Pod => ({
    metadata: { uid },
    spec: { containers: [], ...(hostUsers !== undefined && { hostUsers }) },
  });

  it('are made for pods that ask, are the same after a restart, and are free when the pod is over', () => {
    const dir = stateDir();
    const first = made(dir);
    expect(first.of(pod('a'))).toBeUndefined();
    expect(first.of(pod('a', true))).toEqual({ mode: 'NODE' });
    const own = { mode: 'POD', uids: [range(65_536)], gids: [range(65_536)] };
    expect(first.of(pod('a', false))).toEqual(own);
    expect(first.of(pod('b', false))?.uids).toEqual([range(131_072)]);
    expect(() => first.of(pod('c', false))).toThrow('could not find an empty slot to allocate a user namespace');

    const second = made(dir);
    expect(second.of(pod('a', false))).toEqual(own);
    expect(() => second.of(pod('c', false))).toThrow('empty slot');
    second.release('a');
    expect(second.of(pod('c', false))).toEqual(own);
    expect(made(dir).of(pod('b', false))?.uids).toEqual([range(131_072)]);
  });

  it('are refused where the runtime cannot make them, and where the file of a pod is broken', () => {
    const dir = stateDir();
    expect(() => made(dir).of(pod('a', false), 'gvisor')).toThrow(
      'the handler "gvisor" does not support user namespaces',
    );
    mkdirSync(join(dir, 'pods/a'), { recursive: true });
    writeFileSync(join(dir, 'pods/a/userns'), '{"uidMappings":[]}');
    expect(() => made(dir).of(pod('a', false))).toThrow('does not hold one mapping');
  });
});

it('a pod without the host users gets its ids in sandbox, container and mounts, and keeps them', async () => {
  const harness = createHarness();
  try {
    await harness.start();
    const volumes = [{ name: 'data', emptyDir: {} }];
    const containers = [{ name: 'app', image: 'app:1', volumeMounts: [{ name: 'data', mountPath: '/data' }] }];
    const { metadata } = await harness.create(makePod({ hostUsers: false, volumes, containers }));
    const mappings = [range(65_536)];
    const users = { mode: 'POD', uids: mappings, gids: mappings };
    const configs = () => ({
      sandbox: [...harness.cri.sandboxes.values()].at(-1)?.config?.linux?.securityContext?.namespaceOptions
        ?.usernsOptions,
      container: harness.cri.container('app')?.config?.linux?.securityContext?.namespaceOptions?.usernsOptions,
      mounts: harness.cri.container('app')?.config?.mounts?.map((each) => [each.containerPath, each.uidMappings]),
    });
    const mounts = ['/data', '/etc/hosts'].map((path) => [path, mappings]);
    expect(configs()).toEqual({ sandbox: users, container: users, mounts });
    const file = join(harness.stateDir, 'pods', metadata.uid as string, 'userns');
    expect(JSON.parse(readFileSync(file, 'utf8'))).toEqual({ uidMappings: mappings, gidMappings: mappings });

    await harness.kill();
    await harness.start();
    const id = harness.cri.container('app')?.status.id as string;
    harness.cri.exit(id, 1);
    await harness.advance(11_000);
    expect(harness.cri.container('app')?.status.id).not.toBe(id);
    expect(configs()).toEqual({ sandbox: users, container: users, mounts });
  } finally {
    await harness.stop();
  }
});
