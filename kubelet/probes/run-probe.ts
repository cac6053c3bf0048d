// One run of one probe: what it asked, what came back, in the words of `kubectl describe`.
import { connect } from 'node:net';
import type { Container, Probe } from '../../api/types/core-v1.ts';
import type { Clock } from '../../lib/clock.ts';
import { CriError, type CriClient } from '../cri/client.ts';
import { grpcHealth } from './grpc.ts';
import { httpGet, networkMessage } from './http.ts';
import { resolvePort } from './ports.ts';

export type ProbeResult =
  | { kind: 'success'; warning?: string }
  | { kind: 'failure'; message: string }
  /** The probe itself could not be run; it counts as nothing. */
  | { kind: 'unknown'; message: string };

export interface ProbeTarget {
  container: Container;
  containerId: string;
  podIp: string;
}

export async function runProbe(
  probe: Probe,
  target: ProbeTarget,
  cri: CriClient,
  clock: Clock,
  signal: AbortSignal,
): Promise<ProbeResult> {
  const timeoutMs = (probe.timeoutSeconds || 1) * 1000;
  try {
    if (probe.exec) return await runExec(probe.exec.command ?? [], target, timeoutMs, cri, signal);
    if (probe.httpGet) {
      const port = resolvePort(target.container, probe.httpGet.port);
      const result = await httpGet(probe.httpGet, target.podIp, port, timeoutMs, clock, signal);
      if (result.kind === 'error') return { kind: 'failure', message: result.message };
      if (result.redirectedTo)
        return { kind: 'success', warning: `Probe terminated redirects, Response body: ${result.body}` };
      if (result.status >= 200 && result.status < 400) return { kind: 'success' };
      return { kind: 'failure', message: `HTTP probe failed with statuscode: ${result.status}` };
    }
    if (probe.tcpSocket) {
      const port = resolvePort(target.container, probe.tcpSocket.port);
      return await dial(probe.tcpSocket.host || target.podIp, port, timeoutMs, clock, signal);
    }
    if (probe.grpc) {
      const failure = await grpcHealth(target.podIp, probe.grpc.port, probe.grpc.service ?? '', timeoutMs);
      return failure === undefined ? { kind: 'success' } : { kind: 'failure', message: failure };
    }
    return { kind: 'unknown', message: 'missing probe handler' };
  } catch (error) {
    return { kind: 'unknown', message: (error as Error).message };
  }
}

async function runExec(
  cmd: string[],
  target: ProbeTarget,
  timeoutMs: number,
  cri: CriClient,
  signal: AbortSignal,
): Promise<ProbeResult> {
  try {
    const request = { containerId: target.containerId, cmd, timeout: Math.max(1, Math.ceil(timeoutMs / 1000)) };
    const answer = await cri.call('ExecSync', request, { timeoutMs: timeoutMs + 2000, signal });
    if (answer.exitCode === 0) return { kind: 'success' };
    const output = Buffer.concat([Buffer.from(answer.stdout ?? []), Buffer.from(answer.stderr ?? [])]).toString('utf8');
    return { kind: 'failure', message: output.slice(0, 10 * 1024) };
  } catch (error) {
    const isTimeout =
      error instanceof CriError && (error.code === 'deadline' || /timed out|timeout/i.test(error.message));
    if (!isTimeout) throw error;
    return { kind: 'failure', message: `command timed out: "${cmd.join(' ')}" timed out after ${timeoutMs / 1000}s` };
  }
}

function dial(host: string, port: number, timeoutMs: number, clock: Clock, signal: AbortSignal): Promise<ProbeResult> {
  return new Promise((resolve) => {
    const socket = connect({ host, port });
    const finish = (result: ProbeResult) => {
      timer.cancel();
      signal.removeEventListener('abort', onAbort);
      socket.destroy();
      resolve(result);
    };
    const onAbort = () => finish({ kind: 'unknown', message: 'cancelled' });
    const timer = clock.after(timeoutMs, () =>
      finish({ kind: 'failure', message: `dial tcp ${host}:${port}: i/o timeout` }),
    );
    signal.addEventListener('abort', onAbort, { once: true });
    socket.once('connect', () => finish({ kind: 'success' }));
    socket.once('error', (error) => finish({ kind: 'failure', message: networkMessage(error, host, port) }));
  });
}
