// What a pod and its containers may do: users, seccomp, AppArmor, sysctls, Windows options.
import { fieldErrors } from '../field-error.ts';
import type { AppArmorProfile, PodSpec, SeccompProfile, SecurityContext, Sysctl } from '../types/core-v1.ts';
import { descendingPath, type Findings, groupId, optionalOneOf, userId } from './checks.ts';
import { ofRule } from './ratcheting.ts';
import { containersOf, validateWindowsOptions } from './windows.ts';

const { duplicate, forbidden, invalid, notSupported, required, tooLong } = fieldErrors;

const PROFILE_TYPES = ['Localhost', 'RuntimeDefault', 'Unconfined'];

export function* validatePodSecurityContext(spec: PodSpec, field: string): Findings {
  const context = spec.securityContext;
  if (!context) return;
  yield* groupId(context.fsGroup, `${field}.fsGroup`);
  yield* userId(context.runAsUser, `${field}.runAsUser`);
  yield* groupId(context.runAsGroup, `${field}.runAsGroup`);
  for (const [i, group] of (context.supplementalGroups ?? []).entries()) {
    yield* groupId(group, `${field}.supplementalGroups[${i}]`);
  }
  // These two are no fields of the security context on the wire; upstream reports them there all the same.
  if (spec.shareProcessNamespace && spec.hostPID) {
    yield invalid(`${field}.shareProcessNamespace`, true, 'ShareProcessNamespace and HostPID cannot both be enabled');
  }
  yield* sysctls(context.sysctls ?? [], spec, `${field}.sysctls`);
  yield* optionalOneOf(context.fsGroupChangePolicy, ['Always', 'OnRootMismatch'], `${field}.fsGroupChangePolicy`);
  yield* seccompProfile(context.seccompProfile, `${field}.seccompProfile`);
  yield* validateWindowsOptions(context.windowsOptions, `${field}.windowsOptions`);
  yield* appArmorProfile(context.appArmorProfile, `${field}.appArmorProfile`);
  yield* optionalOneOf(context.supplementalGroupsPolicy, ['Merge', 'Strict'], `${field}.supplementalGroupsPolicy`);
  yield* optionalOneOf(context.seLinuxChangePolicy, ['MountOption', 'Recursive'], `${field}.seLinuxChangePolicy`);
}

/** `hostUsers` is true unless the pod has its own user namespace. */
export function* validateSecurityContext(
  context: SecurityContext | undefined,
  field: string,
  hostUsers: boolean,
): Findings {
  if (!context) return;
  yield* userId(context.runAsUser, `${field}.runAsUser`);
  yield* groupId(context.runAsGroup, `${field}.runAsGroup`);
  yield* optionalOneOf(context.procMount, ['Default', 'Unmasked'], `${field}.procMount`);
  if (hostUsers && context.procMount === 'Unmasked') {
    yield invalid(`${field}.procMount`, context.procMount, '`hostUsers` must be false to use `Unmasked`');
  }
  yield* seccompProfile(context.seccompProfile, `${field}.seccompProfile`);
  if (context.allowPrivilegeEscalation === false) {
    if (context.privileged) {
      yield invalid(field, context, 'cannot set `allowPrivilegeEscalation` to false and `privileged` to true');
    }
    if (context.capabilities?.add?.includes('CAP_SYS_ADMIN')) {
      yield invalid(
        field,
        context,
        'cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN',
      );
    }
  }
  yield* validateWindowsOptions(context.windowsOptions, `${field}.windowsOptions`);
  yield* appArmorProfile(context.appArmorProfile, `${field}.appArmorProfile`);
}

function* seccompProfile(profile: SeccompProfile | undefined, field: string): Findings {
  if (!profile) return;
  if (!profile.type) yield required(`${field}.type`, 'type is required when seccompProfile is set');
  else if (!PROFILE_TYPES.includes(profile.type)) yield notSupported(`${field}.type`, profile.type, PROFILE_TYPES);
  const path = profile.localhostProfile;
  if (profile.type === 'Localhost') {
    if (path === undefined) yield required(`${field}.localhostProfile`, 'must be set when seccomp type is Localhost');
    else yield* descendingPath(path, `${field}.localhostProfile`);
  } else if (path !== undefined) {
    yield invalid(`${field}.localhostProfile`, profile, 'can only be set when seccomp type is Localhost');
  }
}

function* appArmorProfile(profile: AppArmorProfile | undefined, field: string): Findings {
  if (!profile) return;
  const path = profile.localhostProfile;
  const at = `${field}.localhostProfile`;
  if (profile.type === 'Localhost') {
    if (path === undefined) yield required(at, 'must be set when AppArmor type is Localhost');
    else {
      if (path.trim() !== path) yield invalid(at, path, 'must not be padded with whitespace');
      else if (path === '') yield required(at, 'must be set when AppArmor type is Localhost');
      if (Buffer.byteLength(path) > 4095) yield tooLong(at, 4095);
    }
  } else if (!profile.type) yield required(`${field}.type`, 'type is required when appArmorProfile is set');
  else if (!PROFILE_TYPES.includes(profile.type)) yield notSupported(`${field}.type`, profile.type, PROFILE_TYPES);
  else if (path !== undefined) yield invalid(at, path, 'can only be set when AppArmor type is Localhost');
}

const SYSCTL_PATTERN = '^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$';
const SYSCTL = new RegExp(SYSCTL_PATTERN);
const IPC_SYSCTL = /^(kernel\.(shm|msg)|kernel\.sem$|fs\.mqueue\.)/;

function* sysctls(all: readonly Sysctl[], spec: PodSpec, field: string): Findings {
  const seen = new Set<string>();
  for (const [i, { name }] of all.entries()) {
    const at = `${field}[${i}].name`;
    if (!name) yield required(at);
    else if (name.length > 253 || !SYSCTL.test(name)) {
      yield invalid(at, name, `must have at most 253 characters and match regex ${SYSCTL_PATTERN}`);
    } else if (seen.has(name)) yield duplicate(at, name);
    seen.add(name);
    const dotted = dottedSysctl(name ?? '');
    const shared =
      spec.hostNetwork && dotted.startsWith('net.')
        ? 'hostNetwork'
        : spec.hostIPC && IPC_SYSCTL.test(dotted)
          ? 'hostIPC'
          : undefined;
    if (!shared) continue;
    yield* ofRule('sysctls of shared namespaces', [invalid(at, name, `may not be specified when '${shared}' is true`)]);
  }
}

/** `net/ipv4/conf/eth0.1/x` and `net.ipv4.conf.eth0/1.x` are one: the first separator tells which is meant. */
function dottedSysctl(name: string): string {
  const slash = name.indexOf('/');
  const dot = name.indexOf('.');
  if (slash < 0 || (dot >= 0 && dot < slash)) return name;
  return name.replace(/[./]/g, (each) => (each === '/' ? '.' : '/'));
}

/** A pod with its own user namespace shares no other namespace with the host, and has no block devices. */
export function* validateHostUsers(spec: PodSpec, field: string): Findings {
  if (spec.hostUsers !== false) return;
  const detail = 'when `hostUsers` is false';
  // UserNamespacesHostNetworkSupport is off by default.
  if (spec.hostNetwork)
    yield* ofRule('user namespaces on the host network', [forbidden(`${field}.hostNetwork`, detail)]);
  // These two names are upstream's spelling.
  if (spec.hostPID) yield forbidden(`${field}.HostPID`, detail);
  if (spec.hostIPC) yield forbidden(`${field}.HostIPC`, detail);
  for (const [{ volumeDevices }, at] of containersOf(spec, field)) {
    if (!volumeDevices?.length) continue;
    yield* ofRule('user namespaces with block devices', [forbidden(`${at}.volumeDevices`, detail)]);
  }
}
