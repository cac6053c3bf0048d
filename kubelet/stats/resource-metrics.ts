// /metrics/resource, which metrics-server reads, and the part of /metrics/cadvisor that dashboards and alerts read. Pure; names, help and
// labels are upstream's (pkg/kubelet/metrics/collectors/resource_metrics.go, cadvisor's prometheus.go).
import { type Family, type Labels, renderFamilies, type Sample } from './exposition.ts';
import { cpuShares } from '../containers/resources.ts';
import { bytesOf, milliOf } from '../containers/amounts.ts';
import { allContainers } from '../pods/containers-of.ts';
import type { ContainerUsage, PodUsage } from './pod-usage.ts';
import type { PodReading, UsageReading } from './summary.ts';

const family = (name: string, type: Family['type'], help: string, samples: Sample[]): Family => ({
  name,
  help,
  type,
  samples,
});

/** `reading` undefined: the runtime did not answer; then only that is said. */
export function resourceMetrics(reading: UsageReading | undefined): string {
  const failed = [{ value: reading ? 0 : 1 }];
  const errors = [
    family(
      'resource_scrape_error',
      'gauge',
      '1 if there was an error while getting container metrics, 0 otherwise',
      failed,
    ),
    family(
      'scrape_error',
      'gauge',
      '[ALPHA] 1 if there was an error while getting container metrics, 0 otherwise',
      failed,
    ),
  ];
  if (!reading) return renderFamilies(errors);
  const { node, atMs, pods } = reading;
  const containers = pods.flatMap(({ usage, ...rest }) =>
    usage.containers.map((container) => ({ ...rest, usage, container })),
  );
  const ofContainer = (each: { usage: PodUsage; container: ContainerUsage }): Labels => ({
    container: each.container.name,
    namespace: each.usage.namespace,
    pod: each.usage.name,
  });
  const ofPod = ({ usage }: { usage: PodUsage }): Labels => ({ namespace: usage.namespace, pod: usage.name });
  return renderFamilies([
    family(
      'container_cpu_usage_seconds_total',
      'counter',
      'Cumulative cpu time consumed by the container in core-seconds',
      containers.flatMap((each) => cpuSample(each.container, ofContainer(each))),
    ),
    family(
      'container_memory_working_set_bytes',
      'gauge',
      'Current working set of the container in bytes',
      containers.flatMap((each) => memorySample(each.container, ofContainer(each))),
    ),
    family(
      'container_start_time_seconds',
      'gauge',
      'Start time of the container since unix epoch in seconds',
      containers.map((each) => ({
        labels: ofContainer(each),
        value: (each.containerStart(each.container) ?? each.startedAtMs) / 1000,
      })),
    ),
    family(
      'container_swap_usage_bytes',
      'gauge',
      'Current amount of the container swap usage in bytes. Reported only on non-windows systems',
      containers.flatMap((each) => swapSample(each.container, ofContainer(each), atMs)),
    ),
    family('node_cpu_usage_seconds_total', 'counter', 'Cumulative cpu time consumed by the node in core-seconds', [
      { value: node.cpuNanoseconds / 1e9, atMs: node.atMs },
    ]),
    family('node_memory_working_set_bytes', 'gauge', 'Current working set of the node in bytes', [
      { value: node.memory.workingSetBytes, atMs: node.atMs },
    ]),
    family(
      'node_swap_usage_bytes',
      'gauge',
      'Current swap usage of the node in bytes. Reported only on non-windows systems',
      [{ value: node.swap.usedBytes, atMs: node.atMs }],
    ),
    family(
      'pod_cpu_usage_seconds_total',
      'counter',
      'Cumulative cpu time consumed by the pod in core-seconds',
      pods.flatMap((each) => cpuSample(each.usage, ofPod(each))),
    ),
    family(
      'pod_memory_working_set_bytes',
      'gauge',
      'Current working set of the pod in bytes',
      pods.flatMap((each) => memorySample(each.usage, ofPod(each))),
    ),
    family(
      'pod_swap_usage_bytes',
      'gauge',
      'Current amount of the pod swap usage in bytes. Reported only on non-windows systems',
      pods.flatMap((each) => swapSample(each.usage, ofPod(each), atMs)),
    ),
    ...errors,
  ]);
}

type Measured = Pick<ContainerUsage, 'cpu' | 'memory' | 'swapBytes'>;

const cpuSample = ({ cpu }: Measured, labels: Labels): Sample[] =>
  cpu ? [{ labels, value: cpu.nanoseconds / 1e9, atMs: cpu.atMs }] : [];

const memorySample = ({ memory }: Measured, labels: Labels): Sample[] =>
  memory ? [{ labels, value: memory.workingSetBytes, atMs: memory.atMs }] : [];

const swapSample = ({ swapBytes }: Measured, labels: Labels, atMs: number): Sample[] =>
  swapBytes === undefined ? [] : [{ labels, value: swapBytes, atMs }];

export function cadvisorMetrics(reading: UsageReading): string {
  const { node, atMs, pods } = reading;
  const root: Labels = { container: '', id: '/', image: '', name: '', namespace: '', pod: '' };
  const podLabels = ({ usage }: PodReading): Labels => ({
    container: '',
    id: usage.sandboxId ? `/kubepods/pod${usage.uid}` : '',
    image: '',
    name: '',
    namespace: usage.namespace,
    pod: usage.name,
  });
  const rows = pods.flatMap((pod) => [
    { labels: podLabels(pod), measured: pod.usage as Measured, startedAtMs: pod.startedAtMs },
    ...pod.usage.containers.map((container) => ({
      labels: {
        container: container.name,
        id: `/kubepods/pod${pod.usage.uid}/${container.containerId}`,
        image: pod.container(container.containerId)?.image ?? '',
        name: container.containerId,
        namespace: pod.usage.namespace,
        pod: pod.usage.name,
      },
      measured: container as Measured,
      startedAtMs: pod.containerStart(container) ?? pod.startedAtMs,
    })),
  ]);
  const memory = (of: (reading: NonNullable<Measured['memory']>) => number, ofRoot: number): Sample[] => [
    { labels: root, value: ofRoot, atMs },
    ...rows.flatMap(({ labels, measured }) =>
      measured.memory ? [{ labels, value: of(measured.memory), atMs: measured.memory.atMs }] : [],
    ),
  ];
  const network = (of: 'rxBytes' | 'rxErrors' | 'txBytes' | 'txErrors'): Sample[] =>
    pods.flatMap((pod) =>
      (pod.usage.network?.interfaces ?? []).map((each) => ({
        labels: { ...podLabels(pod), interface: each.name },
        value: each[of],
        atMs,
      })),
    );
  const specs = pods.flatMap((reading) =>
    reading.pod
      ? allContainers(reading.pod).map((container) => ({
          labels: { container: container.name, namespace: reading.usage.namespace, pod: reading.usage.name },
          container,
        }))
      : [],
  );
  return renderFamilies([
    family('container_cpu_usage_seconds_total', 'counter', 'Cumulative cpu time consumed in seconds.', [
      { labels: { ...root, cpu: 'total' }, value: node.cpuNanoseconds / 1e9, atMs },
      ...rows.flatMap(({ labels, measured }) => cpuSample(measured, { ...labels, cpu: 'total' })),
    ]),
    family(
      'container_memory_usage_bytes',
      'gauge',
      'Current memory usage in bytes, including all memory regardless of when it was accessed',
      memory((each) => each.usageBytes, node.memory.usageBytes),
    ),
    family(
      'container_memory_working_set_bytes',
      'gauge',
      'Current working set in bytes.',
      memory((each) => each.workingSetBytes, node.memory.workingSetBytes),
    ),
    family(
      'container_memory_rss',
      'gauge',
      'Size of RSS in bytes.',
      memory((each) => each.rssBytes, node.memory.rssBytes),
    ),
    family(
      'container_network_receive_bytes_total',
      'counter',
      'Cumulative count of bytes received',
      network('rxBytes'),
    ),
    family(
      'container_network_receive_errors_total',
      'counter',
      'Cumulative count of errors encountered while receiving',
      network('rxErrors'),
    ),
    family(
      'container_network_transmit_bytes_total',
      'counter',
      'Cumulative count of bytes transmitted',
      network('txBytes'),
    ),
    family(
      'container_network_transmit_errors_total',
      'counter',
      'Cumulative count of errors encountered while transmitting',
      network('txErrors'),
    ),
    family(
      'container_fs_usage_bytes',
      'gauge',
      'Number of bytes that are consumed by the container on this filesystem.',
      pods.flatMap((pod) =>
        pod.usage.containers.flatMap((each) =>
          each.rootfs
            ? [
                {
                  labels: { container: each.name, namespace: pod.usage.namespace, pod: pod.usage.name },
                  value: each.rootfs.usedBytes,
                  atMs,
                },
              ]
            : [],
        ),
      ),
    ),
    family(
      'container_processes',
      'gauge',
      'Number of processes running inside the container.',
      pods.flatMap((pod) =>
        pod.usage.processes === undefined ? [] : [{ labels: podLabels(pod), value: pod.usage.processes, atMs }],
      ),
    ),
    family(
      'container_spec_cpu_shares',
      'gauge',
      'CPU share of the container.',
      specs.map(({ labels, container }) => ({
        labels,
        value: cpuShares(milliOf(container.resources?.requests?.['cpu'])),
      })),
    ),
    family(
      'container_spec_memory_limit_bytes',
      'gauge',
      'Memory limit for the container.',
      specs.map(({ labels, container }) => ({
        labels,
        value: bytesOf(container.resources?.limits?.['memory']),
      })),
    ),
    family(
      'container_start_time_seconds',
      'gauge',
      'Start time of the container since unix epoch in seconds.',
      rows.map(({ labels, startedAtMs }) => ({ labels, value: Math.floor(startedAtMs / 1000) })),
    ),
    family('machine_cpu_cores', 'gauge', 'Number of logical CPU cores.', [{ labels: {}, value: reading.cpus }]),
    family('machine_memory_bytes', 'gauge', 'Amount of memory installed on the machine.', [
      { labels: {}, value: node.memory.totalBytes },
    ]),
  ]);
}
