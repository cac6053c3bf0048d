// Fields of pods whose feature gates are off by default in Kubernetes 1.36: accepted by the type and dropped on write, as upstream
// does, unless the stored object has them already (k8s.io/kubernetes/pkg/api/pod DropDisabledPodFields). In place.
import type {
  Container,
  PodSpec,
  PodStatus,
  PodTemplateSpec,
  VolumeMountStatus,
  VolumeProjection,
} from '../../types/core-v1.ts';

/** A member of the specification and where the old one has it. */
interface Gated {
  inUse(spec: PodSpec): boolean;
  drop(spec: PodSpec): void;
}

const GATED: readonly Gated[] = [
  // ContainerStopSignals
  {
    inUse: (spec) => containersOf(spec).some((each) => each.lifecycle?.stopSignal !== undefined),
    drop: (spec) => containersOf(spec).forEach(dropStopSignal),
  },
  // ClusterTrustBundleProjection, PodCertificateRequest
  projection('clusterTrustBundle'),
  projection('podCertificate'),
  // GenericWorkload
  {
    inUse: (spec) => spec.schedulingGroup !== undefined,
    drop: (spec) => void delete spec.schedulingGroup,
  },
];

export function dropDisabledFields(spec: PodSpec | undefined, old?: PodSpec): void {
  if (!spec) return;
  for (const { inUse, drop } of GATED) if (inUse(spec) && !(old && inUse(old))) drop(spec);
}

/** ImageVolumeWithDigest: which image a volume has, told by the node. */
export function dropDisabledStatusFields(status: PodStatus, old: PodStatus = {}): void {
  if (mountsOf(old).some(({ volumeStatus }) => volumeStatus?.image)) return;
  for (const mount of mountsOf(status)) delete mount.volumeStatus;
}

const mountsOf = (status: PodStatus): VolumeMountStatus[] =>
  [status.containerStatuses, status.initContainerStatuses, status.ephemeralContainerStatuses].flatMap((statuses) =>
    (statuses ?? []).flatMap(({ volumeMounts }) => volumeMounts ?? []),
  );

export function dropDisabledTemplateFields(template: PodTemplateSpec | undefined, old?: PodTemplateSpec): void {
  dropDisabledFields(template?.spec, old?.spec);
}

const containersOf = (spec: PodSpec): Pick<Container, 'lifecycle'>[] => [
  ...(spec.containers ?? []),
  ...(spec.initContainers ?? []),
  ...(spec.ephemeralContainers ?? []),
];

function dropStopSignal(container: Pick<Container, 'lifecycle'>): void {
  if (!container.lifecycle) return;
  delete container.lifecycle.stopSignal;
  if (Object.keys(container.lifecycle).length === 0) delete container.lifecycle;
}

function projection(name: 'clusterTrustBundle' | 'podCertificate'): Gated {
  const sources = (spec: PodSpec): VolumeProjection[] =>
    (spec.volumes ?? []).flatMap((volume) => volume.projected?.sources ?? []);
  return {
    inUse: (spec) => sources(spec).some((each) => each[name] !== undefined),
    drop: (spec) => sources(spec).forEach((each) => delete each[name]),
  };
}
