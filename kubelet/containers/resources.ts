// Requests and limits as CRI resources, and the pod's cgroup. Pure; formulas of upstream's pkg/kubelet/cm helpers.
import type { Container, Pod } from '../../api/types/core-v1.ts';
import type { LinuxContainerResources } from '../../proto/cri-types.ts';
import { isSidecar } from '../pods/containers-of.ts';
import { bytesOf, milliOf } from './amounts.ts';
import { oomScoreAdj, qosClassOf } from './qos.ts';

const PERIOD_US = 100_000;
const MIN_QUOTA_US = 1000;
const MIN_SHARES = 2;
const MAX_SHARES = 262_144;

export function cpuShares(milli: number): number {
  if (milli === 0) return MIN_SHARES;
  return Math.min(MAX_SHARES, Math.max(MIN_SHARES, Math.floor((milli * 1024) / 1000)));
}

/** 0: no quota. */
export function cpuQuotaUs(milli: number): number {
  return milli === 0 ? 0 : Math.max(MIN_QUOTA_US, Math.floor((milli * PERIOD_US) / 1000));
}

export function containerResources(pod: Pod, container: Container, nodeMemoryBytes: number): LinuxContainerResources {
  const { requests, limits } = container.resources ?? {};
  const cpuLimit = milliOf(limits?.['cpu']);
  const hugepages = Object.entries(limits ?? {})
    .filter(([name]) => name.startsWith('hugepages-'))
    .map(([name, limit]) => ({
      pageSize: `${name.slice('hugepages-'.length).replace('i', '')}B`,
      limit: bytesOf(limit),
    }));
  return {
    cpuPeriod: PERIOD_US,
    cpuQuota: cpuQuotaUs(cpuLimit),
    cpuShares: cpuShares(requests?.['cpu'] !== undefined ? milliOf(requests['cpu']) : cpuLimit),
    memoryLimitInBytes: bytesOf(limits?.['memory']),
    oomScoreAdj: oomScoreAdj(pod, container, nodeMemoryBytes),
    hugepageLimits: hugepages,
  };
}

/** What the whole pod asks for and may use: containers together, or the largest init container if that is more. */
export function podTotals(pod: Pod): { requests: Record<string, number>; limits: Record<string, number | undefined> } {
  const init = pod.spec?.initContainers ?? [];
  const main = [...(pod.spec?.containers ?? []), ...init.filter(isSidecar)];
  const requests: Record<string, number> = {};
  const limits: Record<string, number | undefined> = {};
  for (const [resource, measure] of [
    ['cpu', milliOf],
    ['memory', bytesOf],
  ] as const) {
    const requestOf = (each: Container) =>
      measure(each.resources?.requests?.[resource] ?? each.resources?.limits?.[resource]);
    const limitOf = (each: Container) => measure(each.resources?.limits?.[resource]);
    const overhead = measure(pod.spec?.overhead?.[resource]);
    const largest = (of: (each: Container) => number) => Math.max(0, ...init.map(of));
    requests[resource] =
      measure(pod.spec?.resources?.requests?.[resource]) ||
      Math.max(sum(main.map(requestOf)), largest(requestOf)) + overhead;
    const declared = measure(pod.spec?.resources?.limits?.[resource]);
    const everyLimited = [...main, ...init].every((each) => limitOf(each) > 0);
    limits[resource] =
      declared || (everyLimited ? Math.max(sum(main.map(limitOf)), largest(limitOf)) + overhead : undefined);
  }
  return { requests, limits };
}

export function podResources(pod: Pod): LinuxContainerResources {
  const { requests, limits } = podTotals(pod);
  return {
    cpuPeriod: PERIOD_US,
    cpuQuota: cpuQuotaUs(limits['cpu'] ?? 0),
    cpuShares: cpuShares(requests['cpu'] ?? 0),
    memoryLimitInBytes: limits['memory'] ?? 0,
  };
}

/** `<cgroupRoot>/kubepods/burstable/pod<uid>`; Guaranteed pods are directly below kubepods. */
export function podCgroup(pod: Pod, cgroupRoot: string): string {
  const qos = qosClassOf(pod);
  const middle = qos === 'Guaranteed' ? '' : `/${qos.toLowerCase()}`;
  return `${cgroupRoot.replace(/\/+$/, '')}/kubepods${middle}/pod${pod.metadata.uid}`;
}

const sum = (numbers: number[]) => numbers.reduce((total, each) => total + each, 0);
