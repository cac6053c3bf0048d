// A small CSI driver over real gRPC: it registers, its volumes are staged once, published for each pod, and taken away again.
import { Server, ServerCredentials, type ServerUnaryCall, type sendUnaryData } from '@grpc/grpc-js';
import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { PersistentVolumeSpec, Pod } from '../../../api/types/core-v1.ts';
import { attachmentName } from '../../../api/csi-attachment.ts';
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
let registered: unknown;
/** What each staging and publishing was told about the attachment. */
let contexts: unknown[];
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'csi-test-'));
  server = new Server();
  calls = [];
  contexts = [];
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
      calls.push(`${name} ${String(call.request['volumeId'] ?? '')}`.trim());
      if (name === 'stage' || name === 'publish') contexts.push(call.request['publishContext']);
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
  await expect(drivers.publish(pod('one'), 'data', spec, source, false)).rejects.toThrow(
    `volume vol-1 of CSI driver ${DRIVER} is not attached to node n yet`,
  );
  const attachment = { metadata: { name: attachmentName('vol-1', DRIVER, 'n') } };
  const status = { attached: true, attachmentMetadata: { device: '/dev/x' } };
  await api
    .resource<KubeObject>(ref('volumeattachments', 'VolumeAttachment'))
    .create({ ...attachment, status } as KubeObject);
  await drivers.publish(pod('attached'), 'data', spec, source, false);
  expect(contexts).toEqual([{ device: '/dev/x' }, { device: '/dev/x' }]); // staging, publishing
  await drivers.unpublish('attached');
  calls = [];

  const kind = { metadata: { name: DRIVER }, spec: { attachRequired: false } };
  await api.resource<KubeObject>(ref('csidrivers', 'CSIDriver')).create(kind);
  const target = await drivers.publish(pod('one'), 'data', spec, source, false);
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
