// What a streaming URL stands for.
import type { Duplex } from 'node:stream';
import type { ExecSpec, ProcessStreams } from '../launch/port.ts';

export interface StreamFlags {
  tty: boolean;
  stdin: boolean;
  stdout: boolean;
  stderr: boolean;
}

export interface StreamTargets {
  exec: StreamFlags & { spec: ExecSpec };
  attach: StreamFlags & { containerId: string };
  portForward: { sandboxId: string; ports: readonly number[] };
}

/** Who runs the streams: the launcher, seen from here. */
export interface StreamBackend {
  exec(spec: ExecSpec): Promise<ProcessStreams>;
  attach(containerId: string): Promise<ProcessStreams>;
  dial(sandboxId: string, port: number): Promise<Duplex>;
}
