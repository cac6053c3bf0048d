// A whole kubelet in a test: the real runKubelet with a runtime and an API server in memory and a clock that the test
// moves. Files are real, in a temporary directory.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { KubeObject } from '../../api/object.ts';
import type { Pod, PodSpec } from '../../api/types/core-v1.ts';
import { createInformerFactory } from '../../client/informer.ts';
import type { Client, ResourceClient } from '../../client/port.ts';
import { createFakeClient, type FakeClient, type FakeRequest } from '../../client/testing/fake-client.ts';
import { FakeClock, settle } from '../../lib/clock.ts';
import { silentLogger } from '../../lib/log.ts';
import { type Observation, type Signal, signals } from '../eviction/thresholds.ts';
import { runKubelet } from '../index.ts';
import type { KubeletOptions } from '../options.ts';
import type { HostFacts } from '../node/host.ts';
import { refs } from '../../client/refs.ts';
import { createPlainMounter } from '../volumes/mounter.ts';
import { createFakeCri, type FakeCri } from './fake-cri.ts';

export interface RecordedEvent {
  about: string;
  type: string;
  reason: string;
  message: string;
}

export interface Harness {
  clock: FakeClock;
  cri: FakeCri;
  api: FakeClient;
  events: RecordedEvent[];
  mounts: string[];
  stateDir: string;
  /** While it throws, no request reaches the API server. */
  faults: { before?: (request: FakeRequest) => void; token?: () => Promise<void> };
  /** What is free on the node, where it is not half of everything. */
  free: Map<Signal, Observation>;
  /** Answers TokenReviews and SubjectAccessReviews. */
  review(path: string, body: unknown): unknown;
  start(options?: Partial<KubeletOptions>): Promise<void>;
  /** The process dies: nothing is finished, nothing cleaned up. */
  kill(): Promise<void>;
  create(pod: Pod): Promise<Pod>;
  pod(name?: string): Pod | undefined;
  /** Lets everything that is due without time passing happen. */
  quiet(): Promise<void>;
  advance(ms: number): Promise<void>;
  stop(): Promise<void>;
}

export const hostFacts: HostFacts = {
  hostname: 'node-1',
  cpus: 4,
  memoryBytes: 8 * 2 ** 30,
  diskBytes: 100 * 2 ** 30,
  machineId: 'machine',
  systemUuid: 'system',
  bootId: 'boot',
  kernelVersion: '6.1.0',
  osImage: 'Debian GNU/Linux 12',
  architecture: 'amd64',
  hugepages: {},
};

export function createHarness(): Harness {
  const clock = new FakeClock();
  const cri = createFakeCri(clock);
  const faults: Harness['faults'] = {};
  const api = createFakeClient({ clock, gracefulPods: true, before: (request) => faults.before?.(request) });
  const events: RecordedEvent[] = [];
  const mounter = createPlainMounter();
  const stateDir = mkdtempSync(join(tmpdir(), 'kubelet-test-'));
  let running: { abort: AbortController; done: Promise<unknown> } | undefined;

  const harness: Harness = {
    clock,
    cri,
    api,
    events,
    mounts: mounter.calls,
    stateDir,
    faults,
    free: new Map(),
    review: () => ({ status: { allowed: false, authenticated: false } }),
    async start(options = {}) {
      const abort = new AbortController();
      const client = withTokens(api, harness);
      const informers = createInformerFactory({ client, clock, random: () => 0.5, log: silentLogger });
      const recorder = {
        event: (about: KubeObject, type: string, reason: string, message: string) =>
          void events.push({ about: about.metadata.name ?? '', type, reason, message }),
        flush: async () => {},
      };
      const kubelet = runKubelet(
        {
          nodeName: 'node-1',
          context: { client, informers, events: recorder, log: silentLogger },
          criSocket: '/nonexistent',
          stateDir,
          nodeIp: '192.0.2.1',
          clock,
          random: () => 0.5,
          log: silentLogger,
          cri,
          mounter,
          removeTree: async (path) => rmSync(path, { recursive: true, force: true }),
          clusterDns: ['10.96.0.10'],
          plugins: false,
          host: {
            facts: hostFacts,
            observe: () =>
              new Map(
                signals.map((each) => [each, harness.free.get(each) ?? { available: 2 ** 40, capacity: 2 ** 41 }]),
              ),
          },
          ...options,
        },
        abort.signal,
      );
      const factory = informers.run(abort.signal);
      running = { abort, done: Promise.all([kubelet, factory]) };
      await harness.quiet();
    },
    async kill() {
      running?.abort.abort();
      await harness.quiet();
      await running?.done;
      running = undefined;
    },
    async create(pod) {
      const made = await api.resource<Pod>(refs.pods, pod.metadata.namespace).create(pod);
      await harness.quiet();
      return made;
    },
    pod: (name = 'web') => api.object<Pod>(refs.pods, `default/${name}`),
    async quiet() {
      // The first status of a pod is put off by less than 100 ms; so is a listing after another.
      await clock.advance(0);
      for (let round = 0; round < 60; round++) await settle();
    },
    async advance(ms) {
      await clock.advance(ms);
      await harness.quiet();
    },
    async stop() {
      await harness.kill();
      rmSync(stateDir, { recursive: true, force: true });
    },
  };
  return harness;
}

/** What the fake server does not know: TokenRequest, and reviews of who may use the node server. */
function withTokens(api: FakeClient, harness: Pick<Harness, 'review' | 'faults'>): Client {
  let issued = 0;
  return {
    ...api,
    request: async (_method, path, body) => harness.review(path, body) as never,
    resource<T extends KubeObject>(ref: Parameters<Client['resource']>[0], namespace?: string): ResourceClient<T> {
      const real = api.resource<T>(ref, namespace);
      if (ref.resource !== 'serviceaccounts') return real;
      const token = async () => {
        await harness.faults.token?.();
        return { status: { token: `token-${++issued}` } } as never;
      };
      return { ...real, createSubresource: token };
    },
  };
}

/** A pod bound to node-1 with one container `app`, changed by `spec`. */
export function makePod(spec: Partial<PodSpec> = {}, name = 'web'): Pod {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace: 'default' },
    spec: {
      nodeName: 'node-1',
      restartPolicy: 'Always',
      terminationGracePeriodSeconds: 30,
      containers: [{ name: 'app', image: 'app:1', imagePullPolicy: 'IfNotPresent' }],
      ...spec,
    },
    status: { phase: 'Pending', conditions: [{ type: 'PodScheduled', status: 'True' }] },
  };
}
