// The metrics of containers and sandboxes: names, labels, and what each is computed from. Pure. The names are those that
// clients expect from a runtime in place of cAdvisor's; values are whole numbers, seconds are cut off.
import type { Pressure } from '../cgroups/pressure.ts';
import type { CgroupDetails, CgroupStats } from '../launch/port.ts';

/** Of every metric, in this order. */
export const BASE_LABELS = ['id', 'name', 'image', 'container', 'pod', 'namespace'] as const;

export interface NetworkFigures {
  name: string;
  /** As in /proc/net/dev. */
  rx: { bytes: number; packets: number; errors: number; dropped: number };
  tx: { bytes: number; packets: number; errors: number; dropped: number };
}

export interface MetricFacts {
  nowSeconds: number;
  cgroup?: CgroupStats & CgroupDetails;
  /** Of the processes of the cgroup. */
  processes?: { count: number; descriptors: number; sockets: number; openFilesLimit: number };
  /** Of the file system of the writable layer, and the layer itself. */
  filesystem?: { usedBytes: number; limitBytes: number; inodes: number; inodesFree: number };
  spec?: {
    startedAtSeconds: number;
    cpuShares: number;
    cpuPeriodUs: number;
    cpuQuotaUs: number;
    memoryLimitBytes: number;
    memorySwapLimitBytes: number;
  };
  network?: NetworkFigures[];
}

export interface MetricRow {
  name: string;
  help: string;
  /** After the base labels. */
  labels: readonly string[];
  type: 'COUNTER' | 'GAUGE';
  /** No value where the fact is not known. */
  values(facts: MetricFacts): { labels: string[]; value: number }[];
}

type Pick1<T> = (facts: T) => number | undefined;
const one = (value: number | undefined) => (value === undefined ? [] : [{ labels: [], value }]);
const row = (
  type: MetricRow['type'],
  name: string,
  help: string,
  values: MetricRow['values'],
  labels: readonly string[] = [],
): MetricRow => ({ name: `container_${name}`, help, labels, type, values });

const ofCgroup = (
  type: MetricRow['type'],
  name: string,
  help: string,
  pick: Pick1<CgroupStats & CgroupDetails>,
): MetricRow => row(type, name, help, ({ cgroup }) => (cgroup ? one(pick(cgroup)) : []));

const seconds = (ns: number) => ns / 1e9;

const perDevice = (name: string, help: string, pick: (io: CgroupDetails['io'][number]) => number): MetricRow =>
  row(
    'COUNTER',
    name,
    help,
    ({ cgroup }) => (cgroup?.io ?? []).map((io) => ({ labels: [`${io.major}:${io.minor}`], value: pick(io) })),
    ['device'],
  );

const perInterface = (name: string, help: string, pick: (figures: NetworkFigures) => number): MetricRow =>
  row(
    'COUNTER',
    `network_${name}_total`,
    help,
    ({ network = [] }) => network.map((each) => ({ labels: [each.name], value: pick(each) })),
    ['interface'],
  );

const pressure = (kind: 'cpu' | 'memory' | 'io'): MetricRow[] =>
  (
    [
      ['waiting', 'some', `Time in which at least one task waited for ${kind}, in seconds.`],
      ['stalled', 'full', `Time in which all tasks waited for ${kind}, in seconds.`],
    ] as const
  ).map(([word, line, help]) =>
    ofCgroup('COUNTER', `pressure_${kind}_${word}_seconds_total`, help, ({ pressures }) => {
      const found: Pressure | undefined = pressures[kind];
      return found && seconds(found[line].totalNs);
    }),
  );

const spec = (name: string, help: string, pick: Pick1<NonNullable<MetricFacts['spec']>>): MetricRow =>
  row('GAUGE', name, help, (facts) => (facts.spec ? one(pick(facts.spec)) : []));

export const METRICS: readonly MetricRow[] = [
  ofCgroup('COUNTER', 'cpu_user_seconds_total', 'CPU time used in user mode, in seconds.', (c) => seconds(c.cpuUserNs)),
  ofCgroup('COUNTER', 'cpu_system_seconds_total', 'CPU time used in the kernel, in seconds.', (c) =>
    seconds(c.cpuSystemNs),
  ),
  row(
    'COUNTER',
    'cpu_usage_seconds_total',
    'CPU time used, in seconds.',
    ({ cgroup }) => (cgroup ? [{ labels: ['total'], value: seconds(cgroup.cpuUsageNs) }] : []),
    ['cpu'],
  ),
  ofCgroup('COUNTER', 'cpu_cfs_periods_total', 'Periods in which the CPU quota was enforced.', (c) => c.cpuPeriods),
  ofCgroup(
    'COUNTER',
    'cpu_cfs_throttled_periods_total',
    'Periods in which it was throttled.',
    (c) => c.cpuThrottledPeriods,
  ),
  ofCgroup('COUNTER', 'cpu_cfs_throttled_seconds_total', 'Time for which it was throttled, in seconds.', (c) =>
    seconds(c.cpuThrottledNs),
  ),
  ofCgroup('GAUGE', 'memory_cache', 'Page cache, in bytes.', (c) => c.memoryCacheBytes),
  ofCgroup('GAUGE', 'memory_rss', 'Anonymous memory, in bytes.', (c) => c.memoryRssBytes),
  ofCgroup('GAUGE', 'memory_kernel_usage', 'Memory of the kernel on its behalf, in bytes.', (c) => c.memoryKernelBytes),
  ofCgroup('GAUGE', 'memory_mapped_file', 'Mapped files, in bytes.', (c) => c.memoryMappedBytes),
  ofCgroup('GAUGE', 'memory_swap', 'Memory that is swapped out, in bytes.', (c) => c.swapUsageBytes),
  ofCgroup('COUNTER', 'memory_failcnt', 'How often its memory limit was hit.', (c) => c.memoryFailures),
  ofCgroup('GAUGE', 'memory_usage_bytes', 'Memory in use, in bytes.', (c) => c.memoryUsageBytes),
  ofCgroup('GAUGE', 'memory_max_usage_bytes', 'The most memory it has used, in bytes.', (c) => c.memoryPeakBytes),
  ofCgroup(
    'GAUGE',
    'memory_working_set_bytes',
    'Memory in use without inactive file cache, in bytes.',
    (c) => c.memoryWorkingSetBytes,
  ),
  row(
    'COUNTER',
    'memory_failures_total',
    'Page faults, by kind.',
    ({ cgroup }) =>
      cgroup
        ? [
            { labels: ['pgfault', 'container'], value: cgroup.pageFaults },
            { labels: ['pgmajfault', 'container'], value: cgroup.majorPageFaults },
          ]
        : [],
    ['failure_type', 'scope'],
  ),
  ofCgroup('COUNTER', 'oom_events_total', 'Processes killed because memory had ended.', (c) => c.oomKills),
  row(
    'GAUGE',
    'hugetlb_usage_bytes',
    'Huge pages in use, in bytes.',
    ({ cgroup }) => (cgroup?.hugepages ?? []).map((each) => ({ labels: [each.pageSize], value: each.usageBytes })),
    ['pagesize'],
  ),
  row(
    'GAUGE',
    'hugetlb_max_usage_bytes',
    'The most huge pages it has used, in bytes.',
    ({ cgroup }) => (cgroup?.hugepages ?? []).map((each) => ({ labels: [each.pageSize], value: each.peakBytes })),
    ['pagesize'],
  ),
  ...pressure('cpu'),
  ...pressure('memory'),
  ...pressure('io'),
  perDevice('fs_reads_bytes_total', 'Bytes read from a device.', (io) => io.readBytes),
  perDevice('fs_writes_bytes_total', 'Bytes written to a device.', (io) => io.writeBytes),
  perDevice('fs_reads_total', 'Reads from a device.', (io) => io.reads),
  perDevice('fs_writes_total', 'Writes to a device.', (io) => io.writes),
  row(
    'COUNTER',
    'blkio_device_usage_total',
    'Bytes read from and written to a device.',
    ({ cgroup }) =>
      (cgroup?.io ?? []).flatMap(({ major, minor, readBytes, writeBytes }) => [
        { labels: [`${major}:${minor}`, major, minor, 'Read'], value: readBytes },
        { labels: [`${major}:${minor}`, major, minor, 'Write'], value: writeBytes },
      ]),
    ['device', 'major', 'minor', 'operation'],
  ),
  row('GAUGE', 'fs_usage_bytes', 'Size of what it has written, in bytes.', (f) => one(f.filesystem?.usedBytes)),
  row('GAUGE', 'fs_limit_bytes', 'Size of the file system it writes to, in bytes.', (f) =>
    one(f.filesystem?.limitBytes),
  ),
  row('GAUGE', 'fs_inodes_total', 'Inodes of the file system it writes to.', (f) => one(f.filesystem?.inodes)),
  row('GAUGE', 'fs_inodes_free', 'Free inodes of the file system it writes to.', (f) => one(f.filesystem?.inodesFree)),
  row('GAUGE', 'processes', 'Processes.', (f) => one(f.processes?.count)),
  row('GAUGE', 'file_descriptors', 'Open file descriptors of its processes.', (f) => one(f.processes?.descriptors)),
  row('GAUGE', 'sockets', 'Open sockets of its processes.', (f) => one(f.processes?.sockets)),
  row(
    'GAUGE',
    'ulimits_soft',
    'Soft limits of its first process.',
    ({ processes }) => (processes ? [{ labels: ['max_open_files'], value: processes.openFilesLimit }] : []),
    ['ulimit'],
  ),
  ofCgroup('GAUGE', 'threads', 'Threads.', (c) => c.pids),
  ofCgroup('GAUGE', 'threads_max', 'How many threads it may have; 0 is no limit.', (c) => c.pidsLimit ?? 0),
  row('GAUGE', 'last_seen', 'When it was last looked at, in seconds since the epoch.', (f) => one(f.nowSeconds)),
  spec('start_time_seconds', 'When it was started, in seconds since the epoch.', (s) => s.startedAtSeconds),
  spec('spec_cpu_period', 'Its CPU period, in microseconds.', (s) => s.cpuPeriodUs),
  spec('spec_cpu_quota', 'Its CPU quota, in microseconds; none when it has no limit.', (s) =>
    s.cpuQuotaUs > 0 ? s.cpuQuotaUs : undefined,
  ),
  spec('spec_cpu_shares', 'Its share of the CPU.', (s) => s.cpuShares),
  spec('spec_memory_limit_bytes', 'Its memory limit, in bytes; 0 is none.', (s) => s.memoryLimitBytes),
  spec('spec_memory_reservation_limit_bytes', 'Memory reserved for it, in bytes.', () => 0),
  spec(
    'spec_memory_swap_limit_bytes',
    'Its limit of memory and swap, in bytes; 0 is none.',
    (s) => s.memorySwapLimitBytes,
  ),
  perInterface('receive_bytes', 'Bytes received.', ({ rx }) => rx.bytes),
  perInterface('receive_packets', 'Packets received.', ({ rx }) => rx.packets),
  perInterface('receive_packets_dropped', 'Packets dropped while receiving.', ({ rx }) => rx.dropped),
  perInterface('receive_errors', 'Errors while receiving.', ({ rx }) => rx.errors),
  perInterface('transmit_bytes', 'Bytes sent.', ({ tx }) => tx.bytes),
  perInterface('transmit_packets', 'Packets sent.', ({ tx }) => tx.packets),
  perInterface('transmit_packets_dropped', 'Packets dropped while sending.', ({ tx }) => tx.dropped),
  perInterface('transmit_errors', 'Errors while sending.', ({ tx }) => tx.errors),
];

export interface MetricSample {
  name: string;
  type: MetricRow['type'];
  labels: string[];
  value: number;
}

/** Everything that `facts` give values for. */
export function samples(
  base: Readonly<Record<(typeof BASE_LABELS)[number], string>>,
  facts: MetricFacts,
): MetricSample[] {
  const own = BASE_LABELS.map((label) => base[label]);
  return METRICS.flatMap(({ name, type, values }) =>
    values(facts).map(({ labels, value }) => ({
      name,
      type,
      labels: [...own, ...labels],
      value: Math.max(0, Math.floor(value)),
    })),
  );
}
