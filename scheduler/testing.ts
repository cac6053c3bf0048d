// Small nodes and pods, and an API in memory, for the scheduler's tests.
import { errors } from '../api/errors.ts';
import type { KubeObject } from '../api/object.ts';
import type { Binding, Node, NodeSpec, Pod, PodSpec } from '../api/types/core-v1.ts';
import { createInformerFactory } from '../client/informer.ts';
import type { Client, ResourceRef } from '../client/port.ts';
import { createFakeClient, type FakeClient, type FakeOptions } from '../client/testing/fake-client.ts';
import type { Clock, Random } from '../lib/clock.ts';
import type { Logger } from '../lib/log.ts';
import type { PodInfo } from './framework.ts';
import type { SchedulerOptions } from './index.ts';
import * as refs from './refs.ts';
import { podInfoOf } from './resources.ts';

export function aNode(
  name: string,
  options: { labels?: Record<string, string>; spec?: NodeSpec; allocatable?: Record<string, string> } = {},
): Node {
  return {
    metadata: { name, labels: options.labels },
    spec: options.spec,
    status: { allocatable: { cpu: '2', memory: '4Gi', pods: '110', ...options.allocatable } },
  };
}

const silent = { debug() {}, info() {}, warn() {}, error() {}, child: () => silent } as unknown as Logger;

let uid = 0;

export function aPod(name: string, spec: Partial<PodSpec> = {}, requests: Record<string, string> = {}): Pod {
  return {
    metadata: { name, namespace: 'default', uid: `uid-${++uid}` },
    spec: { schedulerName: 'default-scheduler', containers: [{ name: 'c', resources: { requests } }], ...spec },
  };
}

export const aPodInfo = (...args: Parameters<typeof aPod>): PodInfo => podInfoOf(aPod(...args));

export interface FakeApi {
  client: Client;
  fake: FakeClient;
  events: { reason: string; message: string; about: string }[];
  context: SchedulerOptions;
  createPod(pod: Pod): Promise<Pod>;
  pods(): Pod[];
}

/**
 * The fake client with what the scheduler needs besides: bindings and strategic patches of a pod's status. `before` throws
 * for a request that fails, `after` for an answer that is lost.
 */
export function fakeApi(
  clock: Clock,
  options: Partial<FakeOptions> & { random?: Random; maxBindings?: number; log?: Logger } = {},
): FakeApi {
  const fake = createFakeClient({ ...options, clock });
  const bound = async (ref: ResourceRef, namespace: string | undefined, name: string, body: Binding) => {
    const request = { verb: 'create' as const, ref, namespace, name, subresource: 'binding' };
    await options.before?.(request);
    await Promise.resolve();
    const pod = fake.object<Pod>(ref, `${namespace}/${name}`);
    if (!pod) throw errors.notFound(ref, name);
    if (pod.metadata.uid !== body.metadata.uid) throw errors.conflict(ref, name, 'uid');
    if (pod.spec?.nodeName) throw errors.conflict(ref, name, `pod ${name} is already assigned to node`);
    fake.change<Pod>(ref, `${namespace}/${name}`, (each) => ({
      ...each,
      spec: { ...(each.spec as PodSpec), nodeName: body.target.name },
    }));
    options.after?.(request);
  };
  const resource: Client['resource'] = <T extends KubeObject>(ref: ResourceRef, namespace?: string) => {
    const base = fake.resource<T>(ref, namespace);
    return {
      ...base,
      createSubresource: async <Body, Answer>(name: string, _subresource: string, body: Body) =>
        (await bound(ref, namespace, name, body as Binding)) as Answer,
      async patch(name, type, body, writeOptions) {
        if (type !== 'strategic') return base.patch(name, type, body, writeOptions);
        const { status } = body as { status: NonNullable<Pod['status']> };
        const { conditions = [], ...rest } = status;
        const old = (fake.object<Pod>(ref, `${namespace}/${name}`)?.status?.conditions ?? []).filter(
          (each) => !conditions.some((one) => one.type === each.type),
        );
        return base.patch(name, 'merge', { status: { ...rest, conditions: [...old, ...conditions] } }, writeOptions);
      },
    };
  };
  const client: Client = { ...fake, resource };
  const events: FakeApi['events'] = [];
  const random = options.random ?? (() => 0.5);
  const log = options.log ?? silent;
  const context: SchedulerOptions = {
    client,
    clock,
    random,
    log,
    maxBindings: options.maxBindings,
    informers: createInformerFactory({ client, clock, random, log }),
    events: {
      event: (about, _type, reason, message) => void events.push({ reason, message, about: about.metadata.name ?? '' }),
      flush: async () => {},
    },
  };
  return {
    client,
    fake,
    events,
    context,
    createPod: (pod) => fake.resource<Pod>(refs.pods, pod.metadata.namespace).create(pod as Pod & KubeObject),
    pods: () => fake.objects<Pod>(refs.pods),
  };
}
