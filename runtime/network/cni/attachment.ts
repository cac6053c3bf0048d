// A sandbox as network plugins see it. Pure.
import type { SandboxSpec } from '../../launch/port.ts';
import type { Attachment } from './plugins.ts';

/** `directory` holds the sandbox's files, with its network namespace at `net`. */
export function attachmentOf(spec: SandboxSpec, directory: string): Attachment {
  return {
    id: spec.id,
    netns: `${directory}/net`,
    directory,
    args: spec.networkArgs ?? {},
    runtime: {
      ...(spec.ports && {
        portMappings: spec.ports.map(({ hostPort, containerPort, protocol, hostIP }) => ({
          hostPort,
          containerPort,
          protocol: protocol.toLowerCase(),
          ...(hostIP && { hostIP }),
        })),
      }),
      ...(spec.dns && { dns: spec.dns }),
    },
  };
}
