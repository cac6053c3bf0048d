// A small CSI driver over real gRPC: it registers, its volumes are staged once, published for each pod, and taken away again.
import { Server, ServerCredentials, type ServerUnaryCall, type sendUnaryData } from '@grpc/grpc-js';
import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { PersistentVolumeSpec, Pod } from '../../../api/types/core-v1.ts';
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
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'csi-test-'));
  server = new Server();
  calls = [];
  requests = {};
  registered = undefined;
});
afterEach(() => {
  server.forceShutdown();
  rmSync(dir, { recursive: true });
});

type Call = ServerUnaryCall<Record<string, unknown>, object>;

async function serve(): Promise<void> {
  const answer =
    (name: string, of: (request: Record<string, unknown>) => object = () => ({})) =>
    (call: Call, reply: sendUnaryData<object>) => {
      requests[name] = call.request;
      calls.push(`${name} ${String(call.request['volumeId'] ?? '')}`.trim());
      reply(null, of(call.request));
    };
  server.addService(CsiNode.service, {
    nodeGetInfo: answer('info', () => ({ nodeId: 'id-of-n', accessibleTopology: { segments: { zone: 'a' } } })),
    nodeGetCapabilities: (_call: Call, reply: sendUnaryData<object>) =>
      reply(null, { capabilities: [{ rpc: { type: 'STAGE_UNSTAGE_VOLUME' } }] }),
    nodeStageVolume: answer('stage'),
    nodeUnstageVolume: answer('unstage'),
    nodePublishVolume: answer('publish', (request) => {
      mkdirSync(request['targetPath'] as string, { recursive: true });
      return {};
    }),
    nodeUnpublishVolume: answer('unpublish', (request) => {
      rmSync(request['targetPath'] as string, { recursive: true, force: true });
      return {};
    }),
  });
  const endpoint = join(dir, 'csi.sock');
  server.addService(PluginRegistration.service, {
    getInfo: (_call: Call, reply: sendUnaryData<object>) =>
      reply(null, { type: 'CSIPlugin', name: DRIVER, endpoint, supportedVersions: ['1.0.0'] }),
    notifyRegistrationStatus: (call: Call, reply: sendUnaryData<object>) => {
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
  const make = () => new CsiDrivers({ stateDir: dir, nodeName: 'n', client: api, log: silentLogger });
  const drivers = make();
  drivers.start();
  const source = { driver: DRIVER, volumeHandle: 'vol-1', volumeAttributes: { share: 'x' } };
  const spec: PersistentVolumeSpec = { accessModes: ['ReadWriteOnce'], csi: source };
  const pod = (uid: string): Pod => ({ metadata: { name: uid, namespace: 'default', uid } });
  await expect(drivers.publish(pod('one'), 'data', spec, source, false)).rejects.toThrow(
    `driver name ${DRIVER} not found in the list of registered CSI drivers`,
  );
  await serve();
  await expect.poll(() => registered, { timeout: 10_000 }).toEqual({ pluginRegistered: true, error: '' });
  const node = api.object<KubeObject & { spec?: unknown }>(ref('csinodes', 'CSINode'), 'n');
  expect(node?.spec).toEqual({ drivers: [{ name: DRIVER, nodeID: 'id-of-n', topologyKeys: ['zone'] }] });

  const kind = { metadata: { name: DRIVER }, spec: { attachRequired: false } };
  await api.resource<KubeObject>(ref('csidrivers', 'CSIDriver')).create(kind);
  const { path: target } = await drivers.publish(pod('one'), 'data', spec, source, false);
  expect(existsSync(target)).toBe(true);
  await drivers.publish(pod('two'), 'data', spec, source, false);
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
  const publish = () => drivers.publish(pod, 'data', spec, source, false);
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
  const tokens = { get: async () => 'a-token', expiryMs: () => 0 };
  const drivers = new CsiDrivers({ stateDir: dir, nodeName: 'n', client: api, tokens, log: silentLogger });
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
  await expect(drivers.publish(pod, 'other', spec, { driver: DRIVER, volumeHandle: 'x' }, false)).rejects.toThrow(
    'volume mode "Persistent" not supported',
  );
  await drivers.unpublish('one');
  expect(calls.filter((each) => each.includes('stage'))).toEqual([]);
  expect(calls.at(-1)).toBe(`unpublish ${volumeId}`);
  drivers.close();
});
