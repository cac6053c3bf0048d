// Where a container mounts the pod's volumes: by path, or as a block device.
import { fieldErrors } from '../field-error.ts';
import type { Container, Volume, VolumeDevice, VolumeMount } from '../types/core-v1.ts';
import { descendingPath, type Findings, optionalOneOf } from './checks.ts';

const { forbidden, invalid, notFound, notSupported, required } = fieldErrors;

export type Volumes = ReadonlyMap<string, Volume>;

export function* validateVolumeMounts(container: Container, volumes: Volumes, field: string): Findings {
  // By name: of two with one name, which is reported there, the last counts.
  const devices = new Map((container.volumeDevices ?? []).map((each) => [each.name, each.devicePath]));
  const devicePaths = new Set(devices.values());
  const paths = new Set<string>();
  for (const [i, mount] of (container.volumeMounts ?? []).entries()) {
    const { name = '', mountPath = '' } = mount;
    const at = `${field}[${i}]`;
    if (name === '') yield required(`${at}.name`);
    if (!volumes.has(name)) yield notFound(`${at}.name`, name);
    if (mountPath === '') yield required(`${at}.mountPath`);
    if (paths.has(mountPath)) yield invalid(`${at}.mountPath`, mountPath, 'must be unique');
    paths.add(mountPath);
    if (devices.has(name)) yield invalid(`${at}.name`, name, 'must not already exist in volumeDevices');
    if (devicePaths.has(mountPath)) {
      yield invalid(`${at}.mountPath`, mountPath, 'must not already exist as a path in volumeDevices');
    }
    yield* subPath(mount, field, at);
    yield* propagation(mount, container, `${field}.mountPropagation`);
    yield* recursiveReadOnly(mount, `${field}.recursiveReadOnly`);
  }
}

/** `field` is the list: upstream names no index for the paths themselves. */
function* subPath({ subPath: path, subPathExpr }: VolumeMount, field: string, at: string): Findings {
  if (path) yield* descendingPath(path, `${field}.subPath`);
  if (!subPathExpr) return;
  if (path) yield invalid(`${at}.subPathExpr`, subPathExpr, 'subPathExpr and subPath are mutually exclusive');
  yield* descendingPath(subPathExpr, `${field}.subPathExpr`);
}

function* propagation({ mountPropagation: mode }: VolumeMount, container: Container, field: string): Findings {
  yield* optionalOneOf(mode, ['Bidirectional', 'HostToContainer', 'None'], field);
  if (mode === 'Bidirectional' && !container.securityContext?.privileged) {
    yield forbidden(field, 'Bidirectional mount propagation is available only to privileged containers');
  }
}

function* recursiveReadOnly(mount: VolumeMount, field: string): Findings {
  const mode = mount.recursiveReadOnly;
  if (mode === undefined || mode === 'Disabled') return;
  if (mode !== 'Enabled' && mode !== 'IfPossible') {
    yield notSupported(field, mode, ['Disabled', 'Enabled', 'IfPossible']);
    return;
  }
  if (!mount.readOnly) yield forbidden(field, 'may only be specified when readOnly is true');
  if (mount.mountPropagation !== undefined && mount.mountPropagation !== 'None') {
    yield forbidden(field, 'may only be specified when mountPropagation is None or not specified');
  }
}

export function* validateVolumeDevices(container: Container, volumes: Volumes, field: string): Findings {
  const mounts = new Map((container.volumeMounts ?? []).map((each) => [each.name, each.mountPath]));
  const mountPaths = new Set(mounts.values());
  const names = new Set<string>();
  const paths = new Set<string>();
  for (const [i, { name, devicePath }] of (container.volumeDevices ?? ([] as VolumeDevice[])).entries()) {
    const at = `${field}[${i}]`;
    const volume = volumes.get(name);
    if (!name) yield required(`${at}.name`);
    if (names.has(name)) yield invalid(`${at}.name`, name, 'must be unique');
    if (!volume) yield notFound(`${at}.name`, name);
    else if (!volume.persistentVolumeClaim && !volume.ephemeral) {
      yield invalid(
        `${at}.name`,
        name,
        'can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode',
      );
    }
    if (!devicePath) yield required(`${at}.devicePath`);
    if (paths.has(devicePath)) yield invalid(`${at}.devicePath`, devicePath, 'must be unique');
    if (devicePath?.split('/').includes('..')) {
      yield invalid(`${at}.devicePath`, devicePath, "can not contain backsteps ('..')");
    } else paths.add(devicePath);
    if (mounts.has(name)) yield invalid(`${at}.name`, name, 'must not already exist in volumeMounts');
    if (mountPaths.has(devicePath)) {
      yield invalid(`${at}.devicePath`, devicePath, 'must not already exist as a path in volumeMounts');
    }
    if (name) names.add(name);
  }
}
