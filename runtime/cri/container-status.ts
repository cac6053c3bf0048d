// ContainerStatus; verbose adds what the runtime knows beyond the protocol, under the names that crictl's users know.
import { type Call, requireContainer, verboseInfo } from './context.ts';
import { livePid, runtimeSpec } from './spec/runtime-spec.ts';
import { containerStatusOf } from './status-of.ts';

export const containerStatus: Call<'ContainerStatus'> = async (context, request) => {
  const container = requireContainer(context, request.containerId);
  const status = containerStatusOf(container);
  if (!request.verbose) return { status, info: {} };
  const { sandboxId, cgroup, process, config } = container;
  const sandbox = context.store.sandboxes.get(sandboxId);
  const targetId = config.linux?.securityContext?.namespaceOptions?.targetId;
  const target = targetId ? context.store.containers.find(targetId) : undefined;
  return {
    status,
    info: verboseInfo(true, {
      pid: livePid(container),
      sandboxID: sandboxId,
      cgroup,
      process,
      config,
      runtimeSpec: sandbox && runtimeSpec(container, sandbox, target?.kind === 'found' ? target.value.pid : undefined),
    }),
  };
};
