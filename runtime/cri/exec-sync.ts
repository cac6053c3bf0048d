// ExecSync: runs a command to its end and returns what it wrote. Output beyond 16 MiB per stream is cut off; the
// command is killed when `timeout` seconds pass (0: no limit).
import { status } from '../../lib/grpc/status.ts';
import type { ExecSpec, ProcessStreams } from '../launch/port.ts';
import { type ContainerRecord, containerState } from '../store/records.ts';
import { type Call, requireContainer } from './context.ts';
import { CriError, invalidField } from './errors.ts';

const outputLimitBytes = 16 << 20;

export const execSync: Call<'ExecSync'> = async (context, request) => {
  const container = requireContainer(context, request.containerId);
  const args = request.cmd ?? [];
  requireRunning(container);
  const timeoutMs = (request.timeout ?? 0) * 1000;
  const streams = await context.launcher.exec(execSpec(container, args, { terminal: false, stdin: false }));
  let timedOut = false;
  const timer =
    timeoutMs > 0
      ? context.clock.after(timeoutMs, () => {
          timedOut = true;
          streams.close();
        })
      : undefined;
  try {
    const [stdout, stderr, exitCode] = await Promise.all([
      collect(streams.stdout),
      collect(streams.stderr),
      streams.exit.catch((error: unknown) => {
        if (!timedOut) throw error;
        return -1;
      }),
    ]);
    if (timedOut) {
      throw new CriError(
        status.DEADLINE_EXCEEDED,
        `failed to exec in container "${container.id}": timeout ${request.timeout}s exceeded`,
      );
    }
    return { stdout, stderr, exitCode };
  } catch (error) {
    streams.close();
    throw error;
  } finally {
    timer?.cancel();
  }
};

export function requireRunning(container: ContainerRecord): void {
  const state = containerState(container);
  if (state !== 'CONTAINER_RUNNING') {
    throw new CriError(status.FAILED_PRECONDITION, `container "${container.id}" is in ${state} state`);
  }
}

/** A further process of the container: same user, environment, directory and rights. */
export function execSpec(
  container: ContainerRecord,
  args: readonly string[],
  options: { terminal: boolean; stdin: boolean },
): ExecSpec {
  if (args.length === 0) throw invalidField('cmd', 'it is required');
  const { process } = container;
  const hasTerm = process.env.some((entry) => entry.startsWith('TERM='));
  return {
    containerId: container.id,
    process: {
      ...process,
      args: [...args],
      env: options.terminal && !hasTerm ? [...process.env, 'TERM=xterm'] : process.env,
      terminal: options.terminal,
    },
    stdin: options.stdin,
  };
}

async function collect(stream: ProcessStreams['stdout']): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  let size = 0;
  for await (const part of stream) {
    const kept = part.subarray(0, outputLimitBytes - size);
    size += kept.length;
    if (kept.length > 0) parts.push(kept);
  }
  return Buffer.concat(parts);
}
