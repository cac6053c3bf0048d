// Limits: CRI's zero means "not set". Both directions, because a status reports what holds.
import type { LinuxContainerResources } from '../../../proto/cri-types.ts';
import type { Resources } from '../../launch/port.ts';
import { invalidField } from '../errors.ts';

export function resources(from: LinuxContainerResources | null | undefined, path: string): Resources {
  const to: Resources = {};
  if (!from) return to;
  if (from.cpuPeriod) to.cpuPeriodUs = positive(from.cpuPeriod, `${path}.cpu_period`);
  // A negative quota is the kernel's word for "no limit".
  if (from.cpuQuota) to.cpuQuotaUs = from.cpuQuota;
  if (from.cpuShares) to.cpuShares = positive(from.cpuShares, `${path}.cpu_shares`);
  if (from.memoryLimitInBytes) to.memoryLimitBytes = positive(from.memoryLimitInBytes, `${path}.memory_limit_in_bytes`);
  if (from.memorySwapLimitInBytes) to.memorySwapLimitBytes = from.memorySwapLimitInBytes;
  if (from.cpusetCpus) to.cpusetCpus = cpuset(from.cpusetCpus, `${path}.cpuset_cpus`);
  if (from.cpusetMems) to.cpusetMems = cpuset(from.cpusetMems, `${path}.cpuset_mems`);
  if (from.hugepageLimits?.length) {
    to.hugepageLimits = from.hugepageLimits.map((h) => ({ pageSize: h.pageSize ?? '', limitBytes: h.limit ?? 0 }));
  }
  const unified = Object.entries(from.unified ?? {});
  for (const [name] of unified) {
    if (!/^[a-z]+[a-z0-9._]*$/.test(name)) throw invalidField(`${path}.unified`, `"${name}" is not a cgroup file`);
  }
  if (unified.length > 0) to.unified = Object.fromEntries(unified);
  const pids = from.unified?.['pids.max'];
  if (pids !== undefined && pids !== 'max') to.pidsLimit = positive(Number(pids), `${path}.unified[pids.max]`);
  return to;
}

/** `update` laid over `old`: what is not set stays. */
export function mergeResources(old: LinuxContainerResources, update: LinuxContainerResources): LinuxContainerResources {
  const set = Object.entries(update).filter(([key, value]) => {
    if (key === 'oomScoreAdj') return false;
    if (Array.isArray(value)) return value.length > 0;
    if (typeof value === 'object' && value !== null) return Object.keys(value).length > 0;
    return value !== 0 && value !== '' && value !== undefined && value !== null;
  });
  return { ...old, ...Object.fromEntries(set) };
}

function positive(value: number, path: string): number {
  if (!(value > 0)) throw invalidField(path, `${value} is not positive`);
  return value;
}

function cpuset(value: string, path: string): string {
  if (!/^\d+(-\d+)?(,\d+(-\d+)?)*$/.test(value))
    throw invalidField(path, `"${value}" is not a list of numbers and ranges`);
  return value;
}
