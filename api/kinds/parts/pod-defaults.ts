// Defaults of a pod specification (k8s.io/kubernetes/pkg/apis/core/v1/defaults.go). Idempotent, in place. Some hold for Pods
// only and not for templates, as upstream: requests from limits, host ports, service links.
import type {
  Container,
  EphemeralContainer,
  HTTPGetAction,
  LifecycleHandler,
  Pod,
  PodSpec,
  PodTemplateSpec,
  Probe,
} from '../../types/core-v1.ts';
import { aggregateContainerLimits, aggregateContainerRequests, isPodLevelResource } from '../../pod-resources.ts';
import { pullPolicyFor } from './images.ts';
import { setVolumeDefaults } from './volume-defaults.ts';

type ResourceList = Record<string, string | number>;

export function setPodDefaults(pod: Pod): void {
  const spec = (pod.spec ??= {} as PodSpec);
  setPodSpecDefaults(spec);
  spec.enableServiceLinks ??= true;
  for (const container of [...(spec.containers ?? []), ...(spec.initContainers ?? [])]) {
    setRequestsFromLimits(container);
    if (!spec.hostNetwork) continue;
    for (const port of container.ports ?? []) port.hostPort ||= port.containerPort;
  }
  setPodLevelResources(spec);
}

/** A missing template is an empty one, so that what it lacks is reported field by field. */
export function setPodTemplateDefaults(owner: { template?: PodTemplateSpec }): void {
  const template = (owner.template ??= {});
  template.metadata ??= {};
  setPodSpecDefaults((template.spec ??= {} as PodSpec));
}

function setPodSpecDefaults(spec: PodSpec): void {
  spec.restartPolicy ||= 'Always';
  spec.dnsPolicy ||= 'ClusterFirst';
  spec.schedulerName ||= 'default-scheduler';
  spec.terminationGracePeriodSeconds ??= 30;
  spec.securityContext ??= {};
  // The old name of the field mirrors the new one on the wire.
  spec.serviceAccountName ||= spec.serviceAccount;
  if (spec.serviceAccountName) spec.serviceAccount = spec.serviceAccountName;
  else {
    delete spec.serviceAccountName;
    delete spec.serviceAccount;
  }
  for (const volume of spec.volumes ?? []) setVolumeDefaults(volume);
  for (const container of spec.containers ?? []) setContainerDefaults(container);
  for (const container of spec.initContainers ?? []) setContainerDefaults(container);
  for (const container of spec.ephemeralContainers ?? []) setContainerDefaults(container);
}

function setContainerDefaults(container: Container | EphemeralContainer): void {
  container.imagePullPolicy ||= pullPolicyFor(container.image ?? '');
  container.terminationMessagePath ||= '/dev/termination-log';
  container.terminationMessagePolicy ||= 'File';
  container.resources ??= {};
  for (const port of container.ports ?? []) port.protocol ||= 'TCP';
  for (const { valueFrom } of container.env ?? []) {
    if (valueFrom?.fieldRef) valueFrom.fieldRef.apiVersion ||= 'v1';
    if (valueFrom?.fileKeyRef) valueFrom.fileKeyRef.optional ??= false;
    if (valueFrom?.resourceFieldRef) valueFrom.resourceFieldRef.divisor ??= '0';
  }
  setProbeDefaults(container.livenessProbe);
  setProbeDefaults(container.readinessProbe);
  setProbeDefaults(container.startupProbe);
  setHandlerDefaults(container.lifecycle?.postStart);
  setHandlerDefaults(container.lifecycle?.preStop);
}

function setProbeDefaults(probe: Probe | undefined): void {
  if (!probe) return;
  probe.timeoutSeconds ||= 1;
  probe.periodSeconds ||= 10;
  probe.successThreshold ||= 1;
  probe.failureThreshold ||= 3;
  setHttpDefaults(probe.httpGet);
  if (probe.grpc) probe.grpc.service ??= '';
}

function setHandlerDefaults(handler: LifecycleHandler | undefined): void {
  setHttpDefaults(handler?.httpGet);
}

function setHttpDefaults(action: HTTPGetAction | undefined): void {
  if (!action) return;
  action.path ||= '/';
  action.scheme ||= 'HTTP';
}

function setRequestsFromLimits({ resources }: Container): void {
  if (!resources?.limits) return;
  resources.requests ??= {};
  for (const [name, limit] of Object.entries(resources.limits)) resources.requests[name] ??= limit;
}

/** A pod with resources of its own: huge pages as its containers may use, what it asks for from its containers or its limits. */
function setPodLevelResources(spec: PodSpec): void {
  const resources = spec.resources;
  const isStated = (list: ResourceList | undefined) => Object.keys(list ?? {}).length > 0;
  if (!resources || (!isStated(resources.limits) && !isStated(resources.requests))) return;
  const limits: ResourceList = { ...resources.limits };
  for (const [name, quantity] of Object.entries(aggregateContainerLimits(spec))) {
    if (name.startsWith('hugepages-')) limits[name] ??= quantity;
  }
  if (!isStated(limits)) return;
  resources.limits = limits;
  const requests: ResourceList = { ...resources.requests };
  for (const [name, quantity] of Object.entries(aggregateContainerRequests(spec))) {
    if (name === 'cpu' || name === 'memory') requests[name] ??= quantity;
  }
  for (const [name, limit] of Object.entries(limits)) if (isPodLevelResource(name)) requests[name] ??= limit;
  if (isStated(requests)) resources.requests = requests;
}
