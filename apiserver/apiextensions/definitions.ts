// Follows the definitions: decides their names, serves what is established as kinds of the scheme, takes away what is
// gone. Names are decided one definition after the other; what was decided is written side by side.
//
//   watch of definitions ─▶ serve: scheme and caches, at once ─▶ queue ─▶ status (names, established), cleanup
import { deepClone, deepEqual } from '../../api/equality.ts';
import { customKinds, type CustomKinds, renameVersion, servesOtherwise } from '../../api/custom/kinds.ts';
import type { RuleObserver } from '../../api/custom/rules.ts';
import { ApiError } from '../../api/errors.ts';
import type { Kind } from '../../api/kind.ts';
import type { KubeObject } from '../../api/object.ts';
import type { CustomResourceDefinition, CustomResourceDefinitionStatus } from '../../api/types/apiextensions-v1.ts';
import { isEstablished } from '../../api/validation/custom-resource-definition.ts';
import { childAbort, sleep } from '../../lib/abort.ts';
import { backoffMs } from '../../lib/backoff.ts';
import type { Clock } from '../../lib/clock.ts';
import type { Logger } from '../../lib/log.ts';
import type { Identity } from '../auth/identity.ts';
import { timestamp } from '../registry/encode.ts';
import type { Registry } from '../registry/registry.ts';
import type { WriteRequest } from '../registry/types.ts';
import type { WebhookClient } from '../webhooks/client.ts';
import { cleanUp, needsCleanup, withoutFinalizer } from './cleanup.ts';
import { webhookConversion } from './convert.ts';
import { type ConditionFacts, planStatus, withCondition } from './status.ts';

type Definition = CustomResourceDefinition & KubeObject;

interface Known {
  definition: Definition;
  kinds: CustomKinds | undefined;
  cleanup: AbortController | undefined;
  /** A status on its way to the store: its names are taken already. */
  writing: CustomResourceDefinitionStatus | undefined;
}

export interface DefinitionsOptions {
  registry: Registry;
  /** The kind of definitions. */
  kind: Kind;
  webhooks: WebhookClient;
  user: Identity;
  clock: Clock;
  log: Logger;
  signal: AbortSignal;
  rules?: RuleObserver | undefined;
}

const RETRY = { initialMs: 100, maxMs: 10_000, jitter: 0.5 };

export class Definitions {
  #options: DefinitionsOptions;
  #known = new Map<string, Known>();
  /** Names to look at, in order. */
  #queue = new Set<string>();
  #failures = new Map<string, number>();
  #isScheduled = false;
  /** Writes and cleanups under way. */
  #work = new Set<Promise<void>>();

  constructor(options: DefinitionsOptions) {
    this.#options = options;
  }

  /** For `follow`: the definition as it is now. */
  apply(name: string, object: KubeObject | undefined): void {
    const known = this.#known.get(name);
    if (!object) {
      if (!known) return;
      this.#known.delete(name);
      known.cleanup?.abort();
      if (known.kinds) this.#withdraw(known.kinds.served, known.kinds.storage);
      // Its names are free.
      this.#enqueueGroup(known.definition.spec.group, name);
      return;
    }
    const definition = object as Definition;
    this.#update(name, definition);
    this.#enqueue(name);
  }

  /** Settles when everything that was begun has ended. */
  async done(): Promise<void> {
    while (this.#work.size > 0) await Promise.all(this.#work);
  }

  #update(name: string, definition: Definition): void {
    const known = this.#known.get(name);
    if (!known) {
      const kinds = this.#serve(definition, undefined);
      this.#known.set(name, { definition, kinds, cleanup: undefined, writing: undefined });
      return;
    }
    if (isOlder(definition, known.definition)) return;
    if (!known.kinds || servesOtherwise(known.definition, definition))
      known.kinds = this.#serve(definition, known.kinds);
    known.definition = definition;
  }

  /** Puts the definition's kinds in the place of `old`. */
  #serve(definition: Definition, old: CustomKinds | undefined): CustomKinds | undefined {
    const { log, registry } = this.#options;
    const { scheme, caches } = registry.context;
    if (!isEstablished(definition)) {
      if (old) this.#withdraw(old.served, old.storage);
      return undefined;
    }
    const { conversion } = definition.spec;
    const webhook = conversion?.strategy === 'Webhook' ? conversion.webhook : undefined;
    const convert = webhook ? webhookConversion(webhook, this.#options.webhooks) : renameVersion;
    let kinds: CustomKinds;
    try {
      kinds = customKinds(definition, convert, this.#options.rules);
    } catch (err) {
      // Written past this server's checks: it must not stop those that are sound.
      log.error({ err, definition: definition.metadata.name }, 'definition cannot be served');
      if (old) this.#withdraw(old.served, old.storage);
      return undefined;
    }
    for (const each of old?.served ?? []) scheme.remove(each);
    for (const each of kinds.served) {
      try {
        scheme.add(each);
      } catch (err) {
        const what = { err, resource: each.resource, group: each.group, version: each.version };
        log.error(what, 'custom resource is not served: its place is taken');
      }
    }
    const all = new Set([...kinds.served, kinds.storage]);
    for (const each of old ? new Set([...old.served, old.storage]) : []) {
      const next = [...all].find((other) => other.version === each.version);
      void caches.retire(each, next);
    }
    return kinds;
  }

  #withdraw(served: readonly Kind[], storage: Kind): void {
    const { scheme, caches } = this.#options.registry.context;
    for (const each of served)
      if (scheme.byResource(each.group, each.version, each.resource) === each) scheme.remove(each);
    for (const each of new Set([...served, storage])) void caches.retire(each, undefined);
  }

  #enqueueGroup(group: string, except: string): void {
    for (const [name, { definition }] of this.#known) {
      if (name !== except && definition.spec.group === group) this.#enqueue(name);
    }
  }

  #enqueue(name: string): void {
    this.#queue.add(name);
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    queueMicrotask(() => {
      this.#isScheduled = false;
      const names = [...this.#queue];
      this.#queue.clear();
      for (const each of names) if (!this.#options.signal.aborted) this.#settle(each);
    });
  }

  #retry(name: string): void {
    const { clock, signal } = this.#options;
    const failures = (this.#failures.get(name) ?? 0) + 1;
    this.#failures.set(name, failures);
    void sleep(clock, backoffMs(RETRY, failures, Math.random), signal).then((isOver) => {
      if (isOver && this.#known.has(name)) this.#enqueue(name);
    });
  }

  #settle(name: string): void {
    const known = this.#known.get(name);
    if (!known || known.writing) return;
    const { definition } = known;
    if (needsCleanup(definition)) return this.#startCleanup(name, known);
    if (definition.metadata.deletionTimestamp) return;
    const plan = (each: Definition) => planStatus(each, this.#others(each), this.#now());
    const planned = plan(definition);
    if (planned === definition.status) return;
    known.writing = planned;
    const before = definition.status?.acceptedNames;
    const work = this.#write(name, 'status', (old) => ({ ...deepClone(old), status: plan(old) }))
      .then((written) => {
        this.#failures.delete(name);
        known.writing = undefined;
        if (!written || this.#known.get(name) !== known) return;
        this.#update(name, written);
        this.#enqueue(name);
        if (!deepEqual(before, written.status?.acceptedNames)) this.#enqueueGroup(written.spec.group, name);
      })
      .catch((err: unknown) => {
        known.writing = undefined;
        if (this.#options.signal.aborted) return;
        this.#options.log.warn({ err, definition: name }, 'the status of a definition is not written; trying again');
        this.#retry(name);
      })
      .finally(() => this.#work.delete(work));
    this.#work.add(work);
  }

  /** With what is decided for them, though it may not be written yet. */
  #others({ spec, metadata }: Definition): Definition[] {
    const found: Definition[] = [];
    for (const { definition, writing } of this.#known.values()) {
      if (definition.spec.group !== spec.group || definition.metadata.name === metadata.name) continue;
      found.push(writing ? { ...definition, status: writing } : definition);
    }
    return found;
  }

  #startCleanup(name: string, known: Known): void {
    if (known.cleanup) return;
    const scope = childAbort(this.#options.signal);
    const stop = new AbortController();
    scope.signal.addEventListener('abort', () => stop.abort(), { once: true });
    known.cleanup = stop;
    const work = cleanUp(
      {
        registry: this.#options.registry,
        request: this.#request(),
        report: (which, condition, isLast) => this.#report(which, condition, isLast),
      },
      known.definition,
      known.kinds?.storage,
      stop.signal,
    )
      .catch((err: unknown) => {
        if (stop.signal.aborted) return;
        this.#options.log.warn({ err, definition: name }, 'objects of a deleted definition remain; trying again');
        const now = this.#known.get(name);
        if (now) now.cleanup = undefined;
        this.#retry(name);
      })
      .finally(() => {
        scope.dispose();
        this.#work.delete(work);
      });
    this.#work.add(work);
  }

  async #report(name: string, condition: ConditionFacts, isLast: boolean): Promise<void> {
    await this.#write(name, '', (old) => {
      const conditions = withCondition(old.status?.conditions ?? [], condition, this.#now());
      const changed = { ...deepClone(old), status: { ...old.status, conditions } };
      return isLast ? withoutFinalizer(changed) : changed;
    });
  }

  /** Undefined when the definition is gone. */
  async #write(
    name: string,
    subresource: '' | 'status',
    change: (old: Definition) => Definition,
  ): Promise<Definition | undefined> {
    const { registry, kind } = this.#options;
    try {
      const request = { ...this.#request(), name, subresource, internal: true, raw: subresource === '' };
      const { entry } = await registry.update(kind, request, (old) => change(old as Definition));
      return entry.object as Definition;
    } catch (error) {
      if (error instanceof ApiError && error.code === 404) return undefined;
      throw error;
    }
  }

  #request(): WriteRequest {
    return { user: this.#options.user, namespace: '', dryRun: false, warn() {} };
  }

  #now(): string {
    return timestamp(this.#options.clock.now());
  }
}

/** What was read back from a write may be known before its event comes. */
function isOlder(a: KubeObject, b: KubeObject): boolean {
  return a.metadata.uid === b.metadata.uid && Number(a.metadata.resourceVersion) < Number(b.metadata.resourceVersion);
}
