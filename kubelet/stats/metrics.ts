// What this kubelet counts about itself, served at /metrics and /metrics/probes.
import type { CriClient } from '../cri/client.ts';
import { Counter, exponentialBounds, Histogram, renderMetrics } from './exposition.ts';

const startBounds = [
  0.5, 1, 2, 3, 4, 5, 6, 8, 10, 20, 30, 45, 60, 120, 180, 240, 300, 360, 480, 600, 900, 1200, 1800, 2700, 3600,
];

export class KubeletMetrics {
  runtimeOperations = new Counter(
    'kubelet_runtime_operations_total',
    'Cumulative number of runtime operations by operation type.',
  );
  runtimeErrors = new Counter(
    'kubelet_runtime_operations_errors_total',
    'Cumulative number of runtime operation errors by operation type.',
  );
  runtimeSeconds = new Histogram(
    'kubelet_runtime_operations_duration_seconds',
    'Duration in seconds of runtime operations. Broken down by operation type.',
    exponentialBounds(0.005, 2.5, 14),
  );
  podStartSeconds = new Histogram(
    'kubelet_pod_start_duration_seconds',
    'Duration in seconds from kubelet seeing a pod for the first time to the pod starting to run',
    startBounds,
  );
  startedPods = new Counter('kubelet_started_pods_total', 'Cumulative number of pods started');
  startedContainers = new Counter('kubelet_started_containers_total', 'Cumulative number of containers started');
  startErrors = new Counter(
    'kubelet_started_containers_errors_total',
    'Cumulative number of errors when starting containers',
  );
  evictions = new Counter('kubelet_evictions', 'Cumulative number of pod evictions by eviction signal');
  preemptions = new Counter('kubelet_preemptions', 'Cumulative number of pod preemptions by preemption resource');
  admissionRejections = new Counter(
    'kubelet_admission_rejections_total',
    'Cumulative number pod admission rejections by the Kubelet.',
  );
  imageCollections = new Counter(
    'kubelet_image_garbage_collected_total',
    'Total number of images garbage collected by the kubelet, whether through disk usage or image age.',
  );
  httpRequests = new Counter(
    'kubelet_http_requests_total',
    'Number of the http requests received since the server started',
  );
  probes = new Counter(
    'prober_probe_total',
    'Cumulative number of a liveness, readiness or startup probe for a container by result.',
  );

  render(): string {
    return renderMetrics([
      this.admissionRejections,
      this.evictions,
      this.httpRequests,
      this.imageCollections,
      this.podStartSeconds,
      this.runtimeSeconds,
      this.runtimeErrors,
      this.runtimeOperations,
      this.preemptions,
      this.startErrors,
      this.startedContainers,
      this.startedPods,
    ]);
  }

  renderProbes(): string {
    return renderMetrics([this.probes]);
  }
}

/** The same client, its unary calls counted and timed by upstream's names of operations. */
export function measuredCri(cri: CriClient, metrics: KubeletMetrics, nowMs: () => number): CriClient {
  return {
    events: (signal, onOpen) => cri.events(signal, onOpen),
    close: () => cri.close(),
    async call(method, request, options) {
      const labels = { operation_type: operationType(method) };
      const beganMs = nowMs();
      metrics.runtimeOperations.add(labels);
      try {
        return await cri.call(method, request, options);
      } catch (error) {
        metrics.runtimeErrors.add(labels);
        throw error;
      } finally {
        metrics.runtimeSeconds.observe((nowMs() - beganMs) / 1000, labels);
      }
    },
  };
}

const names = new Map<string, string>([
  ['RunPodSandbox', 'run_podsandbox'],
  ['StopPodSandbox', 'stop_podsandbox'],
  ['RemovePodSandbox', 'remove_podsandbox'],
  ['PodSandboxStatus', 'podsandbox_status'],
  ['ListPodSandbox', 'list_podsandbox'],
  ['ListPodSandboxStats', 'list_podsandbox_stats'],
  ['PodSandboxStats', 'podsandbox_stats'],
  ['ExecSync', 'exec_sync'],
  ['ImageFsInfo', 'image_fs_info'],
]);

function operationType(method: string): string {
  let name = names.get(method);
  if (name === undefined) {
    name = method.replaceAll(/(?<!^)([A-Z])/g, '_$1').toLowerCase();
    names.set(method, name);
  }
  return name;
}
