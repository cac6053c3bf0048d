// Watches over the aggregated servers: whether each can be asked, told in its APIService's condition Available, and what it
// says in discovery and OpenAPI. Asked when its APIService, Service or EndpointSlices change, and every 30 seconds: that a
// server of others does not answer any more, no watch tells. A failure is tried again after 0.1 s, doubling up to 30 s.
import type { Kind } from '../../api/kind.ts';
import type { KubeObject } from '../../api/object.ts';
import { timeFromMs } from '../../api/time-format.ts';
import type { APIServiceCondition } from '../../api/types/apiregistration-v1.ts';
import type { Service } from '../../api/types/core-v1.ts';
import type { EndpointSlice } from '../../api/types/discovery-v1.ts';
import type { APIResourceList } from '../../api/types/meta.ts';
import type { Clock, Random, Timer } from '../../lib/clock.ts';
import type { Logger } from '../../lib/log.ts';
import { type Follower, follow } from '../auth/follow.ts';
import type { KeyPair } from '../auth/pki.ts';
import { SERVER_USER } from '../bootstrap.ts';
import type { CacheSet } from '../cache/port.ts';
import type { Outbound } from '../proxy/outbound.ts';
import type { Registry } from '../registry/registry.ts';
import {
  type Address,
  changedCondition,
  discoveryFailure,
  type Finding,
  PASSED,
  resolveService,
  serviceProblem,
} from './availability.ts';
import type { ApiServiceObject } from './priorities.ts';
import { askRemote, jsonOf, type RemoteFacts, remoteTls, type Swagger } from './remote.ts';

export interface MonitorOptions {
  registry: Registry;
  caches: CacheSet;
  outbound: Outbound;
  frontProxy: KeyPair;
  /** APIService. */
  kind: Kind;
  clock: Clock;
  random: Random;
  log: Logger;
  /** What `stateOf` tells has changed. */
  onChange(): void;
}

export interface RemoteState {
  isAvailable: boolean;
  /** What it said last, kept while it is away: discovery then calls it stale. */
  facts?: RemoteFacts;
}

interface Watched {
  object: ApiServiceObject;
  state: RemoteState;
  /** Consecutive failures. */
  failures: number;
  timer?: Timer;
  /** A check runs; `again` asks for another after it. */
  isChecking: boolean;
  again: boolean;
  swaggerEtag: string;
  /** What clients can see of the state. */
  told: string;
}

const CHECK_EVERY_MS = 30_000;
const RETRY_FIRST_MS = 100;
const SERVICE_LABEL = 'kubernetes.io/service-name';

export class Monitor {
  #options: MonitorOptions;
  #watched = new Map<string, Watched>();
  #services = new Map<string, Service & KubeObject>();
  /** By namespace/service, then by name. */
  #slices = new Map<string, Map<string, EndpointSlice & KubeObject>>();
  #sliceOwners = new Map<string, string>();
  #signal: AbortSignal | undefined;
  #followers: Follower[] = [];
  #running = new Set<Promise<void>>();

  constructor(options: MonitorOptions) {
    this.#options = options;
  }

  start(signal: AbortSignal): void {
    this.#signal = signal;
    signal.addEventListener('abort', () => {
      for (const each of this.#watched.values()) each.timer?.cancel();
    });
  }

  async stopped(): Promise<void> {
    await Promise.all([...this.#followers.map((each) => each.done), ...this.#running]);
  }

  stateOf(name: string): RemoteState | undefined {
    return this.#watched.get(name)?.state;
  }

  resolve({ spec }: ApiServiceObject): Address | undefined {
    const { namespace = '', name = '', port = 443 } = spec?.service ?? {};
    const service = this.#services.get(`${namespace}/${name}`);
    return service && resolveService(service, this.#slicesOf(`${namespace}/${name}`), port, this.#options.random);
  }

  apply(name: string, object: ApiServiceObject | undefined): void {
    const old = this.#watched.get(name);
    if (!object?.spec?.service) {
      old?.timer?.cancel();
      this.#watched.delete(name);
      return;
    }
    if (!old) {
      this.#followServices();
      const isAvailable = object.status?.conditions?.some(
        ({ type, status }) => type === 'Available' && status === 'True',
      );
      this.#watched.set(name, {
        object,
        state: { isAvailable: isAvailable ?? false },
        failures: 0,
        isChecking: false,
        again: false,
        swaggerEtag: '',
        told: '',
      });
    } else {
      const isOnlyStatus =
        old.object.metadata.generation === object.metadata.generation && sameSpec(old.object, object);
      old.object = object;
      if (isOnlyStatus) return;
      old.failures = 0;
    }
    this.#check(name);
  }

  /** From the first remote on: a cluster without one pays nothing. */
  #followServices(): void {
    if (this.#followers.length > 0 || !this.#signal) return;
    const { registry, caches, clock, log } = this.#options;
    const how = { signal: this.#signal, clock, log };
    const services = caches.of(registry.kind('', 'services'));
    const slices = caches.of(registry.kind('discovery.k8s.io', 'endpointslices'));
    this.#followers = [
      follow(services, (namespace, name, object) => this.#applyService(`${namespace}/${name}`, object as never), how),
      follow(slices, (namespace, name, object) => this.#applySlice(namespace, name, object as never), how),
    ];
  }

  #applyService(key: string, object: (Service & KubeObject) | undefined): void {
    if (object) this.#services.set(key, object);
    else this.#services.delete(key);
    this.#serviceChanged(key);
  }

  #applySlice(namespace: string, name: string, object: (EndpointSlice & KubeObject) | undefined): void {
    const key = `${namespace}/${name}`;
    const label = object?.metadata.labels?.[SERVICE_LABEL];
    const owner = label === undefined ? this.#sliceOwners.get(key) : `${namespace}/${label}`;
    if (owner === undefined) return;
    const slices = this.#slices.get(owner) ?? new Map<string, EndpointSlice & KubeObject>();
    this.#slices.set(owner, slices);
    if (object && label !== undefined) {
      slices.set(name, object);
      this.#sliceOwners.set(key, owner);
    } else {
      slices.delete(name);
      this.#sliceOwners.delete(key);
    }
    this.#serviceChanged(owner);
  }

  #slicesOf(service: string): (EndpointSlice & KubeObject)[] {
    return [...(this.#slices.get(service)?.values() ?? [])];
  }

  #serviceChanged(key: string): void {
    for (const [name, { object }] of this.#watched) {
      const { namespace, name: service } = object.spec?.service ?? {};
      if (`${namespace}/${service}` === key) this.#check(name);
    }
  }

  #check(name: string): void {
    const watched = this.#watched.get(name);
    if (!watched || this.#signal?.aborted) return;
    watched.timer?.cancel();
    if (watched.isChecking) {
      watched.again = true;
      return;
    }
    watched.isChecking = true;
    const run = this.#checkOnce(name, watched)
      .catch((error) => this.#options.log.warn({ err: error, apiService: name }, 'could not check an aggregated API'))
      .finally(() => {
        this.#running.delete(run);
        watched.isChecking = false;
        if (this.#watched.get(name) !== watched || this.#signal?.aborted) return;
        if (watched.again) {
          watched.again = false;
          this.#check(name);
          return;
        }
        const delay = watched.failures === 0 ? CHECK_EVERY_MS : RETRY_FIRST_MS * 2 ** (watched.failures - 1);
        watched.timer = this.#options.clock.after(Math.min(delay, CHECK_EVERY_MS), () => this.#check(name), {
          background: true,
        });
      });
    this.#running.add(run);
  }

  async #checkOnce(name: string, watched: Watched): Promise<void> {
    // What the followers have not seen yet would be told as missing.
    await Promise.all(this.#followers.map((each) => each.synced));
    const { object } = watched;
    const { namespace = '', name: serviceName = '' } = object.spec?.service ?? {};
    const key = `${namespace}/${serviceName}`;
    const problem = serviceProblem(object, this.#services.get(key), this.#slicesOf(key));
    const finding = problem ?? (await this.#ask(watched));
    watched.failures = finding.reason === 'FailedDiscoveryCheck' ? watched.failures + 1 : 0;
    if (this.#watched.get(name) !== watched) return;
    watched.state = { ...watched.state, isAvailable: finding.status === 'True' };
    const told = `${watched.state.isAvailable} ${watched.swaggerEtag} ${JSON.stringify({ ...watched.state.facts, swagger: 0 })}`;
    if (told !== watched.told) this.#options.onChange();
    watched.told = told;
    await this.#tell(name, finding);
  }

  async #ask(watched: Watched): Promise<Finding> {
    const { outbound, frontProxy } = this.#options;
    const { spec } = watched.object;
    const path = `/apis/${spec?.group}/${spec?.version}`;
    const to = this.resolve(watched.object);
    if (!to) return discoveryFailure(`failing or missing response from ${path}: no endpoint can be reached`);
    const url = `https://${to.host}:${to.port}${path}`;
    // Who can answer for the service's address is not checked here, as upstream does: what matters is that it answers.
    const tls = { ...remoteTls(watched.object, frontProxy), verify: false };
    try {
      const answer = await askRemote(outbound, to, tls, path);
      if (answer.code < 200 || answer.code > 299) {
        return discoveryFailure(`failing or missing response from ${url}: bad status from ${url}: ${answer.code}`);
      }
      const resources = jsonOf<APIResourceList>(answer);
      if (resources && Array.isArray(resources.resources)) await this.#learn(watched, to, resources);
      return PASSED;
    } catch (error) {
      return discoveryFailure(`failing or missing response from ${url}: ${(error as Error).message}`);
    }
  }

  /** OpenAPI is an extra: a server without it is as available as any. */
  async #learn(watched: Watched, to: Address, resources: APIResourceList): Promise<void> {
    const { outbound, frontProxy } = this.#options;
    const tls = remoteTls(watched.object, frontProxy);
    const { group, version } = watched.object.spec ?? {};
    const facts: RemoteFacts = { resources };
    const get = (path: string, headers = {}) => askRemote(outbound, to, tls, path, headers).catch(() => undefined);
    const index = await get('/openapi/v3');
    const paths = index && jsonOf<{ paths?: Record<string, { serverRelativeURL?: string }> }>(index)?.paths;
    const url = paths?.[`apis/${group}/${version}`]?.serverRelativeURL;
    if (url) facts.openApiUrl = url;
    const before = watched.state.facts?.swagger;
    const swagger = await get(
      '/openapi/v2',
      before && watched.swaggerEtag ? { 'if-none-match': watched.swaggerEtag } : {},
    );
    const found = swagger?.code === 304 ? before : swagger && jsonOf<Swagger>(swagger);
    if (found) facts.swagger = found;
    if (swagger?.code === 200) watched.swaggerEtag = swagger.etag;
    watched.state = { ...watched.state, facts };
  }

  async #tell(name: string, finding: Finding): Promise<void> {
    const { registry, kind, clock } = this.#options;
    const current = this.#watched.get(name)?.object;
    if (!current || !changedCondition(current, finding, '')) return;
    const request = { user: SERVER_USER, namespace: '', dryRun: false, warn() {}, name, subresource: 'status' };
    try {
      await registry.update(kind, request, (old) => {
        const conditions: APIServiceCondition[] | undefined = changedCondition(
          old as ApiServiceObject,
          finding,
          timeFromMs(clock.now()),
        );
        const { status } = old as ApiServiceObject;
        return { ...old, status: { ...status, ...(conditions && { conditions }) } } as KubeObject;
      });
    } catch (error) {
      // Deleted in the meantime: there is nobody left to tell.
      if ((error as { code?: number }).code !== 404) throw error;
    }
  }
}

function sameSpec(left: ApiServiceObject, right: ApiServiceObject): boolean {
  return JSON.stringify(left.spec) === JSON.stringify(right.spec);
}
