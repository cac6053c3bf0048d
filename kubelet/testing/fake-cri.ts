// A container runtime in memory behind the kubelet's CRI client: sandboxes, containers, images, events, faults on
// demand. Containers run until the test ends them or StopContainer does.
import type {
  Container,
  ContainerEventResponse,
  ContainerEventType,
  ContainerStatus,
  ImageSpec,
  PodSandboxConfig,
  PodSandboxStats,
  PodSandboxStatus,
} from '../../proto/cri-types.ts';
import type { Clock } from '../../lib/clock.ts';
import { BoundedStream } from '../../lib/stream.ts';
import {
  type CriCallOptions,
  type CriClient,
  CriError,
  type CriMethod,
  type CriRequest,
  type CriResponse,
} from '../cri/client.ts';

export interface FakeCall {
  method: CriMethod;
  request: unknown;
}

interface FakeContainer {
  status: ContainerStatus;
  sandboxId: string;
  config: CriRequest<'CreateContainer'>['config'];
}

interface FakeSandbox {
  status: PodSandboxStatus;
  config: PodSandboxConfig;
}

export interface FakeCri extends CriClient {
  readonly calls: FakeCall[];
  readonly sandboxes: Map<string, FakeSandbox>;
  readonly containers: Map<string, FakeContainer>;
  readonly images: Map<string, { user?: string; uid?: number }>;
  /** Before each call; what it throws is the answer. */
  before: ((call: FakeCall) => void | Promise<void>) | undefined;
  /** After a call took effect; what it throws is a lost answer. */
  after: ((call: FakeCall) => void) | undefined;
  execSync: (containerId: string, cmd: string[]) => { exitCode: number; stdout: string };
  /** Ends a running container by itself. */
  exit(containerId: string, exitCode: number, reason?: string): void;
  running(name?: string): FakeContainer[];
  /** Newest container of that name. */
  container(name: string): FakeContainer | undefined;
  /** How long StopContainer takes before the container obeys; undefined: it obeys at once. */
  ignoreTermMs: number | undefined;
  /** What ListPodSandboxStats answers. */
  stats: () => PodSandboxStats[];
  /** What containers use, by id, as ContainerStats tells it. */
  memoryUsage: Map<string, number>;
  dropEvents(): void;
  /** While true no event is sent. */
  mute: boolean;
}

export function createFakeCri(clock: Clock): FakeCri {
  let counter = 0;
  const streams = new Set<BoundedStream<ContainerEventResponse>>();
  /** Stops in progress, by container id. */
  const stopped = new Map<string, (() => void)[]>();
  const nowNs = () => clock.now() * 1e6;
  const notFound = (method: string, id: string) => new CriError(method, 'notFound', `${id} not found`);
  const copy = <T>(value: T): T => structuredClone(value);

  const send = (type: ContainerEventType, containerId: string, sandboxId: string) => {
    if (fake.mute) return;
    const sandbox = fake.sandboxes.get(sandboxId);
    const event: ContainerEventResponse = {
      containerId,
      containerEventType: type,
      createdAt: nowNs(),
      podSandboxStatus: sandbox ? copy(sandbox.status) : null,
      containersStatuses: [...fake.containers.values()]
        .filter((each) => each.sandboxId === sandboxId)
        .map((each) => copy(each.status)),
    };
    for (const stream of streams) stream.push(event);
  };

  const stop = (id: string, exitCode: number, reason = '') => {
    const found = fake.containers.get(id);
    if (!found || found.status.state === 'CONTAINER_EXITED') return;
    Object.assign(found.status, { state: 'CONTAINER_EXITED', exitCode, reason, finishedAt: nowNs() });
    send('CONTAINER_STOPPED_EVENT', id, found.sandboxId);
    for (const resolve of stopped.get(id) ?? []) resolve();
  };

  const handlers: { [M in CriMethod]?: (request: CriRequest<M>) => CriResponse<M> | Promise<CriResponse<M>> } = {
    Version: () => ({ version: '0.1.0', runtimeName: 'fake', runtimeVersion: '1.0', runtimeApiVersion: 'v1' }),
    Status: () => ({
      status: {
        conditions: [
          { type: 'RuntimeReady', status: true },
          { type: 'NetworkReady', status: true },
        ],
      },
      runtimeHandlers: [{ name: '', features: { recursiveReadOnlyMounts: true, userNamespaces: true } }],
    }),
    ListImages: () => ({ images: [] }),
    RunPodSandbox({ config }) {
      const id = `sandbox-${++counter}`;
      const network = config?.linux?.securityContext?.namespaceOptions?.network;
      fake.sandboxes.set(id, {
        config: config as PodSandboxConfig,
        status: {
          id,
          metadata: config?.metadata ?? null,
          state: 'SANDBOX_READY',
          createdAt: nowNs(),
          network: { ip: network === 'NODE' ? '' : `10.244.0.${counter}`, additionalIps: [] },
          labels: config?.labels ?? {},
          annotations: config?.annotations ?? {},
        },
      });
      return { podSandboxId: id };
    },
    PodSandboxStatus({ podSandboxId = '' }) {
      const found = fake.sandboxes.get(podSandboxId);
      if (!found) throw notFound('PodSandboxStatus', podSandboxId);
      return { status: copy(found.status) };
    },
    ListPodSandbox: () => ({
      items: [...fake.sandboxes.values()].map(({ status }) => ({ id: status.id ?? '', labels: status.labels ?? {} })),
    }),
    StopPodSandbox({ podSandboxId = '' }) {
      const found = fake.sandboxes.get(podSandboxId);
      if (!found) throw notFound('StopPodSandbox', podSandboxId);
      for (const [id, each] of fake.containers) if (each.sandboxId === podSandboxId) stop(id, 137);
      found.status.state = 'SANDBOX_NOTREADY';
      return {};
    },
    RemovePodSandbox({ podSandboxId = '' }) {
      for (const [id, each] of fake.containers) if (each.sandboxId === podSandboxId) fake.containers.delete(id);
      fake.sandboxes.delete(podSandboxId);
      return {};
    },
    CreateContainer({ podSandboxId = '', config }) {
      const sandbox = fake.sandboxes.get(podSandboxId);
      if (sandbox?.status.state !== 'SANDBOX_READY') throw notFound('CreateContainer', podSandboxId);
      const clash = [...fake.containers.values()].find(
        (each) =>
          each.sandboxId === podSandboxId &&
          each.status.metadata?.name === config?.metadata?.name &&
          each.status.metadata?.attempt === config?.metadata?.attempt,
      );
      if (clash) throw new CriError('CreateContainer', 'other', `name is reserved for ${clash.status.id}`);
      const id = `container-${++counter}`;
      fake.containers.set(id, {
        config: config ?? null,
        sandboxId: podSandboxId,
        status: {
          id,
          metadata: config?.metadata ?? null,
          state: 'CONTAINER_CREATED',
          createdAt: nowNs(),
          image: config?.image as ImageSpec,
          imageRef: config?.image?.image ?? '',
          labels: config?.labels ?? {},
          annotations: config?.annotations ?? {},
          logPath: `${sandbox.config.logDirectory}/${config?.logPath}`,
        },
      });
      send('CONTAINER_CREATED_EVENT', id, podSandboxId);
      return { containerId: id };
    },
    StartContainer({ containerId = '' }) {
      const found = fake.containers.get(containerId);
      if (!found) throw notFound('StartContainer', containerId);
      Object.assign(found.status, { state: 'CONTAINER_RUNNING', startedAt: nowNs() });
      send('CONTAINER_STARTED_EVENT', containerId, found.sandboxId);
      return {};
    },
    ContainerStatus({ containerId = '' }) {
      const found = fake.containers.get(containerId);
      if (!found) throw notFound('ContainerStatus', containerId);
      return { status: copy(found.status) };
    },
    ListContainers: () => ({
      containers: [...fake.containers.values()].map(
        ({ status, sandboxId }): Container => ({ id: status.id ?? '', podSandboxId: sandboxId }),
      ),
    }),
    async StopContainer({ containerId = '', timeout = 0 }) {
      const found = fake.containers.get(containerId);
      if (!found) throw notFound('StopContainer', containerId);
      const wait = Math.min(timeout * 1000, fake.ignoreTermMs ?? 0);
      if (wait > 0) {
        await new Promise<void>((resolve) => {
          clock.after(wait, resolve);
          stopped.set(containerId, [...(stopped.get(containerId) ?? []), resolve]);
        });
      }
      stop(containerId, fake.ignoreTermMs !== undefined && fake.ignoreTermMs > timeout * 1000 ? 137 : 143, 'Error');
      return {};
    },
    RemoveContainer({ containerId = '' }) {
      const found = fake.containers.get(containerId);
      if (!found) return {};
      stop(containerId, 137);
      fake.containers.delete(containerId);
      send('CONTAINER_DELETED_EVENT', containerId, found.sandboxId);
      return {};
    },
    ExecSync({ containerId = '', cmd = [] }) {
      const { exitCode, stdout } = fake.execSync(containerId, cmd);
      return { exitCode, stdout: Buffer.from(stdout), stderr: Buffer.alloc(0) };
    },
    ImageStatus({ image }) {
      const found = fake.images.get(image?.image ?? '');
      if (!found) return { image: null };
      return {
        image: {
          id: `sha256:${image?.image}`,
          size: 1000,
          uid: found.uid === undefined ? null : { value: found.uid },
          username: found.user ?? '',
        },
      };
    },
    PullImage({ image }) {
      fake.images.set(image?.image ?? '', {});
      return { imageRef: `sha256:${image?.image}` };
    },
    ListContainerStats: () => ({ stats: [] }),
    ListPodSandboxStats: () => ({ stats: fake.stats() }),
    ContainerStats: ({ containerId = '' }) => ({
      stats: { memory: { usageBytes: { value: fake.memoryUsage.get(containerId) ?? 0 } } },
    }),
    UpdateContainerResources({ containerId = '', linux }) {
      const found = fake.containers.get(containerId);
      if (!found?.config?.linux) throw notFound('UpdateContainerResources', containerId);
      found.config.linux.resources = { ...found.config.linux.resources, ...linux };
      return {};
    },
    UpdatePodSandboxResources({ podSandboxId = '', resources }) {
      const found = fake.sandboxes.get(podSandboxId);
      if (!found?.config.linux) throw notFound('UpdatePodSandboxResources', podSandboxId);
      found.config.linux.resources = { ...found.config.linux.resources, ...resources };
      return {};
    },
  };

  const fake: FakeCri = {
    calls: [],
    sandboxes: new Map(),
    containers: new Map(),
    images: new Map([['app:1', {}]]),
    before: undefined,
    after: undefined,
    ignoreTermMs: undefined,
    mute: false,
    stats: () => [],
    memoryUsage: new Map(),
    execSync: () => ({ exitCode: 0, stdout: '' }),
    exit: (id, exitCode, reason) => stop(id, exitCode, reason),
    running: (name) =>
      [...fake.containers.values()].filter(
        (each) =>
          each.status.state === 'CONTAINER_RUNNING' && (name === undefined || each.status.metadata?.name === name),
      ),
    container: (name) => [...fake.containers.values()].filter((each) => each.status.metadata?.name === name).at(-1),
    dropEvents() {
      for (const stream of streams) stream.fail(new CriError('GetContainerEvents', 'unavailable', 'connection lost'));
      streams.clear();
    },
    async call<M extends CriMethod>(
      method: M,
      request: CriRequest<M>,
      _options?: CriCallOptions,
    ): Promise<CriResponse<M>> {
      const call = { method, request: copy(request) };
      await fake.before?.(call);
      fake.calls.push(call);
      const handler = handlers[method] as
        | ((request: CriRequest<M>) => CriResponse<M> | Promise<CriResponse<M>>)
        | undefined;
      if (!handler) throw new CriError(method, 'other', `${method} is not part of the fake`);
      const answer = await handler(request);
      fake.after?.(call);
      return answer;
    },
    async *events(signal, onOpen) {
      const stream = new BoundedStream<ContainerEventResponse>({ limit: 10_000 });
      streams.add(stream);
      const onAbort = () => stream.end();
      signal.addEventListener('abort', onAbort, { once: true });
      onOpen?.();
      try {
        yield* stream;
      } finally {
        streams.delete(stream);
        signal.removeEventListener('abort', onAbort);
      }
    },
    close() {},
  };
  return fake;
}
