// What the watch caches count of themselves, under upstream's names (k8s.io/apiserver/pkg/storage/cacher/metrics and, for what
// comes from the store, storage/etcd3/metrics). Series are made once per cache: counting is an addition.
import type { Kind } from '../../api/kind.ts';
import type { Counter, Histogram, MetricsRegistry } from '../../lib/metrics.ts';

/** The series of one resource; several versions of it share them. */
export interface CacheSeries {
  /** Loads of the whole state from the store. */
  initializations: Counter;
  /** Objects of such loads. */
  initEvents: Counter;
  received: Counter;
  fromStore: Counter;
  bookmarks: Counter;
  /** Changes given to the watches. */
  dispatched: Counter;
  /** Watches that fell behind. */
  terminated: Counter;
  decodeErrors: Counter;
  readWait: Histogram;
  consistent: Counter;
  notConsistent: Counter;
  /** `index`: as upstream names it, `f:spec.nodeName`; empty where there is none. */
  listed(index: string, fetched: number, returned: number): void;
}

export type CacheMetrics = (kind: Kind) => CacheSeries;

const WAIT_SECONDS = [0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1, 1.25, 1.5, 2, 3];

export function createCacheMetrics(registry: MetricsRegistry): CacheMetrics {
  const labels = ['group', 'resource'];
  const counter = (name: string, help: string, more: readonly string[] = []) =>
    registry.counter({ name, help, labels: [...labels, ...more] });
  const lists = counter('apiserver_cache_list_total', 'Number of LIST requests served from watch cache', ['index']);
  const fetched = counter(
    'apiserver_cache_list_fetched_objects_total',
    'Number of objects read from watch cache in the course of serving a LIST request',
    ['index'],
  );
  const returned = counter(
    'apiserver_cache_list_returned_objects_total',
    'Number of objects returned for a LIST request from watch cache',
  );
  const initEvents = counter(
    'apiserver_init_events_total',
    'Counter of init events processed in watch cache broken by resource type.',
  );
  const received = counter(
    'apiserver_watch_cache_events_received_total',
    'Counter of events received in watch cache broken by resource type.',
  );
  const dispatched = counter(
    'apiserver_watch_cache_events_dispatched_total',
    'Counter of events dispatched in watch cache broken by resource type.',
  );
  const terminated = counter(
    'apiserver_terminated_watchers_total',
    'Counter of watchers closed due to unresponsiveness broken by resource type.',
  );
  const initializations = counter(
    'apiserver_watch_cache_initializations_total',
    'Counter of watch cache initializations broken by resource type.',
  );
  const readWait = registry.histogram({
    name: 'apiserver_watch_cache_read_wait_seconds',
    help: 'Histogram of time spent waiting for a watch cache to become fresh.',
    labels,
    buckets: WAIT_SECONDS,
  });
  const consistent = counter(
    'apiserver_watch_cache_consistent_read_total',
    'Counter for consistent reads from cache.',
    ['success', 'fallback'],
  );
  const fromStore = registry.counter({
    name: 'apiserver_storage_events_received_total',
    help: 'Number of etcd events received split by kind.',
    labels,
    stability: 'BETA',
  });
  const bookmarks = counter('etcd_bookmark_total', 'Number of etcd bookmarks (progress notify events) split by kind.');
  const decodeErrors = counter(
    'apiserver_storage_decode_errors_total',
    'Number of stored object decode errors split by object type',
  );
  return ({ group, resource }) => {
    const byIndex = new Map<string, { lists: Counter; fetched: Counter }>();
    const returnedObjects = returned.with(group, resource);
    return {
      initializations: initializations.with(group, resource),
      initEvents: initEvents.with(group, resource),
      received: received.with(group, resource),
      fromStore: fromStore.with(group, resource),
      bookmarks: bookmarks.with(group, resource),
      dispatched: dispatched.with(group, resource),
      terminated: terminated.with(group, resource),
      decodeErrors: decodeErrors.with(group, resource),
      readWait: readWait.with(group, resource),
      consistent: consistent.with(group, resource, 'true', 'false'),
      notConsistent: consistent.with(group, resource, 'false', 'false'),
      listed(index, read, shown) {
        let series = byIndex.get(index);
        if (!series) {
          const values = [group, resource, index];
          byIndex.set(index, (series = { lists: lists.with(...values), fetched: fetched.with(...values) }));
        }
        series.lists.inc();
        series.fetched.inc(read);
        returnedObjects.inc(shown);
      },
    };
  };
}
