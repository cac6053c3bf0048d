// CreateContainer: the specification is computed first (nothing is made when it is refused), then record, writable
// layer, launcher, and the record with the pid.
import { existsSync, mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { status } from '../../lib/grpc/status.ts';
import { UndoStack } from '../../lib/undo.ts';
import type { ContainerConfig, CreateContainerRequest, CreateContainerResponse } from '../../proto/cri-types.ts';
import type { ContainerSpec } from '../launch/port.ts';
import { type ContainerRecord, sandboxState } from '../store/records.ts';
import { ensureDirectory } from '../snapshots/ensure-directory.ts';
import { shiftOf, shiftOwners } from '../snapshots/shift.ts';
import { type Call, type CriContext, newId, nowNs, requireContainer, requireSandbox } from './context.ts';
import { CriError, invalidField } from './errors.ts';
import { emitEvent } from './events.ts';
import { podFiles, sandboxUserNamespace } from './run-pod-sandbox.ts';
import { signalName } from './signals.ts';
import { CDI_DIRECTORIES, readCdiDevices } from './spec/cdi.ts';
import { containerSpec } from './spec/container-spec.ts';

export const createContainer: Call<'CreateContainer'> = async (context, request) => {
  const sandbox = requireSandbox(context, request.podSandboxId);
  return context.locks.run(sandbox.id, () => create(context, sandbox.id, request));
};

async function create(
  context: CriContext,
  sandboxId: string,
  request: CreateContainerRequest,
): Promise<CreateContainerResponse> {
  const sandbox = requireSandbox(context, sandboxId);
  const config = request.config;
  if (!config) throw invalidField('config', 'it is required');
  if (!config.metadata?.name) throw invalidField('config.metadata.name', 'it is required');
  if (sandboxState(sandbox) !== 'SANDBOX_READY') {
    throw new CriError(status.FAILED_PRECONDITION, `sandbox "${sandbox.id}" is not running`);
  }
  const imageName = config.image?.image ?? '';
  const image = context.images.whole(imageName);
  if (!image) throw new CriError(status.NOT_FOUND, `failed to resolve image "${imageName}": not found`);
  const id = newId(context.random);
  const chain = context.images.chain(image);
  const view = context.images.view(image);
  const directory = sandbox.config.logDirectory ?? '';
  const logPath = directory !== '' && config.logPath ? join(directory, config.logPath) : '';
  if (logPath !== '' && !logPath.startsWith('/')) throw invalidField('config.log_path', `"${logPath}" is not absolute`);
  const ipc = sandbox.config.linux?.securityContext?.namespaceOptions?.ipc === 'NODE' ? 'node' : 'pod';
  const volumeDiffIds: string[][] = [];
  const spec = containerSpec(config, {
    id,
    sandbox,
    image: image.run,
    readUserDatabase: () => ({ passwd: view.readText('/etc/passwd'), group: view.readText('/etc/group') }),
    lowerDirs: context.images.snapshots.lowerDirs(chain),
    upperDir: context.images.snapshots.upperDir(id),
    workDir: join(dirname(context.images.snapshots.upperDir(id)), 'work'),
    podFiles: podFiles(context, sandbox.id, ipc),
    imageLayers(name) {
      const volume = context.images.whole(name);
      if (!volume) throw new CriError(status.NOT_FOUND, `failed to resolve image "${name}": not found`);
      volumeDiffIds.push(volume.diffIds);
      return context.images.snapshots.lowerDirs(context.images.chain(volume));
    },
    logPath,
    cdiDevices: () => readCdiDevices(CDI_DIRECTORIES),
  });
  if (spec.pidOf !== undefined) spec.pidOf = targetOf(context, sandbox.id, spec.pidOf);
  const record: ContainerRecord = {
    id,
    sandboxId: sandbox.id,
    config: withImageRefs(context, config),
    imageId: image.id,
    imageRef: image.repoDigests[0] ?? image.id,
    diffIds: image.diffIds,
    ...(volumeDiffIds.length > 0 && { volumeDiffIds }),
    createdAtNs: nowNs(context),
    logPath,
    stopSignal: stopSignalOf(config.stopSignal, image.run.StopSignal),
    cgroup: spec.cgroup,
    process: spec.process,
    resources: config.linux?.resources ?? {},
  };
  context.store.containers.add(record);
  const undo = new UndoStack();
  undo.push('record', () => context.store.containers.remove(id));
  try {
    undo.push('writable layer', () => context.images.snapshots.release(id));
    context.images.snapshots.prepare(id, chain);
    ensureDirectory(view, spec.rootfs.upperDir, spec.process.cwd);
    const userns = sandboxUserNamespace(sandbox);
    if (userns) shiftOwners(spec.rootfs.upperDir, shiftOf(userns, 'host'));
    makeSources(spec);
    if (logPath !== '') mkdirSync(dirname(logPath), { recursive: true, mode: 0o755 });
    undo.push('container', () => context.launcher.removeContainer(id));
    const { pid, warnings } = await context.launcher.createContainer(spec);
    for (const warning of warnings)
      context.log.warn({ container: id, warning }, 'the container got less than it asked for');
    context.store.containers.update(id, () => ({ pid }));
    undo.commit();
  } catch (error) {
    for (const failure of await undo.rollback()) {
      context.log.warn({ container: id, step: failure.what, err: failure.error }, 'undoing a failed container');
    }
    throw error;
  }
  emitEvent(context, 'CONTAINER_CREATED_EVENT', id, sandbox.id);
  return { containerId: id };
}

/** Mounted images are told by what they were when the container was made. */
function withImageRefs(context: CriContext, config: ContainerConfig): ContainerConfig {
  if (!config.mounts?.some((mount) => mount.image?.image)) return config;
  const mounts = config.mounts.map((mount) => {
    const found = mount.image?.image ? context.images.catalog.find(mount.image.image) : undefined;
    return found ? { ...mount, image: { ...mount.image, imageRef: found.id } } : mount;
  });
  return { ...config, mounts };
}

/** Mount sources that do not exist become directories, as with every CRI runtime. */
function makeSources(spec: ContainerSpec): void {
  for (const mount of spec.mounts)
    if (!mount.image && !existsSync(mount.source)) mkdirSync(mount.source, { recursive: true });
}

function targetOf(context: CriContext, sandboxId: string, target: string): string {
  const container = requireContainer(context, target);
  if (container.sandboxId !== sandboxId) {
    throw invalidField(
      'config.linux.security_context.namespace_options.target_id',
      `"${target}" is in another sandbox`,
    );
  }
  return container.id;
}

function stopSignalOf(configured: string | undefined, image: string | undefined): string {
  if (configured && configured !== 'RUNTIME_DEFAULT') return configured;
  // An image may carry anything here; what is no signal stops nobody from running it.
  return (image && signalName(image)) || 'SIGTERM';
}
