// The scheme: every kind the server knows, found by resource, kind, or the words people type. Pure; api/kinds fills it.
// Groups and versions are ordered as upstream's discovery lists them; a CRD adds its kinds at run time.
import { apiVersionOf, type GroupVersionKind, type GroupVersionResource, parseApiVersion } from './object.ts';
import type { Kind } from './kind.ts';
import { type Definition, findDefinition } from './schema.ts';

/** The order of built-in groups in discovery (upstream's, by its group priorities); others follow by name. */
const GROUP_ORDER = [
  '',
  'apiregistration.k8s.io',
  'apps',
  'events.k8s.io',
  'authentication.k8s.io',
  'authorization.k8s.io',
  'autoscaling',
  'batch',
  'certificates.k8s.io',
  'networking.k8s.io',
  'policy',
  'rbac.authorization.k8s.io',
  'storage.k8s.io',
  'admissionregistration.k8s.io',
  'apiextensions.k8s.io',
  'scheduling.k8s.io',
  'coordination.k8s.io',
  'node.k8s.io',
  'discovery.k8s.io',
  'resource.k8s.io',
  'flowcontrol.apiserver.k8s.io',
];

/** A group with its versions, the preferred one first. */
export interface GroupVersions {
  group: string;
  versions: readonly string[];
  preferred: string;
}

const key = (...parts: string[]) => parts.join('\u0000');

export class Scheme {
  #kinds: Kind[] = [];
  #byResource = new Map<string, Kind>();
  #byKind = new Map<string, Kind>();
  #revision = 0;
  #listeners = new Set<() => void>();

  constructor(kinds: readonly Kind[] = []) {
    for (const kind of kinds) this.add(kind);
  }

  /** Called after every add and remove; must not throw. Returns a function that ends it. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** Grows with every add and remove: what is derived from the scheme (discovery, OpenAPI) is cached by it. */
  get revision(): number {
    return this.#revision;
  }

  /** Throws when the resource or the kind is already there, or the schema's group is unknown. */
  add<T extends Kind<never>>(added: T): void {
    const kind = added as unknown as Kind;
    const resourceKey = key(kind.group, kind.version, kind.resource);
    const kindKey = key(kind.group, kind.version, kind.kind);
    if (this.#byResource.has(resourceKey) || this.#byKind.has(kindKey)) {
      throw new Error(`scheme: ${apiVersionOf(kind)} ${kind.kind} (${kind.resource}) is already registered`);
    }
    if (kind.schema !== '' && !findDefinition(kind.schema)) {
      throw new Error(`scheme: ${apiVersionOf(kind)} ${kind.kind} has no schema ${kind.schema}`);
    }
    this.#kinds.push(kind);
    this.#byResource.set(resourceKey, kind);
    this.#byKind.set(kindKey, kind);
    this.#changed();
  }

  /** Removes a kind (a deleted CRD's); false when it was not there. */
  remove(kind: { group: string; version: string; resource: string }): boolean {
    const found = this.byResource(kind.group, kind.version, kind.resource);
    if (!found) return false;
    this.#kinds = this.#kinds.filter((each) => each !== found);
    this.#byResource.delete(key(found.group, found.version, found.resource));
    this.#byKind.delete(key(found.group, found.version, found.kind));
    this.#changed();
    return true;
  }

  #changed(): void {
    this.#revision++;
    for (const each of this.#listeners) each();
  }

  /** In order of registration. */
  kinds(): readonly Kind[] {
    return this.#kinds;
  }

  byResource(group: string, version: string, resource: string): Kind | undefined {
    return this.#byResource.get(key(group, version, resource));
  }

  byKind(group: string, version: string, kind: string): Kind | undefined {
    return this.#byKind.get(key(group, version, kind));
  }

  /** By an object's own `apiVersion` and `kind`. */
  byObject(object: { apiVersion?: string; kind?: string }): Kind | undefined {
    const gv = parseApiVersion(object.apiVersion ?? '');
    return gv && this.byKind(gv.group, gv.version, object.kind ?? '');
  }

  /** The kind in the group's preferred version, whatever version it is served in. */
  byGroupKind(group: string, kind: string): Kind | undefined {
    return this.#preferred((each) => each.group === group && each.kind === kind)[0];
  }

  byGroupResource(group: string, resource: string): Kind | undefined {
    return this.#preferred((each) => each.group === group && each.resource === resource)[0];
  }

  /**
   * What a person typed: plural, singular, short name or kind, in any case, with an optional group (`deployments.apps`,
   * `deploy.v1.apps`). The first in group order wins, as in kubectl. Undefined when nothing matches.
   */
  lookup(typed: string): Kind | undefined {
    const lower = typed.toLowerCase();
    const [word = '', ...rest] = lower.split('.');
    const suffix = rest.join('.');
    const found = this.#preferred(
      (each) =>
        each.resource === word ||
        each.singular === word ||
        each.kind.toLowerCase() === word ||
        each.shortNames.includes(word),
    ).filter(
      (each) =>
        suffix === '' || each.group === suffix || `${each.version}.${each.group}` === suffix || each.version === suffix,
    );
    // A plural or singular name beats a short name of another resource.
    return found.find((each) => each.resource === word || each.singular === word) ?? found[0];
  }

  /** Every kind in a category such as `all`. */
  inCategory(category: string): Kind[] {
    const found = this.#preferred((each) => each.categories.includes(category));
    // Of several versions the preferred one, which comes first.
    return found.filter(
      (each, i) =>
        found.findIndex((other) => key(other.group, other.resource) === key(each.group, each.resource)) === i,
    );
  }

  /** Groups in discovery order, the core group (empty name) first. */
  groups(): GroupVersions[] {
    const versions = new Map<string, Set<string>>();
    for (const kind of this.#kinds) {
      const known = versions.get(kind.group);
      if (known) known.add(kind.version);
      else versions.set(kind.group, new Set([kind.version]));
    }
    return [...versions]
      .sort(([left], [right]) => compareGroups(left, right))
      .map(([group, set]) => {
        const ordered = [...set].sort(compareVersions);
        return { group, versions: ordered, preferred: ordered[0] as string };
      });
  }

  /** The kinds of one group version, by resource name. */
  inGroupVersion(group: string, version: string): Kind[] {
    return this.#kinds
      .filter((each) => each.group === group && each.version === version)
      .sort((left, right) => (left.resource < right.resource ? -1 : 1));
  }

  hasGroup(group: string): boolean {
    return this.#kinds.some((each) => each.group === group);
  }

  hasGroupVersion(group: string, version: string): boolean {
    return this.#kinds.some((each) => each.group === group && each.version === version);
  }

  /** The type facts of a kind; undefined for kinds without a built-in schema (custom resources). */
  schemaOf(kind: Kind): Definition | undefined {
    return kind.schema === '' ? undefined : findDefinition(kind.schema);
  }

  #preferred(matches: (kind: Kind) => boolean): Kind[] {
    return this.#kinds
      .filter(matches)
      .sort((left, right) => compareGroups(left.group, right.group) || compareVersions(left.version, right.version));
  }
}

export function gvkOf(kind: Kind): GroupVersionKind {
  return { group: kind.group, version: kind.version, kind: kind.kind };
}

export function gvrOf(kind: Kind): GroupVersionResource {
  return { group: kind.group, version: kind.version, resource: kind.resource };
}

export function compareGroups(left: string, right: string): number {
  const a = GROUP_ORDER.indexOf(left);
  const b = GROUP_ORDER.indexOf(right);
  if (a >= 0 || b >= 0) return (a < 0 ? GROUP_ORDER.length : a) - (b < 0 ? GROUP_ORDER.length : b);
  return left < right ? -1 : left > right ? 1 : 0;
}

const KUBE_VERSION = /^v(\d+)(?:(alpha|beta)(\d+))?$/;

/** Kubernetes' version priority: v2 before v1 before v1beta2 before v1beta1 before v1alpha1 before anything else by name. */
export function compareVersions(left: string, right: string): number {
  if (left === right) return 0;
  const a = KUBE_VERSION.exec(left);
  const b = KUBE_VERSION.exec(right);
  if (!a || !b) return a ? -1 : b ? 1 : left < right ? -1 : 1;
  const stability = (match: RegExpExecArray) => (match[2] === undefined ? 2 : match[2] === 'beta' ? 1 : 0);
  return stability(b) - stability(a) || Number(b[1]) - Number(a[1]) || Number(b[3] ?? 0) - Number(a[3] ?? 0);
}
