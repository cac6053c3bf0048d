// metrics.k8s.io/v1beta1: what nodes and pods use, read from the kubelets when somebody asks, and at most every 15 seconds.
// A cluster without an APIService of its own for the group version has this one; a metrics-server takes over with its own.
import { errors } from '../../api/errors.ts';
import type { KubeObject } from '../../api/object.ts';
import { addQuantities, formatQuantity, parseQuantity, type Quantity } from '../../api/quantity.ts';
import { parseFieldSelector, parseLabelSelector } from '../../api/selectors.ts';
import { columnText } from '../../api/table.ts';
import { timeFromMs } from '../../api/time-format.ts';
import type { APIResourceList } from '../../api/types/meta.ts';
import type { Clock } from '../../lib/clock.ts';
import type { Logger } from '../../lib/log.ts';
import type { Delegate } from '../aggregation/delegate.ts';
import { askNode } from './ask-node.ts';
import type { CacheSet } from '../cache/port.ts';
import type { Exchange } from '../http/exchange.ts';
import { negotiate, type Negotiated } from '../http/negotiate.ts';
import type { KubeletAccess } from '../proxy/kubelets.ts';
import type { Outbound } from '../proxy/outbound.ts';
import { measureNode, measurePods, type Reading, windowText } from './samples.ts';

export interface MetricsApiOptions {
  access: KubeletAccess;
  outbound: Outbound;
  caches: CacheSet;
  clock: Clock;
  log: Logger;
}

const GROUP = 'metrics.k8s.io';
const VERSION = 'v1beta1';
const API_VERSION = `${GROUP}/${VERSION}`;
/** A reading younger than this is told again. */
const FRESH_MS = 15_000;
/** Kubelets that are asked at one time. */
const IN_FLIGHT = 32;

const VERBS = ['get', 'list'];
const RESOURCES: APIResourceList = {
  kind: 'APIResourceList',
  apiVersion: 'v1',
  groupVersion: API_VERSION,
  resources: [
    { name: 'nodes', singularName: '', namespaced: false, kind: 'NodeMetrics', verbs: VERBS },
    { name: 'pods', singularName: '', namespaced: true, kind: 'PodMetrics', verbs: VERBS },
  ],
};

interface Metrics extends KubeObject {
  timestamp: string;
  window: string;
  usage?: { cpu: string; memory: string };
  containers?: { name: string; usage: { cpu: string; memory: string } }[];
}

/** The last two readings of a node's kubelet. */
interface NodeReadings {
  before?: Reading;
  now?: Reading;
  asking?: Promise<void>;
}

export class MetricsApi implements Delegate {
  readonly group = GROUP;
  readonly version = VERSION;
  readonly priorities = { groupPriorityMinimum: 100, versionPriority: 100 };
  readonly resources = RESOURCES;
  #options: MetricsApiOptions;
  #nodes = new Map<string, NodeReadings>();

  constructor(options: MetricsApiOptions) {
    this.#options = options;
  }

  async serve(exchange: Exchange): Promise<void> {
    const { info } = exchange;
    if (!info.isResource) {
      negotiate(exchange.header('accept'), false);
      return exchange.sendJson(200, JSON.stringify(RESOURCES));
    }
    const isNodes = info.resource === 'nodes' && info.namespace === '';
    if ((!isNodes && info.resource !== 'pods') || info.parts.length > 2) throw errors.unknownPath();
    const isOne = info.parts.length === 2;
    if (isOne && !isNodes && info.namespace === '') throw errors.unknownPath();
    if (info.verb !== (isOne ? 'get' : 'list')) throw errors.methodNotAllowedPath();
    const negotiated = negotiate(exchange.header('accept'), true);
    const all = isNodes ? await this.#ofNodes(exchange) : await this.#ofPods(exchange);
    const kind = isNodes ? 'NodeMetrics' : 'PodMetrics';
    if (!isOne)
      return send(exchange, negotiated, all, {
        kind: `${kind}List`,
        apiVersion: API_VERSION,
        metadata: {},
        items: all,
      });
    const found = all[0];
    if (!found) {
      const name = isNodes ? info.name : `${info.namespace}/${info.name}`;
      throw errors.notFound({ group: GROUP, resource: kind.toLowerCase() }, name);
    }
    return send(exchange, negotiated, [found], found);
  }

  async #ofNodes(exchange: Exchange): Promise<Metrics[]> {
    const nodes = await this.#objects('nodes', exchange);
    await this.#read(nodes.map((each) => each.metadata.name as string));
    return nodes.flatMap((node) => {
      const readings = this.#nodes.get(node.metadata.name as string);
      const measured = readings?.now && measureNode(readings.before, readings.now);
      if (!measured) return [];
      return [{ ...this.#head('NodeMetrics', node), ...times(measured), usage: measured.usage }];
    });
  }

  async #ofPods(exchange: Exchange): Promise<Metrics[]> {
    const pods = (await this.#objects('pods', exchange)).filter((each) => nodeOf(each) !== '');
    const names = [...new Set(pods.map(nodeOf))];
    await this.#read(names);
    const measured = new Map(
      names.map((name) => {
        const readings = this.#nodes.get(name);
        return [name, readings?.now && measurePods(readings.before, readings.now)];
      }),
    );
    return pods.flatMap((pod) => {
      const { namespace, name } = pod.metadata;
      const found = measured.get(nodeOf(pod))?.get(`${namespace}/${name}`);
      return found ? [{ ...this.#head('PodMetrics', pod), ...times(found), containers: found.containers }] : [];
    });
  }

  /** The nodes or pods that the request means, from the cache. */
  async #objects(resource: string, exchange: Exchange): Promise<KubeObject[]> {
    const { access, caches } = this.#options;
    const { info } = exchange;
    const cache = caches.of(access.registry.kind('', resource));
    await cache.ready();
    await cache.current(exchange.signal);
    const labels = parseLabelSelector(info.query.get('labelSelector') ?? '');
    const fields = parseFieldSelector(info.query.get('fieldSelector') ?? '');
    const named = info.parts.length === 2 ? info.name : undefined;
    const { items } = cache.list({
      ...(info.namespace !== '' && { namespace: info.namespace }),
      ...(named && { name: named }),
    });
    return items
      .map((each) => each.object)
      .filter(
        ({ metadata }) =>
          labels.matches(metadata.labels ?? {}) &&
          fields.matches((field) => (field === 'metadata.name' ? metadata.name : metadata.namespace) ?? ''),
      );
  }

  /** Brings the readings up to date; a node that does not answer keeps what it had for a minute. */
  async #read(names: readonly string[]): Promise<void> {
    const waiting = [...names];
    const worker = async () => {
      for (let name = waiting.pop(); name !== undefined; name = waiting.pop()) await this.#readNode(name);
    };
    await Promise.all(Array.from({ length: Math.min(IN_FLIGHT, names.length) }, worker));
    await this.#forgetGone();
  }

  async #readNode(name: string): Promise<void> {
    const { access, outbound, clock, log } = this.#options;
    const readings = this.#nodes.get(name) ?? {};
    this.#nodes.set(name, readings);
    if (readings.asking) return readings.asking;
    if (readings.now && clock.monotonic() - readings.now.atMs < FRESH_MS) return undefined;
    readings.asking = askNode(access, outbound, name)
      .then((summary) => {
        if (readings.now) readings.before = readings.now;
        readings.now = { atMs: clock.monotonic(), summary };
      })
      .catch((error) => {
        log.warn({ err: error, node: name }, 'cannot read what a node uses');
        if (readings.now && clock.monotonic() - readings.now.atMs > 4 * FRESH_MS) delete readings.now;
      })
      .finally(() => {
        delete readings.asking;
      });
    return readings.asking;
  }

  #head(kind: string, { metadata }: KubeObject) {
    const { name, namespace, labels } = metadata;
    return {
      kind,
      apiVersion: API_VERSION,
      metadata: {
        name,
        ...(namespace && { namespace }),
        creationTimestamp: timeFromMs(this.#options.clock.now()),
        ...(labels && { labels }),
      },
    };
  }

  async #forgetGone(): Promise<void> {
    const { access, caches } = this.#options;
    const cache = caches.of(access.registry.kind('', 'nodes'));
    await cache.ready();
    for (const name of this.#nodes.keys()) if (!cache.get(undefined, name)) this.#nodes.delete(name);
  }
}

const nodeOf = (pod: KubeObject) => (pod as { spec?: { nodeName?: string } }).spec?.nodeName ?? '';

const times = ({ timestampMs, windowMs }: { timestampMs: number; windowMs: number }) => ({
  timestamp: timeFromMs(timestampMs),
  window: windowText(windowMs),
});

function send(exchange: Exchange, { shape, mediaType }: Negotiated, items: Metrics[], plain: object): Promise<void> {
  if (shape.kind === 'object') return exchange.sendJson(200, JSON.stringify(plain), mediaType);
  const partial = (each: Metrics, version: string) => ({
    kind: 'PartialObjectMetadata',
    apiVersion: `meta.k8s.io/${version}`,
    metadata: each.metadata,
  });
  if (shape.kind === 'partial') {
    if (plain === items[0]) return exchange.sendJson(200, JSON.stringify(partial(items[0], shape.version)), mediaType);
    const list = items.map((each) => partial(each, shape.version));
    const body = {
      kind: 'PartialObjectMetadataList',
      apiVersion: `meta.k8s.io/${shape.version}`,
      metadata: {},
      items: list,
    };
    return exchange.sendJson(200, JSON.stringify(body), mediaType);
  }
  const column = (name: string, type = 'string', format = '') => {
    const description = columnText('Metrics', name) ?? '';
    return { name, type, format, description, priority: 0 };
  };
  const table = {
    kind: 'Table',
    apiVersion: `meta.k8s.io/${shape.version}`,
    metadata: {},
    columnDefinitions: [column('Name', 'string', 'name'), column('cpu'), column('memory'), column('Window')],
    rows: items.map((each) => ({
      cells: [each.metadata.name, total(each, 'cpu'), total(each, 'memory'), each.window],
      object: partial(each, shape.version),
    })),
  };
  return exchange.sendJson(200, JSON.stringify(table), mediaType);
}

function total({ usage, containers }: Metrics, of: 'cpu' | 'memory'): string {
  if (usage) return usage[of];
  const all = (containers ?? []).map((each): Quantity => parseQuantity(each.usage[of]));
  return formatQuantity(all.reduce(addQuantities));
}
