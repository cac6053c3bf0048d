// /api and /apis: which resources are served, in one aggregated answer (v2, v2beta1) or group by group.
import { aggregatedDiscovery, apiGroup, apiGroupList, apiResourceList, apiVersions } from '../../api/discovery.ts';
import { errors } from '../../api/errors.ts';
import {
  groupWithOthers,
  type ServedElsewhere,
  withOthersDiscovery,
  withOthersGroups,
} from '../aggregation/documents.ts';
import type { Scheme } from '../../api/scheme.ts';
import { CachedDocuments, sendDocument } from './cached-documents.ts';
import type { Exchange } from './exchange.ts';
import { negotiate, parseAccept } from './negotiate.ts';

export interface Discovery {
  serve(exchange: Exchange): Promise<boolean>;
  paths(): string[];
}

/** What is served beside the scheme's kinds. */
export interface ServedBeside {
  readonly revision: number;
  served(): ServedElsewhere[];
  priorityOf(group: string): number;
}

/** `serverAddress`: host and port, known once the server listens. */
export function createDiscovery(scheme: Scheme, serverAddress: () => string, beside?: ServedBeside): Discovery {
  const documents = new CachedDocuments(() => `${scheme.revision} ${beside?.revision}`);
  const served = () => beside?.served() ?? [];
  const priority = (group: string) => beside?.priorityOf(group) ?? 0;
  const json = (name: string, make: () => object) => documents.get(name, () => Buffer.from(JSON.stringify(make())));

  async function serve(exchange: Exchange): Promise<boolean> {
    const [, prefix = '', ...rest] = exchange.info.path.replace(/\/+$/, '').split('/');
    const isCore = prefix === 'api';
    if (rest.length === 0) {
      const aggregated = aggregatedVersion(exchange.header('accept'));
      if (aggregated) {
        const document = json(`${prefix} ${aggregated}`, () => {
          const own = aggregatedDiscovery(scheme, isCore, aggregated);
          return isCore ? own : withOthersDiscovery(own, served(), priority);
        });
        const type = `application/json;g=apidiscovery.k8s.io;v=${aggregated};as=APIGroupDiscoveryList`;
        await sendDocument(exchange, document, type, { vary: 'Accept' });
        return true;
      }
      const { mediaType } = negotiate(exchange.header('accept'), false, 'all');
      const document = isCore
        ? json('api', () => apiVersions(serverAddress()))
        : json('apis', () => withOthersGroups(apiGroupList(scheme), served(), priority));
      await sendDocument(exchange, document, mediaType, { vary: 'Accept' });
      return true;
    }
    const [group, version] = isCore ? ['', rest[0] as string] : [rest[0] as string, rest[1]];
    if (rest.length > (isCore ? 1 : 2)) return false;
    const { mediaType } = negotiate(exchange.header('accept'), false, 'all');
    const name = `${prefix} ${group} ${version ?? ''}`;
    const found =
      version === undefined
        ? groupWithOthers(apiGroup(scheme, group), group, served())
        : apiResourceList(scheme, group, version);
    if (!found) throw errors.unknownPath();
    await sendDocument(
      exchange,
      json(name, () => found),
      mediaType,
    );
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
      for (const { group, version } of served()) paths.push(`/apis/${group}`, `/apis/${group}/${version}`);
      return [...new Set(paths)];
    },
  };
}

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
