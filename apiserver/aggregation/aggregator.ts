// Which server answers which group version, followed from the APIServices; requests for others' are passed on as the front
// proxy, with the user in headers.
//
//   APIServices ──follow──► handlerOf(request): 503 when unavailable, else forward
//   Services, EndpointSlices ──► monitor.ts ──► condition Available, what discovery and OpenAPI tell
import type { Kind } from '../../api/kind.ts';
import type { KubeObject } from '../../api/object.ts';
import type { Clock, Random } from '../../lib/clock.ts';
import type { Logger } from '../../lib/log.ts';
import { type Follower, follow } from '../auth/follow.ts';
import type { KeyPair } from '../auth/pki.ts';
import type { CacheSet } from '../cache/port.ts';
import type { Exchange } from '../http/exchange.ts';
import type { RequestInfo } from '../http/request-info.ts';
import { forward, forwardUpgrade } from '../proxy/forward.ts';
import { encodePath } from '../proxy/connect.ts';
import type { Outbound } from '../proxy/outbound.ts';
import { ApiError } from '../../api/errors.ts';
import type { Registry } from '../registry/registry.ts';
import type { ServedElsewhere } from './documents.ts';
import type { Delegate } from './delegate.ts';
import { Monitor } from './monitor.ts';
import { type ApiServiceObject, apiServiceName, groupPriority } from './priorities.ts';
import { remoteTls, userHeaders } from './remote.ts';

export interface AggregatorOptions {
  registry: Registry;
  caches: CacheSet;
  outbound: Outbound;
  frontProxy: KeyPair;
  /** An APIService has gone: perhaps one that is to be there. */
  onDeleted(): void;
  /** APIs that this process answers without the registry, unless an APIService names a service for them. */
  delegates: readonly Delegate[];
  clock: Clock;
  random: Random;
  log: Logger;
}

export class Aggregator {
  #options: AggregatorOptions;
  #kind: Kind;
  #services = new Map<string, ApiServiceObject>();
  /** Groups of which a version may be answered elsewhere. */
  #elsewhere = new Set<string>();
  #monitor: Monitor;
  #revision = 0;

  constructor(options: AggregatorOptions) {
    this.#options = options;
    this.#kind = options.registry.kind('apiregistration.k8s.io', 'apiservices');
    this.#monitor = new Monitor({ ...options, kind: this.#kind, onChange: () => this.#revision++ });
  }

  /** Grows whenever discovery or OpenAPI would tell something else. */
  get revision(): number {
    return this.#revision;
  }

  follow(signal: AbortSignal): Follower[] {
    const { caches, clock, log } = this.#options;
    this.#monitor.start(signal);
    const apply = (_namespace: string, name: string, object: KubeObject | undefined) =>
      this.#apply(name, object as ApiServiceObject | undefined);
    return [follow(caches.of(this.#kind), apply, { signal, clock, log })];
  }

  /** Settles when nothing of it runs any more, after the signal of `follow`. */
  stopped(): Promise<void> {
    return this.#monitor.stopped();
  }

  #apply(name: string, object: ApiServiceObject | undefined): void {
    if (object) this.#services.set(name, object);
    else {
      this.#services.delete(name);
      this.#options.onDeleted();
    }
    const remote = [...this.#services.values()].filter((each) => each.spec?.service);
    this.#elsewhere = new Set([
      ...remote.map((each) => each.spec?.group ?? ''),
      ...this.#options.delegates.map((each) => each.group),
    ]);
    this.#revision++;
    this.#monitor.apply(name, object);
  }

  /** Who answers the request in place of the registry; undefined for what is served here. Cheap: every request asks. */
  handlerOf(info: RequestInfo): ((exchange: Exchange) => Promise<void>) | undefined {
    const place = groupVersionOf(info);
    if (!place || !this.#elsewhere.has(place.group)) return undefined;
    const apiService = this.#services.get(apiServiceName(place.group, place.version));
    if (apiService?.spec?.service) return (exchange) => this.#passOn(exchange, apiService);
    const delegate = apiService && this.#delegate(place.group, place.version);
    return delegate && ((exchange) => delegate.serve(exchange));
  }

  /** The group versions that others answer, delegates among them, those that clients should prefer first. */
  served(): ServedElsewhere[] {
    const found: ServedElsewhere[] = [];
    for (const { metadata, spec } of this.#services.values()) {
      const { group = '', version = '' } = spec ?? {};
      const delegate = spec?.service ? undefined : this.#delegate(group, version);
      if (!spec || (!spec.service && !delegate)) continue;
      const state = this.#monitor.stateOf(metadata.name ?? '');
      found.push({
        group,
        version,
        groupPriority: spec.groupPriorityMinimum,
        versionPriority: spec.versionPriority,
        resources: delegate ? delegate.resources : state?.facts?.resources,
        isAvailable: delegate !== undefined || state?.isAvailable === true,
      });
    }
    return found.sort(
      (a, b) =>
        b.groupPriority - a.groupPriority ||
        (a.group < b.group ? -1 : a.group > b.group ? 1 : b.versionPriority - a.versionPriority),
    );
  }

  /** Entries of /openapi/v3, by path. */
  openApiPaths(): Map<string, string> {
    const paths = new Map<string, string>();
    for (const [name, { spec }] of this.#services) {
      const url = spec?.service && this.#monitor.stateOf(name)?.facts?.openApiUrl;
      if (url) paths.set(`apis/${spec?.group}/${spec?.version}`, url);
    }
    return paths;
  }

  /** What others' /openapi/v2 say. */
  swaggers(): { group: string; swagger: object }[] {
    return [...this.#services].flatMap(([name, { spec }]) => {
      const swagger = spec?.service && this.#monitor.stateOf(name)?.facts?.swagger;
      return swagger ? [{ group: spec?.group ?? '', swagger }] : [];
    });
  }

  /** Highest of the group's APIServices, and at least what this server's own groups have. */
  priorityOf(group: string): number {
    let highest = groupPriority(group);
    for (const { spec } of this.#services.values()) {
      if (spec?.service && spec.group === group) highest = Math.max(highest, spec.groupPriorityMinimum);
    }
    return highest;
  }

  /** Passes /openapi/v3/apis/GROUP/VERSION on; false when it is not another's. */
  async serveOpenApi(exchange: Exchange, path: string): Promise<boolean> {
    const [, group = '', version = ''] = /^apis\/([^/]+)\/([^/]+)$/.exec(path) ?? [];
    const apiService = this.#services.get(`${version}.${group}`);
    if (!apiService?.spec?.service) return false;
    await this.#passOn(exchange, apiService);
    return true;
  }

  #delegate(group: string, version: string): Delegate | undefined {
    return this.#options.delegates.find((each) => each.group === group && each.version === version);
  }

  async #passOn(exchange: Exchange, apiService: ApiServiceObject): Promise<void> {
    const { outbound, frontProxy } = this.#options;
    const state = this.#monitor.stateOf(apiService.metadata.name ?? '');
    const to = state?.isAvailable ? this.#monitor.resolve(apiService) : undefined;
    // Plain text as upstream's: clients then say that the server is currently unable to handle the request.
    if (!to) return exchange.sendText(503, 'service unavailable\n');
    const { service } = apiService.spec ?? {};
    const mark = exchange.request.url.indexOf('?');
    const onward = {
      scheme: 'https' as const,
      ...to,
      path: `${encodePath(exchange.info.path)}${mark < 0 ? '' : exchange.request.url.slice(mark)}`,
      tls: remoteTls(apiService, frontProxy),
      hostHeader: `${service?.name}.${service?.namespace}.svc:${service?.port ?? 443}`,
      headers: userHeaders(exchange.user),
    };
    try {
      // Joined, an upgraded connection is no request any more: it gives its seat back.
      if (exchange.isUpgrade) await forwardUpgrade(outbound, exchange, onward);
      else await forward(outbound, exchange, onward);
    } catch (error) {
      if (!(error instanceof ApiError) || exchange.isAnswered) throw error;
      await exchange.sendText(503, `${error.message}\n`);
    }
  }
}

/** Of /apis/GROUP/VERSION and everything below. */
function groupVersionOf(info: RequestInfo): { group: string; version: string } | undefined {
  if (info.isResource) return info.prefix === 'apis' ? info : undefined;
  const [, group, version] = /^\/apis\/([^/]+)\/([^/]+)\/?$/.exec(info.path) ?? [];
  return group && version ? { group, version } : undefined;
}
