// Discovery documents from the scheme, as pure functions: the aggregated form (apidiscovery.k8s.io/v2) that clients ask for
// first, and the plain ones (APIVersions, APIGroupList, APIResourceList).
import type { Kind, Verb } from './kind.ts';
import { apiVersionOf } from './object.ts';
import type { Scheme } from './scheme.ts';
import type { APIGroup, APIGroupList, APIResource, APIResourceList, APIVersions } from './types/meta.ts';

const STATUS_VERBS = ['get', 'patch', 'update'];

const TERMINATING_VERBS: readonly Verb[] = ['delete', 'deletecollection', 'get', 'list', 'watch'];

const verbsOf = (kind: Kind) => (kind.isTerminating ? TERMINATING_VERBS : kind.verbs);

interface Entry {
  kind: { group: string; version: string; kind: string };
  verbs: readonly string[];
}

/** All subresources of a kind by name, status and scale included. */
function subresources(kind: Kind): Map<string, Entry> {
  const found = new Map<string, Entry>();
  if (kind.hasStatus) found.set('status', { kind, verbs: STATUS_VERBS });
  if (kind.scale) {
    found.set('scale', { kind: { group: 'autoscaling', version: 'v1', kind: 'Scale' }, verbs: STATUS_VERBS });
  }
  for (const name of Object.keys(kind.updates ?? {})) found.set(name, { kind, verbs: STATUS_VERBS });
  for (const each of kind.subresources ?? []) {
    const of = { group: each.group ?? kind.group, version: each.version ?? kind.version, kind: each.kind };
    found.set(each.name, { kind: of, verbs: each.verbs });
  }
  return new Map([...found].sort(([a], [b]) => (a < b ? -1 : 1)));
}

export interface APIGroupDiscoveryList {
  kind: 'APIGroupDiscoveryList';
  apiVersion: string;
  metadata: object;
  items: object[];
}

/**
 * `core` selects what /api answers (the core group) or what /apis answers (all others).
 * `version` is that of apidiscovery.k8s.io: `v2`, or `v2beta1` for clients before 1.30.
 */
export function aggregatedDiscovery(
  scheme: Scheme,
  core: boolean,
  version: 'v2' | 'v2beta1' = 'v2',
): APIGroupDiscoveryList {
  const groups = scheme.groups().filter((each) => (each.group === '') === core);
  return {
    kind: 'APIGroupDiscoveryList',
    apiVersion: `apidiscovery.k8s.io/${version}`,
    metadata: {},
    items: groups.map(({ group, versions }) => ({
      // The core group has no name at all.
      metadata: { ...(group !== '' && { name: group }), creationTimestamp: null },
      versions: versions.map((each) => ({
        version: each,
        resources: scheme.inGroupVersion(group, each).map(discoveredResource),
        freshness: 'Current',
      })),
    })),
  };
}

function discoveredResource(kind: Kind): object {
  const subs = [...subresources(kind)].map(([name, entry]) => ({
    subresource: name,
    responseKind: { group: entry.kind.group, version: entry.kind.version, kind: entry.kind.kind },
    verbs: entry.verbs,
  }));
  return {
    resource: kind.resource,
    responseKind: { group: kind.group, version: kind.version, kind: kind.kind },
    scope: kind.namespaced ? 'Namespaced' : 'Cluster',
    singularResource: kind.singular,
    verbs: verbsOf(kind),
    ...(kind.shortNames.length > 0 && { shortNames: kind.shortNames }),
    ...(kind.categories.length > 0 && { categories: kind.categories }),
    ...(subs.length > 0 && { subresources: subs }),
  };
}

/** GET /api. `serverAddress` is `host:port` as clients reach it. */
export function apiVersions(serverAddress: string): APIVersions {
  return {
    kind: 'APIVersions',
    versions: ['v1'],
    serverAddressByClientCIDRs: [{ clientCIDR: '0.0.0.0/0', serverAddress }],
  };
}

/** GET /apis */
export function apiGroupList(scheme: Scheme): APIGroupList {
  const groups = scheme.groups().filter((each) => each.group !== '');
  return {
    kind: 'APIGroupList',
    apiVersion: 'v1',
    groups: groups.map((each) => groupOf(each.group, each.versions)),
  };
}

/** GET /apis/GROUP; undefined when there is no such group. */
export function apiGroup(scheme: Scheme, group: string): APIGroup | undefined {
  const found = scheme.groups().find((each) => each.group === group && group !== '');
  return found && { kind: 'APIGroup', apiVersion: 'v1', ...groupOf(found.group, found.versions) };
}

function groupOf(group: string, versions: readonly string[]): APIGroup {
  const list = versions.map((version) => ({ groupVersion: apiVersionOf({ group, version }), version }));
  return { name: group, versions: list, ...(list[0] && { preferredVersion: list[0] }) };
}

/** GET /api/v1 and /apis/GROUP/VERSION; undefined when there is no such group version. */
export function apiResourceList(scheme: Scheme, group: string, version: string): APIResourceList | undefined {
  if (!scheme.hasGroupVersion(group, version)) return undefined;
  const resources: APIResource[] = [];
  for (const kind of scheme.inGroupVersion(group, version)) {
    resources.push({
      name: kind.resource,
      singularName: kind.singular,
      namespaced: kind.namespaced,
      kind: kind.kind,
      verbs: [...verbsOf(kind)],
      ...(kind.shortNames.length > 0 && { shortNames: [...kind.shortNames] }),
      ...(kind.categories.length > 0 && { categories: [...kind.categories] }),
      storageVersionHash: storageVersionHash(kind),
    });
    for (const [name, entry] of subresources(kind)) {
      const foreign = entry.kind.group !== group || entry.kind.version !== version;
      resources.push({
        name: `${kind.resource}/${name}`,
        singularName: '',
        namespaced: kind.namespaced,
        ...(foreign && { group: entry.kind.group, version: entry.kind.version }),
        kind: entry.kind.kind,
        verbs: [...entry.verbs],
      });
    }
  }
  return { kind: 'APIResourceList', apiVersion: 'v1', groupVersion: apiVersionOf({ group, version }), resources };
}

/** Opaque to clients; equal as long as the kind is stored in the same version. FNV-1a, 64 bits, base64. */
function storageVersionHash(served: Kind): string {
  const kind = served.conversion?.storage() ?? served;
  let hash = 0xcbf29ce484222325n;
  for (const byte of Buffer.from(`${kind.group}/${kind.version}/${kind.kind}`)) {
    hash = BigInt.asUintN(64, (hash ^ BigInt(byte)) * 0x100000001b3n);
  }
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(hash);
  return bytes.toString('base64');
}
