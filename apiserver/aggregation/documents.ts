// Discovery and OpenAPI of the aggregated servers in the forms in which this server tells its own. Pure.
import type { APIGroupDiscoveryList } from '../../api/discovery.ts';
import type { APIGroup, APIGroupList, APIResource, APIResourceList } from '../../api/types/meta.ts';
import type { Swagger } from './remote.ts';

/** A group version that another server answers. */
export interface ServedElsewhere {
  group: string;
  version: string;
  groupPriority: number;
  versionPriority: number;
  /** What it said last; undefined when it never answered. */
  resources: APIResourceList | undefined;
  isAvailable: boolean;
}

interface Discovered {
  metadata: { name?: string };
  versions: object[];
}

/** The aggregated document with the groups of others, in the order of the groups' priorities. */
export function withOthersDiscovery(
  own: APIGroupDiscoveryList,
  others: readonly ServedElsewhere[],
  priority: (group: string) => number,
): APIGroupDiscoveryList {
  if (others.length === 0) return own;
  const items = (own.items as Discovered[]).map((each) => ({ ...each, versions: [...each.versions] }));
  for (const other of others) {
    let found = items.find((each) => each.metadata.name === other.group);
    if (!found) items.push((found = { metadata: { name: other.group }, versions: [] }));
    found.versions.push(discoveredVersion(other));
  }
  return { ...own, items: byPriority(items, (each) => each.metadata.name ?? '', priority) };
}

/** GET /apis with the groups of others. */
export function withOthersGroups(
  own: APIGroupList,
  others: readonly ServedElsewhere[],
  priority: (group: string) => number,
): APIGroupList {
  if (others.length === 0) return own;
  const groups = new Map(own.groups.map((each) => [each.name, each]));
  for (const { group } of others) {
    // In a list they do not say what they are.
    const {
      kind: _kind,
      apiVersion: _version,
      ...rest
    } = groupWithOthers(groups.get(group), group, others) as APIGroup;
    groups.set(group, rest as APIGroup);
  }
  return { ...own, groups: byPriority([...groups.values()], (each) => each.name, priority) };
}

/** GET /apis/GROUP; undefined when nobody serves it. */
export function groupWithOthers(
  own: APIGroup | undefined,
  group: string,
  others: readonly ServedElsewhere[],
): APIGroup | undefined {
  const versions = [...(own?.versions ?? [])];
  for (const { group: name, version } of others) {
    const groupVersion = `${group}/${version}`;
    if (name !== group || versions.some((each) => each.version === version)) continue;
    versions.push({ groupVersion, version });
  }
  if (versions.length === 0) return undefined;
  return { kind: 'APIGroup', apiVersion: 'v1', name: group, ...own, versions, preferredVersion: versions[0] };
}

/** Stable: groups of one priority stay in the order in which they came. */
function byPriority<T>(items: readonly T[], name: (item: T) => string, priority: (group: string) => number): T[] {
  return [...items].sort((a, b) => priority(name(b)) - priority(name(a)));
}

/** One entry in `versions` of an APIGroupDiscovery. */
export function discoveredVersion({ group, version, resources, isAvailable }: ServedElsewhere): object {
  return {
    version,
    resources: (resources?.resources ?? [])
      .filter((each) => !each.name.includes('/'))
      .map((each) => discoveredResource(each, resources?.resources ?? [], group, version)),
    freshness: isAvailable ? 'Current' : 'Stale',
  };
}

function discoveredResource(own: APIResource, all: readonly APIResource[], group: string, version: string): object {
  const kindOf = (each: APIResource) => ({
    group: each.group ?? group,
    version: each.version ?? version,
    kind: each.kind,
  });
  const below = all.filter((each) => each.name.startsWith(`${own.name}/`));
  return {
    resource: own.name,
    responseKind: kindOf(own),
    scope: own.namespaced ? 'Namespaced' : 'Cluster',
    singularResource: own.singularName || own.kind.toLowerCase(),
    verbs: own.verbs,
    ...(own.shortNames?.length && { shortNames: own.shortNames }),
    ...(own.categories?.length && { categories: own.categories }),
    ...(below.length > 0 && {
      subresources: below.map((each) => ({
        subresource: each.name.slice(own.name.length + 1),
        responseKind: kindOf(each),
        verbs: each.verbs,
      })),
    }),
  };
}

/** The paths below `group`, and the definitions and parameters that ours does not have: what is ours is never replaced. */
export function mergeSwagger(ours: Swagger, others: readonly { group: string; swagger: Swagger }[]): Swagger {
  const paths = { ...ours.paths };
  const definitions = { ...ours.definitions };
  const parameters = { ...ours.parameters };
  for (const { group, swagger } of others) {
    for (const [path, item] of Object.entries(swagger.paths ?? {})) {
      if (path === `/apis/${group}/` || path.startsWith(`/apis/${group}/`)) paths[path] ??= item;
    }
    for (const [name, schema] of Object.entries(swagger.definitions ?? {})) definitions[name] ??= schema;
    for (const [name, parameter] of Object.entries(swagger.parameters ?? {})) parameters[name] ??= parameter;
  }
  return { ...ours, paths, definitions, parameters };
}
