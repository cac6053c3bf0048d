// A container as CRI wants it: resolves environment, mounts and security; throws ConfigError for what cannot be.
import { chmodSync, existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Container, Service, VolumeMount } from '../../api/types/core-v1.ts';
import type {
  ContainerConfig,
  Device,
  LinuxContainerResources,
  Mount,
  MountPropagation,
  Signal,
  UserNamespace,
} from '../../proto/cri-types.ts';
import type { DeviceGrant } from '../../proto/device-plugin.ts';
import { annotations, labels } from '../cri/labels.ts';
import { containerHash } from '../pods/containers-of.ts';
import type { NodeSettings } from '../settings.ts';
import type { VolumePaths, Volumes } from '../volumes/volumes.ts';
import { readInside } from '../volumes/sub-path.ts';
import { hostsFile, podHostname } from './dns.ts';
import { ConfigError, environmentOf, type ObjectLookup } from './environment.ts';
import { expand } from './expansion.ts';
import type { PodFieldFacts } from './field-ref.ts';
import { containerResources } from './resources.ts';
import { containerSecurity, type ImageUser } from './security.ts';

export interface ContainerInputs {
  fields: PodFieldFacts;
  container: Container;
  restartCount: number;
  imageRef: string;
  imageUser: ImageUser;
  settings: NodeSettings;
  services: readonly Service[];
  objects: ObjectLookup;
  volumes: Pick<Volumes, 'directories' | 'subPath'>;
  paths: VolumePaths;
  /** What device plugins hand to it. */
  devices?: readonly DeviceGrant[];
  /** Id of the container whose processes this one is to see. */
  targetId?: string | undefined;
  /** The pod's user namespace: files that it mounts belong to whom they say, inside. */
  users?: UserNamespace | undefined;
  /** Processors and memory nodes that it is held to. */
  placed?: LinuxContainerResources | undefined;
}

const propagations: Record<string, MountPropagation> = {
  HostToContainer: 'PROPAGATION_HOST_TO_CONTAINER',
  Bidirectional: 'PROPAGATION_BIDIRECTIONAL',
};

export async function containerConfig(inputs: ContainerInputs): Promise<ContainerConfig> {
  const { fields, container, restartCount, imageRef, settings } = inputs;
  const { pod } = fields;
  refuseUnsupported(container);
  const environment = await environmentOf(
    {
      ...fields,
      services: inputs.services,
      objects: inputs.objects,
      volumeFile: (volume, path) => readInside(inputs.paths.get(volume), volume, path),
    },
    container,
  );
  const lookup = (name: string) => environment.get(name);
  const security = containerSecurity(pod, container, inputs.imageUser, settings.seccompDir, inputs);

  const mounts: Mount[] = [];
  for (const [index, mount] of (container.volumeMounts ?? []).entries()) {
    mounts.push(await volumeMount(inputs, mount, index, lookup));
  }
  if (!mounts.some((each) => each.containerPath === '/etc/hosts')) {
    mounts.push({ containerPath: '/etc/hosts', hostPath: writeHostsFile(inputs), readonly: false });
  }
  const grants = inputs.devices ?? [];
  for (const { containerPath, hostPath, readOnly } of grants.flatMap((each) => each.mounts ?? [])) {
    mounts.push({ containerPath, hostPath, readonly: readOnly ?? false });
  }
  const grantedEnv = grants.flatMap((each) => Object.entries(each.envs ?? {}));
  const messageFile = terminationMessageFile(inputs);
  if (messageFile) mounts.push({ containerPath: messageFile.inside, hostPath: messageFile.onHost, readonly: false });

  const { uids: uidMappings = [], gids: gidMappings = [] } = inputs.users ?? {};
  const mapped = mounts.map((each) =>
    each.hostPath && uidMappings.length > 0 ? { ...each, uidMappings, gidMappings } : each,
  );

  return {
    metadata: { name: container.name, attempt: restartCount },
    image: { image: imageRef, userSpecifiedImage: container.image ?? '' },
    command: (container.command ?? []).map((each) => expand(each, lookup)),
    args: (container.args ?? []).map((each) => expand(each, lookup)),
    workingDir: container.workingDir ?? '',
    // What the pod says itself wins.
    envs: [...new Map([...grantedEnv, ...environment])].map(([key, value]) => ({ key, value })),
    mounts: mapped,
    devices: [
      ...blockDevices(inputs),
      ...grants
        .flatMap((each) => each.devices ?? [])
        .map(({ hostPath, containerPath, permissions }) => ({
          hostPath,
          containerPath,
          permissions: permissions ?? 'mrw',
        })),
    ],
    CDIDevices: grants.flatMap((each) => each.cdiDevices ?? []),
    labels: {
      [labels.podName]: pod.metadata.name ?? '',
      [labels.podNamespace]: pod.metadata.namespace ?? '',
      [labels.podUid]: pod.metadata.uid ?? '',
      [labels.containerName]: container.name,
    },
    annotations: {
      [annotations.hash]: containerHash(container),
      [annotations.restartCount]: String(restartCount),
      [annotations.terminationMessagePath]: container.terminationMessagePath ?? '',
      [annotations.terminationMessagePolicy]: container.terminationMessagePolicy ?? 'File',
      ...(messageFile && { [annotations.terminationMessageHostPath]: messageFile.onHost }),
      [annotations.podTerminationGracePeriod]: String(pod.spec?.terminationGracePeriodSeconds ?? 30),
      ...(container.ports && { [annotations.ports]: JSON.stringify(container.ports) }),
      ...Object.assign({}, ...grants.map((each) => each.annotations ?? {})),
    },
    logPath: `${container.name}/${restartCount}.log`,
    stdin: container.stdin ?? false,
    stdinOnce: container.stdinOnce ?? false,
    tty: container.tty ?? false,
    linux: {
      resources: { ...containerResources(pod, container, settings.memoryBytes), ...inputs.placed },
      securityContext: security,
    },
    ...(container.lifecycle?.stopSignal && { stopSignal: container.lifecycle.stopSignal as Signal }),
  };
}

function refuseUnsupported(container: Container): void {
  if (container.resources?.claims?.length) throw new ConfigError('resources.claims are not supported by this kubelet');
}

async function volumeMount(
  inputs: ContainerInputs,
  mount: VolumeMount,
  index: number,
  lookup: (name: string) => string | undefined,
): Promise<Mount> {
  const { paths, container, fields } = inputs;
  const volume = fields.pod.spec?.volumes?.find((each) => each.name === mount.name);
  let hostPath = paths.get(mount.name);
  if (hostPath === undefined) throw new ConfigError(`volume "${mount.name}" of volumeMounts is not in the pod`);
  const containerPath = mount.mountPath.startsWith('/') ? mount.mountPath : `/${mount.mountPath}`;
  if (volume?.image) {
    const imageSubPath = mount.subPath ?? '';
    return { containerPath, image: { image: hostPath }, readonly: true, ...(imageSubPath && { imageSubPath }) };
  }
  const subPath = mount.subPathExpr !== undefined ? expandSubPath(mount.subPathExpr, lookup) : (mount.subPath ?? '');
  if (subPath !== '') {
    try {
      hostPath = await inputs.volumes.subPath(fields.pod, paths, mount.name, container.name, index, subPath);
    } catch (error) {
      throw new ConfigError(
        `failed to prepare subPath for volumeMount "${mount.name}" of container "${container.name}": ${(error as Error).message}`,
      );
    }
  }
  const recursive = mount.recursiveReadOnly === 'Enabled' || mount.recursiveReadOnly === 'IfPossible';
  return {
    containerPath,
    hostPath,
    readonly: mount.readOnly === true || (volume?.persistentVolumeClaim?.readOnly ?? false),
    recursiveReadOnly: mount.readOnly === true && recursive,
    propagation: propagations[mount.mountPropagation ?? ''] ?? 'PROPAGATION_PRIVATE',
  };
}

/** Raw block volumes: the device itself, under the path that the container asks for. */
function blockDevices({ container, paths, fields }: ContainerInputs): Device[] {
  return (container.volumeDevices ?? []).map(({ name, devicePath }) => {
    const hostPath = paths.get(name);
    if (hostPath === undefined) throw new ConfigError(`volume "${name}" of volumeDevices is not in the pod`);
    const volume = fields.pod.spec?.volumes?.find((each) => each.name === name);
    const permissions = volume?.persistentVolumeClaim?.readOnly ? 'r' : 'mrw';
    return { hostPath, containerPath: devicePath, permissions };
  });
}

function expandSubPath(expression: string, lookup: (name: string) => string | undefined): string {
  const missing = new Set<string>();
  const text = expand(expression, (name) => {
    const value = lookup(name);
    if (value === undefined) missing.add(name);
    return value;
  });
  if (missing.size > 0) {
    throw new ConfigError(`missing value for ${[...missing].map((each) => JSON.stringify(each)).join(', ')}`);
  }
  return text;
}

/** The pod's /etc/hosts, the same for all its containers. */
function writeHostsFile({ fields, settings, volumes }: ContainerInputs): string {
  const { pod, podIps } = fields;
  const path = join(volumes.directories(pod.metadata.uid ?? '').root, 'etc-hosts');
  const { hostname, fqdn } = podHostname(pod, settings.clusterDomain);
  mkdirSync(dirname(path), { recursive: true });
  // Written in place: running containers have this very file mounted.
  writeFileSync(path, hostsFile(pod, podIps, hostname, fqdn, settings.hostHostsFile), { mode: 0o644 });
  chmodSync(path, 0o644);
  return path;
}

/** One file per container instance, writable by whoever the container runs as. */
function terminationMessageFile(inputs: ContainerInputs): { inside: string; onHost: string } | undefined {
  const { container, restartCount, volumes, fields } = inputs;
  const inside = container.terminationMessagePath;
  if (!inside) return undefined;
  const { root } = volumes.directories(fields.pod.metadata.uid ?? '');
  const onHost = join(root, 'containers', container.name, `termination-message-${restartCount}`);
  mkdirSync(dirname(onHost), { recursive: true });
  if (!existsSync(onHost)) writeFileSync(onHost, '');
  chmodSync(onHost, 0o666);
  return { inside, onHost };
}
