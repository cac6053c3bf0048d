// Controllers against an API server in memory, in virtual time: start some, change the world, let it come to rest.
import { createScheme } from '../../api/kinds/index.ts';
import type { KubeObject } from '../../api/object.ts';
import type { Scheme } from '../../api/scheme.ts';
import type { Pod } from '../../api/types/core-v1.ts';
import { createEventRecorder, createInformerFactory, eventRef, type ResourceRef } from '../../client/index.ts';
import {
  createFakeClient,
  type FakeClient,
  type FakeOptions,
  type FakeRequest,
} from '../../client/testing/fake-client.ts';
import { FakeClock, settle } from '../../lib/clock.ts';
import { silentLogger } from '../../lib/log.ts';
import type { Controller, ControllersContext } from '../context.ts';

export interface Harness {
  clock: FakeClock;
  client: FakeClient;
  context: ControllersContext;
  scheme: Scheme;
  /** Lets `ms` of virtual time pass in small steps. */
  run(ms?: number): Promise<void>;
  /** Writes since the last call that were not Events. */
  takeWrites(): string[];
  create<T extends KubeObject>(ref: ResourceRef, object: T): Promise<T>;
  messages(): string[];
  stop(): Promise<void>;
}

/** A repeatable random, so that a failing run can be run again. */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

export function startHarness(
  controllers: readonly Controller[],
  options: Omit<Partial<FakeOptions>, 'clock'> & { seed?: number } = {},
): Harness {
  const clock = new FakeClock();
  const scheme = createScheme();
  const client = createFakeClient({
    ...options,
    clock,
    onCreate(ref, object) {
      scheme.byResource(ref.group, ref.version, ref.resource)?.setDefaults?.(object);
      options.onCreate?.(ref, object);
    },
  });
  const random = seededRandom(options.seed ?? 1);
  const informers = createInformerFactory({ client, clock, random, log: silentLogger });
  const events = createEventRecorder({ client, component: 'test', clock, random, log: silentLogger });
  const context: ControllersContext = {
    client,
    informers,
    events,
    log: silentLogger,
    clock,
    random,
    rootCaPem: 'CA',
    scheme,
  };
  const stop = new AbortController();
  const running = [informers.run(stop.signal), ...controllers.map((controller) => controller(context, stop.signal))];
  let seen = 0;
  const nameOf = ({ verb, ref, name, subresource }: FakeRequest) =>
    `${verb} ${ref.resource}${subresource ? `/${subresource}` : ''} ${name ?? ''}`.trim();
  return {
    clock,
    client,
    context,
    scheme,
    async run(ms = 1_000) {
      for (let i = 0; i < 10; i++) {
        await settle();
        await clock.advance(ms / 10);
      }
    },
    takeWrites() {
      const found = client.writes.slice(seen).filter((write) => write.ref.resource !== 'events');
      seen = client.writes.length;
      return found.map(nameOf);
    },
    create: (ref, object) =>
      client
        .resource<typeof object>(ref, ref.namespaced ? (object.metadata.namespace ?? 'default') : undefined)
        .create(object),
    messages: () =>
      client
        .objects<KubeObject & { reason: string; message: string }>(eventRef)
        .map((event) => `${event.reason}: ${event.message}`),
    async stop() {
      stop.abort();
      await Promise.all(running);
      client.close();
    },
  };
}

/** What a kubelet would say of a pod that runs and is ready since `nowMs`. */
export function readyStatus(pod: Pod, nowMs: number, index = 1): Pod {
  const time = new Date(nowMs).toISOString();
  const ip = `10.244.0.${index}`;
  return {
    ...pod,
    spec: { ...(pod.spec as NonNullable<Pod['spec']>), nodeName: pod.spec?.nodeName ?? 'node-a' },
    status: {
      ...pod.status,
      phase: 'Running',
      podIP: ip,
      podIPs: [{ ip }],
      conditions: [{ type: 'Ready', status: 'True', lastTransitionTime: time }],
    },
  };
}
