// Security context of a pod and its containers as CRI has it. Pure; what cannot be honoured is refused by name.
import type { Container, Pod } from '../../api/types/core-v1.ts';
import type {
  LinuxContainerSecurityContext,
  LinuxSandboxSecurityContext,
  NamespaceOption,
  SecurityProfile,
  UserNamespace,
} from '../../proto/cri-types.ts';
import { ConfigError } from './environment.ts';

/** What containers do not see of /proc and /sys by default (procMount: Default), as container runtimes agree on. */
export const maskedPaths = [
  '/proc/acpi',
  '/proc/asound',
  '/proc/interrupts',
  '/proc/kcore',
  '/proc/keys',
  '/proc/latency_stats',
  '/proc/sched_debug',
  '/proc/scsi',
  '/proc/timer_list',
  '/proc/timer_stats',
  '/sys/devices/virtual/powercap',
  '/sys/firmware',
];

export const readonlyPaths = ['/proc/bus', '/proc/fs', '/proc/irq', '/proc/sys', '/proc/sysrq-trigger'];

/** Network, pid, ipc and user namespaces of a pod; a container may target another's pid namespace (debugging). */
export function namespaceOptions(pod: Pod, users: UserNamespace | undefined, targetId?: string): NamespaceOption {
  const spec = pod.spec;
  const pid = spec?.hostPID ? 'NODE' : spec?.shareProcessNamespace ? 'POD' : 'CONTAINER';
  return {
    network: spec?.hostNetwork ? 'NODE' : 'POD',
    ipc: spec?.hostIPC ? 'NODE' : 'POD',
    ...(targetId === undefined ? { pid } : { pid: 'TARGET', targetId }),
    ...(users && { usernsOptions: users }),
  };
}

function seccompOf(
  profile: { type: string; localhostProfile?: string } | undefined,
  seccompRoot: string,
): SecurityProfile {
  switch (profile?.type) {
    case 'Unconfined':
      return { profileType: 'Unconfined' };
    case 'Localhost':
      return { profileType: 'Localhost', localhostRef: `${seccompRoot}/${profile.localhostProfile ?? ''}` };
    default:
      // Secure by default: a pod that says nothing gets the runtime's filter.
      return { profileType: 'RuntimeDefault' };
  }
}

function apparmorOf(profile: { type: string; localhostProfile?: string } | undefined): SecurityProfile | undefined {
  if (!profile) return undefined;
  if (profile.type === 'Unconfined') return { profileType: 'Unconfined' };
  if (profile.type === 'Localhost') return { profileType: 'Localhost', localhostRef: profile.localhostProfile ?? '' };
  return { profileType: 'RuntimeDefault' };
}

export function supplementalGroups(pod: Pod): number[] {
  const context = pod.spec?.securityContext;
  const groups = [...(context?.supplementalGroups ?? [])];
  if (context?.fsGroup !== undefined) groups.push(context.fsGroup);
  return groups;
}

export function sandboxSecurity(
  pod: Pod,
  seccompRoot: string,
  users: UserNamespace | undefined,
): LinuxSandboxSecurityContext {
  const context = pod.spec?.securityContext;
  return {
    namespaceOptions: namespaceOptions(pod, users),
    ...(context?.runAsUser !== undefined && { runAsUser: { value: context.runAsUser } }),
    ...(context?.runAsUser !== undefined &&
      context.runAsGroup !== undefined && { runAsGroup: { value: context.runAsGroup } }),
    supplementalGroups: supplementalGroups(pod),
    supplementalGroupsPolicy: context?.supplementalGroupsPolicy === 'Strict' ? 'Strict' : 'Merge',
    privileged: [...(pod.spec?.containers ?? []), ...(pod.spec?.initContainers ?? [])].some(
      (each) => each.securityContext?.privileged === true,
    ),
    seccomp: seccompOf(context?.seccompProfile, seccompRoot),
    ...(context?.seLinuxOptions && { selinuxOptions: context.seLinuxOptions }),
  };
}

export interface ImageUser {
  uid: number | undefined;
  /** A name, when the image gives no number. */
  username: string;
}

/** Throws ConfigError when runAsNonRoot forbids the user that would result. */
export function containerSecurity(
  pod: Pod,
  container: Container,
  imageUser: ImageUser,
  seccompRoot: string,
  { targetId, users }: { targetId?: string | undefined; users?: UserNamespace | undefined } = {},
): LinuxContainerSecurityContext {
  const podContext = pod.spec?.securityContext;
  const own = container.securityContext;
  const runAsUser = own?.runAsUser ?? podContext?.runAsUser;
  const runAsGroup = own?.runAsGroup ?? podContext?.runAsGroup;
  const privileged = own?.privileged === true;
  checkNonRoot(pod, container, runAsUser, imageUser);

  const unmasked = own?.procMount === 'Unmasked' || privileged;
  const sysAdmin = own?.capabilities?.add?.some((each) => ['SYS_ADMIN', 'CAP_SYS_ADMIN', 'ALL'].includes(each));
  const apparmor = apparmorOf(own?.appArmorProfile ?? podContext?.appArmorProfile);
  return {
    capabilities: {
      addCapabilities: (own?.capabilities?.add ?? []).map(bareCapability),
      dropCapabilities: (own?.capabilities?.drop ?? []).map(bareCapability),
    },
    privileged,
    namespaceOptions: namespaceOptions(pod, users, targetId),
    ...(runAsUser !== undefined
      ? { runAsUser: { value: runAsUser } }
      : imageUser.uid !== undefined
        ? { runAsUser: { value: imageUser.uid } }
        : imageUser.username !== '' && { runAsUsername: imageUser.username }),
    ...(runAsGroup !== undefined && { runAsGroup: { value: runAsGroup } }),
    readonlyRootfs: own?.readOnlyRootFilesystem === true,
    supplementalGroups: supplementalGroups(pod),
    supplementalGroupsPolicy: podContext?.supplementalGroupsPolicy === 'Strict' ? 'Strict' : 'Merge',
    noNewPrivs: own?.allowPrivilegeEscalation === false && !privileged && !sysAdmin,
    maskedPaths: unmasked ? [] : maskedPaths,
    readonlyPaths: unmasked ? [] : readonlyPaths,
    seccomp: privileged
      ? { profileType: 'Unconfined' }
      : seccompOf(own?.seccompProfile ?? podContext?.seccompProfile, seccompRoot),
    ...(apparmor && { apparmor }),
    ...((own?.seLinuxOptions ?? podContext?.seLinuxOptions) && {
      selinuxOptions: own?.seLinuxOptions ?? podContext?.seLinuxOptions,
    }),
  };
}

const bareCapability = (name: string) => name.replace(/^CAP_/, '');

function checkNonRoot(pod: Pod, container: Container, runAsUser: number | undefined, imageUser: ImageUser): void {
  const nonRoot = container.securityContext?.runAsNonRoot ?? pod.spec?.securityContext?.runAsNonRoot;
  if (!nonRoot) return;
  const title = `(pod: "${pod.metadata.name}_${pod.metadata.namespace}(${pod.metadata.uid})", container: ${container.name})`;
  if (runAsUser === 0) throw new ConfigError(`container's runAsUser breaks non-root policy ${title}`);
  if (runAsUser !== undefined) return;
  if (imageUser.uid !== undefined) {
    if (imageUser.uid === 0) throw new ConfigError(`container has runAsNonRoot and image will run as root ${title}`);
    return;
  }
  if (imageUser.username !== '') {
    throw new ConfigError(
      `container has runAsNonRoot and image has non-numeric user (${imageUser.username}), cannot verify user is non-root ${title}`,
    );
  }
  throw new ConfigError(`container has runAsNonRoot and image will run as root ${title}`);
}
