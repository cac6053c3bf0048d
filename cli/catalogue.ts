// Finds what the user means by `pod`, `po`, `deployments.apps` or a manifest's kind, from the server's discovery documents.
import { errors } from '../api/errors.ts';
import { parseApiVersion } from '../api/object.ts';
import type { Client, ResourceRef } from '../client/port.ts';
import { UserError } from './user-error.ts';

interface DiscoveredResource {
  resource: string;
  responseKind: { kind: string };
  scope: 'Namespaced' | 'Cluster';
  singularResource: string;
  shortNames?: string[];
  categories?: string[];
  verbs: string[];
}

interface DiscoveryDocument {
  items: { metadata: { name?: string }; versions: { version: string; resources: DiscoveredResource[] }[] }[];
}

interface Entry extends ResourceRef {
  names: string[];
  categories: string[];
  verbs: string[];
}

const AGGREGATED = 'application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList';

export class Catalogue {
  readonly entries: readonly Entry[];

  constructor(entries: readonly Entry[]) {
    this.entries = entries;
  }

  static async load(client: Client): Promise<Catalogue> {
    const documents = await Promise.all(
      ['/api', '/apis'].map((path) =>
        client.request<DiscoveryDocument>('GET', path, undefined, { headers: { accept: AGGREGATED } }),
      ),
    );
    const entries: Entry[] = [];
    for (const group of documents.flatMap((document) => document.items ?? [])) {
      for (const { version, resources } of group.versions) {
        for (const each of resources ?? []) {
          entries.push({
            group: group.metadata.name ?? '',
            version,
            resource: each.resource,
            kind: each.responseKind.kind,
            namespaced: each.scope === 'Namespaced',
            names: [
              each.resource,
              each.singularResource,
              ...(each.shortNames ?? []),
              each.responseKind.kind.toLowerCase(),
            ],
            categories: each.categories ?? [],
            verbs: each.verbs,
          });
        }
      }
    }
    return new Catalogue(entries);
  }

  /** `pods`, `deploy`, `deployments.apps`, or a category such as `all`; throws with upstream's words when unknown. */
  resolve(word: string): ResourceRef[] {
    const wanted = word.toLowerCase();
    const [name = '', ...groupParts] = wanted.split('.');
    const group = groupParts.join('.');
    const found = this.entries.find(
      (each) =>
        each.names.includes(name) &&
        (group === '' || each.group === group || `${each.version}.${each.group}` === group),
    );
    if (found) return [found];
    const members = this.entries.filter((each) => each.categories.includes(wanted) && each.verbs.includes('list'));
    if (members.length > 0) return members;
    throw new UserError(`the server doesn't have a resource type "${word}"`);
  }

  /** The resource of a manifest's apiVersion and kind. */
  ofManifest(apiVersion: string | undefined, kind: string | undefined): ResourceRef {
    const gv = parseApiVersion(apiVersion ?? '');
    const found = this.entries.find(
      (each) => gv && each.group === gv.group && each.version === gv.version && each.kind === kind,
    );
    if (!found) throw new UserError(`no matches for kind "${kind ?? ''}" in version "${apiVersion ?? ''}"`);
    return found;
  }
}

/** A resource and the names asked for: `pods a b`, `pod/a svc/b`; no names means all. */
export interface Target {
  ref: ResourceRef;
  name?: string;
}

export function parseTargets(catalogue: Catalogue, words: readonly string[]): Target[] {
  const [first] = words;
  if (!first) throw new UserError('you must specify the type of resource, such as: pods, deployments, pod/NAME');
  if (words.some((word) => word.includes('/'))) {
    return words.map((word) => {
      const [type = '', name = '', extra] = word.split('/');
      if (!type || !name || extra !== undefined) {
        throw new UserError(`arguments in resource/name form must have a single resource and name: ${word}`);
      }
      return { ref: catalogue.resolve(type)[0] as ResourceRef, name };
    });
  }
  const refs = first.split(',').flatMap((word) => catalogue.resolve(word));
  const names = words.slice(1);
  if (names.length === 0) return refs.map((ref) => ({ ref }));
  return refs.flatMap((ref) => names.map((name) => ({ ref, name })));
}

/** For messages: `deployment.apps/web`. */
export function describeTarget(ref: ResourceRef, name: string): string {
  const singular = ref.kind.toLowerCase();
  return `${ref.group === '' ? singular : `${singular}.${ref.group}`}/${name}`;
}

export const isNotFound = (error: unknown): boolean => (error as { code?: number }).code === errors.unknownPath().code;
