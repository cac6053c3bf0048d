// A store whose requests are counted and timed, under the names that upstream has for those to etcd.
import type { Kind } from '../../api/kind.ts';
import type { Counter, Histogram, MetricsRegistry } from '../../lib/metrics.ts';
import { prefixOfKey, resourcePrefix } from './keys.ts';
import type { RecentHistory, Store } from './port.ts';

const SECONDS = [0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1, 1.25, 1.5, 2, 3, 4, 5, 6, 8, 10, 15, 20, 30, 45, 60];

interface Series {
  requests: Counter;
  seconds: Histogram;
  labels: string[];
  group: string;
  resource: string;
}

/** `kinds`: to know group and resource of a key. */
export function measureStore(inner: Store, registry: MetricsRegistry, kinds: () => readonly Kind[]): Store {
  const labels = ['group', 'operation', 'resource'];
  const requests = registry.counter({
    name: 'etcd_requests_total',
    help: 'Etcd request counts for each operation and object type.',
    labels,
  });
  const errors = registry.counter({
    name: 'etcd_request_errors_total',
    help: 'Etcd failed request counts for each operation and object type.',
    labels,
  });
  const seconds = registry.histogram({
    name: 'etcd_request_duration_seconds',
    help: 'Etcd request latency in seconds for each operation and object type.',
    labels,
    buckets: SECONDS,
  });
  const lists = (part: string, help: string) =>
    registry.counter({ name: `apiserver_storage_list_${part}`, help, labels: ['group', 'resource'] });
  const listTotal = lists('total', 'Number of LIST requests served from storage');
  const listFetched = lists(
    'fetched_objects_total',
    'Number of objects read from storage in the course of serving a LIST request',
  );
  const listEvaluated = lists(
    'evaluated_objects_total',
    'Number of objects tested in the course of serving a LIST request from storage',
  );
  const listReturned = lists('returned_objects_total', 'Number of objects returned for a LIST request from storage');
  /** Who filters, filters what was read here. */
  function listed(prefix: string, work: ReturnType<Store['list']>): ReturnType<Store['list']> {
    const { group, resource } = seriesOf('list', prefix);
    listTotal.with(group, resource).inc();
    work.then(
      ({ kvs }) => {
        for (const each of [listFetched, listEvaluated, listReturned]) each.with(group, resource).inc(kvs.length);
      },
      () => {},
    );
    return work;
  }
  const known = new Map<string, Series>();
  function seriesOf(operation: string, key: string): Series {
    const prefix = prefixOfKey(key);
    const name = `${operation} ${prefix}`;
    let found = known.get(name);
    if (!found) {
      const kind = kinds().find((each) => resourcePrefix(each) === prefix);
      const group = kind?.group ?? '';
      const resource = kind?.resource ?? '';
      const values = [group, operation, resource];
      found = { requests: requests.with(...values), seconds: seconds.with(...values), labels: values, group, resource };
      if (known.size < 10_000) known.set(name, found);
    }
    return found;
  }
  /** The very promise: what waits for it is not kept a turn longer. */
  function timed<T>(operation: string, key: string, work: Promise<T>): Promise<T> {
    const started = performance.now();
    const series = seriesOf(operation, key);
    series.requests.inc();
    const settled = () => series.seconds.observe((performance.now() - started) / 1000);
    work.then(settled, () => {
      settled();
      errors.with(...series.labels).inc();
    });
    return work;
  }
  const store: Store = {
    revision: () => inner.revision(),
    get: (key, revision) => timed('get', key, inner.get(key, revision)),
    list: (prefix, options) => listed(prefix, timed('list', prefix, inner.list(prefix, options))),
    commit(write) {
      const operation = write.value === null ? 'delete' : write.expected === 0 ? 'create' : 'update';
      return timed(operation, write.key, inner.commit(write));
    },
    watch: (prefix, fromRevision, signal) => inner.watch(prefix, fromRevision, signal),
    requestProgress: (prefix) => inner.requestProgress(prefix),
    compact: (revision) => inner.compact(revision),
    sizeBytes: () => inner.sizeBytes(),
    close: () => inner.close(),
  };
  if (inner.recent) store.recent = (prefix, revisions) => inner.recent?.(prefix, revisions) as Promise<RecentHistory>;
  if (inner.isStale) store.isStale = (key) => inner.isStale?.(key) as Promise<boolean>;
  return store;
}
