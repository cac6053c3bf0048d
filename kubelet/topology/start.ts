// Starts what places containers on processors and memory nodes, on nodes that are told to; loaded only there.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Clock } from '../../lib/clock.ts';
import type { Logger } from '../../lib/log.ts';
import { bytesOf, milliOf } from '../containers/amounts.ts';
import type { CriClient } from '../cri/client.ts';
import type { RuntimeCache } from '../pods/runtime-cache.ts';
import type { Machine } from './machine.ts';
import type { TopologyOptions } from './options.ts';
import type { Placement } from './placement.ts';

export interface PlacementContext {
  stateDir: string;
  topology: TopologyOptions | undefined;
  /** For tests; default: this one. */
  machine: Machine | undefined;
  /** Amounts by resource. */
  reserved: Record<string, string | number>;
  cri: CriClient;
  cache: RuntimeCache;
  clock: Clock;
  log: Logger;
}

const NOTHING: TopologyOptions = {
  settings: { cpuPolicy: 'none', cpuOptions: {}, memoryPolicy: 'None', policy: 'none', scope: 'container' },
  strict: false,
  reservedMemory: [],
};

/** What upstream keeps free for eviction counts as reserved. */
const EVICTION_BYTES = 100 * 2 ** 20;

/** Rejects when the machine cannot do what is asked for, or another policy has left its state. */
export async function startPlacement(context: PlacementContext): Promise<Placement | undefined> {
  const { stateDir, cri, cache, clock, log, reserved } = context;
  const hasState = ['cpu', 'memory'].some((each) => existsSync(join(stateDir, `${each}_manager_state`)));
  if (!context.topology && !hasState) return undefined;
  const { settings, reservedCpus, strict, reservedMemory } = context.topology ?? NOTHING;
  const [{ Placement }, { readMachine }] = await Promise.all([import('./placement.ts'), import('./machine.ts')]);
  const machine = context.machine ?? readMachine();
  if (settings.memoryPolicy === 'Static') checkReserved(reservedMemory, machine, bytesOf(reserved['memory']));
  return new Placement({
    stateDir,
    machine,
    settings,
    strict,
    reservedCpus: reservedCpus ? { ids: reservedCpus } : { milli: milliOf(reserved['cpu']) },
    reservedMemory: new Map(reservedMemory.map((each) => [each.node, each.limits])),
    *containers() {
      for (const { uid } of cache.identities()) {
        for (const { id, name, state } of cache.pod(uid).containers) {
          if (state === 'running' || state === 'created') yield { id, uid, name };
        }
      }
    },
    async update(containerId, linux) {
      await cri.call('UpdateContainerResources', { containerId, linux });
    },
    clock,
    log,
  });
}

/** The nodes' parts have to come to what the node keeps from pods as a whole. */
function checkReserved(parts: TopologyOptions['reservedMemory'], machine: Machine, reservedBytes: number): void {
  const strange = parts.find(({ node }) => !machine.nodes.some((each) => each.id === node));
  if (strange) throw new Error(`reservedMemory: there is no NUMA node ${strange.node}`);
  const total = parts.reduce((sum, each) => sum + (each.limits['memory'] ?? 0), 0);
  const wanted = reservedBytes + EVICTION_BYTES;
  if (total !== wanted) {
    throw new Error(
      `the total amount "${total}" of type "memory" is not equal to the value "${wanted}" determined by Node Allocatable feature`,
    );
  }
}
