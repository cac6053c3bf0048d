// Small nodes and pods for the scheduler's tests.
import type { Node, NodeSpec, Pod, PodSpec } from '../api/types/core-v1.ts';
import type { PodInfo } from './framework.ts';
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

let uid = 0;

export function aPod(name: string, spec: Partial<PodSpec> = {}, requests: Record<string, string> = {}): Pod {
  return {
    metadata: { name, namespace: 'default', uid: `uid-${++uid}` },
    spec: { schedulerName: 'default-scheduler', containers: [{ name: 'c', resources: { requests } }], ...spec },
  };
}

export const aPodInfo = (...args: Parameters<typeof aPod>): PodInfo => podInfoOf(aPod(...args));
