// What the allocators of cluster IPs and node ports did, under upstream's names (pkg/registry/core/service/ipallocator and
// portallocator).
import { DEFAULT_BUCKETS, MetricsRegistry } from '../../lib/metrics.ts';

/** `static`: asked for by its value. */
export type Scope = 'static' | 'dynamic';

export interface AllocationMetrics {
  address(cidr: string, scope: Scope, ok: boolean, seconds: number): void;
  ports(scope: Scope, count: number, ok: boolean): void;
}

const IPS = 'kube_apiserver_clusterip_allocator_';
const PORTS = 'kube_apiserver_nodeport_allocator_';

export function createAllocationMetrics(registry = new MetricsRegistry()): AllocationMetrics {
  const ofIp = ['cidr', 'scope'];
  const ips = registry.counter({
    name: `${IPS}allocation_total`,
    help: 'Number of Cluster IPs allocations',
    labels: ofIp,
  });
  const ipErrors = registry.counter({
    name: `${IPS}allocation_errors_total`,
    help: 'Number of errors trying to allocate Cluster IPs',
    labels: ofIp,
  });
  const ipSeconds = registry.histogram({
    name: `${IPS}allocation_duration_seconds`,
    help: 'Duration in seconds to allocate a Cluster IP by ServiceCIDR',
    labels: ['cidr'],
    buckets: DEFAULT_BUCKETS,
  });
  const ports = registry.counter({
    name: `${PORTS}allocation_total`,
    help: 'Number of NodePort allocations',
    labels: ['scope'],
  });
  const portErrors = registry.counter({
    name: `${PORTS}allocation_errors_total`,
    help: 'Number of errors trying to allocate NodePort',
    labels: ['scope'],
  });
  return {
    address(cidr, scope, ok, seconds) {
      (ok ? ips : ipErrors).with(cidr, scope).inc();
      if (ok) ipSeconds.with(cidr).observe(seconds);
    },
    ports(scope, count, ok) {
      if (count > 0) (ok ? ports : portErrors).with(scope).inc(count);
    },
  };
}

/** What is taken of ranges of addresses and of ports, and how many there are. */
export interface Allocated {
  addresses: readonly { cidr: string; taken: number; size: number }[];
  ports: { taken: number; size: number };
}

/** `read` is asked at each scrape and told at the next: a scrape waits for nothing. Returns what asks. */
export function exposeAllocated(registry: MetricsRegistry, read: () => Promise<Allocated>): () => Promise<void> {
  let known: Allocated | undefined;
  const refresh = () =>
    read().then(
      (found) => {
        known = found;
      },
      () => {},
    );
  const ips = (name: string, help: string, value: (of: { taken: number; size: number }) => number) =>
    registry.collected('gauge', { name: IPS + name, help, labels: ['cidr'] }, () =>
      (known?.addresses ?? []).map((each) => [[each.cidr], value(each)] as const),
    );
  const ports = (name: string, help: string, value: (of: { taken: number; size: number }) => number) =>
    registry.collected('gauge', { name: PORTS + name, help }, () => (known ? [[[], value(known.ports)]] : []));
  ips('allocated_ips', 'Gauge measuring the number of allocated IPs for Services', ({ taken }) => taken);
  ips('available_ips', 'Gauge measuring the number of available IPs for Services', ({ taken, size }) => size - taken);
  ports('allocated_ports', 'Gauge measuring the number of allocated NodePorts for Services', ({ taken }) => {
    void refresh();
    return taken;
  });
  ports(
    'available_ports',
    'Gauge measuring the number of available NodePorts for Services',
    ({ taken, size }) => size - taken,
  );
  return refresh;
}
