// ContainerStatus; verbose adds what the runtime knows beyond the protocol.
import { type Call, requireContainer, verboseInfo } from './context.ts';
import { containerStatusOf } from './status-of.ts';

export const containerStatus: Call<'ContainerStatus'> = async (context, request) => {
  const container = requireContainer(context, request.containerId);
  const { pid = 0, sandboxId, cgroup, process, config } = container;
  return {
    status: containerStatusOf(container),
    info: verboseInfo(request.verbose, {
      pid: container.exit ? 0 : pid,
      sandboxID: sandboxId,
      cgroup,
      process,
      config,
    }),
  };
};
