// What the API has ever said about the pods of a chaos test, by watch, and the promises that no sequence of crashes may break.
import type { Container, ContainerStatus, Pod } from '../../api/types/core-v1.ts';
import type { Shape } from './shapes.ts';

export interface Expected {
  shape: Shape;
  /** Killed by us: a run that ends otherwise than by itself may have failed. */
  hit: boolean;
  /** A container was replaced because its image changed. */
  changed: boolean;
  /** The last label that the API server acknowledged. */
  label?: string;
}

const ended = (pod: Pod): boolean => pod.status?.phase === 'Succeeded' || pod.status?.phase === 'Failed';

export const statusesOf = ({ status }: Pod): ContainerStatus[] => [
  ...(status?.initContainerStatuses ?? []),
  ...(status?.containerStatuses ?? []),
  ...(status?.ephemeralContainerStatuses ?? []),
];

/** What is wrong with the step from `old` to `now`; empty when nothing is. */
export function brokenPromises(old: Pod, now: Pod): string[] {
  const name = now.metadata.name;
  if (old.metadata.uid !== now.metadata.uid) return [`${name} was made twice`];
  const broken: string[] = [];
  if (ended(old) && now.status?.phase !== old.status?.phase)
    broken.push(`${name} was ${old.status?.phase} and became ${now.status?.phase}`);
  const counts = new Map(statusesOf(old).map((each) => [each.name, each.restartCount]));
  for (const { name: container, restartCount } of statusesOf(now)) {
    if (restartCount < (counts.get(container) ?? 0))
      broken.push(`${name}/${container}: restart count went from ${counts.get(container)} to ${restartCount}`);
  }
  return broken;
}

/** Why the pod is not yet what it comes to; undefined when it is. */
export function unsettled(pod: Pod, { shape, hit, changed, label }: Expected): string | undefined {
  const { name } = pod.metadata;
  const { phase, containerStatuses = [] } = pod.status ?? {};
  if (pod.metadata.deletionTimestamp) return `${name} is being deleted`;
  if (label !== undefined && pod.metadata.labels?.['touched'] !== label) return `${name} lost its label ${label}`;
  const says = `${name} is ${phase}: ${statusesOf(pod).map(printStatus).join(', ')}`;
  switch (shape.ending.kind) {
    case 'running': {
      const ready = pod.status?.conditions?.find(({ type }) => type === 'Ready')?.status === 'True';
      if (phase !== 'Running' || !ready || containerStatuses.some(({ state }) => !state?.running)) return says;
      if (!hit && !changed && containerStatuses.some(({ restartCount }) => restartCount > 0))
        return `${says}; nobody touched it`;
      return pod.spec?.containers.map((each) => mismatch(each, containerStatuses)).find(Boolean);
    }
    case 'succeeded':
      return phase === 'Succeeded' || (hit && phase === 'Failed') ? undefined : says;
    case 'failed': {
      const { exitCode } = shape.ending;
      if (phase !== 'Failed') return says;
      return hit || statusesOf(pod).some(({ state }) => state?.terminated?.exitCode === exitCode) ? undefined : says;
    }
    case 'crashing':
      return phase === 'Running' && containerStatuses.some(({ restartCount }) => restartCount > 0) ? undefined : says;
    case 'waiting':
      return phase === 'Pending' ? undefined : says;
  }
}

/** Where a running container is not what the spec asks for. */
function mismatch(wanted: Container, statuses: ContainerStatus[]): string | undefined {
  const status = statuses.find(({ name }) => name === wanted.name);
  if (status?.image !== wanted.image) return `${wanted.name} runs ${status?.image}, not ${wanted.image}`;
  const memory = wanted.resources?.limits?.['memory'];
  const has = status?.resources?.limits?.['memory'];
  if (memory !== undefined && memory !== has) return `${wanted.name} has ${String(has)} of memory, not ${memory}`;
  return undefined;
}

function printStatus({ name, state, restartCount }: ContainerStatus): string {
  const [kind = 'unknown', detail] = Object.entries(state ?? {}).find(([, value]) => value) ?? [];
  const { reason = '', exitCode = '', message = '' } = (detail ?? {}) as Record<string, unknown>;
  return `${name} ${kind} ${[reason, exitCode, message].filter((each) => each !== '').join(' ')} (${restartCount} restarts)`;
}
