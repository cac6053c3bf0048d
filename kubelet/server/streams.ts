// Upgraded connections: exec, attach and port-forward, each by the URL that the runtime gives for it.
import type { CriClient } from '../cri/client.ts';
import { latestContainer } from '../pods/observed.ts';
import type { RuntimeCache } from '../pods/runtime-cache.ts';
import { HttpError } from './http-error.ts';

export interface StreamSources {
  cri: CriClient;
  cache: RuntimeCache;
  /** Throws HttpError when the pod is not here. */
  podUid(namespace: string, name: string): string;
}

export async function streamingUrl(sources: StreamSources, url: URL): Promise<string> {
  const [first = '', namespace = '', pod = '', ...rest] = url.pathname.split('/').slice(1).map(decodeURIComponent);
  const { cri, cache } = sources;
  const uid = sources.podUid(namespace, pod);
  const query = url.searchParams;
  if (first === 'portForward') {
    const sandbox = cache.pod(uid).sandboxes.find((each) => each.isReady);
    if (!sandbox) throw new HttpError(404, `pod "${pod}" has no running sandbox`);
    const port = query.getAll('port').map(Number);
    return (await cri.call('PortForward', { podSandboxId: sandbox.id, port })).url ?? '';
  }
  // Upstream's clients put the pod's uid between pod and container or leave it out.
  const name = rest.length > 1 ? (rest[1] as string) : (rest[0] ?? '');
  const container = latestContainer(cache.pod(uid), name);
  if (!container) throw new HttpError(404, `container not found ("${name}")`);
  const flag = (...names: string[]) => names.some((each) => ['1', 'true'].includes(query.get(each) ?? ''));
  const streams = {
    containerId: container.id,
    stdin: flag('input', 'stdin'),
    stdout: flag('output', 'stdout'),
    tty: flag('tty'),
    stderr: flag('error', 'stderr') && !flag('tty'),
  };
  if (first === 'exec') return (await cri.call('Exec', { ...streams, cmd: query.getAll('command') })).url ?? '';
  if (first === 'attach') return (await cri.call('Attach', streams)).url ?? '';
  throw new HttpError(404, '404 page not found');
}

/** POST /run/{namespace}/{pod}[/{uid}]/{container}?cmd=...: a command's output, without streams. */
export async function runCommand(sources: StreamSources, path: string[], query: URLSearchParams): Promise<Buffer> {
  const [namespace = '', pod = '', ...rest] = path;
  const uid = sources.podUid(namespace, pod);
  const name = rest.length > 1 ? (rest[1] as string) : (rest[0] ?? '');
  const container = latestContainer(sources.cache.pod(uid), name);
  if (!container) throw new HttpError(404, `container not found ("${name}")`);
  const cmd = (query.get('cmd') ?? '').split(' ');
  const answer = await sources.cri.call('ExecSync', { containerId: container.id, cmd, timeout: 0 });
  return Buffer.concat([Buffer.from(answer.stdout ?? []), Buffer.from(answer.stderr ?? [])]);
}
