// sampan logs: a container's output as the node serves it.
import type { Status } from '../../api/types/meta.ts';
import { refs } from '../../client/refs.ts';
import type { Pod } from '../../api/types/core-v1.ts';
import type { Session } from '../session.ts';
import { UserError } from '../user-error.ts';

export interface LogsOptions {
  container?: string;
  follow?: boolean;
  previous?: boolean;
  tail?: number;
  since?: number;
  timestamps?: boolean;
}

export async function logs(
  session: Session,
  name: string,
  options: LogsOptions,
  write: (chunk: Uint8Array) => void,
  signal: AbortSignal,
): Promise<void> {
  const pod = await session.client.resource<Pod>(refs.pods, session.namespace).get(name.replace(/^pods?\//, ''));
  const query = new URLSearchParams({ container: options.container ?? defaultContainer(pod) });
  if (options.follow) query.set('follow', 'true');
  if (options.previous) query.set('previous', 'true');
  if (options.timestamps) query.set('timestamps', 'true');
  if (options.tail !== undefined && options.tail >= 0) query.set('tailLines', String(options.tail));
  if (options.since !== undefined) query.set('sinceSeconds', String(options.since));
  const path = `/api/v1/namespaces/${session.namespace}/pods/${pod.metadata.name}/log?${query}`;
  const { status, body } = await session.client.stream('GET', path, { signal });
  if (status !== 200) {
    const chunks: Uint8Array[] = [];
    for await (const chunk of body) chunks.push(chunk);
    throw new UserError(`Error from server: ${messageOf(Buffer.concat(chunks).toString())}`);
  }
  for await (const chunk of body) write(chunk);
}

/** The annotated default, else the first container. */
export function defaultContainer(pod: Pod): string {
  return pod.metadata.annotations?.['kubectl.kubernetes.io/default-container'] ?? pod.spec?.containers[0]?.name ?? '';
}

function messageOf(body: string): string {
  try {
    return (JSON.parse(body) as Status).message ?? body;
  } catch {
    return body.trim();
  }
}
