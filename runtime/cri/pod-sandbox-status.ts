// PodSandboxStatus; verbose adds what the runtime knows beyond the protocol.
import { type Call, nowNs, requireSandbox, verboseInfo } from './context.ts';
import { containerStatusOf, sandboxStatusOf } from './status-of.ts';

export const podSandboxStatus: Call<'PodSandboxStatus'> = async (context, request) => {
  const sandbox = requireSandbox(context, request.podSandboxId);
  const info = {
    pid: sandbox.handle?.pausePid ?? 0,
    netns: sandbox.handle?.netnsPath ?? '',
    cgroupParent: sandbox.cgroupParent,
    config: sandbox.config,
  };
  return {
    status: sandboxStatusOf(sandbox),
    info: verboseInfo(request.verbose, info),
    containersStatuses: context.store.containersOf(sandbox.id).map(containerStatusOf),
    timestamp: nowNs(context),
  };
};
