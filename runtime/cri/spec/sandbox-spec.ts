// PodSandboxConfig → SandboxSpec, pure. What is not supported is refused by name.
import type { LinuxContainerResources, NamespaceOption, PodSandboxConfig } from '../../../proto/cri-types.ts';
import type { SandboxSpec } from '../../launch/port.ts';
import { invalidField } from '../errors.ts';
import { resources } from './resources.ts';
import { refuseAppArmor, seccompFilter } from './security.ts';
import { userNamespace } from './user-namespace.ts';

const pidModes = { POD: 'pod', CONTAINER: 'container', NODE: 'node' } as const;

export function sandboxSpec(id: string, config: PodSandboxConfig, host: { hostname: string }): SandboxSpec {
  const metadata = config.metadata;
  for (const field of ['name', 'uid', 'namespace'] as const) {
    if (!metadata?.[field]) throw invalidField(`config.metadata.${field}`, 'it is required');
  }
  const linux = config.linux ?? {};
  const security = linux.securityContext ?? {};
  const path = 'config.linux.security_context';
  const namespaces = security.namespaceOptions ?? {};
  const user = userNamespace(namespaces.usernsOptions, `${path}.namespace_options.userns_options`);
  refuseAppArmor(security, path);
  seccompFilter(security);
  const network = podOrNode(namespaces.network, `${path}.namespace_options.network`);
  const pid = namespaces.pid ?? 'POD';
  if (pid === 'TARGET') throw invalidField(`${path}.namespace_options.pid`, 'TARGET is for containers');
  const cgroupParent = linux.cgroupParent || `/sandbox/${id}`;
  if (!/^\/[A-Za-z0-9_./:-]+$/.test(cgroupParent) || cgroupParent.split('/').includes('..')) {
    throw invalidField('config.linux.cgroup_parent', `"${cgroupParent}" is not a cgroup path`);
  }
  const spec: SandboxSpec = {
    id,
    hostname: config.hostname || (network === 'node' ? host.hostname : ''),
    network,
    pid: pidModes[pid],
    ipc: podOrNode(namespaces.ipc, `${path}.namespace_options.ipc`),
    cgroupParent: cgroupParent.replace(/\/+$/, ''),
  };
  if (user) {
    for (const kind of ['network', 'pid', 'ipc'] as const) {
      if (spec[kind] === 'node')
        throw invalidField(`${path}.namespace_options.${kind}`, "NODE does not go with a pod's own user namespace");
    }
    spec.userNamespace = user;
  }
  if (spec.hostname.length > 64)
    throw invalidField('config.hostname', `"${spec.hostname}" is longer than 64 characters`);
  const limits = resources(withOverhead(linux.resources, linux.overhead), 'config.linux.resources');
  if (Object.keys(limits).length > 0) spec.resources = limits;
  const sysctls = Object.entries(linux.sysctls ?? {});
  for (const [name] of sysctls) {
    if (!/^[a-z0-9_./-]+$/i.test(name) || name.includes('..'))
      throw invalidField('config.linux.sysctls', `"${name}" is not a sysctl`);
    if (network === 'node' && /^net[./]/.test(name)) {
      throw invalidField('config.linux.sysctls', `"${name}" is the host's on the host's network`);
    }
  }
  if (sysctls.length > 0) spec.sysctls = Object.fromEntries(sysctls);
  const ports = (config.portMappings ?? []).filter((port) => port.hostPort);
  if (ports.length > 0 && network === 'pod') {
    spec.ports = ports.map((port) => ({
      protocol: port.protocol ?? 'TCP',
      hostPort: port.hostPort as number,
      ...(port.hostIp ? { hostIP: port.hostIp } : {}),
      containerPort: port.containerPort ?? 0,
    }));
  }
  return spec;
}

function podOrNode(mode: NamespaceOption['network'], path: string): 'pod' | 'node' {
  if (mode === undefined || mode === 'POD') return 'pod';
  if (mode === 'NODE') return 'node';
  throw invalidField(path, `${mode} is not possible for a pod`);
}

/** The pod's limits are the sum of the containers' and the overhead. */
export function withOverhead(
  own: LinuxContainerResources | null | undefined,
  overhead: LinuxContainerResources | null | undefined,
): LinuxContainerResources {
  const sum = { ...own };
  if (overhead && own) {
    if (own.memoryLimitInBytes) sum.memoryLimitInBytes = own.memoryLimitInBytes + (overhead.memoryLimitInBytes ?? 0);
    if (own.cpuQuota && own.cpuQuota > 0) sum.cpuQuota = own.cpuQuota + (overhead.cpuQuota ?? 0);
    if (own.cpuShares) sum.cpuShares = own.cpuShares + (overhead.cpuShares ?? 0);
  }
  return sum;
}
