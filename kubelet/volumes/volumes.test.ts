// Volumes on the real file system; mounts are real where the test may mount, else only recorded.
import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type {
  ConfigMap,
  PersistentVolume,
  PersistentVolumeClaim,
  Pod,
  Secret,
  Volume,
} from '../../api/types/core-v1.ts';
import { FakeClock } from '../../lib/clock.ts';
import { silentLogger } from '../../lib/log.ts';
import { writeAtomically } from './atomic-write.ts';
import { prepareHostPath } from './host-path.ts';
import { createFakeClient } from '../../client/testing/fake-client.ts';
import { refs } from '../../client/refs.ts';
import { resolveClaim } from './claims.ts';
import { LocalVolumes } from './local-volumes.ts';
import { createMounter, createPlainMounter } from './mounter.ts';
import { bindSubPath, readInside, resolveInside } from './sub-path.ts';
import { PodTokens } from './tokens.ts';
import { Volumes } from './volumes.ts';

const nowhere = async () => ({ path: '', takesGroup: false });
const nothing = async () => undefined;
const noDrivers = {
  publish: nowhere,
  publishInline: nowhere,
  unpublish: nothing,
  upkeepMs: () => undefined,
  beginUpkeep: () => false,
  upkeep: nothing,
  upkeepInline: nothing,
  isPublished: () => false,
  usage: nothing,
};

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'volumes-test-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const file = (text: string, mode = 0o644) => ({ data: Buffer.from(text), mode });
const read = (path: string) => readFileSync(path, 'utf8');

describe('writeAtomically', () => {
  it('exposes files through ..data and replaces the whole set at once', () => {
    const target = join(dir, 'v');
    expect(
      writeAtomically(
        target,
        new Map([
          ['a', file('1')],
          ['sub/b', file('2', 0o400)],
        ]),
        0,
      ),
    ).toBe(true);
    expect(readlinkSync(join(target, 'a'))).toBe('..data/a');
    expect(read(join(target, 'sub/b'))).toBe('2');
    expect(statSync(join(target, 'sub/b')).mode & 0o777).toBe(0o400);
    expect(
      writeAtomically(
        target,
        new Map([
          ['a', file('1')],
          ['sub/b', file('2', 0o400)],
        ]),
        1,
      ),
    ).toBe(false);

    const before = readlinkSync(join(target, '..data'));
    expect(writeAtomically(target, new Map([['c', file('3')]]), 1000)).toBe(true);
    expect(readlinkSync(join(target, '..data'))).not.toBe(before);
    expect(readdirSync(target).filter((name) => !name.startsWith('..'))).toEqual(['c']);
    expect(existsSync(join(target, before))).toBe(false);
  });

  it.each(['../x', '/etc/x', '..data', 'a/../../x', ''])('refuses the path %j', (path) => {
    expect(() => writeAtomically(join(dir, 'v'), new Map([[path, file('')]]), 0)).toThrow('invalid path');
  });

  it('goes on where a crash left a half-written set', () => {
    const target = join(dir, 'v');
    writeAtomically(target, new Map([['a', file('1')]]), 0);
    symlinkSync('nowhere', join(target, '..data_tmp'));
    writeAtomically(target, new Map([['a', file('2')]]), 0);
    expect(read(join(target, 'a'))).toBe('2');
  });
});

describe('subPath', () => {
  it('follows links inside the volume only', () => {
    const root = join(dir, 'v');
    writeAtomically(root, new Map([['key', file('x')]]), 0);
    mkdirSync(join(root, 'deep'));
    symlinkSync('/etc', join(root, 'evil'));
    symlinkSync('../..', join(root, 'deep', 'up'));
    expect(resolveInside(root, 'key')).toMatch(/^\.\.\d.*\/key$/);
    expect(resolveInside(root, 'new/dir')).toBe('new/dir');
    expect(() => resolveInside(root, 'evil/passwd')).toThrow('leads outside');
    expect(() => resolveInside(root, 'deep/up')).toThrow('leads outside');
  });

  it('reads files of the volume, and nothing else', () => {
    const root = join(dir, 'v');
    mkdirSync(root);
    writeFileSync(join(root, 'app.env'), "A='1'");
    symlinkSync('/etc/passwd', join(root, 'evil'));
    mkdirSync(join(root, 'deep'));
    expect(readInside(root, 'env', 'app.env')).toBe("A='1'");
    expect(readInside(root, 'env', 'none')).toBeUndefined();
    expect(() => readInside(root, 'env', 'evil')).toThrow('leads outside');
    expect(() => readInside(root, 'env', 'deep')).toThrow('"deep" is not a file');
    expect(() => readInside(undefined, 'env', 'app.env')).toThrow('cannot find the volume "env"');
  });

  it('refuses .. and makes missing directories', async () => {
    const mounter = createPlainMounter();
    const root = join(dir, 'v');
    mkdirSync(root);
    await expect(bindSubPath(mounter, root, '../x', join(dir, 't'))).rejects.toThrow("must not contain '..'");
    await bindSubPath(mounter, root, 'a/b', join(dir, 't'));
    expect(lstatSync(join(root, 'a/b')).isDirectory()).toBe(true);
    expect(mounter.calls[0]).toMatch(/^bind \/proc\/\d+\/fd\/\d+ /);
  });
});

describe('hostPath', () => {
  it('checks and makes what its type promises', () => {
    const path = join(dir, 'h');
    expect(() => prepareHostPath(path, 'Directory')).toThrow(`hostPath type check failed: ${path} is not a directory`);
    prepareHostPath(path, 'DirectoryOrCreate');
    prepareHostPath(path, 'Directory');
    expect(() => prepareHostPath(path, 'File')).toThrow('is not a file');
    prepareHostPath(join(dir, 'f'), 'FileOrCreate');
    expect(() => prepareHostPath('/dev/null', 'BlockDevice')).toThrow('is not a block device');
    prepareHostPath('/dev/null', 'CharDevice');
  });
});

describe('Volumes', () => {
  const clock = new FakeClock();
  const objects = new Map<string, Secret | ConfigMap>();
  let tokensIssued = 0;

  function make(mounter = createPlainMounter()) {
    objects.clear();
    tokensIssued = 0;
    const client = {
      resource: () => ({
        createSubresource: async () => ({
          status: {
            token: `token-${++tokensIssued}`,
            expirationTimestamp: new Date(clock.now() + 3600_000).toISOString(),
          },
        }),
      }),
    };
    const lookup = {
      secret: async (_ns: string, name: string) => objects.get(`secret/${name}`) as Secret | undefined,
      configMap: async (_ns: string, name: string) => objects.get(`configmap/${name}`) as ConfigMap | undefined,
    };
    const tokens = new PodTokens(client as never, clock);
    return new Volumes({
      stateDir: dir,
      client: client as never,
      csi: noDrivers,
      localVolumes: new LocalVolumes({ dir: join(dir, 'local'), client: client as never, clock, log: silentLogger }),
      pullImage: async (_pod, volume) => `sha256:${volume.image?.reference}`,
      mounter,
      objects: lookup,
      tokens,
      clock,
      log: silentLogger,
    });
  }

  const fields = (volumes: Volume[], more: Partial<Pod['spec']> = {}) => ({
    pod: {
      metadata: { name: 'web', namespace: 'default', uid: 'u1', labels: { a: 'b' } },
      spec: { containers: [], volumes, ...more },
    } as Pod,
    podIps: [],
    hostIps: [],
    nodeName: 'n',
    allocatable: {},
  });

  it('fills every supported kind, secrets below the memory directory', async () => {
    const volumes = make();
    await volumes.prepare();
    objects.set('secret/s', { metadata: {}, data: { key: Buffer.from('hidden').toString('base64') } });
    objects.set('configmap/c', {
      metadata: {},
      data: { conf: 'x=1' },
      binaryData: { bin: Buffer.from([1, 2]).toString('base64') },
    });
    const paths = await volumes.setUp(
      fields([
        { name: 'sec', secret: { secretName: 's', defaultMode: 0o400 } },
        { name: 'conf', configMap: { name: 'c', items: [{ key: 'conf', path: 'etc/app.conf', mode: 0o600 }] } },
        { name: 'down', downwardAPI: { items: [{ path: 'labels', fieldRef: { fieldPath: 'metadata.labels' } }] } },
        { name: 'empty', emptyDir: {} },
        {
          name: 'api',
          projected: {
            sources: [
              { serviceAccountToken: { path: 'token', expirationSeconds: 3607 } },
              { configMap: { name: 'c', items: [{ key: 'bin', path: 'ca.crt' }] } },
              { downwardAPI: { items: [{ path: 'namespace', fieldRef: { fieldPath: 'metadata.namespace' } }] } },
            ],
          },
        },
      ]),
    );
    const at = (name: string, path: string) => join(paths.get(name) as string, path);
    expect(read(at('sec', 'key'))).toBe('hidden');
    expect(statSync(at('sec', 'key')).mode & 0o777).toBe(0o400);
    expect(paths.get('sec')).toBe(join(dir, 'memory/u1/sec'));
    expect(read(at('conf', 'etc/app.conf'))).toBe('x=1');
    expect(read(at('down', 'labels'))).toBe('a="b"');
    expect(read(at('api', 'token'))).toBe('token-1');
    expect(read(at('api', 'namespace'))).toBe('default');
    expect(statSync(paths.get('empty') as string).mode & 0o777).toBe(0o777);

    await volumes.tearDown('u1');
    expect(existsSync(join(dir, 'pods/u1')) || existsSync(join(dir, 'memory/u1'))).toBe(false);
  });

  it('brings changes and renews tokens at 80 % of their life', async () => {
    const volumes = make();
    objects.set('configmap/c', { metadata: {}, data: { a: '1' } });
    const of = fields([
      { name: 'conf', configMap: { name: 'c' } },
      { name: 'api', projected: { sources: [{ serviceAccountToken: { path: 'token' } }] } },
    ]);
    const paths = await volumes.setUp(of);
    objects.set('configmap/c', { metadata: {}, data: { a: '2' } });
    expect(await volumes.refresh(of)).toEqual(['conf']);
    expect(read(join(paths.get('conf') as string, 'a'))).toBe('2');
    expect(volumes.renewalMs('u1')).toBe(clock.now() + 2880_000);
    await clock.advance(2880_000);
    expect(await volumes.refresh(of)).toEqual(['api']);
    expect(read(join(paths.get('api') as string, 'token'))).toBe('token-2');
  });

  it.each([
    [
      { name: 'v', secret: { secretName: 'none' } },
      'MountVolume.SetUp failed for volume "v" : secret "none" not found',
    ],
    [
      { name: 'v', configMap: { name: 'c', items: [{ key: 'zz', path: 'p' }] } },
      'references non-existent config key: zz',
    ],
    [
      { name: 'v', iscsi: { targetPortal: 'x', iqn: 'y', lun: 0 } },
      'volumes of type iscsi are not supported by this kubelet',
    ],
    [
      { name: 'v', projected: { sources: [{ clusterTrustBundle: { path: 'x' } }] } },
      'projected source clusterTrustBundle is not supported',
    ],
  ] as [Volume, string][])('says what is wrong: %#', async (volume, message) => {
    const volumes = make();
    objects.set('configmap/c', { metadata: {}, data: {} });
    await expect(volumes.setUp(fields([volume]))).rejects.toThrow(message);
  });

  it('gives fsGroup its files', async () => {
    if (process.getuid?.() !== 0) return;
    const volumes = make();
    objects.set('secret/s', { metadata: {}, data: { key: 'eA==' } });
    const paths = await volumes.setUp(
      fields(
        [
          { name: 'sec', secret: { secretName: 's', defaultMode: 0o400 } },
          { name: 'empty', emptyDir: {} },
        ],
        { securityContext: { fsGroup: 4321 } },
      ),
    );
    const secret = statSync(join(paths.get('sec') as string, 'key'));
    expect([secret.gid, secret.mode & 0o777]).toEqual([4321, 0o440]);
    const empty = statSync(paths.get('empty') as string);
    expect([empty.gid, empty.mode & 0o7777]).toEqual([4321, 0o2777]);
  });

  it('mounts for real and leaves nothing mounted', async () => {
    if (process.getuid?.() !== 0) return;
    const mounter = createMounter();
    const volumes = make(mounter as never);
    await volumes.prepare();
    await volumes.prepare();
    try {
      expect(mounter.below(dir)).toEqual([join(dir, 'memory')]);
      const of = fields([
        { name: 'ram', emptyDir: { medium: 'Memory', sizeLimit: '1Mi' } },
        { name: 'disk', emptyDir: {} },
      ]);
      const paths = await volumes.setUp(of);
      await volumes.setUp(of);
      expect(mounter.below(paths.get('ram') as string)).toHaveLength(1);
      expect(() => writeFileSync(join(paths.get('ram') as string, 'big'), Buffer.alloc(2 ** 21))).toThrow('ENOSPC');
      writeFileSync(join(paths.get('disk') as string, 'file'), 'text');
      const target = await volumes.subPath(of.pod, paths, 'disk', 'app', 0, 'file');
      expect(read(target)).toBe('text');
      await volumes.tearDown('u1');
      expect(mounter.below(dir)).toEqual([join(dir, 'memory')]);
    } finally {
      for (const point of mounter.below(dir)) await mounter.unmount(point);
    }
  });
});

describe('persistent volumes', () => {
  const clock = new FakeClock();
  const api = createFakeClient({ clock });
  const local = () => new LocalVolumes({ dir: join(dir, 'local'), client: api, clock, log: silentLogger });
  const volume: Volume = { name: 'data', persistentVolumeClaim: { claimName: 'c' } };
  const pod = (uid: string): Pod => ({
    metadata: { name: 'web', namespace: 'default', uid },
    spec: { containers: [], volumes: [volume], securityContext: { fsGroup: 4242 } },
  });
  const setUp = (volumes: Volumes, of: Pod) =>
    volumes.setUp({ pod: of, podIps: [], hostIps: [], nodeName: 'n', allocatable: {} });

  it('are mounted once bound, made when they are ours, and removed when their volume is gone', async () => {
    const localVolumes = local();
    const volumes = new Volumes({
      stateDir: dir,
      client: api,
      csi: noDrivers,
      localVolumes,
      pullImage: async () => '',
      mounter: createPlainMounter(),
      objects: { secret: async () => undefined, configMap: async () => undefined },
      tokens: new PodTokens(api, clock),
      clock,
      log: silentLogger,
    });
    await expect(setUp(volumes, pod('u'))).rejects.toThrow(
      'error processing PVC default/c: failed to fetch PVC from API server: persistentvolumeclaims "c" not found',
    );
    const claims = api.resource<PersistentVolumeClaim>(refs.persistentVolumeClaims, 'default');
    const claim = await claims.create({ metadata: { name: 'c', namespace: 'default' }, status: { phase: 'Pending' } });
    await expect(resolveClaim(api, pod('u'), volume)).rejects.toThrow('PVC is not bound');
    api.change<PersistentVolumeClaim>(refs.persistentVolumeClaims, 'default/c', (each) => ({
      ...each,
      spec: { volumeName: 'pvc-1' },
      status: { phase: 'Bound' },
    }));
    const path = join(dir, 'local/pvc-1');
    await api.resource<PersistentVolume>(refs.persistentVolumes).create({
      metadata: { name: 'pvc-1' },
      spec: { local: { path }, claimRef: { name: 'c', namespace: 'default', uid: claim.metadata.uid } },
    });
    expect((await setUp(volumes, pod('u'))).get('data')).toBe(path);
    expect(statSync(path)).toMatchObject({ gid: process.getuid?.() === 0 ? 4242 : statSync(path).gid });
    writeFileSync(join(path, 'kept'), 'data');
    await volumes.tearDown('u');
    await localVolumes.sweep();
    expect(read(join(path, 'kept'))).toBe('data');
    api.change(refs.persistentVolumes, 'pvc-1', () => undefined);
    await localVolumes.sweep();
    expect(existsSync(path)).toBe(false);
  });

  it('of another claim are not used', async () => {
    api.change<PersistentVolumeClaim>(refs.persistentVolumeClaims, 'default/c', (each) => each);
    await api.resource<PersistentVolume>(refs.persistentVolumes).create({
      metadata: { name: 'pvc-1' },
      spec: { local: { path: '/x' }, claimRef: { name: 'c', namespace: 'default', uid: 'another' } },
    });
    await expect(resolveClaim(api, pod('u'), volume)).rejects.toThrow('PV pvc-1 is bound to another claim');
  });
});
