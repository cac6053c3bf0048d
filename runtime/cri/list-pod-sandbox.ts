// ListPodSandbox and StreamPodSandboxes: filtered by id (or prefix), state and labels; half-made ones are not shown.
import type { PodSandbox, PodSandboxFilter } from '../../proto/cri-types.ts';
import type { Call, CriContext, StreamCall } from './context.ts';
import { inPages } from './pages.ts';
import { labelsMatch, sandboxOf } from './status-of.ts';

function matching(context: CriContext, filter: PodSandboxFilter | null | undefined): PodSandbox[] {
  return context.store.sandboxes
    .list()
    .filter((sandbox) => sandbox.handle !== undefined)
    .map(sandboxOf)
    .filter((sandbox) => !filter?.id || sandbox.id?.startsWith(filter.id))
    .filter((sandbox) => !filter?.state || sandbox.state === filter.state.state)
    .filter((sandbox) => labelsMatch(filter?.labelSelector, sandbox.labels));
}

export const listPodSandbox: Call<'ListPodSandbox'> = async (context, request) => ({
  items: matching(context, request.filter),
});

export const streamPodSandboxes: StreamCall<'StreamPodSandboxes'> = async function* (context, request) {
  for (const podSandboxes of inPages(matching(context, request.filter))) yield { podSandboxes };
};
