// What it sees: mounts from the configuration, and the pod's own files where the configuration has none.
import type { ContainerConfig, Mount as CriMount } from '../../../proto/cri-types.ts';
import type { ContainerSpec, Mount, UserNamespace } from '../../launch/port.ts';
import { invalidField } from '../errors.ts';
import { isIdMapped } from './user-namespace.ts';

const propagation = {
  PROPAGATION_PRIVATE: 'private',
  PROPAGATION_HOST_TO_CONTAINER: 'slave',
  PROPAGATION_BIDIRECTIONAL: 'shared',
} as const;

export function configuredMounts(
  config: ContainerConfig,
  userns: UserNamespace | undefined,
  imageLayers: (image: string) => string[],
): Mount[] {
  return (config.mounts ?? []).map((mount, i) => {
    const path = `config.mounts[${i}]`;
    return mount.image?.image
      ? imageVolume(mount, path, userns !== undefined, imageLayers)
      : configuredMount(mount, path, userns);
  });
}

/** The content of an image, read-only. */
function imageVolume(
  mount: CriMount,
  path: string,
  idMapped: boolean,
  imageLayers: (image: string) => string[],
): Mount {
  if (!mount.readonly) throw invalidField(`${path}.readonly`, 'an image can only be mounted read-only');
  const subPath = mount.imageSubPath ?? '';
  if (subPath.startsWith('/') || subPath.split('/').includes('..') || subPath.includes('\0'))
    throw invalidField(`${path}.image_sub_path`, `"${subPath}" is not a relative path without ".."`);
  return {
    source: '',
    target: absolute(mount.containerPath, `${path}.container_path`),
    readonly: true,
    propagation: 'private',
    image: { layers: imageLayers(mount.image?.image ?? ''), subPath },
    ...(idMapped && { idMapped }),
  };
}

function configuredMount(mount: CriMount, path: string, userns: UserNamespace | undefined): Mount {
  if (mount.imageSubPath) throw invalidField(`${path}.image_sub_path`, 'it needs an image');
  const source = absolute(mount.hostPath, `${path}.host_path`);
  const target = absolute(mount.containerPath, `${path}.container_path`);
  const to: Mount = {
    source,
    target,
    readonly: mount.readonly ?? false,
    propagation: propagation[mount.propagation ?? 'PROPAGATION_PRIVATE'],
  };
  if (isIdMapped(mount, userns, path)) to.idMapped = true;
  if (mount.recursiveReadOnly) {
    if (!mount.readonly) throw invalidField(`${path}.recursive_read_only`, 'needs readonly');
    if (to.propagation !== 'private') throw invalidField(`${path}.recursive_read_only`, 'needs private propagation');
    to.recursiveReadonly = true;
  }
  return to;
}

function absolute(path: string | undefined, field: string): string {
  if (!path?.startsWith('/')) throw invalidField(field, `"${path ?? ''}" is not an absolute path`);
  if (path.includes('\0')) throw invalidField(field, 'it holds a zero byte');
  return path;
}

export interface PodFiles {
  hostname: string;
  hosts: string;
  resolvConf: string;
  shm: string;
}

/** /etc/hostname, /etc/hosts, /etc/resolv.conf and /dev/shm of the pod, unless the configuration mounts them. */
export function podMounts(configured: readonly Mount[], files: PodFiles, readonlyRootfs: boolean): Mount[] {
  const taken = new Set(configured.map((mount) => mount.target.replace(/(.)\/+$/, '$1')));
  const mounts: [string, string, boolean][] = [
    ['/etc/hostname', files.hostname, readonlyRootfs],
    ['/etc/hosts', files.hosts, readonlyRootfs],
    ['/etc/resolv.conf', files.resolvConf, readonlyRootfs],
    ['/dev/shm', files.shm, false],
  ];
  return mounts
    .filter(([target]) => !taken.has(target))
    .map(([target, source, readonly]) => ({ source, target, readonly, propagation: 'private' }));
}

export function devices(config: ContainerConfig): NonNullable<ContainerSpec['devices']> {
  return (config.devices ?? []).map((device, i) => {
    const path = `config.devices[${i}]`;
    const permissions = device.permissions || 'rwm';
    if (!/^[rwm]+$/.test(permissions)) throw invalidField(`${path}.permissions`, `"${permissions}" is not of r, w, m`);
    const hostPath = absolute(device.hostPath, `${path}.host_path`);
    return { hostPath, containerPath: device.containerPath || hostPath, permissions };
  });
}
