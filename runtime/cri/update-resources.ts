// UpdateContainerResources and UpdatePodSandboxResources: what is set changes, what is not stays. The OOM score of a
// process is fixed when it starts and is not changed here, as in every OCI runtime's update.
import { status } from '../../lib/grpc/status.ts';
import { containerState } from '../store/records.ts';
import { type Call, requireContainer, requireSandbox } from './context.ts';
import { CriError, invalidField } from './errors.ts';
import { mergeResources, resources } from './spec/resources.ts';
import { withOverhead } from './spec/sandbox-spec.ts';

export const updateContainerResources: Call<'UpdateContainerResources'> = async (context, request) => {
  const { id } = requireContainer(context, request.containerId);
  const update = request.linux;
  if (!update) throw invalidField('linux', 'it is required');
  return context.locks.run(id, async () => {
    const container = requireContainer(context, id);
    if (containerState(container) === 'CONTAINER_EXITED') {
      throw new CriError(status.FAILED_PRECONDITION, `container "${id}" has exited`);
    }
    const merged = mergeResources(container.resources, update);
    await context.launcher.updateResources(container.cgroup, resources(merged, 'linux'));
    context.store.containers.update(id, () => ({ resources: merged }));
    return {};
  });
};

export const updatePodSandboxResources: Call<'UpdatePodSandboxResources'> = async (context, request) => {
  const { id } = requireSandbox(context, request.podSandboxId);
  return context.locks.run(id, async () => {
    const sandbox = requireSandbox(context, id);
    const linux = sandbox.config.linux ?? {};
    const own = mergeResources(linux.resources ?? {}, request.resources ?? {});
    const overhead = request.overhead ?? linux.overhead;
    await context.launcher.updateResources(sandbox.cgroupParent, resources(withOverhead(own, overhead), 'resources'));
    const config = { ...sandbox.config, linux: { ...linux, resources: own, overhead: overhead ?? null } };
    context.store.sandboxes.update(id, () => ({ config }));
    return {};
  });
};
