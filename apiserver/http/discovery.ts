// /api and /apis: which resources are served, in one aggregated answer (v2, v2beta1) or group by group.
import { errors } from '../../api/errors.ts';
import type { Kind } from '../../api/kind.ts';
import { apiVersionOf } from '../../api/object.ts';
import type { Scheme } from '../../api/scheme.ts';
import { CachedDocuments, sendDocument } from './cached-documents.ts';
import type { Exchange } from './exchange.ts';
import { negotiate, parseAccept } from './negotiate.ts';

export interface Discovery {
  serve(exchange: Exchange): Promise<boolean>;
  paths(): string[];
}

/** `serverAddress`: host and port, known once the server listens. */
export function createDiscovery(scheme: Scheme, serverAddress: () => string): Discovery {
  const documents = new CachedDocuments(scheme);
  const json = (name: string, make: () => object) => documents.get(name, () => Buffer.from(JSON.stringify(make())));

  async function serve(exchange: Exchange): Promise<boolean> {
    const [, prefix = '', ...rest] = exchange.info.path.replace(/\/+$/, '').split('/');
    const isCore = prefix === 'api';
    if (rest.length === 0) {
      const aggregated = aggregatedVersion(exchange.header('accept'));
      if (aggregated) {
        const document = json(`${prefix} ${aggregated}`, () => aggregatedList(scheme, isCore, aggregated));
        const type = `application/json;g=apidiscovery.k8s.io;v=${aggregated};as=APIGroupDiscoveryList`;
        await sendDocument(exchange, document, type, { vary: 'Accept' });
        return true;
      }
      negotiate(exchange.header('accept'), false);
      const document = isCore
        ? json('api', () => ({
            kind: 'APIVersions',
            versions: coreVersions(scheme),
            serverAddressByClientCIDRs: [{ clientCIDR: '0.0.0.0/0', serverAddress: serverAddress() }],
          }))
        : json('apis', () => ({ kind: 'APIGroupList', apiVersion: 'v1', groups: groupsOf(scheme).map(groupDocument) }));
      await sendDocument(exchange, document, 'application/json', { vary: 'Accept' });
      return true;
    }
    const [group, version] = isCore ? ['', rest[0] as string] : [rest[0] as string, rest[1]];
    if (rest.length > (isCore ? 1 : 2)) return false;
    negotiate(exchange.header('accept'), false);
    if (version === undefined) {
      const found = groupsOf(scheme).find((each) => each.group === group);
      if (!found) throw errors.unknownPath();
      await sendDocument(
        exchange,
        json(`group ${group}`, () => ({ kind: 'APIGroup', apiVersion: 'v1', ...groupDocument(found) })),
        'application/json',
      );
      return true;
    }
    if (!scheme.hasGroupVersion(group, version)) throw errors.unknownPath();
    const document = json(`resources ${group}/${version}`, () => resourceList(scheme, group, version));
    await sendDocument(exchange, document, 'application/json');
    return true;
  }

  return {
    serve,
    paths() {
      const paths = ['/api', '/apis', '/apis/'];
      for (const { group, versions } of scheme.groups()) {
        if (group !== '') paths.push(`/apis/${group}`);
        for (const version of versions) paths.push(group === '' ? `/api/${version}` : `/apis/${group}/${version}`);
      }
      return paths;
    },
  };
}

type GroupVersions = ReturnType<Scheme['groups']>[number];

const groupsOf = (scheme: Scheme) => scheme.groups().filter((each) => each.group !== '');

const coreVersions = (scheme: Scheme) => scheme.groups().find((each) => each.group === '')?.versions ?? [];

/** The aggregated form that the client likes best, if it knows one. */
function aggregatedVersion(accept: string | undefined): 'v2' | 'v2beta1' | undefined {
  for (const { type, parameters } of parseAccept(accept ?? '')) {
    if (type !== 'application/json' && type !== '*/*') continue;
    const { g, v, as } = parameters;
    if (as === undefined) return undefined;
    if (g === 'apidiscovery.k8s.io' && as === 'APIGroupDiscoveryList' && (v === 'v2' || v === 'v2beta1')) return v;
  }
  return undefined;
}

function groupDocument({ group, versions, preferred }: GroupVersions) {
  const entry = (version: string) => ({ groupVersion: apiVersionOf({ group, version }), version });
  return { name: group, versions: versions.map(entry), preferredVersion: entry(preferred) };
}

/** Subresources that the kind serves, with the kind of their bodies. */
function subresourcesOf(kind: Kind): { name: string; kind: string; group?: string; version?: string; verbs: readonly string[] }[] {
  const found = [...(kind.subresources ?? [])];
  const has = (name: string) => found.some((each) => each.name === name);
  const verbs = ['get', 'patch', 'update'];
  if (kind.hasStatus && !has('status')) found.push({ name: 'status', kind: kind.kind, verbs });
  if (kind.scale && !has('scale')) found.push({ name: 'scale', kind: 'Scale', group: 'autoscaling', version: 'v1', verbs });
  return found.sort((left, right) => (left.name < right.name ? -1 : 1));
}

function resourceList(scheme: Scheme, group: string, version: string): object {
  const resources: object[] = [];
  for (const kind of scheme.inGroupVersion(group, version)) {
    resources.push({
      name: kind.resource,
      singularName: kind.singular,
      namespaced: kind.namespaced,
      kind: kind.kind,
      verbs: kind.verbs,
      ...(kind.shortNames.length > 0 && { shortNames: kind.shortNames }),
      ...(kind.categories.length > 0 && { categories: kind.categories }),
    });
    for (const each of subresourcesOf(kind)) {
      resources.push({
        name: `${kind.resource}/${each.name}`,
        singularName: '',
        namespaced: kind.namespaced,
        ...(each.version && { group: each.group ?? '', version: each.version }),
        kind: each.kind,
        verbs: each.verbs,
      });
    }
  }
  return { kind: 'APIResourceList', apiVersion: 'v1', groupVersion: apiVersionOf({ group, version }), resources };
}

function aggregatedList(scheme: Scheme, isCore: boolean, version: 'v2' | 'v2beta1'): object {
  const groups = scheme.groups().filter((each) => (each.group === '') === isCore);
  return {
    kind: 'APIGroupDiscoveryList',
    apiVersion: `apidiscovery.k8s.io/${version}`,
    metadata: {},
    items: groups.map(({ group, versions }) => ({
      metadata: { ...(group !== '' && { name: group }), creationTimestamp: null },
      versions: versions.map((each) => ({
        version: each,
        resources: scheme.inGroupVersion(group, each).map(aggregatedResource),
        freshness: 'Current',
      })),
    })),
  };
}

function aggregatedResource(kind: Kind): object {
  const subresources = subresourcesOf(kind).map((each) => ({
    subresource: each.name,
    responseKind: { group: each.version ? (each.group ?? '') : kind.group, version: each.version ?? kind.version, kind: each.kind },
    verbs: each.verbs,
  }));
  return {
    resource: kind.resource,
    responseKind: { group: kind.group, version: kind.version, kind: kind.kind },
    scope: kind.namespaced ? 'Namespaced' : 'Cluster',
    singularResource: kind.singular,
    verbs: kind.verbs,
    ...(kind.shortNames.length > 0 && { shortNames: kind.shortNames }),
    ...(kind.categories.length > 0 && { categories: kind.categories }),
    ...(subresources.length > 0 && { subresources }),
  };
}
