// A small CSI driver over real gRPC: it registers, its volumes are staged once, published for each pod, and taken away again.
import { Server, ServerCredentials, type ServerUnaryCall, type sendUnaryData } from '@grpc/grpc-js';
import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { PersistentVolumeClaim, PersistentVolumeSpec, Pod } from '../../../api/types/core-v1.ts';
import type { KubeObject } from '../../../api/object.ts';
import { refs } from '../../../client/refs.ts';
import { createFakeClient } from '../../../client/testing/fake-client.ts';
import { FakeClock } from '../../../lib/clock.ts';
import { silentLogger } from '../../../lib/log.ts';
import { CsiNode, PluginRegistration } from '../../../proto/csi.ts';
import { CsiDrivers } from './drivers.ts';

const DRIVER = 'fake.csi.example.com';
const ref = (resource: string, kind: string) => ({
  group: 'storage.k8s.io',
  version: 'v1',
  resource,
  kind,
  namespaced: false,
});
let dir: string;
let server: Server;
let calls: string[];
let requests: Record<string, Record<string, unknown>>;
let registered: unknown;
/** What the driver can; and what it answers instead of growing. */
let capabilities: string[];
let expandFails: { code: number; details: string } | undefined;
let events: string[];
const recorder = {
  event: (about: KubeObject, type: string, reason: string, message: string) =>
    void events.push(`${about.kind} ${type} ${reason} ${message}`),
  flush: async () => {},
};
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'csi-test-'));
  server = new Server();
  calls = [];
  requests = {};
  registered = undefined;
  capabilities = ['STAGE_UNSTAGE_VOLUME'];
  expandFails = undefined;
  events = [];
});
afterEach(() => {
  server.forceShutdown();
  rmSync(dir, { recursive: true });
});

const used = (spec: PersistentVolumeSpec) => ({ volume: { metadata: { name: 'pv' }, spec }, readOnly: false });

type Call = ServerUnaryCall<Record<string, unknown>, object>;

async function serve(): Promise<void> {
  const answer =
    (name: string, of: (request: Record<string, unknown>) => object = () => ({})) =>
    (call: Call, reply: sendUnaryData<object>) => {
      requests[name] = call.request;
      calls.push(`${name} ${String(call.request['volumeId'] ?? '')}`.trim());
      reply(null, of(call.request));
    };
  server.addService(CsiNode, {
    NodeGetInfo: answer('info', () => ({
      nodeId: 'id-of-n',
      maxVolumesPerNode: 5,
      accessibleTopology: { segments: { zone: 'a' } },
    })),
    NodeGetCapabilities: (_call: Call, reply: sendUnaryData<object>) =>
      reply(null, { capabilities: capabilities.map((type) => ({ rpc: { type } })) }),
    NodeGetVolumeStats: answer('stats', () => ({
      usage: [
        { total: 1000, used: 400, available: 600, unit: 'BYTES' },
        { total: 10, used: 3, available: 7, unit: 'INODES' },
      ],
      volumeCondition: { abnormal: true, message: 'a disk is slow' },
    })),
    NodeExpandVolume: (call: Call, reply: sendUnaryData<object>) => {
      calls.push(`expand ${String(call.request['volumeId'])}`);
      requests['expand'] = call.request;
      if (expandFails) reply(expandFails);
      else reply(null, {});
    },
    NodeStageVolume: answer('stage'),
    NodeUnstageVolume: answer('unstage'),
    NodePublishVolume: answer('publish', (request) => {
      mkdirSync(request['targetPath'] as string, { recursive: true });
      return {};
    }),
    NodeUnpublishVolume: answer('unpublish', (request) => {
      rmSync(request['targetPath'] as string, { recursive: true, force: true });
      return {};
    }),
  });
  const endpoint = join(dir, 'csi.sock');
  server.addService(PluginRegistration, {
    GetInfo: (_call: Call, reply: sendUnaryData<object>) =>
      reply(null, { type: 'CSIPlugin', name: DRIVER, endpoint, supportedVersions: ['1.0.0'] }),
    NotifyRegistrationStatus: (call: Call, reply: sendUnaryData<object>) => {
      registered = call.request;
      reply(null, {});
    },
  });
  mkdirSync(join(dir, 'plugins_registry'), { recursive: true });
  for (const socket of [endpoint, join(dir, 'plugins_registry', `${DRIVER}-reg.sock`)]) {
    await new Promise<void>((resolve, reject) =>
      server.bindAsync(`unix:${socket}`, ServerCredentials.createInsecure(), (error) =>
        error ? reject(error) : resolve(),
      ),
    );
  }
}

it('registers, stages once, publishes per pod, and undoes both in turn, also after a restart', async () => {
  const api = createFakeClient({ clock: new FakeClock() });
  await api.resource(refs.nodes).create({ metadata: { name: 'n' } });
  const make = () => new CsiDrivers({ stateDir: dir, nodeName: 'n', client: api, events: recorder, log: silentLogger });
  const drivers = make();
  drivers.start();
  const source = { driver: DRIVER, volumeHandle: 'vol-1', volumeAttributes: { share: 'x' } };
  const spec: PersistentVolumeSpec = { accessModes: ['ReadWriteOnce'], csi: source };
  const pod = (uid: string): Pod => ({ metadata: { name: uid, namespace: 'default', uid } });
  await expect(drivers.publish(pod('one'), 'data', used(spec))).rejects.toThrow(
    `driver name ${DRIVER} not found in the list of registered CSI drivers`,
  );
  await serve();
  await expect.poll(() => registered, { timeout: 10_000 }).toEqual({ pluginRegistered: true, error: '' });
  const node = api.object<KubeObject & { spec?: unknown }>(ref('csinodes', 'CSINode'), 'n');
  expect(node?.spec).toEqual({
    drivers: [{ name: DRIVER, nodeID: 'id-of-n', topologyKeys: ['zone'], allocatable: { count: 5 } }],
  });
  expect(api.object(refs.nodes, 'n')?.metadata).toMatchObject({
    labels: { zone: 'a' },
    annotations: { 'csi.volume.kubernetes.io/nodeid': JSON.stringify({ [DRIVER]: 'id-of-n' }) },
  });

  const kind = { metadata: { name: DRIVER }, spec: { attachRequired: false } };
  await api.resource<KubeObject>(ref('csidrivers', 'CSIDriver')).create(kind);
  const { path: target } = await drivers.publish(pod('one'), 'data', used(spec));
  expect(existsSync(target)).toBe(true);
  await drivers.publish(pod('two'), 'data', used(spec));
  await drivers.unpublish('one');
  expect(existsSync(target)).toBe(false);
  expect(calls).not.toContain('unstage vol-1');
  drivers.close();
  // The next kubelet knows what the last one has published.
  registered = undefined;
  const next = make();
  next.start();
  await expect.poll(() => registered, { timeout: 10_000 }).toBeDefined();
  await next.unpublish('two');
  expect(calls.slice(-2)).toEqual(['unpublish vol-1', 'unstage vol-1']);
  next.close();
});

it('is no longer in the CSINode object when its socket is gone', async () => {
  const api = createFakeClient({ clock: new FakeClock() });
  await api.resource(refs.nodes).create({ metadata: { name: 'n' } });
  const drivers = new CsiDrivers({ stateDir: dir, nodeName: 'n', client: api, events: recorder, log: silentLogger });
  drivers.start();
  await serve();
  await expect.poll(() => registered, { timeout: 10_000 }).toBeDefined();
  rmSync(join(dir, 'plugins_registry', `${DRIVER}-reg.sock`));
  await expect.poll(() => api.object(refs.nodes, 'n')?.metadata.annotations ?? {}, { timeout: 10_000 }).toEqual({});
  expect(api.object<KubeObject & { spec?: unknown }>(ref('csinodes', 'CSINode'), 'n')?.spec).toEqual({ drivers: [] });
  drivers.close();
});

describe('a claim that has been given more', () => {
  const CLAIM = 'default/data';
  async function mounted(status: object, can: string[] = ['STAGE_UNSTAGE_VOLUME', 'EXPAND_VOLUME']) {
    capabilities = can;
    const clock = new FakeClock();
    const api = createFakeClient({ clock });
    await api.resource(refs.nodes).create({ metadata: { name: 'n' } });
    const kind = { metadata: { name: DRIVER }, spec: { attachRequired: false, requiresRepublish: true } };
    await api.resource<KubeObject>(ref('csidrivers', 'CSIDriver')).create(kind as KubeObject);
    const drivers = new CsiDrivers({
      stateDir: dir,
      nodeName: 'n',
      client: api,
      events: recorder,
      clock,
      log: silentLogger,
    });
    drivers.start();
    await serve();
    await expect.poll(() => registered, { timeout: 10_000 }).toBeDefined();
    const claims = api.resource<PersistentVolumeClaim>(refs.persistentVolumeClaims, 'default');
    await claims.create({
      metadata: { name: 'data', namespace: 'default' },
      spec: { volumeName: 'pv', resources: { requests: { storage: '2Gi' } } },
      status,
    } as PersistentVolumeClaim);
    const pod: Pod = {
      metadata: { name: 'one', namespace: 'default', uid: 'one' },
      spec: { nodeName: 'n', containers: [], securityContext: { fsGroup: 2000 } },
    };
    const grown = async (storage = '2Gi') => ({
      claim: await claims.get('data'),
      volume: {
        metadata: { name: 'pv' },
        spec: {
          capacity: { storage },
          accessModes: ['ReadWriteOnce'],
          csi: { driver: DRIVER, volumeHandle: 'vol-1', fsType: 'ext4' },
        },
      },
      readOnly: false,
    });
    const claim = () => api.object<PersistentVolumeClaim>(refs.persistentVolumeClaims, CLAIM)?.status;
    return { api, clock, drivers, pod, grown, claim };
  }
  const pending = {
    phase: 'Bound',
    capacity: { storage: '1Gi' },
    allocatedResources: { storage: '2Gi' },
    allocatedResourceStatuses: { storage: 'NodeResizePending' },
    conditions: [
      { type: 'FileSystemResizePending', status: 'True' },
      { type: 'ModifyingVolume', status: 'True' },
    ],
  };

  it('grows when it is mounted, and its claim says so', async () => {
    const { drivers, pod, grown, claim } = await mounted(pending);
    await drivers.publish(pod, 'data', await grown());
    expect(requests['expand']).toMatchObject({
      volumePath: requests['publish']?.['targetPath'],
      stagingTargetPath: requests['stage']?.['stagingTargetPath'],
      capacityRange: { requiredBytes: 2 * 2 ** 30 },
    });
    expect(claim()).toEqual({
      phase: 'Bound',
      capacity: { storage: '2Gi' },
      allocatedResources: { storage: '2Gi' },
      conditions: [{ type: 'ModifyingVolume', status: 'True' }],
    });
    const text = 'MountVolume.NodeExpandVolume succeeded for volume "pv" n';
    expect(events).toEqual([
      `Pod Normal FileSystemResizeSuccessful ${text}`,
      `PersistentVolumeClaim Normal FileSystemResizeSuccessful ${text}`,
    ]);
    await drivers.unpublish('one');
    drivers.close();
  });

  it('grows while it is used, at the look of every minute, when it is also published again', async () => {
    const { clock, drivers, pod, grown, claim } = await mounted({ phase: 'Bound', capacity: { storage: '1Gi' } });
    await drivers.publish(pod, 'data', await grown('1Gi'));
    expect(drivers.beginUpkeep('one')).toBe(false);
    await clock.advance(60_000);
    expect(drivers.upkeepMs('one')).toBe(clock.now());
    expect(drivers.beginUpkeep('one')).toBe(true);
    // A controller of before 1.23, which tells no states.
    await drivers.upkeep(pod, 'data', await grown());
    expect(calls.filter((each) => /publish|expand/.test(each))).toEqual([
      'publish vol-1',
      'publish vol-1',
      'expand vol-1',
    ]);
    expect(claim()?.capacity).toEqual({ storage: '2Gi' });
    await drivers.upkeep(pod, 'data', await grown());
    expect(calls.filter((each) => each.startsWith('expand'))).toHaveLength(1);
    drivers.close();
  });

  it('keeps the pod from starting when its driver fails to grow it, and says whether asking again is of use', async () => {
    const { drivers, pod, grown, claim } = await mounted(pending);
    expandFails = { code: 13, details: 'resize2fs failed' };
    const reason =
      'Expander.NodeExpand failed to expand the volume : rpc error: code = Internal desc = resize2fs failed';
    await expect(drivers.publish(pod, 'data', await grown())).rejects.toThrow(
      `MountVolume.Setup failed while expanding volume for volume "pv" : ${reason}`,
    );
    expect(claim()).toMatchObject({
      allocatedResourceStatuses: { storage: 'NodeResizeInProgress' },
      conditions: expect.arrayContaining([
        expect.objectContaining({
          type: 'NodeResizeError',
          status: 'True',
          message: `failed to expand pvc with ${reason}`,
        }),
      ]) as unknown,
    });
    expandFails = { code: 3, details: 'too large' };
    await expect(drivers.publish(pod, 'data', await grown())).rejects.toThrow('code = InvalidArgument');
    expect(claim()?.allocatedResourceStatuses).toEqual({ storage: 'NodeResizeInfeasible' });
    // Infeasible: the controller has to settle it first.
    const before = calls.length;
    await drivers.publish(pod, 'data', await grown());
    expect(calls.slice(before).some((each) => each.startsWith('expand'))).toBe(false);
    drivers.close();
  });

  it('lets the pod start when the volume cannot grow while it is in use', async () => {
    const { drivers, pod, grown, claim } = await mounted(pending);
    expandFails = { code: 9, details: 'in use' };
    await drivers.publish(pod, 'data', await grown());
    await drivers.upkeep(pod, 'data', await grown());
    expect(calls.filter((each) => each.startsWith('expand'))).toHaveLength(1);
    expect(claim()?.capacity).toEqual({ storage: '1Gi' });
    drivers.close();
  });

  it('is measured by its driver, which also gives it to the group', async () => {
    const can = ['GET_VOLUME_STATS', 'VOLUME_CONDITION', 'VOLUME_MOUNT_GROUP', 'SINGLE_NODE_MULTI_WRITER'];
    const { drivers, pod, grown } = await mounted({ phase: 'Bound', capacity: { storage: '2Gi' } }, can);
    expect(await drivers.publish(pod, 'data', await grown())).toMatchObject({ takesGroup: false });
    expect(requests['publish']?.['volumeCapability']).toMatchObject({
      mount: { volumeMountGroup: '2000', fsType: 'ext4' },
      accessMode: { mode: 'SINGLE_NODE_MULTI_WRITER' },
    });
    expect(await drivers.usage('one', 'data')).toEqual({
      fs: { capacityBytes: 1000, availableBytes: 600, usedBytes: 400, inodes: 10, inodesFree: 7 },
      inodesUsed: 3,
      isAbnormal: true,
    });
    drivers.close();
  });
});

const attachment = (name: string, status?: object): KubeObject =>
  ({
    metadata: { name },
    spec: { attacher: DRIVER, nodeName: 'n', source: { persistentVolumeName: 'pv' } },
    ...(status && { status }),
  }) as KubeObject;

it('waits until a volume is attached, hands on what the attacher says, and is in use until it is unpublished', async () => {
  const clock = new FakeClock();
  const api = createFakeClient({ clock });
  await api.resource(refs.nodes).create({ metadata: { name: 'n' } });
  let changes = 0;
  const drivers = new CsiDrivers({
    stateDir: dir,
    nodeName: 'n',
    client: api,
    events: recorder,
    clock,
    onUse: () => void changes++,
    log: silentLogger,
  });
  drivers.start();
  await serve();
  await expect.poll(() => registered, { timeout: 10_000 }).toBeDefined();
  const source = { driver: DRIVER, volumeHandle: 'vol-1', fsType: 'ext4' };
  const spec: PersistentVolumeSpec = { accessModes: ['ReadWriteOnce'], csi: source };
  const pod: Pod = { metadata: { name: 'one', namespace: 'default', uid: 'one' } };
  const publish = () => drivers.publish(pod, 'data', used(spec));
  let done = false;
  const failed = publish().catch((error: Error) => {
    done = true;
    return error.message;
  });
  for (let round = 0; !done && round < 1000; round++) await clock.advance(500).then(() => new Promise(setImmediate));
  expect(await failed).toBe(`timed out waiting for external-attacher of ${DRIVER} CSI driver to attach volume vol-1`);
  expect(drivers.inUse()).toEqual([`kubernetes.io/csi/${DRIVER}^vol-1`]);
  expect(changes).toBe(1);

  // csi-sha256(volume, driver, node)
  const name = 'csi-2936c680995e4b4f72c687111caea779fcbd943567f77693592ace833fefbaca';
  const attachments = api.resource<KubeObject>(ref('volumeattachments', 'VolumeAttachment'));
  await attachments.create(attachment(name, { attached: false, attachError: { message: 'no such disk' } }));
  await expect(publish()).rejects.toThrow('no such disk');
  await attachments.delete(name);
  await attachments.create(attachment(name, { attached: true, attachmentMetadata: { device: '/dev/x' } }));
  expect(await publish()).toMatchObject({ takesGroup: true });
  expect(requests['stage']?.['publishContext']).toEqual({ device: '/dev/x' });
  expect(requests['publish']?.['publishContext']).toEqual({ device: '/dev/x' });
  await drivers.unpublish('one');
  expect(drivers.inUse()).toEqual([]);
  drivers.close();
});

it('publishes a volume of the pod itself with what the driver wants to know of the pod', async () => {
  const api = createFakeClient({ clock: new FakeClock() });
  await api.resource(refs.nodes).create({ metadata: { name: 'n' } });
  const tokens = { get: async () => 'a-token', expiryMs: () => 0, forget: () => {} };
  const drivers = new CsiDrivers({
    stateDir: dir,
    nodeName: 'n',
    client: api,
    tokens,
    events: recorder,
    log: silentLogger,
  });
  drivers.start();
  await serve();
  await expect.poll(() => registered, { timeout: 10_000 }).toBeDefined();
  const pod: Pod = { metadata: { name: 'one', namespace: 'default', uid: 'one' }, spec: { containers: [] } };
  const publish = () => drivers.publishInline(pod, 'data', { driver: DRIVER, volumeAttributes: { size: '1' } });
  await expect(publish()).rejects.toThrow(
    `volume mode "Ephemeral" not supported by driver ${DRIVER} (only supports ["Persistent"])`,
  );
  const kind = {
    metadata: { name: DRIVER },
    spec: {
      attachRequired: true,
      podInfoOnMount: true,
      volumeLifecycleModes: ['Ephemeral'],
      fsGroupPolicy: 'File',
      tokenRequests: [{ audience: 'vault' }],
    },
  };
  await api.resource<KubeObject>(ref('csidrivers', 'CSIDriver')).create(kind as KubeObject);
  const { path, takesGroup } = await publish();
  expect([existsSync(path), takesGroup]).toEqual([true, true]);
  const volumeId = requests['publish']?.['volumeId'] as string;
  expect(volumeId).toMatch(/^csi-[0-9a-f]{64}$/);
  expect(requests['publish']?.['volumeContext']).toMatchObject({
    size: '1',
    'csi.storage.k8s.io/pod.name': 'one',
    'csi.storage.k8s.io/ephemeral': 'true',
    'csi.storage.k8s.io/serviceAccount.tokens':
      '{"vault":{"token":"a-token","expirationTimestamp":"1970-01-01T00:00:00.000Z"}}',
  });
  const spec: PersistentVolumeSpec = { csi: { driver: DRIVER, volumeHandle: 'x' } };
  await expect(drivers.publish(pod, 'other', used(spec))).rejects.toThrow('volume mode "Persistent" not supported');
  await drivers.unpublish('one');
  expect(calls.filter((each) => each.includes('stage'))).toEqual([]);
  expect(calls.at(-1)).toBe(`unpublish ${volumeId}`);
  drivers.close();
});
