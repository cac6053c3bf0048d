// The webhooks of all configurations, in the order in which they are called: by configuration name, then as listed. Which
// of them a resource concerns is worked out once and kept until a configuration or the scheme changes.
import type { Kind } from '../../../api/kind.ts';
import type { KubeObject } from '../../../api/object.ts';
import type { Scheme } from '../../../api/scheme.ts';
import { type Selector, selectorFromObject } from '../../../api/selectors.ts';
import type {
  MatchCondition,
  MutatingWebhook,
  ValidatingWebhook,
} from '../../../api/types/admissionregistration-v1.ts';
import type { LabelSelector } from '../../../api/types/meta.ts';
import type { AdmissionRequest } from '../chain.ts';
import { isExemptFromWebhooks, matchedKind } from '../matching.ts';

export type Webhook = MutatingWebhook & ValidatingWebhook;

/** The outcome of `matchConditions`; `error` is what evaluating them ran into, told by the failure policy. */
export type ConditionOutcome = { matches: boolean; error?: string };

/** `conditions` compiled; throws nothing. */
export type ConditionCompiler = (
  conditions: readonly MatchCondition[],
  ignoresFailure: boolean,
) => (request: AdmissionRequest) => ConditionOutcome | Promise<ConditionOutcome>;

export interface Hook {
  /** Unique among all of its type. */
  id: string;
  configuration: string;
  webhook: Webhook;
  ignoresFailure: boolean;
  timeoutMs: number;
  /** Undefined: everything. */
  namespaces: Selector | undefined;
  objects: Selector | undefined;
  conditions: ReturnType<ConditionCompiler> | undefined;
}

/** A hook that may concern a request, and the kind in which it wants the objects. */
export interface Candidate {
  hook: Hook;
  kind: Kind;
  /** Among all hooks of its type, also those that the request does not concern. */
  index: number;
}

const NONE: readonly Candidate[] = [];
const DEFAULT_TIMEOUT_SECONDS = 10;

export class HookIndex {
  #scheme: Scheme;
  #compile: ConditionCompiler;
  #byConfiguration = new Map<string, Hook[]>();
  #ordered: Hook[] = [];
  #candidates = new WeakMap<Kind, Map<string, readonly Candidate[]>>();
  #schemeRevision = -1;

  constructor(options: { scheme: Scheme; compile: ConditionCompiler }) {
    this.#scheme = options.scheme;
    this.#compile = options.compile;
  }

  /** A configuration as it is now; undefined when it is gone. */
  apply(name: string, configuration: (KubeObject & { webhooks?: readonly unknown[] }) | undefined): void {
    if (configuration) {
      const hooks = (configuration.webhooks ?? []) as readonly Webhook[];
      const seen = new Map<string, number>();
      this.#byConfiguration.set(
        name,
        hooks.map((webhook) => {
          const count = seen.get(webhook.name) ?? 0;
          seen.set(webhook.name, count + 1);
          return this.#hook(name, webhook, count);
        }),
      );
    } else this.#byConfiguration.delete(name);
    const names = [...this.#byConfiguration.keys()].sort();
    this.#ordered = names.flatMap((each) => this.#byConfiguration.get(each) as Hook[]);
    this.#candidates = new WeakMap();
  }

  /** Those whose rules mean the request; selectors and conditions are yet to be asked. */
  candidates(request: AdmissionRequest): readonly Candidate[] {
    // The server's own writes must not depend on programs that may not run yet.
    if (this.#ordered.length === 0 || (!request.options && request.operation !== 'CONNECT')) return NONE;
    const { kind, subresource, operation } = request;
    if (this.#schemeRevision !== this.#scheme.revision) {
      this.#schemeRevision = this.#scheme.revision;
      this.#candidates = new WeakMap();
    }
    let ofKind = this.#candidates.get(kind);
    if (!ofKind) this.#candidates.set(kind, (ofKind = new Map()));
    const key = `${operation} ${subresource}`;
    let found = ofKind.get(key);
    if (!found) {
      found = this.#find(request);
      if (ofKind.size < 256) ofKind.set(key, found);
    }
    return found;
  }

  #find(request: AdmissionRequest): readonly Candidate[] {
    if (isExemptFromWebhooks(request.kind)) return NONE;
    const equivalents = (kind: Kind) =>
      this.#scheme.kinds().filter((each) => each.group === kind.group && each.resource === kind.resource);
    const found: Candidate[] = [];
    for (const [index, hook] of this.#ordered.entries()) {
      const kind = matchedKind(hook.webhook.rules, hook.webhook.matchPolicy, request, equivalents);
      if (kind) found.push({ hook, kind, index });
    }
    return found;
  }

  #hook(configuration: string, webhook: Webhook, count: number): Hook {
    const ignoresFailure = webhook.failurePolicy === 'Ignore';
    const { matchConditions } = webhook;
    return {
      id: `${configuration}/${webhook.name}/${count}`,
      configuration,
      webhook,
      ignoresFailure,
      timeoutMs: (webhook.timeoutSeconds ?? DEFAULT_TIMEOUT_SECONDS) * 1000,
      namespaces: selectorOf(webhook.namespaceSelector),
      objects: selectorOf(webhook.objectSelector),
      conditions: matchConditions?.length ? this.#compile(matchConditions, ignoresFailure) : undefined,
    };
  }
}

/** Nothing said selects everything, and needs no look at labels. */
function selectorOf(selector: LabelSelector | undefined): Selector | undefined {
  const says = Object.keys(selector?.matchLabels ?? {}).length > 0 || (selector?.matchExpressions?.length ?? 0) > 0;
  return says ? selectorFromObject(selector) : undefined;
}
