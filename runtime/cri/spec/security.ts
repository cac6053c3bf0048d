// What it may do: capabilities, seccomp, AppArmor. Source of the default capability set: Docker's and containerd's.
import type { LinuxContainerSecurityContext, SecurityProfile } from '../../../proto/cri-types.ts';
import type { SeccompFilter } from '../../launch/port.ts';
import { invalidField } from '../errors.ts';

export const allCapabilities: readonly string[] =
  `CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE
   NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN
   SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE
   MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE`.split(/\s+/);

export const defaultCapabilities: readonly string[] =
  `CHOWN DAC_OVERRIDE FSETID FOWNER MKNOD NET_RAW SETGID SETUID SETFCAP SETPCAP NET_BIND_SERVICE SYS_CHROOT KILL
   AUDIT_WRITE`.split(/\s+/);

/** The capability set without CAP_: the default, plus what is added, minus what is dropped; ALL works in both. */
export function capabilities(context: LinuxContainerSecurityContext): string[] {
  if (context.privileged) return [...allCapabilities];
  const path = 'config.linux.security_context.capabilities';
  const add = normalise(context.capabilities?.addCapabilities ?? [], `${path}.add_capabilities`);
  const drop = normalise(context.capabilities?.dropCapabilities ?? [], `${path}.drop_capabilities`);
  const set = new Set(add.includes('ALL') ? allCapabilities : defaultCapabilities);
  if (drop.includes('ALL')) set.clear();
  for (const name of [...add, ...ambientNames(context)]) if (name !== 'ALL') set.add(name);
  for (const name of drop) set.delete(name);
  return allCapabilities.filter((name) => set.has(name));
}

/** Those that a user other than root keeps over exec; they are added to the others, too. */
export function ambient(context: LinuxContainerSecurityContext): { ambientCapabilities?: string[] } {
  const names = context.privileged ? [] : ambientNames(context);
  return names.length > 0 ? { ambientCapabilities: names } : {};
}

const ambientNames = (context: LinuxContainerSecurityContext): string[] => {
  const path = 'config.linux.security_context.capabilities.add_ambient_capabilities';
  const names = normalise(context.capabilities?.addAmbientCapabilities ?? [], path);
  return names.includes('ALL') ? [...allCapabilities] : names;
};

function normalise(names: readonly string[], path: string): string[] {
  return names.map((name) => {
    const short = name.toUpperCase().replace(/^CAP_/, '');
    if (short !== 'ALL' && !allCapabilities.includes(short)) throw invalidField(path, `unknown capability "${name}"`);
    return short;
  });
}

/** No profile at all means unconfined, as CRI has it; the deprecated path is read when there is no profile. */
export function seccompFilter(context: {
  privileged?: boolean;
  seccomp?: SecurityProfile | null;
  seccompProfilePath?: string;
}): SeccompFilter {
  const path = 'config.linux.security_context.seccomp';
  if (context.privileged) return { kind: 'unconfined' };
  const profile = context.seccomp;
  if (profile) {
    switch (profile.profileType) {
      case 'Unconfined':
        return { kind: 'unconfined' };
      case 'Localhost':
        return localhost(profile.localhostRef ?? '', `${path}.localhost_ref`);
      default:
        return { kind: 'runtime-default' };
    }
  }
  const old = context.seccompProfilePath ?? '';
  if (old === '' || old === 'unconfined') return { kind: 'unconfined' };
  if (old === 'runtime/default' || old === 'docker/default') return { kind: 'runtime-default' };
  if (old.startsWith('localhost/')) return localhost(old, `${path}_profile_path`);
  throw invalidField(`${path}_profile_path`, `unknown profile "${old}"`);
}

function localhost(reference: string, path: string): SeccompFilter {
  const file = reference.replace(/^localhost\//, '');
  if (!file.startsWith('/')) throw invalidField(path, `"${reference}" is not an absolute path`);
  return { kind: 'localhost', path: file };
}

/** AppArmor is not supported: the default profile is then no profile, as on any host without it; others are refused. */
export function refuseAppArmor(
  context: { privileged?: boolean; apparmor?: SecurityProfile | null; apparmorProfile?: string },
  path: string,
): void {
  if (context.apparmor?.profileType === 'Localhost')
    throw invalidField(`${path}.apparmor`, 'AppArmor is not supported');
  const old = context.apparmorProfile ?? '';
  if (!context.apparmor && old !== '' && old !== 'runtime/default' && old !== 'unconfined') {
    throw invalidField(`${path}.apparmor_profile`, `AppArmor is not supported (profile "${old}")`);
  }
}
