// What a pod asks for and this kubelet does not do. Pure. Nothing is ignored silently: what would weaken the pod's
// isolation or break its promise keeps it from starting, the rest is said in an event.
import type { Pod } from '../../api/types/core-v1.ts';
import { allContainers } from './containers-of.ts';

/** Reasons why the pod must not be started as it is; empty: it may. */
export function obstacles(pod: Pod): string[] {
  const found: string[] = [];
  const refuse = (field: string) => found.push(`${field} is not supported by this kubelet`);
  const spec = pod.spec;
  if (spec?.resourceClaims?.length) refuse('spec.resourceClaims');
  if (spec?.securityContext?.windowsOptions) refuse('spec.securityContext.windowsOptions');
  for (const container of allContainers(pod)) {
    const at = `container ${container.name}: `;
    if (container.securityContext?.windowsOptions) refuse(`${at}securityContext.windowsOptions`);
    for (const kind of ['livenessProbe', 'readinessProbe', 'startupProbe'] as const) {
      const probe = container[kind];
      if (probe && !probe.exec && !probe.httpGet && !probe.tcpSocket && !probe.grpc)
        refuse(`${at}${kind} without a handler`);
    }
  }
  return found;
}

/** What is left out, for an event. */
export function omissions(pod: Pod): string[] {
  const found: string[] = [];
  const seLinux = [pod.spec?.securityContext, ...allContainers(pod).map((each) => each.securityContext)];
  if (seLinux.some((each) => each?.seLinuxOptions))
    found.push('seLinuxOptions are passed to the runtime; volumes are not relabelled');
  return found;
}
