// Lifecycle handlers: what runs right after a container started and right before it is stopped.
import type { LifecycleHandler, Pod, Container } from '../../api/types/core-v1.ts';
import { sleep } from '../../lib/abort.ts';
import type { Clock } from '../../lib/clock.ts';
import type { CriClient } from '../cri/client.ts';
import { resolvePort } from './ports.ts';
import { httpGet } from './http.ts';

export interface Hooks {
  /** Rejects with an Error whose message says what failed; `timeoutMs` bounds it. */
  run(target: HookTarget, handler: LifecycleHandler, timeoutMs: number, signal: AbortSignal): Promise<void>;
}

export interface HookTarget {
  pod: Pod;
  container: Container;
  containerId: string;
  podIp: string;
}

export function createHooks(cri: CriClient, clock: Clock): Hooks {
  return {
    async run(target, handler, timeoutMs, signal) {
      if (handler.exec) {
        const cmd = handler.exec.command ?? [];
        const timeout = Math.max(1, Math.ceil(timeoutMs / 1000));
        const answer = await cri.call(
          'ExecSync',
          { containerId: target.containerId, cmd, timeout },
          { timeoutMs: timeoutMs + 5000, signal },
        );
        if (answer.exitCode !== 0) {
          const output = Buffer.concat([Buffer.from(answer.stdout ?? []), Buffer.from(answer.stderr ?? [])]).toString(
            'utf8',
          );
          throw new Error(`command '${cmd.join(' ')}' exited with ${answer.exitCode}: ${output}`);
        }
      } else if (handler.httpGet) {
        const port = resolvePort(target.container, handler.httpGet.port);
        const result = await httpGet(handler.httpGet, target.podIp, port, timeoutMs, clock, signal);
        if (result.kind !== 'answer' || result.status >= 400) {
          throw new Error(
            result.kind === 'answer'
              ? `HTTP lifecycle hook (${result.url}) failed with status ${result.status}`
              : result.message,
          );
        }
      } else if (handler.sleep) {
        await sleep(clock, Math.min(handler.sleep.seconds * 1000, timeoutMs), signal);
      } else if (handler.tcpSocket) {
        throw new Error('tcpSocket lifecycle handlers are not supported, as in Kubernetes itself');
      }
    },
  };
}
