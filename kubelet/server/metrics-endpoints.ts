// /metrics, /metrics/resource, /metrics/cadvisor, /metrics/probes and /stats/summary.
import type { ServerResponse } from 'node:http';
import type { Logger } from '../../lib/log.ts';
import { KUBELET_VERSION } from '../node/node-object.ts';
import type { Pods } from '../pods/pods.ts';
import type { RuntimeCache } from '../pods/runtime-cache.ts';
import { isStaticPod } from '../pods/static-pods.ts';
import type { KubeletMetrics } from '../stats/metrics.ts';
import { type Family, renderFamilies } from '../stats/exposition.ts';
import { cadvisorMetrics, resourceMetrics } from '../stats/resource-metrics.ts';
import { volumeFamilies } from '../stats/volume-metrics.ts';
import { summaryOf } from '../stats/summary.ts';
import type { UsageReader } from '../stats/usage-reader.ts';
import { json, metrics } from './answers.ts';
import { HttpError } from './http-error.ts';

export interface MetricsSources {
  nodeName: string;
  pods: Pods;
  cache: RuntimeCache;
  metrics: KubeletMetrics;
  usage: UsageReader;
  log: Logger;
}

export async function serveMetrics(sources: MetricsSources, path: string, response: ServerResponse): Promise<void> {
  switch (path) {
    case '':
      return metrics(
        response,
        renderFamilies([...ownFamilies(sources), ...volumeFamilies(await sources.usage.claims())]) +
          sources.metrics.render(),
      );
    case 'probes':
      return metrics(response, sources.metrics.renderProbes());
    case 'resource':
      return metrics(response, resourceMetrics(await readOrLog(sources)));
    case 'cadvisor':
      return metrics(response, cadvisorMetrics(await sources.usage.read({ disks: true })));
    default:
      throw new HttpError(404, '404 page not found');
  }
}

export async function serveStats(
  sources: MetricsSources,
  path: string,
  query: URLSearchParams,
  response: ServerResponse,
): Promise<void> {
  if (path !== 'summary') throw new HttpError(404, '404 page not found');
  const only = ['1', 'true'].includes(query.get('only_cpu_and_memory') ?? '');
  json(response, summaryOf(await sources.usage.read({ disks: !only }), only));
}

async function readOrLog({ usage, log }: MetricsSources) {
  try {
    return await usage.read({ disks: false });
  } catch (error) {
    log.warn({ err: error }, 'cannot read what pods use');
    return undefined;
  }
}

function ownFamilies({ nodeName, pods, cache }: MetricsSources): Family[] {
  const workers = pods.all();
  const gauge = (name: string, help: string, samples: Family['samples']): Family => ({
    name,
    help,
    type: 'gauge',
    samples,
  });
  const states = new Map<string, number>();
  let running = 0;
  for (const { uid } of cache.identities()) {
    const { containers, sandboxes } = cache.pod(uid);
    if (sandboxes.some((each) => each.isReady)) running++;
    for (const each of containers) states.set(each.state, (states.get(each.state) ?? 0) + 1);
  }
  const kinds = (own: boolean) => workers.filter((each) => each.pod && isStaticPod(each.pod) === own).length;
  return [
    gauge('kubernetes_build_info', 'A metric with a constant value and labels that name the build.', [
      {
        labels: { git_version: KUBELET_VERSION, major: '1', minor: '36', platform: `linux/${process.arch}` },
        value: 1,
      },
    ]),
    gauge('kubelet_node_name', "The node's name. The count is always 1.", [{ labels: { node: nodeName }, value: 1 }]),
    gauge('kubelet_running_pods', 'Number of pods that have a running pod sandbox', [{ value: running }]),
    gauge(
      'kubelet_running_containers',
      'Number of containers currently running',
      [...states].map(([state, value]) => ({ labels: { container_state: state }, value })),
    ),
    gauge(
      'kubelet_desired_pods',
      'The number of pods the kubelet is being instructed to run. static is true if the pod is not from the apiserver.',
      [
        { labels: { static: '' }, value: kinds(false) },
        { labels: { static: 'true' }, value: kinds(true) },
      ],
    ),
    gauge(
      'kubelet_active_pods',
      'The number of pods the kubelet considers active and which are being considered when admitting new pods. static is true if the pod is not from the apiserver.',
      [
        {
          labels: { static: '' },
          value: workers.filter((each) => each.pod && !isStaticPod(each.pod) && each.isActive).length,
        },
        {
          labels: { static: 'true' },
          value: workers.filter((each) => each.pod && isStaticPod(each.pod) && each.isActive).length,
        },
      ],
    ),
    gauge(
      'kubelet_mirror_pods',
      'The number of mirror pods the kubelet will try to create (one per admitted static pod)',
      [{ value: kinds(true) }],
    ),
    gauge('process_resident_memory_bytes', 'Resident memory size in bytes.', [{ value: process.memoryUsage.rss() }]),
    gauge('process_start_time_seconds', 'Start time of the process since unix epoch in seconds.', [
      { value: Math.round(performance.timeOrigin) / 1000 },
    ]),
    {
      name: 'process_cpu_seconds_total',
      help: 'Total user and system CPU time spent in seconds.',
      type: 'counter',
      samples: [{ value: (process.cpuUsage().user + process.cpuUsage().system) / 1e6 }],
    },
  ];
}
