// Device plugins over real gRPC: they register, their devices become capacity, containers get them.
import {
  credentials,
  makeClientConstructor,
  Server,
  ServerCredentials,
  type ServerUnaryCall,
  type ServerWritableStream,
  type sendUnaryData,
} from '@grpc/grpc-js';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { Node, Pod } from '../../api/types/core-v1.ts';
import { refs } from '../../client/refs.ts';
import { DevicePlugin, Registration } from '../../proto/device-plugin.ts';
import { createHarness, type Harness, makePod } from '../testing/harness.ts';
import { allocateDevices } from './allocation.ts';

const RESOURCE = 'example.com/gpu';
let test: Harness;
let plugin: Server;
beforeEach(() => {
  test = createHarness();
  plugin = new Server();
});
afterEach(async () => {
  plugin.forceShutdown();
  await test.stop();
});

async function serve(health: (id: string) => string): Promise<(health: (id: string) => string) => void> {
  let stream: ServerWritableStream<object, object> | undefined;
  const list = (of: (id: string) => string) => ({ devices: ['gpu-0', 'gpu-1'].map((id) => ({ id, health: of(id) })) });
  plugin.addService(DevicePlugin, {
    GetDevicePluginOptions: (_call: unknown, answer: sendUnaryData<object>) => answer(null, {}),
    ListAndWatch: (call: ServerWritableStream<object, object>) => {
      stream = call;
      call.write(list(health));
    },
    Allocate: (
      call: ServerUnaryCall<{ containerRequests: { devicesIds: string[] }[] }, object>,
      answer: sendUnaryData<object>,
    ) => {
      const containerResponses = call.request.containerRequests.map(({ devicesIds }) => ({
        envs: { GPUS: devicesIds.join() },
        devices: devicesIds.map((id) => ({ hostPath: `/dev/${id}`, containerPath: `/dev/${id}`, permissions: 'rw' })),
      }));
      answer(null, { containerResponses });
    },
    PreStartContainer: (_call: unknown, answer: sendUnaryData<object>) => answer(null, {}),
  });
  const dir = join(test.stateDir, 'device-plugins');
  await new Promise<void>((resolve, reject) =>
    plugin.bindAsync(`unix:${join(dir, 'gpu.sock')}`, ServerCredentials.createInsecure(), (error) =>
      error ? reject(error) : resolve(),
    ),
  );
  const kubelet = new (makeClientConstructor(Registration, ''))(
    `unix:${join(dir, 'kubelet.sock')}`,
    credentials.createInsecure(),
  );
  await new Promise<void>((resolve, reject) =>
    (kubelet as unknown as { Register: (request: object, answer: (error: Error | null) => void) => void }).Register(
      { version: 'v1beta1', endpoint: 'gpu.sock', resourceName: RESOURCE },
      (error) => (error ? reject(error) : resolve()),
    ),
  );
  kubelet.close();
  return (of) => stream?.write(list(of));
}

const gpus = { [RESOURCE]: '1' };
const asking = (name: string) =>
  makePod({ containers: [{ name: 'app', image: 'app:1', resources: { requests: gpus, limits: gpus } }] }, name);
const node = () => test.api.object<Node>(refs.nodes, 'node-1');
const until = (holds: () => boolean) =>
  expect
    .poll(
      async () => {
        await test.advance(200);
        return holds();
      },
      { interval: 10, timeout: 5000 },
    )
    .toBe(true);

it('become capacity, go to containers, one to each, and are gone with their plugin', async () => {
  await test.start({ plugins: true });
  await expect.poll(async () => (await test.quiet(), node() !== undefined)).toBe(true);
  const change = await serve(() => 'Healthy');
  await until(() => node()?.status?.allocatable?.[RESOURCE] === '2');
  await test.create(asking('one'));
  await test.create(asking('two'));
  await until(() => test.cri.running('app').length === 2);
  const configs = test.cri.running('app').map((each) => each.config);
  const given = configs.map((each) => each?.envs?.find((env) => env.key === 'GPUS')?.value).sort();
  expect(given).toEqual(['gpu-0', 'gpu-1']);
  expect(configs[0]?.devices).toMatchObject([{ permissions: 'rw' }]);
  await test.create(asking('three'));
  // What the device manager says comes before the count of the node's resources.
  expect(test.pod('three')?.status?.reason).toBe('UnexpectedAdmissionError');
  change((id) => (id === 'gpu-0' ? 'Unhealthy' : 'Healthy'));
  await until(() => node()?.status?.allocatable?.[RESOURCE] === '1');
  expect(node()?.status?.capacity?.[RESOURCE]).toBe('2');
  plugin.forceShutdown();
  await until(() => node()?.status?.allocatable?.[RESOURCE] === '0');
});

it('an init container hands its devices on, and nobody gets what is taken', () => {
  const limits = { [RESOURCE]: '1' };
  const pod: Pod = {
    metadata: { uid: 'u' },
    spec: {
      initContainers: [{ name: 'init', resources: { limits } }],
      containers: [{ name: 'app', resources: { limits } }],
    },
  };
  const sets = {
    [RESOURCE]: new Map([
      ['a', true],
      ['b', true],
      ['c', false],
    ]),
  };
  expect(allocateDevices(pod, sets, { other: { x: { [RESOURCE]: ['a'] } } })).toEqual({
    kind: 'ok',
    devices: { init: { [RESOURCE]: ['b'] }, app: { [RESOURCE]: ['b'] } },
  });
  expect(allocateDevices(pod, sets, { other: { x: { [RESOURCE]: ['a', 'b'] } } })).toEqual({
    kind: 'short',
    message: `Allocate failed due to requested number of devices unavailable for ${RESOURCE}. Requested: 1, Available: 0, which is unexpected`,
  });
});
