// Carries a granted resize out on what runs: the pod's cgroup grows before its containers do and shrinks after them.
import type { Pod, ResourceRequirements } from '../../api/types/core-v1.ts';
import type { LinuxContainerResources } from '../../proto/cri-types.ts';
import { bytesOf } from '../containers/amounts.ts';
import { containerResources, podResources } from '../containers/resources.ts';
import { CriError } from '../cri/client.ts';
import type { PodContext } from './context.ts';
import type { ObservedContainer, ObservedSandbox } from './observed.ts';
import { findContainer } from './containers-of.ts';

export interface ContainerResize {
  container: ObservedContainer;
  before: ResourceRequirements;
  after: ResourceRequirements;
}

export async function applyResizes(
  context: PodContext,
  pod: Pod,
  sandbox: ObservedSandbox,
  resizes: readonly ContainerResize[],
  onResized: (resize: ContainerResize) => void,
): Promise<void> {
  const { cri, settings } = context;
  const grows = resizes.some(({ before, after }) => !isSmaller(before, after));
  const shrinks = resizes.some(({ before, after }) => isSmaller(before, after));
  const resizePod = async () => {
    context.cgroups?.apply(pod);
    await updateSandbox(context, sandbox, podResources(pod));
  };
  if (grows) await resizePod();
  for (const resize of resizes) {
    const { container, before, after } = resize;
    const spec = findContainer(pod, container.name);
    if (!spec) continue;
    const limit = bytesOf(after.limits?.['memory']);
    if (limit > 0 && limit < bytesOf(before.limits?.['memory'])) await refuseBelowUsage(context, container, limit);
    const { cpuPeriod, cpuQuota, cpuShares, memoryLimitInBytes } = containerResources(
      pod,
      { ...spec, resources: after },
      settings.memoryBytes,
    );
    const linux: LinuxContainerResources = { cpuPeriod, cpuQuota, cpuShares, memoryLimitInBytes };
    await cri.call('UpdateContainerResources', { containerId: container.id, linux });
    onResized(resize);
  }
  if (shrinks && !grows) await resizePod();
}

async function updateSandbox(context: PodContext, sandbox: ObservedSandbox, resources: LinuxContainerResources) {
  try {
    await context.cri.call('UpdatePodSandboxResources', { podSandboxId: sandbox.id, resources });
  } catch (error) {
    // Older runtimes leave the pod's own cgroup to whoever made it, and say so.
    if (!(error instanceof CriError) || error.code !== 'unimplemented') throw error;
  }
}

/** A limit below what is used would have the kernel kill at once. */
async function refuseBelowUsage(context: PodContext, container: ObservedContainer, limit: number): Promise<void> {
  const { stats } = await context.cri.call('ContainerStats', { containerId: container.id });
  const usage = stats?.memory?.usageBytes?.value ?? stats?.memory?.workingSetBytes?.value ?? 0;
  if (usage > limit) {
    throw new Error(
      `attempting to set container "${container.name}" memory limit (${limit}) below current usage (${usage})`,
    );
  }
}

function isSmaller(before: ResourceRequirements, after: ResourceRequirements): boolean {
  const memory = (of: ResourceRequirements) => bytesOf(of.limits?.['memory']);
  return memory(after) !== 0 && memory(after) < memory(before);
}
