// The runtime's facts, one set per pod, merged from events, listings and the answers to our own calls.
// The merge is monotonic: a container goes created -> running -> exited -> removed and never back, and ids are never
// used again, so that a late or repeated event cannot undo what is already known. One writer, no IO.
import type { Clock } from '../../lib/clock.ts';
import type { ContainerEventResponse, ContainerStatus, PodSandboxStatus } from '../../proto/cri-types.ts';
import {
  nothingObserved,
  type ObservedContainer,
  type ObservedPod,
  type ObservedSandbox,
  observeContainer,
  observeSandbox,
  type PodIdentity,
} from './observed.ts';

interface Entry<T> {
  fact: T;
  /** When the fact was last confirmed, in units of this cache's own counter. */
  seen: number;
}

const rank = { unknown: 0, created: 1, running: 2, exited: 3 } as const;

export class RuntimeCache {
  #sandboxes = new Map<string, Entry<ObservedSandbox>>();
  #containers = new Map<string, Entry<ObservedContainer>>();
  /** Ids known to be removed, with the moment; forgotten two listings later. */
  #removedContainers = new Map<string, number>();
  #removedSandboxes = new Map<string, number>();
  /** When a container that has not ended was last told of, by the monotonic clock. */
  #alive = new Map<string, number>();
  #pods = new Map<string, ObservedPod>();
  #members = new Map<string, { identity: PodIdentity; sandboxes: Set<string>; containers: Set<string> }>();
  #counter = 0;
  #clock: Clock;
  #onChange: (podUid: string) => void;

  /** `onChange` runs synchronously whenever a pod's facts have changed. */
  constructor(clock: Clock, onChange: (podUid: string) => void) {
    this.#clock = clock;
    this.#onChange = onChange;
  }

  /** The same value until something changes. */
  pod(uid: string): ObservedPod {
    const known = this.#pods.get(uid);
    if (known) return known;
    const members = this.#members.get(uid);
    if (!members) return nothingObserved;
    const pick = <T extends { id: string }>(ids: Set<string>, from: Map<string, Entry<T>>) =>
      [...ids].map((id) => (from.get(id) as Entry<T>).fact);
    const made: ObservedPod = {
      sandboxes: pick(members.sandboxes, this.#sandboxes).sort(
        (a, b) => b.attempt - a.attempt || b.createdAtMs - a.createdAtMs,
      ),
      containers: pick(members.containers, this.#containers).sort(
        (a, b) => b.restartCount - a.restartCount || b.createdAtMs - a.createdAtMs,
      ),
    };
    this.#pods.set(uid, made);
    return made;
  }

  container(id: string): ObservedContainer | undefined {
    return this.#containers.get(id)?.fact;
  }

  /** Every pod of which the runtime has anything. */
  identities(): PodIdentity[] {
    return [...this.#members.values()].map((each) => each.identity);
  }

  applySandbox(status: PodSandboxStatus): void {
    const fact = observeSandbox(status);
    if (!fact || this.#removedSandboxes.has(fact.id)) return;
    const old = this.#sandboxes.get(fact.id)?.fact;
    // Not ready is final; an address once known stays known.
    if (old && !old.isReady) fact.isReady = false;
    if (old && fact.ips.length === 0) fact.ips = old.ips;
    this.#sandboxes.set(fact.id, { fact, seen: ++this.#counter });
    this.#membersOf(fact.pod).sandboxes.add(fact.id);
    if (!old || JSON.stringify(old) !== JSON.stringify(fact)) this.#changed(fact.pod.uid);
  }

  applyContainer(status: ContainerStatus): void {
    const fact = observeContainer(status);
    if (!fact || this.#removedContainers.has(fact.id)) return;
    const old = this.#containers.get(fact.id);
    if (old && rank[old.fact.state] > rank[fact.state]) {
      old.seen = ++this.#counter;
      return;
    }
    if (fact.state !== 'exited') this.#alive.set(fact.id, this.#clock.monotonic());
    else fact.endedMs = old?.fact.state === 'exited' ? old.fact.endedMs : this.#endOf(fact);
    this.#containers.set(fact.id, { fact, seen: ++this.#counter });
    this.#membersOf(fact.pod).containers.add(fact.id);
    if (!old || JSON.stringify(old.fact) !== JSON.stringify(fact)) this.#changed(fact.pod.uid);
  }

  /** StopPodSandbox has succeeded: what the runtime would say of it is known. */
  stopSandbox(id: string): void {
    const entry = this.#sandboxes.get(id);
    if (!entry?.fact.isReady) return;
    this.#sandboxes.set(id, { fact: { ...entry.fact, isReady: false }, seen: ++this.#counter });
    this.#changed(entry.fact.pod.uid);
  }

  removeContainer(id: string): void {
    this.#removedContainers.set(id, ++this.#counter);
    this.#alive.delete(id);
    const entry = this.#containers.get(id);
    if (!entry) return;
    this.#containers.delete(id);
    this.#members.get(entry.fact.pod.uid)?.containers.delete(id);
    this.#changed(entry.fact.pod.uid);
  }

  removeSandbox(id: string): void {
    this.#removedSandboxes.set(id, ++this.#counter);
    const entry = this.#sandboxes.get(id);
    if (!entry) return;
    this.#sandboxes.delete(id);
    this.#members.get(entry.fact.pod.uid)?.sandboxes.delete(id);
    this.#changed(entry.fact.pod.uid);
  }

  /** True when the event alone told everything; false: ask the runtime for this container (`containerId`). */
  applyEvent(event: ContainerEventResponse): boolean {
    if (event.podSandboxStatus) this.applySandbox(event.podSandboxStatus);
    for (const status of event.containersStatuses ?? []) this.applyContainer(status);
    const id = event.containerId ?? '';
    if (event.containerEventType === 'CONTAINER_DELETED_EVENT') {
      // Runtimes send the event for sandboxes too, under the sandbox' id.
      if (this.#sandboxes.has(id)) this.removeSandbox(id);
      else this.removeContainer(id);
      return true;
    }
    if (this.#sandboxes.has(id)) return true;
    const known = this.#containers.get(id)?.fact.state;
    if (event.containerEventType === 'CONTAINER_STOPPED_EVENT') return known === 'exited';
    if (event.containerEventType === 'CONTAINER_STARTED_EVENT') return known === 'running' || known === 'exited';
    return known !== undefined;
  }

  /** Take the token before asking the runtime for its lists, hand both back to `finishListing`. */
  startListing(): number {
    return ++this.#counter;
  }

  /** What was known before `token` and is not in the lists is gone. */
  finishListing(token: number, sandboxIds: ReadonlySet<string>, containerIds: ReadonlySet<string>): void {
    for (const [id, entry] of this.#containers) {
      if (entry.seen < token && !containerIds.has(id)) this.removeContainer(id);
    }
    for (const [id, entry] of this.#sandboxes) {
      if (entry.seen < token && !sandboxIds.has(id)) this.removeSandbox(id);
    }
    forget(this.#removedContainers, token, containerIds);
    forget(this.#removedSandboxes, token, sandboxIds);
  }

  /**
   * When the container ended, by the monotonic clock: as the runtime tells it, but not in the future, and not before it was last seen
   * alive, for the host's clock may have been set since.
   */
  #endOf({ id, finishedAtMs }: ObservedContainer): number {
    const nowMs = this.#clock.monotonic();
    const toldMs = nowMs - Math.max(0, this.#clock.now() - finishedAtMs);
    const aliveMs = this.#alive.get(id) ?? 0;
    this.#alive.delete(id);
    return Math.max(toldMs, aliveMs);
  }

  #membersOf(identity: PodIdentity) {
    let members = this.#members.get(identity.uid);
    if (!members) {
      members = { identity, sandboxes: new Set(), containers: new Set() };
      this.#members.set(identity.uid, members);
    }
    return members;
  }

  #changed(uid: string): void {
    this.#pods.delete(uid);
    const members = this.#members.get(uid);
    if (members && members.sandboxes.size === 0 && members.containers.size === 0) this.#members.delete(uid);
    this.#onChange(uid);
  }
}

/** What was removed before the listing began and is not in it will not be heard of again. */
function forget(removed: Map<string, number>, token: number, listed: ReadonlySet<string>): void {
  for (const [id, at] of removed) if (at < token && !listed.has(id)) removed.delete(id);
}
