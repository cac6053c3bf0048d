// Status: the runtime is ready once the server answers, its network unless plugins say otherwise; what the handler can do.
import type { RuntimeCondition } from '../../proto/cri-types.ts';
import { type Call, type CriContext, verboseInfo } from './context.ts';

export const runtimeStatus: Call<'Status'> = async (context, request) => ({
  status: {
    conditions: [{ type: 'RuntimeReady', status: true, reason: '', message: '' }, await networkReady(context)],
  },
  info: verboseInfo(request.verbose, {
    sandboxes: context.store.sandboxes.list().length,
    containers: context.store.containers.list().length,
    images: context.images.catalog.list().length,
    podCidr: context.podCidr ?? null,
  }),
  runtimeHandlers: [
    {
      name: '',
      features: {
        recursiveReadOnlyMounts: true,
        userNamespaces:
          (await context.launcher.userNamespaceObstacle(context.images.snapshots.directory)) === undefined,
      },
    },
  ],
  features: { supplementalGroupsPolicy: true, userNamespacesHostNetwork: false },
});

async function networkReady({ launcher }: CriContext): Promise<RuntimeCondition> {
  const obstacle = await launcher.networkObstacle();
  if (obstacle === undefined) return { type: 'NetworkReady', status: true, reason: '', message: '' };
  const message = `Network plugin returns error: ${obstacle}`;
  return { type: 'NetworkReady', status: false, reason: 'NetworkPluginNotReady', message };
}
