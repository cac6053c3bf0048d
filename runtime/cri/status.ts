// Status: the runtime and its network are ready once the server answers; what the handler can do.
import { type Call, verboseInfo } from './context.ts';

export const runtimeStatus: Call<'Status'> = async (context, request) => ({
  status: {
    conditions: [
      { type: 'RuntimeReady', status: true, reason: '', message: '' },
      { type: 'NetworkReady', status: true, reason: '', message: '' },
    ],
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
