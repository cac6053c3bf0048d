// The baseline level: what lets a pod out of its box. One check per entry, by id; the law is
// https://kubernetes.io/docs/concepts/security/pod-security-standards/#baseline. Pure.
import type { LifecycleHandler, PodSpec, Probe, SELinuxOptions } from '../../../api/types/core-v1.ts';
import type { Check, PodMeta, Violation } from './evaluate.ts';
import { containerNames, containersOf, hasOwnUsers, plural, quoted, setters, sorted } from './words.ts';

const SAFE_CAPABILITIES = new Set(
  'AUDIT_WRITE CHOWN DAC_OVERRIDE FOWNER FSETID KILL MKNOD NET_BIND_SERVICE SETFCAP SETGID SETPCAP SETUID SYS_CHROOT'.split(
    ' ',
  ),
);
const SYSCTLS_1_0 = [
  'kernel.shm_rmid_forced',
  'net.ipv4.ip_local_port_range',
  'net.ipv4.tcp_syncookies',
  'net.ipv4.ping_group_range',
  'net.ipv4.ip_unprivileged_port_start',
];
const SYSCTLS_1_27 = [...SYSCTLS_1_0, 'net.ipv4.ip_local_reserved_ports'];
const SYSCTLS_1_29 = [
  ...SYSCTLS_1_27,
  'net.ipv4.tcp_keepalive_time',
  'net.ipv4.tcp_fin_timeout',
  'net.ipv4.tcp_keepalive_intvl',
  'net.ipv4.tcp_keepalive_probes',
];
const SYSCTLS_1_32 = [...SYSCTLS_1_29, 'net.ipv4.tcp_rmem', 'net.ipv4.tcp_wmem'];
const SELINUX_1_0 = ['', 'container_t', 'container_init_t', 'container_kvm_t'];
const SELINUX_1_31 = [...SELINUX_1_0, 'container_engine_t'];

export const BASELINE: readonly Check[] = [
  { id: 'appArmorProfile', versions: [{ from: 0, check: appArmor }] },
  { id: 'capabilities_baseline', versions: [{ from: 0, check: capabilities }] },
  { id: 'hostNamespaces', versions: [{ from: 0, check: hostNamespaces }] },
  { id: 'hostPathVolumes', versions: [{ from: 0, check: hostPaths }] },
  { id: 'hostPorts', versions: [{ from: 0, check: hostPorts }] },
  { id: 'hostProbesAndHostLifecycle', versions: [{ from: 34, check: hostProbes }] },
  { id: 'privileged', versions: [{ from: 0, check: privileged }] },
  {
    id: 'procMount',
    versions: [
      { from: 0, check: procMount },
      { from: 35, check: (spec) => (hasOwnUsers(spec) ? undefined : procMount(spec)) },
    ],
  },
  {
    id: 'seLinuxOptions',
    versions: [
      { from: 0, check: (spec) => seLinux(spec, SELINUX_1_0) },
      { from: 31, check: (spec) => seLinux(spec, SELINUX_1_31) },
    ],
  },
  {
    id: 'seccompProfile_baseline',
    versions: [
      { from: 0, check: seccompAnnotations },
      { from: 19, check: seccomp },
    ],
  },
  {
    id: 'sysctls',
    versions: [
      { from: 0, check: (spec) => sysctls(spec, SYSCTLS_1_0) },
      { from: 27, check: (spec) => sysctls(spec, SYSCTLS_1_27) },
      { from: 29, check: (spec) => sysctls(spec, SYSCTLS_1_29) },
      { from: 32, check: (spec) => sysctls(spec, SYSCTLS_1_32) },
    ],
  },
  { id: 'windowsHostProcess', versions: [{ from: 0, check: hostProcess }] },
];

type Found = Violation | undefined;

function appArmor(spec: PodSpec, { annotations = {} }: PodMeta): Found {
  const isBad = (type: string | undefined) => type !== undefined && type !== 'RuntimeDefault' && type !== 'Localhost';
  const podType = spec.securityContext?.appArmorProfile?.type;
  const bad = containersOf(spec).filter((each) => isBad(each.securityContext?.appArmorProfile?.type));
  const types = [
    ...(isBad(podType) ? [podType] : []),
    ...bad.map((each) => each.securityContext?.appArmorProfile?.type),
  ];
  const noted = Object.entries(annotations)
    .filter(
      ([key, value]) =>
        key.startsWith('container.apparmor.security.beta.kubernetes.io/') &&
        value !== '' &&
        value !== 'runtime/default' &&
        !value.startsWith('localhost/'),
    )
    .map(([key, value]) => `${key}=${JSON.stringify(value)}`);
  if (types.length === 0 && noted.length === 0) return undefined;
  const details: string[] = [];
  if (types.length > 0) {
    const who = setters(
      isBad(podType),
      bad.map((each) => each.name),
    );
    details.push(`${who} must not set AppArmor profile type to ${quoted(sorted(types as string[]))}`);
  }
  if (noted.length > 0) {
    details.push(`${plural('annotation', 'annotations', noted.length)} ${noted.sort().join(', ')}`);
  }
  const count = types.length + noted.length;
  return {
    reason: plural('forbidden AppArmor profile', 'forbidden AppArmor profiles', count),
    detail: details.join(' and '),
  };
}

function capabilities(spec: PodSpec): Found {
  const extra = (list: readonly string[] | undefined) => (list ?? []).filter((each) => !SAFE_CAPABILITIES.has(each));
  const bad = containersOf(spec).filter((each) => extra(each.securityContext?.capabilities?.add).length > 0);
  if (bad.length === 0) return undefined;
  const names = sorted(bad.flatMap((each) => extra(each.securityContext?.capabilities?.add)));
  return {
    reason: 'non-default capabilities',
    detail: `${containerNames(bad.map((each) => each.name))} must not include ${quoted(names)} in securityContext.capabilities.add`,
  };
}

function hostNamespaces(spec: PodSpec): Found {
  const shared = (['hostNetwork', 'hostPID', 'hostIPC'] as const).filter((each) => spec[each]);
  if (shared.length === 0) return undefined;
  return { reason: 'host namespaces', detail: shared.map((each) => `${each}=true`).join(', ') };
}

function hostPaths(spec: PodSpec): Found {
  const names = (spec.volumes ?? []).filter((each) => each.hostPath).map((each) => each.name);
  if (names.length === 0) return undefined;
  return { reason: 'hostPath volumes', detail: `${plural('volume', 'volumes', names.length)} ${quoted(names)}` };
}

function hostPorts(spec: PodSpec): Found {
  const used = containersOf(spec).map(({ name, ports = [] }) => ({
    name,
    ports: ports.flatMap(({ hostPort }) => (hostPort ? [String(hostPort)] : [])),
  }));
  const bad = used.filter(({ ports }) => ports.length > 0);
  if (bad.length === 0) return undefined;
  const ports = sorted(bad.flatMap((each) => each.ports));
  const verb = plural('uses', 'use', bad.length);
  return {
    reason: 'hostPort',
    detail: `${containerNames(bad.map((each) => each.name))} ${verb} ${plural('hostPort', 'hostPorts', ports.length)} ${ports.join(', ')}`,
  };
}

function hostProbes(spec: PodSpec): Found {
  const hosts = (handler: Probe | LifecycleHandler | undefined) =>
    [handler?.httpGet?.host, handler?.tcpSocket?.host].filter((each): each is string => !!each);
  const used = containersOf(spec).map((each) => ({
    name: each.name,
    hosts: [
      each.livenessProbe,
      each.readinessProbe,
      each.startupProbe,
      each.lifecycle?.postStart,
      each.lifecycle?.preStop,
    ].flatMap(hosts),
  }));
  const bad = used.filter((each) => each.hosts.length > 0);
  if (bad.length === 0) return undefined;
  const found = sorted(bad.flatMap((each) => each.hosts));
  const what = plural('probe or lifecycle host', 'probe or lifecycle hosts', found.length);
  return {
    reason: 'probe or lifecycle host',
    detail: `${containerNames(sorted(bad.map((each) => each.name)))} ${plural('uses', 'use', bad.length)} ${what} ${quoted(found)}`,
  };
}

function privileged(spec: PodSpec): Found {
  const bad = containersOf(spec).filter((each) => each.securityContext?.privileged);
  if (bad.length === 0) return undefined;
  return {
    reason: 'privileged',
    detail: `${containerNames(bad.map((each) => each.name))} must not set securityContext.privileged=true`,
  };
}

function procMount(spec: PodSpec): Found {
  const bad = containersOf(spec).filter((each) => (each.securityContext?.procMount ?? 'Default') !== 'Default');
  if (bad.length === 0) return undefined;
  const values = sorted(bad.map((each) => each.securityContext?.procMount as string));
  return {
    reason: 'procMount',
    detail: `${containerNames(bad.map((each) => each.name))} must not set securityContext.procMount to ${quoted(values)}`,
  };
}

function seLinux(spec: PodSpec, types: readonly string[]): Found {
  const isBad = (options: SELinuxOptions | undefined): options is SELinuxOptions =>
    options !== undefined && (!types.includes(options.type ?? '') || !!options.user || !!options.role);
  const ofPod = spec.securityContext?.seLinuxOptions;
  const bad = containersOf(spec).filter((each) => isBad(each.securityContext?.seLinuxOptions));
  const all = [ofPod, ...bad.map((each) => each.securityContext?.seLinuxOptions)].filter(isBad);
  if (all.length === 0) return undefined;
  const badTypes = sorted(all.map((each) => each.type ?? '').filter((each) => !types.includes(each)));
  const details = badTypes.length > 0 ? [`${plural('type', 'types', badTypes.length)} ${quoted(badTypes)}`] : [];
  if (all.some((each) => each.user)) details.push('user may not be set');
  if (all.some((each) => each.role)) details.push('role may not be set');
  const who = setters(
    isBad(ofPod),
    bad.map((each) => each.name),
  );
  return {
    reason: 'seLinuxOptions',
    detail: `${who} set forbidden securityContext.seLinuxOptions: ${details.join('; ')}`,
  };
}

function seccompAnnotations(spec: PodSpec, { annotations = {} }: PodMeta): Found {
  const keys = [
    'seccomp.security.alpha.kubernetes.io/pod',
    ...containersOf(spec).map((each) => `container.seccomp.security.alpha.kubernetes.io/${each.name}`),
  ];
  const isGood = (value: string) =>
    value === 'runtime/default' || value === 'docker/default' || value.startsWith('localhost/');
  const bad = sorted(
    keys.flatMap((key) => {
      const value = annotations[key];
      return value === undefined || isGood(value) ? [] : [`${key}=${JSON.stringify(value)}`];
    }),
  );
  if (bad.length === 0) return undefined;
  return {
    reason: 'seccompProfile',
    detail: `forbidden ${plural('annotation', 'annotations', bad.length)} ${bad.join(', ')}`,
  };
}

export const isGoodSeccomp = (type: string | undefined): boolean => type === 'Localhost' || type === 'RuntimeDefault';

/** Profiles that are set, and badly so. */
export function seccomp(spec: PodSpec): Found {
  const ofPod = spec.securityContext?.seccompProfile;
  const isBadPod = ofPod !== undefined && !isGoodSeccomp(ofPod.type);
  const bad = containersOf(spec).filter(({ securityContext }) => {
    const profile = securityContext?.seccompProfile;
    return profile !== undefined && !isGoodSeccomp(profile.type);
  });
  if (!isBadPod && bad.length === 0) return undefined;
  const values = sorted([
    ...(isBadPod ? [ofPod.type] : []),
    ...bad.map((each) => each.securityContext?.seccompProfile?.type as string),
  ]);
  const who = setters(
    isBadPod,
    bad.map((each) => each.name),
  );
  return {
    reason: 'seccompProfile',
    detail: `${who} must not set securityContext.seccompProfile.type to ${quoted(values)}`,
  };
}

function sysctls(spec: PodSpec, allowed: readonly string[]): Found {
  const bad = (spec.securityContext?.sysctls ?? []).map((each) => each.name).filter((name) => !allowed.includes(name));
  return bad.length > 0 ? { reason: 'forbidden sysctls', detail: bad.join(', ') } : undefined;
}

function hostProcess(spec: PodSpec): Found {
  const isPod = spec.securityContext?.windowsOptions?.hostProcess === true;
  const bad = containersOf(spec).filter((each) => each.securityContext?.windowsOptions?.hostProcess);
  if (!isPod && bad.length === 0) return undefined;
  const who = setters(
    isPod,
    bad.map((each) => each.name),
  );
  return { reason: 'hostProcess', detail: `${who} must not set securityContext.windowsOptions.hostProcess=true` };
}
