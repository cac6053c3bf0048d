// What every pod worker shares: the node's services, handed in by runKubelet.
import type { Service } from '../../api/types/core-v1.ts';
import type { Clock, Random } from '../../lib/clock.ts';
import type { Logger } from '../../lib/log.ts';
import type { Client } from '../../client/port.ts';
import type { CriClient } from '../cri/client.ts';
import type { PodCgroups } from '../cgroups/pod-cgroups.ts';
import type { DeviceManager } from '../devices/manager.ts';
import type { ImagePuller } from '../images/puller.ts';
import type { ReferencedObjects } from '../objects.ts';
import type { Hooks } from '../probes/hooks.ts';
import type { Prober } from '../probes/prober.ts';
import type { KubeletMetrics } from '../stats/metrics.ts';
import type { NodeSettings } from '../settings.ts';
import type { Placement } from '../topology/placement.ts';
import type { Volumes } from '../volumes/volumes.ts';
import type { BackoffTable } from './crash-backoff.ts';
import type { PodEvents } from './events.ts';
import type { RuntimeCache } from './runtime-cache.ts';
import type { StatusWriter } from './status-writer.ts';
import type { UserNamespaces } from './user-namespaces.ts';

export interface PodContext {
  /** Closed until the API's pods and the runtime's containers are both known: before that no worker acts. */
  /** Static pods need the runtime's containers only. */
  gate: { isOpen: boolean; isListed: boolean };
  /** What the node runs short of, and whether it ends. */
  nodeState: { pressure(): ReadonlySet<string>; isShuttingDown: boolean };
  devices: DeviceManager;
  /** Undefined: the runtime makes the cgroups of pods. */
  cgroups: PodCgroups | undefined;
  userNamespaces: UserNamespaces;
  /** Processors and memory of containers' own; undefined: nobody has any. */
  placement: Placement | undefined;
  client: Client;
  cri: CriClient;
  cache: RuntimeCache;
  volumes: Volumes;
  objects: ReferencedObjects;
  images: ImagePuller;
  prober: Prober;
  hooks: Hooks;
  events: PodEvents;
  statuses: StatusWriter;
  backoffs: BackoffTable;
  settings: NodeSettings;
  metrics: KubeletMetrics;
  services: { synced: Promise<void>; list(): readonly Service[] };
  clock: Clock;
  random: Random;
  log: Logger;
}
