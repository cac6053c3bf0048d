// Brings pod statuses to the API server: per pod the newest one wins, one request at a time, nothing when nothing
// changed. Merge patches that name uid and resourceVersion, so that nobody's condition is lost and no successor of the
// same name is touched.
//   one slot per pod; a newer status replaces a waiting one; with the server away the slot waits with back-off.
import { isDeepStrictEqual } from 'node:util';
import { ApiError } from '../../api/errors.ts';
import type { Pod, PodStatus } from '../../api/types/core-v1.ts';
import type { Client } from '../../client/port.ts';
import { sleep } from '../../lib/abort.ts';
import { backoffMs } from '../../lib/backoff.ts';
import type { Clock, Random, Timer } from '../../lib/clock.ts';
import type { Logger } from '../../lib/log.ts';
import { refs } from '../../client/refs.ts';
import { isWrittenHere, OWN_CONDITIONS } from './status.ts';

interface Slot {
  /** The newest object known: from the watch or from our own writes. */
  api: Pod;
  wanted: PodStatus | undefined;
  /** The last status sent and what the server made of it: sending the same again would change nothing. */
  sent: { status: PodStatus; answer: PodStatus | undefined } | undefined;
  isSending: boolean;
  timer: Timer | undefined;
  idle: (() => void)[];
  abort: AbortController;
}

export class StatusWriter {
  #client: Client;
  #clock: Clock;
  #random: Random;
  #log: Logger;
  #slots = new Map<string, Slot>();

  constructor(options: { client: Client; clock: Clock; random: Random; log: Logger }) {
    this.#client = options.client;
    this.#clock = options.clock;
    this.#random = options.random;
    this.#log = options.log;
  }

  /** Sends `status` unless the API has it already. With `deferMs` something newer may still replace it unsent. */
  update(pod: Pod, status: PodStatus, deferMs = 0): void {
    const uid = pod.metadata.uid ?? '';
    const slot = this.#slot(uid, pod);
    slot.wanted = status;
    if (slot.isSending) return;
    if (!needsWriting(slot, status)) {
      slot.wanted = undefined;
      this.#settle(slot);
      return;
    }
    if (deferMs > 0) {
      slot.timer ??= this.#clock.after(deferMs, () => void this.#send(uid, slot));
      return;
    }
    void this.#send(uid, slot);
  }

  /** Resolves when everything given so far for this pod is written, or the pod is gone. */
  written(uid: string): Promise<void> {
    const slot = this.#slots.get(uid);
    if (!slot || (!slot.wanted && !slot.isSending)) return Promise.resolve();
    slot.timer?.cancel();
    slot.timer = undefined;
    if (!slot.isSending) void this.#send(uid, slot);
    return new Promise((resolve) => slot.idle.push(resolve));
  }

  forget(uid: string): void {
    const slot = this.#slots.get(uid);
    if (!slot) return;
    this.#slots.delete(uid);
    slot.timer?.cancel();
    slot.abort.abort();
    slot.wanted = undefined;
    this.#settle(slot);
  }

  close(): void {
    for (const uid of this.#slots.keys()) this.forget(uid);
  }

  #slot(uid: string, pod: Pod): Slot {
    let slot = this.#slots.get(uid);
    if (!slot) {
      slot = {
        api: pod,
        wanted: undefined,
        sent: undefined,
        isSending: false,
        timer: undefined,
        idle: [],
        abort: new AbortController(),
      };
      this.#slots.set(uid, slot);
    } else if (isNewer(pod, slot.api)) slot.api = pod;
    return slot;
  }

  #settle(slot: Slot): void {
    for (const resolve of slot.idle.splice(0)) resolve();
  }

  async #send(uid: string, slot: Slot): Promise<void> {
    slot.timer?.cancel();
    slot.timer = undefined;
    if (slot.isSending) return;
    slot.isSending = true;
    let failures = 0;
    try {
      while (slot.wanted && this.#slots.get(uid) === slot) {
        const status = slot.wanted;
        try {
          if (needsWriting(slot, status)) {
            const written = await this.#patch(slot, status);
            slot.sent = { status, answer: written.status };
            if (isNewer(written, slot.api)) slot.api = written;
          }
          if (slot.wanted === status) slot.wanted = undefined;
          failures = 0;
        } catch (error) {
          if (slot.abort.signal.aborted) return;
          const fate = await this.#afterFailure(uid, slot, error);
          if (fate === 'gone') return;
          if (fate === 'again') continue;
          failures++;
          this.#log.warn(
            { err: error, pod: slot.api.metadata.name, namespace: slot.api.metadata.namespace },
            'cannot write a pod status; trying again',
          );
          await sleep(
            this.#clock,
            backoffMs({ initialMs: 200, maxMs: 10_000, jitter: 0.3 }, failures, this.#random),
            slot.abort.signal,
          );
        }
      }
    } finally {
      slot.isSending = false;
      if (!slot.wanted || this.#slots.get(uid) !== slot) this.#settle(slot);
    }
  }

  async #afterFailure(uid: string, slot: Slot, error: unknown): Promise<'gone' | 'again' | 'failed'> {
    if (!(error instanceof ApiError)) return 'failed';
    const { name = '', namespace } = slot.api.metadata;
    if (error.code === 404) {
      slot.wanted = undefined;
      return 'gone';
    }
    if ([400, 403, 413, 422].includes(error.code)) {
      // Trying again would not help; the next status may be better. A pod must not linger because of this.
      this.#log.error({ err: error, pod: name, namespace }, 'the API server refuses a pod status');
      slot.wanted = undefined;
      return 'gone';
    }
    if (error.code !== 409) return 'failed';
    try {
      const fresh = await this.#client.resource<Pod>(refs.pods, namespace).get(name);
      if (fresh.metadata.uid !== uid) {
        slot.wanted = undefined;
        return 'gone';
      }
      slot.api = fresh;
      return 'again';
    } catch (readError) {
      if (readError instanceof ApiError && readError.code === 404) {
        slot.wanted = undefined;
        return 'gone';
      }
      return 'failed';
    }
  }

  #patch(slot: Slot, status: PodStatus): Promise<Pod> {
    const { name = '', namespace, uid, resourceVersion } = slot.api.metadata;
    const body = { metadata: { uid, resourceVersion }, status: statusPatch(slot.api.status ?? {}, status) };
    const pods = this.#client.resource<Pod>(refs.pods, namespace);
    return pods.patch(name, 'merge', body, { subresource: 'status', signal: slot.abort.signal });
  }
}

function needsWriting(slot: Slot, status: PodStatus): boolean {
  const api = slot.api.status ?? {};
  if (Object.keys(statusPatch(api, status)).length === 0) return false;
  const { sent } = slot;
  return !(sent && isDeepStrictEqual(sent.status, status) && isDeepStrictEqual(sent.answer, slot.api.status));
}

/** What turns `old` into `wanted` as a merge patch; the conditions of others stay as `old` has them. */
export function statusPatch(old: PodStatus, wanted: PodStatus): Record<string, unknown> {
  const own = (wanted.conditions ?? []).filter(isWrittenHere);
  const isOwn = new Set(own.map((each) => each.type));
  const foreign = (old.conditions ?? []).filter((each) => !OWN_CONDITIONS.has(each.type) && !isOwn.has(each.type));
  const target: Record<string, unknown> = { ...wanted, conditions: [...own, ...foreign] };
  const patch: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(target)) {
    if (!isDeepStrictEqual(value, withoutNulls((old as Record<string, unknown>)[key]))) patch[key] = value;
  }
  for (const key of [
    'reason',
    'message',
    'podIP',
    'podIPs',
    'initContainerStatuses',
    'resources',
    'allocatedResources',
  ]) {
    if (key in old && !(key in target)) patch[key] = null;
  }
  return patch;
}

/** The API writes some empty times as null. */
function withoutNulls(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutNulls);
  if (value === null || typeof value !== 'object') return value;
  const entries = Object.entries(value).filter(([, each]) => each !== null && each !== undefined);
  return Object.fromEntries(entries.map(([key, each]) => [key, withoutNulls(each)]));
}

/** Resource versions of one server are comparable numbers (KEP-5504); what is not is taken as newer. */
function isNewer(candidate: Pod, known: Pod): boolean {
  const [a, b] = [Number(candidate.metadata.resourceVersion), Number(known.metadata.resourceVersion)];
  return Number.isNaN(a) || Number.isNaN(b) || a >= b;
}
