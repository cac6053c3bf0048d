// Policies with their bindings, compiled when they change. Which of them a write may concern is worked out once per kind,
// subresource and operation, so that one that concerns nobody pays a look-up.
import type { Kind } from '../../../api/kind.ts';
import type { KubeObject } from '../../../api/object.ts';
import type { Scheme } from '../../../api/scheme.ts';
import { type Selector, selectorFromObject } from '../../../api/selectors.ts';
import type { MatchResources, ParamKind, ParamRef } from '../../../api/types/admissionregistration-v1.ts';
import type { LabelSelector } from '../../../api/types/meta.ts';
import type { AdmissionRequest } from '../chain.ts';
import {
  isExemptFromWebhooks,
  matchedKind,
  namespaceOfRequest,
  objectSelected,
  type Rule,
  writtenNamespace,
} from '../matching.ts';

export type Policy<Spec> = KubeObject & { spec?: Spec & PolicySpec };
export interface PolicySpec {
  failurePolicy?: string | undefined;
  paramKind?: ParamKind | undefined;
  matchConstraints?: MatchResources | undefined;
}
export type Binding<Spec> = KubeObject & { spec?: Spec & BindingSpec };
export interface BindingSpec {
  policyName?: string | undefined;
  paramRef?: ParamRef | undefined;
  matchResources?: MatchResources | undefined;
}

export interface BoundPolicy<Spec, Ref, Program> {
  name: string;
  spec: Spec & PolicySpec;
  program: Program;
  constraints: Match;
  bindings: readonly { name: string; spec: Ref & BindingSpec; match: Match }[];
}

/** `MatchResources` with its selectors read. */
export interface Match {
  of: MatchResources;
  namespaces: Selector | undefined;
  objects: Selector | undefined;
}

/** Reviews are questions, not writes: a policy that refused them would shut everybody out. */
const REVIEW_GROUPS = new Set(['authentication.k8s.io', 'authorization.k8s.io']);

export class PolicyIndex<Spec, Ref, Program> {
  readonly #scheme: Scheme;
  readonly #compile: (spec: Spec & PolicySpec) => Program;
  readonly #policies = new Map<string, { spec: Spec & PolicySpec; program: Program; constraints: Match }>();
  readonly #bindings = new Map<string, { name: string; spec: Ref & BindingSpec; match: Match }>();
  #bound: BoundPolicy<Spec, Ref, Program>[] = [];
  #candidates = new WeakMap<Kind, Map<string, readonly BoundPolicy<Spec, Ref, Program>[]>>();
  #schemeRevision = -1;

  constructor(scheme: Scheme, compile: (spec: Spec & PolicySpec) => Program) {
    this.#scheme = scheme;
    this.#compile = compile;
  }

  applyPolicy(name: string, policy: Policy<Spec> | undefined): void {
    if (policy?.spec) {
      const { spec } = policy;
      this.#policies.set(name, { spec, program: this.#compile(spec), constraints: matchOf(spec.matchConstraints) });
    } else this.#policies.delete(name);
    this.#rebuild();
  }

  applyBinding(name: string, binding: Binding<Ref> | undefined): void {
    if (binding?.spec) {
      this.#bindings.set(name, { name, spec: binding.spec, match: matchOf(binding.spec.matchResources) });
    } else this.#bindings.delete(name);
    this.#rebuild();
  }

  #rebuild(): void {
    const bindings = [...this.#bindings.values()].sort((left, right) => (left.name < right.name ? -1 : 1));
    this.#bound = [...this.#policies]
      .map(([name, policy]) => ({ name, ...policy, bindings: bindings.filter(({ spec }) => spec.policyName === name) }))
      .filter((each) => each.bindings.length > 0)
      .sort((left, right) => (left.name < right.name ? -1 : 1));
    this.#candidates = new WeakMap();
  }

  /** Those whose rules may mean the request; `matches` says whether they do. */
  candidates(request: AdmissionRequest): readonly BoundPolicy<Spec, Ref, Program>[] {
    // The server's own writes must not depend on what users configure.
    if (this.#bound.length === 0 || (!request.options && request.operation !== 'CONNECT')) return [];
    if (this.#schemeRevision !== this.#scheme.revision) {
      this.#schemeRevision = this.#scheme.revision;
      this.#candidates = new WeakMap();
    }
    const { kind, subresource, operation } = request;
    let ofKind = this.#candidates.get(kind);
    if (!ofKind) this.#candidates.set(kind, (ofKind = new Map()));
    const key = `${operation} ${subresource}`;
    let found = ofKind.get(key);
    if (!found) {
      found =
        isExemptFromWebhooks(kind) || REVIEW_GROUPS.has(kind.group)
          ? []
          : this.#bound.filter(({ constraints }) => this.#ruled(withoutNames(constraints.of), request) !== undefined);
      if (ofKind.size < 256) ofKind.set(key, found);
    }
    return found;
  }

  /** The kind in which the request is meant; undefined when it is not. */
  async matches(
    match: Match,
    request: AdmissionRequest,
    findNamespace: (name: string) => Promise<KubeObject | undefined>,
  ): Promise<Kind | undefined> {
    if (match.namespaces) {
      const name = namespaceOfRequest(request);
      const namespace = name ? (writtenNamespace(request) ?? (await findNamespace(name))) : undefined;
      if (name && !match.namespaces.matches(namespace?.metadata.labels ?? {})) return undefined;
    }
    if (match.objects && !objectSelected(match.objects, request)) return undefined;
    const { excludeResourceRules } = match.of;
    if (excludeResourceRules?.length && this.#ruled({ ...match.of, resourceRules: excludeResourceRules }, request)) {
      return undefined;
    }
    return this.#ruled(match.of, request);
  }

  #ruled({ resourceRules, matchPolicy }: MatchResources, request: AdmissionRequest): Kind | undefined {
    if (!resourceRules?.length) return request.kind;
    return matchedKind(resourceRules as readonly Rule[], matchPolicy, request, (kind) =>
      this.#scheme.kinds().filter((each) => each.group === kind.group && each.resource === kind.resource),
    );
  }
}

function withoutNames(match: MatchResources): MatchResources {
  return { ...match, resourceRules: (match.resourceRules ?? []).map(({ resourceNames: _names, ...rule }) => rule) };
}

function matchOf(of: MatchResources | undefined): Match {
  return { of: of ?? {}, namespaces: selectorOf(of?.namespaceSelector), objects: selectorOf(of?.objectSelector) };
}

function selectorOf(selector: LabelSelector | undefined): Selector | undefined {
  const says = Object.keys(selector?.matchLabels ?? {}).length > 0 || (selector?.matchExpressions?.length ?? 0) > 0;
  return says ? selectorFromObject(selector) : undefined;
}
