// RunPodSandbox: record first, then the launcher, then the record with the handle. What fails half-way is undone; what
// a crash leaves half-way has a record without a handle and is removed at the next start.
import { chmodSync, chownSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { PodSandboxConfig } from '../../proto/cri-types.ts';
import type { SandboxSpec, UserNamespace } from '../launch/port.ts';
import { namespaceRoot } from '../launch/user-namespace.ts';
import type { SandboxRecord } from '../store/records.ts';
import { UndoStack } from '../../lib/undo.ts';
import { type Call, type CriContext, newId, nowNs } from './context.ts';
import { invalidField } from './errors.ts';
import { emitEvent } from './events.ts';
import type { PodFiles } from './spec/mounts.ts';
import { hostsFile, resolvConf } from './spec/pod-files.ts';
import { sandboxSpec } from './spec/sandbox-spec.ts';
import { userNamespace } from './spec/user-namespace.ts';

export const runPodSandbox: Call<'RunPodSandbox'> = async (context, request) => {
  const config = request.config;
  if (!config) throw invalidField('config', 'it is required');
  const handler = request.runtimeHandler ?? '';
  if (handler !== '') throw invalidField('runtime_handler', `no runtime for "${handler}" is configured`);
  const id = newId(context.random);
  const spec = sandboxSpec(id, config, { hostname: context.host.hostname });
  const record: SandboxRecord = {
    id,
    config,
    runtimeHandler: handler,
    createdAtNs: nowNs(context),
    hostNetwork: spec.network === 'node',
    cgroupParent: spec.cgroupParent,
    hostname: spec.hostname,
  };
  const resolv = resolvConf(config.dnsConfig, readHost(context.host.resolvConf));
  context.store.sandboxes.add(record);
  const undo = new UndoStack();
  undo.push('record', () => context.store.sandboxes.remove(id));
  try {
    const files = podFiles(context, id, spec.ipc);
    if (spec.ipc === 'pod') {
      undo.push('shm', () => rmSync(files.shm, { recursive: true, force: true }));
      mkdirSync(files.shm, { recursive: true });
      chmodSync(files.shm, 0o1777);
    }
    const owner = spec.userNamespace && namespaceRoot(spec.userNamespace);
    const own = (path: string) => owner && chownSync(path, owner.uid, owner.gid);
    if (spec.ipc === 'pod') own(files.shm);
    writeFileSync(files.hostname, `${spec.hostname}\n`, { mode: 0o644 });
    writeFileSync(files.resolvConf, resolv, { mode: 0o644 });
    undo.push('sandbox', () => context.launcher.removeSandbox(id));
    const handle = await context.launcher.createSandbox({ ...spec, ...networkFacts(config, id) });
    const hosts = record.hostNetwork ? readHost(context.host.hosts) : hostsFile(spec.hostname, handle.ips);
    writeFileSync(files.hosts, hosts, { mode: 0o644 });
    for (const path of [files.hostname, files.resolvConf, files.hosts]) own(path);
    context.store.sandboxes.update(id, () => ({ handle }));
    undo.commit();
  } catch (error) {
    for (const failure of await undo.rollback()) {
      context.log.warn({ sandbox: id, step: failure.what, err: failure.error }, 'undoing a failed sandbox');
    }
    throw error;
  }
  emitEvent(context, 'CONTAINER_CREATED_EVENT', id, id);
  emitEvent(context, 'CONTAINER_STARTED_EVENT', id, id);
  return { podSandboxId: id };
};

/** Under the names that network plugins know. */
function networkFacts(config: PodSandboxConfig, id: string): Pick<SandboxSpec, 'networkArgs' | 'dns'> {
  const { name = '', namespace = '', uid = '' } = config.metadata ?? {};
  const { servers = [], searches = [], options = [] } = config.dnsConfig ?? {};
  return {
    networkArgs: {
      K8S_POD_NAMESPACE: namespace,
      K8S_POD_NAME: name,
      K8S_POD_INFRA_CONTAINER_ID: id,
      K8S_POD_UID: uid,
    },
    ...(config.dnsConfig && { dns: { servers, searches, options } }),
  };
}

export const sandboxUserNamespace = ({ config }: Pick<SandboxRecord, 'config'>): UserNamespace | undefined =>
  userNamespace(config.linux?.securityContext?.namespaceOptions?.usernsOptions, 'userns_options');

export function podFiles(context: CriContext, id: string, ipc: 'pod' | 'node'): PodFiles {
  const directory = context.store.sandboxes.files.directory(id);
  return {
    hostname: join(directory, 'hostname'),
    hosts: join(directory, 'hosts'),
    resolvConf: join(directory, 'resolv.conf'),
    shm: ipc === 'node' ? '/dev/shm' : join(context.host.shmRoot, `sampan-${id}`),
  };
}

function readHost(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
