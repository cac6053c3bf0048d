// Metrics of what is stored and cached, read at each scrape, and of what is running. Only kinds that somebody has asked for are
// counted: a scrape starts no cache.
import type { Kind } from '../../api/kind.ts';
import type { APIService } from '../../api/types/apiregistration-v1.ts';
import type { MetricsRegistry } from '../../lib/metrics.ts';
import type { ResourceCache } from '../cache/port.ts';
import type { Store } from '../storage/port.ts';
import { versionInfo } from './version.ts';

type Used = { kind: Kind; cache: ResourceCache };

export function exposeStorage(registry: MetricsRegistry, used: () => Used[], store: Store): void {
  const full = ({ group, resource }: Kind) => (group === '' ? resource : `${resource}.${group}`);
  registry.collected(
    'gauge',
    {
      name: 'apiserver_storage_objects',
      help: '[DEPRECATED, consider using apiserver_resource_objects instead] Number of stored objects at the time of last check split by kind. In case of a fetching error, the value will be -1.',
      labels: ['resource'],
      stability: 'STABLE',
    },
    () => used().map(({ kind, cache }) => [[full(kind)], cache.size]),
  );
  const each = (name: string, help: string, value: (cache: ResourceCache) => number) =>
    registry.collected('gauge', { name, help, labels: ['group', 'resource'] }, () =>
      used().map(({ kind, cache }) => [[kind.group, kind.resource], value(cache)]),
    );
  each(
    'apiserver_resource_objects',
    'Number of stored objects at the time of last check split by kind. In case of a fetching error, the value will be -1.',
    (cache) => cache.size,
  );
  each(
    'apiserver_resource_size_estimate_bytes',
    'Estimated size of stored objects in database. Estimate is based on sum of last observed sizes of serialized objects. In case of a fetching error, the value will be -1.',
    (cache) => cache.sizeBytes,
  );
  each('watch_cache_capacity', 'Total capacity of watch cache broken by resource type.', (cache) => cache.capacity);
  each(
    'apiserver_watch_cache_resource_version',
    'Current resource version of watch cache broken by resource type. This is truncated to the 15 least significant digits.',
    (cache) => cache.revision % 1e15,
  );
  // Asked for at each scrape, told at the next: a scrape waits for nothing.
  let bytes = 0;
  registry.collected(
    'gauge',
    {
      name: 'apiserver_storage_size_bytes',
      help: 'Size of the storage database file physically allocated in bytes.',
      labels: ['storage_cluster_id'],
      stability: 'STABLE',
    },
    () => {
      store.sizeBytes().then(
        (size) => (bytes = size),
        () => (bytes = 0),
      );
      return [[['etcd-0'], bytes]];
    },
  );
}

/** APIServices that cannot be reached, from what their conditions say. */
export function exposeApiServices(registry: MetricsRegistry, cache: () => ResourceCache): void {
  registry.collected(
    'gauge',
    {
      name: 'aggregator_unavailable_apiservice',
      help: 'Gauge of APIServices which are marked as unavailable broken down by APIService name.',
      labels: ['name'],
    },
    () =>
      cache()
        .list({})
        .items.map(({ object }) => {
          const { conditions = [] } = (object as APIService).status ?? {};
          const isAvailable = conditions.some(({ type, status }) => type === 'Available' && status === 'True');
          return [[object.metadata.name ?? ''], isAvailable ? 0 : 1] as const;
        }),
  );
}

export function exposeBuild(registry: MetricsRegistry, version: string): void {
  const info = versionInfo({ version });
  const names = [
    'buildDate',
    'compiler',
    'gitCommit',
    'gitTreeState',
    'gitVersion',
    'goVersion',
    'major',
    'minor',
    'platform',
  ];
  registry
    .gauge({
      name: 'kubernetes_build_info',
      help: 'A metric with a constant 1 value labeled by major, minor, git version, git commit, git tree state, build date, Go version, and compiler from which Kubernetes was built, and platform on which it is running.',
      labels: names.map((each) => each.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)),
    })
    .with(...names.map((each) => info[each] ?? ''))
    .set(1);
  registry
    .gauge({
      name: 'version_info',
      help: 'Provides the compatibility version info of the component. The component label is the name of the component, usually kube, but is relevant for aggregated-apiservers.',
      labels: ['binary', 'component', 'emulation', 'min_compat'],
    })
    .with(
      `${info['major']}.${info['minor']}`,
      'kube',
      `${info['major']}.${info['minor']}`,
      `${info['major']}.${Number(info['minor']) - 1}`,
    )
    .set(1);
}
