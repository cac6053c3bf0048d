// Carries out the growth of claims' volumes on this node (growth.ts decides) and tells claim and events.
import type { PersistentVolumeClaim, Pod, SecretReference } from '../../../api/types/core-v1.ts';
import { intValue, quantityOf } from '../../../api/quantity.ts';
import type { Client, EventRecorder } from '../../../client/port.ts';
import { refs } from '../../../client/refs.ts';
import type { Clock } from '../../../lib/clock.ts';
import type { Logger } from '../../../lib/log.ts';
import { timestamp } from '../../pods/container-status.ts';
import type { ResolvedClaim } from '../claims.ts';
import { VolumeError } from '../payload.ts';
import { PluginError } from './call.ts';
import { failed, finished, type GrowthPlan, inProgress, planGrowth } from './growth.ts';
import type { CsiPlugins } from './plugins.ts';
import type { Published } from './records.ts';
import { capabilityOf } from './rules.ts';

/** The volume could not grow while it was mounted; `message` is the whole text of the event. */
export class ExpansionError extends VolumeError {}

export interface GrowingVolume extends ResolvedClaim {
  pod: Pod;
  /** The volume's name in the pod. */
  name: string;
  record: Published;
}

type Expansion = Extract<GrowthPlan, { kind: 'expand' }>;

/** gRPC: the call may still have happened, or may happen when asked again. */
const UNCERTAIN = new Set([1, 4, 8, 10, 14]);
/** INVALID_ARGUMENT, NOT_FOUND, OUT_OF_RANGE. */
const INFEASIBLE = new Set([3, 5, 11]);
const FAILED_PRECONDITION = 9;

export interface GrowthOptions {
  client: Client;
  plugins: Pick<CsiPlugins, 'can' | 'call'>;
  secrets(ref: SecretReference | undefined): Promise<Record<string, string>>;
  events: EventRecorder;
  clock: Clock;
  log: Logger;
}

export class ClaimGrowth {
  #options: GrowthOptions;
  /** Size by pod uid and volume name, as far as the driver has taken it. */
  #known = new Map<string, string | number>();
  /** The driver cannot while the volume is in use: not asked again before it is mounted anew. */
  #inUse = new Set<string>();
  #failedFinally = new Set<string>();

  constructor(options: GrowthOptions) {
    this.#options = options;
  }

  forget(uid: string, name: string): void {
    for (const each of [this.#known, this.#inUse, this.#failedFinally]) each.delete(`${uid}/${name}`);
  }

  /** A volume that is mounted only now; throws ExpansionError when its driver fails to have it grow. */
  async onMount(volume: GrowingVolume): Promise<void> {
    this.forget(volume.pod.metadata.uid ?? '', volume.name);
    try {
      await this.#grow(volume);
    } catch (error) {
      throw new ExpansionError(
        `MountVolume.Setup failed while expanding volume for volume "${volume.volume.metadata.name}" : ${(error as Error).message}`,
      );
    }
  }

  /** A volume that is in use; what fails is said and tried again at the next look. */
  async whileMounted(volume: GrowingVolume): Promise<void> {
    if (this.#inUse.has(keyOf(volume))) return;
    try {
      await this.#grow(volume);
    } catch (error) {
      const text = `NodeExpandVolume.NodeExpandVolume failed for volume "${volume.volume.metadata.name}" : ${(error as Error).message}`;
      this.#options.events.event(identified(volume.pod), 'Warning', 'VolumeResizeFailed', text);
    }
  }

  async #grow(volume: GrowingVolume): Promise<void> {
    const { claim, volume: found, readOnly, record } = volume;
    const key = keyOf(volume);
    const plan = planGrowth({ claim, volume: found, readOnly, known: this.#known.get(key) });
    if (plan.kind === 'refuse') {
      if (!this.#known.has(key)) this.#tell(volume, 'Warning', 'FileSystemResizeFailed', 'failed', plan.message);
      this.#known.set(key, found.spec?.capacity?.['storage'] ?? 0);
      return;
    }
    if (plan.kind === 'none') {
      const size = claim.status?.capacity?.['storage'];
      if (size !== undefined && !this.#known.has(key)) this.#known.set(key, size);
      return;
    }
    if (!this.#options.plugins.can(record.driver, 'EXPAND_VOLUME')) return;
    const current = plan.tells ? await this.#write(claim, inProgress()) : claim;
    if (!(await this.#expand(volume, plan, current))) return;
    this.#known.set(key, plan.size);
    this.#failedFinally.delete(key);
    this.#tell(volume, 'Normal', 'FileSystemResizeSuccessful', 'succeeded', volume.pod.spec?.nodeName ?? '');
    if (plan.finishes) await this.#write(current, finished(current, plan.size));
  }

  /** False: the driver cannot while the volume is in use. Throws with upstream's words. */
  async #expand(volume: GrowingVolume, plan: Expansion, claim: PersistentVolumeClaim): Promise<boolean> {
    const { plugins, secrets, log } = this.#options;
    const spec = volume.volume.spec ?? {};
    const { driver, volumeId, target, staging } = volume.record;
    try {
      await plugins.call(driver, 'NodeExpandVolume', {
        volumeId,
        volumePath: target,
        stagingTargetPath: staging ?? '',
        capacityRange: { requiredBytes: intValue(quantityOf(plan.size)) },
        volumeCapability: capabilityOf(spec, { isFiner: plugins.can(driver, 'SINGLE_NODE_MULTI_WRITER'), group: '' }),
        secrets: await secrets(spec.csi?.nodeExpandSecretRef),
      });
      return true;
    } catch (error) {
      const message = `Expander.NodeExpand failed to expand the volume : ${(error as Error).message}`;
      const code = error instanceof PluginError ? error.code : undefined;
      const isFinal = code !== undefined && !UNCERTAIN.has(code);
      if (isFinal && plan.tells) await this.#writeFailure(volume, plan, claim, message, INFEASIBLE.has(code));
      if (code !== FAILED_PRECONDITION) throw new VolumeError(message);
      log.warn({ err: error, volume: volume.volume.metadata.name }, 'a volume cannot grow while it is in use');
      this.#inUse.add(keyOf(volume));
      return false;
    }
  }

  async #writeFailure(
    volume: GrowingVolume,
    plan: Expansion,
    claim: PersistentVolumeClaim,
    message: string,
    isInfeasible: boolean,
  ): Promise<void> {
    const key = keyOf(volume);
    const asked = claim.spec?.resources?.requests?.['storage'];
    // Somebody has asked for another size after a failure: the controller is to settle what there will be.
    const isOvertaken = this.#failedFinally.has(key) && String(asked) !== String(plan.size);
    this.#failedFinally.add(key);
    const now = timestamp(this.#options.clock.now());
    await this.#write(claim, failed(claim, message, isInfeasible || isOvertaken, now));
  }

  /** Against the version that was read: a claim that changed meanwhile is looked at again. */
  #write(claim: PersistentVolumeClaim, status: object): Promise<PersistentVolumeClaim> {
    const { name = '', namespace, resourceVersion } = claim.metadata;
    return this.#options.client
      .resource<PersistentVolumeClaim>(refs.persistentVolumeClaims, namespace)
      .patch(name, 'merge', { metadata: { resourceVersion }, status }, { subresource: 'status' });
  }

  #tell({ pod, claim, volume }: GrowingVolume, type: 'Normal' | 'Warning', reason: string, how: string, what: string) {
    const text = `MountVolume.NodeExpandVolume ${how} for volume "${volume.metadata.name}" ${what}`;
    this.#options.events.event(identified(pod), type, reason, text);
    this.#options.events.event(
      { apiVersion: 'v1', kind: 'PersistentVolumeClaim', metadata: claim.metadata },
      type,
      reason,
      text,
    );
  }
}

const keyOf = ({ pod, name }: GrowingVolume) => `${pod.metadata.uid}/${name}`;

const identified = ({ metadata }: Pod): Pod => ({ apiVersion: 'v1', kind: 'Pod', metadata });
