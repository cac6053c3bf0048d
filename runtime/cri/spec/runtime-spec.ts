// A container as an OCI runtime specification, as `crictl inspect` shows it under `info.runtimeSpec`. Pure, and for people
// and tools that look: the launcher works from ContainerSpec. Without `root.path` and the mounts that every container has.
import type { Mount } from '../../../proto/cri-types.ts';
import { type ContainerRecord, containerState, type SandboxRecord } from '../../store/records.ts';
import { resources } from './resources.ts';
import { seccompFilter } from './security.ts';

const propagation = {
  PROPAGATION_PRIVATE: 'rprivate',
  PROPAGATION_HOST_TO_CONTAINER: 'rslave',
  PROPAGATION_BIDIRECTIONAL: 'rshared',
} as const;

/** `pidOf` is the process whose pid namespace it joins in place of its sandbox's (`TARGET`). */
export function runtimeSpec(container: ContainerRecord, sandbox: SandboxRecord, pidOf?: number): object {
  const { config, process } = container;
  const security = config.linux?.securityContext ?? {};
  const privileged = security.privileged ?? false;
  const names = (list: readonly string[] = []) => list.map((name) => `CAP_${name}`);
  const held = names(process.capabilities);
  return {
    ociVersion: '1.2.0',
    hostname: sandbox.hostname,
    annotations: config.annotations ?? {},
    process: {
      terminal: process.terminal,
      user: { uid: process.uid, gid: process.gid, additionalGids: process.additionalGids },
      args: process.args,
      env: process.env,
      cwd: process.cwd,
      capabilities: {
        bounding: held,
        effective: process.uid === 0 ? held : names(process.ambientCapabilities),
        permitted: process.uid === 0 ? held : names(process.ambientCapabilities),
        ambient: names(process.ambientCapabilities),
      },
      noNewPrivileges: process.noNewPrivileges,
      oomScoreAdj: process.oomScoreAdj ?? 0,
    },
    root: { readonly: security.readonlyRootfs ?? false },
    mounts: (config.mounts ?? []).map(mountOf),
    linux: {
      cgroupsPath: container.cgroup,
      resources: limitsOf(container),
      sysctl: sandbox.config.linux?.sysctls ?? {},
      namespaces: namespacesOf(container, sandbox, pidOf),
      maskedPaths: privileged ? [] : (security.maskedPaths ?? []),
      readonlyPaths: privileged ? [] : (security.readonlyPaths ?? []),
      // The profile's name, not what it compiles to.
      seccomp: seccompFilter(security),
    },
  };
}

function mountOf(mount: Mount): object {
  const access = mount.readonly ? (mount.recursiveReadOnly ? 'rro' : 'ro') : 'rw';
  return {
    destination: mount.containerPath ?? '',
    type: mount.image?.image ? 'overlay' : 'bind',
    source: mount.image?.image || mount.hostPath,
    options: ['rbind', propagation[mount.propagation ?? 'PROPAGATION_PRIVATE'], access],
    ...(mount.uidMappings?.length && { uidMappings: mount.uidMappings.map(idMapping) }),
    ...(mount.gidMappings?.length && { gidMappings: mount.gidMappings.map(idMapping) }),
  };
}

const idMapping = (map: { containerId?: number; hostId?: number; length?: number }) => ({
  containerID: map.containerId ?? 0,
  hostID: map.hostId ?? 0,
  size: map.length ?? 0,
});

function limitsOf(container: ContainerRecord): object {
  const limits = resources(container.resources, 'resources');
  return {
    memory: { limit: limits.memoryLimitBytes, swap: limits.memorySwapLimitBytes },
    cpu: {
      shares: limits.cpuShares,
      quota: limits.cpuQuotaUs,
      period: limits.cpuPeriodUs,
      cpus: limits.cpusetCpus,
      mems: limits.cpusetMems,
    },
    pids: limits.pidsLimit === undefined ? undefined : { limit: limits.pidsLimit },
    hugepageLimits: limits.hugepageLimits?.map(({ pageSize, limitBytes }) => ({ pageSize, limit: limitBytes })),
    unified: limits.unified,
  };
}

/** Without a path: of its own. Not listed: the host's. */
function namespacesOf(container: ContainerRecord, sandbox: SandboxRecord, pidOf: number | undefined): object[] {
  const options = sandbox.config.linux?.securityContext?.namespaceOptions ?? {};
  const pod = sandbox.handle?.pausePid;
  const shared = (type: string, file: string) => ({
    type,
    ...(pod !== undefined && { path: `/proc/${pod}/ns/${file}` }),
  });
  const list: object[] = [{ type: 'mount' }, { type: 'cgroup' }, shared('uts', 'uts')];
  const pid = container.config.linux?.securityContext?.namespaceOptions?.pid ?? options.pid ?? 'POD';
  if (pid === 'CONTAINER') list.push({ type: 'pid' });
  else if (pid === 'POD') list.push(shared('pid', 'pid'));
  else if (pid === 'TARGET' && pidOf !== undefined) list.push({ type: 'pid', path: `/proc/${pidOf}/ns/pid` });
  if (options.ipc !== 'NODE') list.push(shared('ipc', 'ipc'));
  if (sandbox.handle?.netnsPath !== undefined) list.push({ type: 'network', path: sandbox.handle.netnsPath });
  if (options.usernsOptions?.mode === 'POD') list.push(shared('user', 'user'));
  return list;
}

/** The process is there. */
export const livePid = (container: ContainerRecord): number =>
  containerState(container) === 'CONTAINER_EXITED' ? 0 : (container.pid ?? 0);
