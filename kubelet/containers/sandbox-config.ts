// The sandbox of a pod as CRI wants it. Pure.
import type { Pod } from '../../api/types/core-v1.ts';
import type { PodSandboxConfig, Protocol, UserNamespace } from '../../proto/cri-types.ts';
import { annotations, labels } from '../cri/labels.ts';
import type { NodeSettings } from '../settings.ts';
import { timestamp } from '../pods/container-status.ts';
import { allContainers } from '../pods/containers-of.ts';
import { podDns, podHostname } from './dns.ts';
import { podCgroup, podResources } from './resources.ts';
import { sandboxSecurity } from './security.ts';

export function podLogDirectory(pod: { namespace: string; name: string; uid: string }, podLogsDir: string): string {
  return `${podLogsDir}/${pod.namespace}_${pod.name}_${pod.uid}`;
}

export function sandboxConfig(
  pod: Pod,
  attempt: number,
  settings: NodeSettings,
  seenAtMs: number,
  users?: UserNamespace,
): { config: PodSandboxConfig; warnings: string[] } {
  const { name = '', namespace = '', uid = '' } = pod.metadata;
  const dns = podDns(pod, settings);
  const { hostname } = podHostname(pod, settings.clusterDomain);
  const ports = allContainers(pod).flatMap((each) => each.ports ?? []);
  const config: PodSandboxConfig = {
    metadata: { name, namespace, uid, attempt },
    hostname: pod.spec?.hostNetwork ? settings.hostHostname : hostname,
    logDirectory: podLogDirectory({ name, namespace, uid }, settings.podLogsDir),
    dnsConfig: dns.config,
    portMappings: ports
      // On the host's network a port needs no mapping.
      .filter((port) => port.hostPort && !pod.spec?.hostNetwork)
      .map((port) => ({
        protocol: (port.protocol ?? 'TCP') as Protocol,
        containerPort: port.containerPort,
        hostPort: port.hostPort as number,
        hostIp: port.hostIP ?? '',
      })),
    labels: {
      ...pod.metadata.labels,
      [labels.podName]: name,
      [labels.podNamespace]: namespace,
      [labels.podUid]: uid,
    },
    annotations: {
      ...pod.metadata.annotations,
      [annotations.configSeen]: timestamp(seenAtMs),
      [annotations.configSource]: 'api',
    },
    linux: {
      cgroupParent: podCgroup(pod, settings.cgroupRoot),
      securityContext: sandboxSecurity(pod, settings.seccompDir, users),
      sysctls: Object.fromEntries(
        (pod.spec?.securityContext?.sysctls ?? []).map((each) => [each.name.replaceAll('/', '.'), each.value]),
      ),
      resources: {
        ...podResources(pod),
        ...(settings.podPidsLimit && { unified: { 'pids.max': String(settings.podPidsLimit) } }),
      },
    },
  };
  return { config, warnings: dns.warnings };
}
