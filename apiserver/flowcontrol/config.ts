// Keeps priority and fairness in step with its objects: makes the mandatory and suggested ones, puts back what must not change,
// takes every change over, and says in a FlowSchema's status whether its priority level is there.
import { deepClone, deepEqual } from '../../api/equality.ts';
import { ApiError } from '../../api/errors.ts';
import type { Kind } from '../../api/kind.ts';
import type { KubeObject } from '../../api/object.ts';
import type { FlowSchema, PriorityLevelConfiguration } from '../../api/types/flowcontrol-v1.ts';
import type { Clock } from '../../lib/clock.ts';
import type { Logger } from '../../lib/log.ts';
import { type Follower, follow } from '../auth/follow.ts';
import type { Identity } from '../auth/identity.ts';
import { timestamp } from '../registry/encode.ts';
import type { Registry } from '../registry/registry.ts';
import { AUTO_UPDATE, FLOW_SCHEMAS, MANDATORY, PRIORITY_LEVELS } from './bootstrap.ts';
import type { FlowControl } from './flow-control.ts';

export interface FlowConfigOptions {
  registry: Registry;
  flows: FlowControl;
  /** The server acting for itself. */
  user: Identity;
  clock: Clock;
  log: Logger;
  signal: AbortSignal;
}

const GROUP = 'flowcontrol.apiserver.k8s.io';
const CONSUMER = 'api-priority-and-fairness-config-consumer-v1';
const PRODUCER = 'api-priority-and-fairness-config-producer-v1';

export class FlowConfig {
  readonly followers: readonly Follower[];
  #options: FlowConfigOptions;
  #kinds: { schemas: Kind; levels: Kind };
  #schemas = new Map<string, FlowSchema>();
  #levels = new Map<string, PriorityLevelConfiguration>();
  #pending = false;
  #running: Promise<void> | undefined;
  #again = false;
  /** Bootstrap objects are made only once the server is ready to write. */
  #produces = false;

  constructor(options: FlowConfigOptions) {
    this.#options = options;
    const { registry, clock, log, signal } = options;
    this.#kinds = {
      schemas: registry.kind(GROUP, 'flowschemas'),
      levels: registry.kind(GROUP, 'prioritylevelconfigurations'),
    };
    const into = (kind: Kind, map: Map<string, unknown>) =>
      follow(
        registry.context.caches.of(kind),
        (_namespace, name, object) => {
          if (object) map.set(name, object);
          else map.delete(name);
          this.#changed();
        },
        { signal, clock, log },
      );
    this.followers = [into(this.#kinds.schemas, this.#schemas), into(this.#kinds.levels, this.#levels)];
  }

  /** Makes what is missing; resolves when it is there. From now on it is kept. */
  async produce(): Promise<void> {
    this.#produces = true;
    await this.#maintain();
  }

  /** Several changes of one batch are one configuration. */
  #changed(): void {
    if (this.#pending) return;
    this.#pending = true;
    queueMicrotask(() => {
      this.#pending = false;
      this.#options.flows.configure([...this.#schemas.values()], [...this.#levels.values()]);
      if (this.#produces) void this.#maintain();
    });
  }

  /** One at a time; a change meanwhile makes it run again. */
  #maintain(): Promise<void> {
    if (this.#running) {
      this.#again = true;
      return this.#running;
    }
    this.#running = this.#maintainOnce()
      .catch((error) => {
        if (!this.#options.signal.aborted) this.#options.log.warn({ err: error }, 'flow control objects not kept');
      })
      .then(() => {
        this.#running = undefined;
        if (!this.#again || this.#options.signal.aborted) return undefined;
        this.#again = false;
        return this.#maintain();
      });
    return this.#running;
  }

  async #maintainOnce(): Promise<void> {
    const { levels, schemas } = this.#kinds;
    await Promise.all([
      ...PRIORITY_LEVELS.map((each) => this.#keep(levels, each, this.#levels.get(each.metadata.name as string))),
      ...FLOW_SCHEMAS.map((each) => this.#keep(schemas, each, this.#schemas.get(each.metadata.name as string))),
    ]);
    await Promise.all([...this.#schemas.values()].map((each) => this.#tell(each)));
  }

  async #keep(kind: Kind, wanted: Specified, present: Specified | undefined): Promise<void> {
    const { registry, user } = this.#options;
    const name = wanted.metadata.name as string;
    if (!present) {
      const request = { user, namespace: '', dryRun: false, warn() {}, manager: PRODUCER };
      await registry.create(kind, deepClone(wanted) as KubeObject, request).catch(ignore('AlreadyExists'));
      return;
    }
    const spec = wantedSpec(wanted, present);
    if (!spec) return;
    await this.#write(kind, name, '', PRODUCER, (object) => {
      (object as Specified).spec = deepClone(spec) as never;
      const { metadata } = object;
      metadata.annotations = { ...metadata.annotations, [AUTO_UPDATE]: metadata.annotations?.[AUTO_UPDATE] ?? 'true' };
    });
  }

  async #tell(schema: FlowSchema): Promise<void> {
    const name = schema.metadata.name as string;
    const level = schema.spec?.priorityLevelConfiguration.name ?? '';
    const isDangling = !this.#levels.has(level);
    const condition = {
      type: 'Dangling',
      status: isDangling ? 'True' : 'False',
      reason: isDangling ? 'NotFound' : 'Found',
      message: `This FlowSchema references the PriorityLevelConfiguration object named ${JSON.stringify(level)} ${isDangling ? 'but there is no such object' : 'and it exists'}`,
    };
    const present = schema.status?.conditions?.find((each) => each.type === 'Dangling');
    if (present?.status === condition.status && present.message === condition.message) return;
    const since =
      present?.status === condition.status ? present.lastTransitionTime : timestamp(this.#options.clock.now());
    await this.#write(this.#kinds.schemas, name, 'status', CONSUMER, (object) => {
      const others = ((object as FlowSchema).status?.conditions ?? []).filter((each) => each.type !== 'Dangling');
      (object as FlowSchema).status = { conditions: [...others, { ...condition, lastTransitionTime: since }] };
    });
  }

  async #write(kind: Kind, name: string, subresource: string, manager: string, change: (object: KubeObject) => void) {
    const { registry, user } = this.#options;
    const request = { user, namespace: '', dryRun: false, warn() {}, manager, name, subresource, isPatch: true };
    await registry
      .update(kind, request, (old) => {
        const object = deepClone(old);
        change(object);
        return object;
      })
      .catch(ignore('NotFound'));
  }
}

type Specified = {
  metadata: { name?: string; generation?: number; annotations?: Record<string, string> };
  spec?: object;
};

/** What the spec must become; undefined when it may stay. */
export function wantedSpec(wanted: Specified, present: Specified): object | undefined {
  const name = wanted.metadata.name ?? '';
  const mark = present.metadata.annotations?.[AUTO_UPDATE];
  // Without the mark, one that was changed is somebody else's.
  const mayDiffer = mark === 'false' || (mark === undefined && (present.metadata.generation ?? 1) !== 1);
  let spec = wanted.spec ?? {};
  if (MANDATORY.has(name)) {
    // Of the exempt level, how much it counts for and lends is the administrator's.
    const tuned = (present.spec as PriorityLevelConfiguration['spec'])?.exempt;
    if (mayDiffer && tuned && 'exempt' in spec) spec = { ...spec, exempt: tuned };
  } else if (mayDiffer) return undefined;
  return covers(present.spec, spec) ? undefined : spec;
}

/** Equal but for what defaults have added. */
function covers(present: unknown, wanted: unknown): boolean {
  if (Array.isArray(wanted)) {
    return (
      Array.isArray(present) && present.length === wanted.length && wanted.every((each, i) => covers(present[i], each))
    );
  }
  if (typeof wanted !== 'object' || wanted === null) return deepEqual(present, wanted);
  if (typeof present !== 'object' || present === null) return false;
  return Object.entries(wanted).every(([key, value]) => covers((present as Record<string, unknown>)[key], value));
}

const ignore = (reason: string) => (error: unknown) => {
  if (!(error instanceof ApiError) || error.reason !== reason) throw error;
};
