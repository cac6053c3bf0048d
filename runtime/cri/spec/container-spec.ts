// ContainerConfig + image configuration + sandbox → ContainerSpec, pure. What is not supported is refused by name;
// Windows' fields and SELinux labels have no meaning here and are accepted.
import type { ContainerConfig } from '../../../proto/cri-types.ts';
import type { RunConfig } from '../../images/oci.ts';
import type { ContainerSpec } from '../../launch/port.ts';
import type { SandboxRecord } from '../../store/records.ts';
import { invalidField } from '../errors.ts';
import { type CdiDevice, withCdiDevices } from './cdi.ts';
import { configuredMounts, devices, type PodFiles, podMounts } from './mounts.ts';
import { processArgs, processEnv, workingDirectory } from './process.ts';
import { resources } from './resources.ts';
import { ambient, capabilities, refuseAppArmor, seccompFilter } from './security.ts';
import { containerUser, type UserDatabase } from './user.ts';
import { checkSameUserNamespace, userNamespace } from './user-namespace.ts';

export interface ContainerFactsForSpec {
  id: string;
  sandbox: SandboxRecord;
  image: RunConfig;
  readUserDatabase: () => UserDatabase;
  lowerDirs: string[];
  upperDir: string;
  workDir: string;
  podFiles: PodFiles;
  /** Lower directories of an image that is mounted, topmost first; throws when it is not there. */
  imageLayers: (image: string) => string[];
  logPath: string;
  /** Read when a device is asked for by its CDI name. */
  cdiDevices: () => ReadonlyMap<string, CdiDevice>;
}

export function containerSpec(config: ContainerConfig, facts: ContainerFactsForSpec): ContainerSpec {
  const linux = config.linux ?? {};
  const security = linux.securityContext ?? {};
  const path = 'config.linux.security_context';
  refuseAppArmor(security, path);
  const sandboxNamespaces = facts.sandbox.config.linux?.securityContext?.namespaceOptions ?? {};
  const usernsPath = `${path}.namespace_options.userns_options`;
  checkSameUserNamespace(security.namespaceOptions?.usernsOptions, sandboxNamespaces.usernsOptions, usernsPath);
  const userns = userNamespace(sandboxNamespaces.usernsOptions, usernsPath);
  const namespaces = security.namespaceOptions;
  const sandboxPid = sandboxNamespaces.pid ?? 'POD';
  if (namespaces) {
    for (const kind of ['network', 'ipc'] as const) {
      const ours = namespaces[kind] ?? 'POD';
      if (ours !== (sandboxNamespaces[kind] ?? 'POD')) {
        throw invalidField(`${path}.namespace_options.${kind}`, `${ours} differs from the sandbox`);
      }
    }
    const pid = namespaces.pid ?? 'POD';
    if (pid !== 'TARGET' && pid !== sandboxPid) {
      throw invalidField(`${path}.namespace_options.pid`, `${pid} differs from the sandbox`);
    }
    if (pid === 'TARGET' && !namespaces.targetId) {
      throw invalidField(`${path}.namespace_options.target_id`, 'TARGET needs it');
    }
  }
  const privileged = security.privileged ?? false;
  if (privileged && !facts.sandbox.config.linux?.securityContext?.privileged) {
    throw invalidField(`${path}.privileged`, 'no privileged container allowed in sandbox');
  }
  const user = containerUser(security, facts.image, facts.readUserDatabase);
  const mounts = configuredMounts(config, userns, facts.imageLayers);
  const readonly = security.readonlyRootfs ?? false;
  const limits = linux.resources;
  const spec: ContainerSpec = {
    id: facts.id,
    sandboxId: facts.sandbox.id,
    process: {
      args: processArgs(config, facts.image),
      env: processEnv(config, facts.image, { hostname: facts.sandbox.hostname, home: user.home }),
      cwd: workingDirectory(config, facts.image),
      uid: user.uid,
      gid: user.gid,
      additionalGids: user.groups,
      terminal: config.tty ?? false,
      capabilities: capabilities(security),
      ...ambient(security),
      noNewPrivileges: security.noNewPrivs ?? false,
    },
    rootfs: { lowerDirs: facts.lowerDirs, upperDir: facts.upperDir, workDir: facts.workDir, readonly },
    mounts: [...podMounts(mounts, facts.podFiles, readonly), ...mounts],
    maskedPaths: privileged ? [] : (security.maskedPaths ?? []),
    readonlyPaths: privileged ? [] : (security.readonlyPaths ?? []),
    privileged,
    seccomp: seccompFilter(security),
    resources: resources(limits, 'config.linux.resources'),
    cgroup: `${facts.sandbox.cgroupParent}/${facts.id}`,
    logPath: facts.logPath === '' ? undefined : facts.logPath,
    stdin: config.stdin ?? false,
    stdinOnce: config.stdinOnce ?? false,
  };
  const score = limits?.oomScoreAdj ?? 0;
  if (score < -1000 || score > 1000)
    throw invalidField('config.linux.resources.oom_score_adj', `${score} is out of range`);
  spec.process.oomScoreAdj = score;
  const wanted = devices(config);
  if (wanted.length > 0) spec.devices = wanted;
  if (namespaces?.pid === 'TARGET') spec.pidOf = namespaces.targetId;
  return withCdiDevices(
    spec,
    (config.CDIDevices ?? []).map((device) => device.name ?? ''),
    facts.cdiDevices,
  );
}
