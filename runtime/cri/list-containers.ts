// ListContainers and StreamContainers: filtered by id (or prefix), state, sandbox and labels.
import type { Container, ContainerFilter } from '../../proto/cri-types.ts';
import type { Call, CriContext, StreamCall } from './context.ts';
import { inPages } from './pages.ts';
import { containerOf, labelsMatch } from './status-of.ts';

function matching(context: CriContext, filter: ContainerFilter | null | undefined): Container[] {
  return context.store.containers
    .list()
    .filter((container) => container.pid !== undefined)
    .map(containerOf)
    .filter((container) => !filter?.id || container.id?.startsWith(filter.id))
    .filter((container) => !filter?.podSandboxId || container.podSandboxId?.startsWith(filter.podSandboxId))
    .filter((container) => !filter?.state || container.state === filter.state.state)
    .filter((container) => labelsMatch(filter?.labelSelector, container.labels));
}

export const listContainers: Call<'ListContainers'> = async (context, request) => ({
  containers: matching(context, request.filter),
});

export const streamContainers: StreamCall<'StreamContainers'> = async function* (context, request) {
  for (const containers of inPages(matching(context, request.filter))) yield { containers };
};
