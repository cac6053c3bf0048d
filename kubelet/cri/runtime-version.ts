// What the runtime is and can, asked until it answers.
import { sleep } from '../../lib/abort.ts';
import { backoffMs } from '../../lib/backoff.ts';
import type { Clock, Random } from '../../lib/clock.ts';
import type { Logger } from '../../lib/log.ts';
import type { NodeFacts } from '../node/node-object.ts';
import type { CriClient } from './client.ts';

/** Undefined when the signal aborts first. */
export async function runtimeVersion(
  cri: CriClient,
  clock: Clock,
  random: Random,
  log: Logger,
  signal: AbortSignal,
): Promise<NodeFacts['runtime'] | undefined> {
  for (let failures = 1; !signal.aborted; failures++) {
    try {
      const [version, status] = await Promise.all([
        cri.call('Version', { version: 'v1' }, { timeoutMs: 5000, signal }),
        cri.call('Status', {}, { timeoutMs: 5000, signal }),
      ]);
      return {
        name: version.runtimeName || 'unknown',
        version: version.runtimeVersion || 'unknown',
        strictGroups: status.features?.supplementalGroupsPolicy ?? false,
        handlers: (status.runtimeHandlers ?? []).map((each) => ({
          name: each.name ?? '',
          recursiveReadOnly: each.features?.recursiveReadOnlyMounts ?? false,
          userNamespaces: each.features?.userNamespaces ?? false,
        })),
      };
    } catch (error) {
      if (signal.aborted) return undefined;
      if (failures % 10 === 1) log.warn({ err: error }, 'the container runtime does not answer yet');
      await sleep(clock, backoffMs({ initialMs: 50, maxMs: 2000, jitter: 0.2 }, failures, random), signal);
    }
  }
  return undefined;
}
