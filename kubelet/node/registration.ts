// Registers the node and keeps its status and its lease: the status when it changes (looked at every 10 s) and every
// 5 minutes, the lease every 10 s. Readiness changes are written at once.
import { ApiError } from '../../api/errors.ts';
import type { Lease } from '../../api/types/coordination-v1.ts';
import type { Node, NodeStatus } from '../../api/types/core-v1.ts';
import type { Client, EventRecorder } from '../../client/port.ts';
import { sleep } from '../../lib/abort.ts';
import { backoffMs } from '../../lib/backoff.ts';
import type { Clock, Random } from '../../lib/clock.ts';
import type { Logger } from '../../lib/log.ts';
import type { CriClient } from '../cri/client.ts';
import { refs } from '../../client/refs.ts';
import { newNode, nodeAnnotations, type NodeFacts, nodeLabels, nodeStatus, statusChanged } from './node-object.ts';

const CHECK_MS = 10_000;
const REPORT_MS = 5 * 60_000;
const LEASE_SECONDS = 40;
const LEASE_RENEW_MS = 10_000;
const LEASE_NAMESPACE = 'kube-node-lease';

/** Reasons of the events about a node's conditions: when true, when not. */
const announced: Record<string, [whenTrue: string, otherwise: string]> = {
  Ready: ['NodeReady', 'NodeNotReady'],
  MemoryPressure: ['NodeHasInsufficientMemory', 'NodeHasSufficientMemory'],
  DiskPressure: ['NodeHasDiskPressure', 'NodeHasNoDiskPressure'],
  PIDPressure: ['NodeHasInsufficientPID', 'NodeHasSufficientPID'],
};

export interface RegistrationOptions {
  client: Client;
  cri: CriClient;
  events: EventRecorder;
  facts: NodeFacts;
  pressure(): ReadonlySet<string>;
  /** Problems of the kubelet's own: `PLEG is not healthy`, ... */
  problems(): string[];
  /** The node is in the API, made or taken over. */
  onRegistered?(): void;
  clock: Clock;
  random: Random;
  log: Logger;
}

export class NodeRegistration {
  #options: RegistrationOptions;
  #node: Node | undefined;
  #reportedAtMs = 0;
  /** By condition: the reason of the last event about it. */
  readonly #told = new Map<string, string>();
  #wakeUp: (() => void) | undefined;

  constructor(options: RegistrationOptions) {
    this.#options = options;
  }

  get node(): Node | undefined {
    return this.#node;
  }

  /** Looks again at once: something about readiness has changed. */
  poke(): void {
    this.#wakeUp?.();
  }

  /** Until the signal aborts; the API server may be away at any time. */
  async run(signal: AbortSignal): Promise<void> {
    await Promise.all([this.#keepStatus(signal), this.#keepLease(signal)]);
  }

  async #keepStatus(signal: AbortSignal): Promise<void> {
    const { random, log } = this.#options;
    let failures = 0;
    while (!signal.aborted) {
      try {
        if (!this.#node) await this.#register(signal);
        else await this.#report(signal);
        failures = 0;
      } catch (error) {
        if (signal.aborted) return;
        if (error instanceof ApiError && error.code === 404) this.#node = undefined;
        failures++;
        log.warn({ err: error }, 'cannot write the node; trying again');
      }
      const delay = failures > 0 ? backoffMs({ initialMs: 200, maxMs: 7000, jitter: 0.3 }, failures, random) : CHECK_MS;
      await this.#sleepOrPoke(delay, signal);
    }
  }

  async #sleepOrPoke(ms: number, signal: AbortSignal): Promise<void> {
    if (signal.aborted) return;
    const poked = new AbortController();
    const onAbort = () => poked.abort();
    signal.addEventListener('abort', onAbort, { once: true });
    this.#wakeUp = onAbort;
    await sleep(this.#options.clock, ms, poked.signal);
    signal.removeEventListener('abort', onAbort);
  }

  async #register(signal: AbortSignal): Promise<void> {
    const { client, facts, events, log } = this.#options;
    const nodes = client.resource<Node>(refs.nodes);
    const status = await this.#status(undefined);
    try {
      this.#node = await nodes.create(newNode(facts, status), { signal });
      log.info({ node: facts.nodeName }, 'registered the node');
    } catch (error) {
      if (!(error instanceof ApiError) || error.code !== 409) throw error;
      this.#node = await this.#adopt(signal);
    }
    this.#reportedAtMs = this.#options.clock.monotonic();
    events.event(this.#reference(), 'Normal', 'Starting', 'Starting kubelet.');
    this.#announce(status);
    this.#options.onRegistered?.();
    // What was adopted is an earlier kubelet's: its status is from before.
    await this.#report(signal);
  }

  /** The node exists: labels that are ours to set are set, the pod CIDR when it has none. */
  async #adopt(signal: AbortSignal): Promise<Node> {
    const { client, facts } = this.#options;
    const nodes = client.resource<Node>(refs.nodes);
    const existing = await nodes.get(facts.nodeName, { signal });
    const labels = Object.fromEntries(
      Object.entries(nodeLabels(facts)).filter(([key, value]) => existing.metadata.labels?.[key] !== value),
    );
    const annotations = Object.fromEntries(
      Object.entries(nodeAnnotations(facts)).filter(([key, value]) => existing.metadata.annotations?.[key] !== value),
    );
    const hasNews = Object.keys(labels).length > 0 || Object.keys(annotations).length > 0;
    const wantsCidr = facts.podCidr !== undefined && !existing.spec?.podCIDR;
    if (!hasNews && !wantsCidr) return existing;
    const patch = {
      ...(hasNews && { metadata: { labels, annotations } }),
      ...(wantsCidr && { spec: { podCIDR: facts.podCidr, podCIDRs: [facts.podCidr] } }),
    };
    return nodes.patch(facts.nodeName, 'merge', patch, { signal });
  }

  async #report(signal: AbortSignal): Promise<void> {
    const { client, facts, clock } = this.#options;
    const nodes = client.resource<Node>(refs.nodes);
    const old = this.#node?.status;
    const status = await this.#status(old);
    this.#announce(status);
    const isDue = clock.monotonic() - this.#reportedAtMs >= REPORT_MS;
    if (!isDue && !statusChanged(pick(old), pick(status))) return;
    const volumesInUse = status.volumesInUse ?? null;
    const body = { status: { ...pick(status), volumesInUse, conditions: status.conditions } };
    this.#node = await nodes.patch(facts.nodeName, 'merge', body, { subresource: 'status', signal });
    this.#reportedAtMs = clock.monotonic();
  }

  async #status(old: NodeStatus | undefined): Promise<NodeStatus> {
    const { cri, facts, clock, pressure, problems } = this.#options;
    const found = [...problems()];
    let images: { names: string[]; sizeBytes: number }[] = [];
    try {
      const [status, list] = await Promise.all([cri.call('Status', {}), cri.call('ListImages', {})]);
      for (const condition of status.status?.conditions ?? []) {
        if (condition.status) continue;
        const what =
          condition.type === 'NetworkReady' ? 'container runtime network not ready' : 'container runtime not ready';
        found.push(
          `${what}: ${condition.type}=false reason:${condition.reason ?? ''} message:${condition.message ?? ''}`,
        );
      }
      images = (list.images ?? []).map((each) => ({
        names: [...(each.repoDigests ?? []), ...(each.repoTags ?? [])],
        sizeBytes: each.size ?? 0,
      }));
    } catch (error) {
      found.push(`container runtime is down: ${(error as Error).message}`);
    }
    return nodeStatus({ facts, health: { problems: found, pressure: pressure() }, images, old, nowMs: clock.now() });
  }

  /** An event for every condition that is not as it was last told, all of them at first. */
  #announce(status: NodeStatus): void {
    for (const { type, status: isTrue } of status.conditions ?? []) {
      const reason = announced[type]?.[isTrue === 'True' ? 0 : 1];
      if (!reason || this.#told.get(type) === reason) continue;
      this.#told.set(type, reason);
      const message = `Node ${this.#options.facts.nodeName} status is now: ${reason}`;
      this.#options.events.event(this.#reference(), 'Normal', reason, message);
    }
  }

  /** Events about a node name it by its name in place of a uid, as kubectl describe expects. */
  #reference(): Node {
    const { nodeName } = this.#options.facts;
    return { apiVersion: 'v1', kind: 'Node', metadata: { name: nodeName, uid: nodeName } };
  }

  async #keepLease(signal: AbortSignal): Promise<void> {
    const { clock, random, log } = this.#options;
    let lease: Lease | undefined;
    let failures = 0;
    while (!signal.aborted) {
      try {
        lease = await this.#renewLease(lease, signal);
        failures = 0;
      } catch (error) {
        if (signal.aborted) return;
        lease = undefined;
        failures++;
        log.warn({ err: error }, 'cannot renew the node lease; trying again');
      }
      const delay =
        failures > 0 ? backoffMs({ initialMs: 200, maxMs: 7000, jitter: 0.3 }, failures, random) : LEASE_RENEW_MS;
      await sleep(clock, delay, signal);
    }
  }

  async #renewLease(known: Lease | undefined, signal: AbortSignal): Promise<Lease> {
    const { client, facts, clock } = this.#options;
    const leases = client.resource<Lease>(refs.leases, LEASE_NAMESPACE);
    const renewTime = new Date(clock.now()).toISOString().replace(/Z$/, '000Z');
    const spec = { holderIdentity: facts.nodeName, leaseDurationSeconds: LEASE_SECONDS, renewTime };
    if (known) return leases.update({ ...known, spec: { ...known.spec, ...spec } }, { signal });
    try {
      const existing = await leases.get(facts.nodeName, { signal });
      return await leases.update({ ...existing, spec: { ...existing.spec, ...spec } }, { signal });
    } catch (error) {
      if (!(error instanceof ApiError) || error.code !== 404) throw error;
    }
    const uid = this.#node?.metadata.uid;
    const owner = uid && [{ apiVersion: 'v1', kind: 'Node', name: facts.nodeName, uid }];
    const metadata = { name: facts.nodeName, namespace: LEASE_NAMESPACE, ...(owner && { ownerReferences: owner }) };
    return leases.create({ apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', metadata, spec }, { signal });
  }
}

/** What this kubelet says of a status; the rest (volumes attached, declared features) is others'. */
function pick(status: NodeStatus | undefined): NodeStatus {
  const {
    capacity,
    allocatable,
    conditions,
    addresses,
    daemonEndpoints,
    nodeInfo,
    images,
    runtimeHandlers,
    features,
    volumesInUse,
  } = status ?? {};
  const own = new Set(['MemoryPressure', 'DiskPressure', 'PIDPressure', 'Ready']);
  return {
    capacity,
    allocatable,
    conditions: conditions?.filter((each) => own.has(each.type)),
    addresses,
    daemonEndpoints,
    nodeInfo,
    images,
    runtimeHandlers,
    features,
    volumesInUse,
  };
}
