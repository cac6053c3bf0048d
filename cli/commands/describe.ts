// sampan describe: the object's fields as an indented outline, then its events.
import type { KubeObject } from '../../api/object.ts';
import type { Event } from '../../api/types/core-v1.ts';
import { humanDuration } from '../../api/duration.ts';
import { Catalogue, parseTargets } from '../catalogue.ts';
import type { Session } from '../session.ts';
import { align } from '../table.ts';
import { pathOf } from './get.ts';

export async function describe(
  session: Session,
  words: readonly string[],
  options: { selector?: string; headers: boolean },
  print: (line: string) => void,
  nowMs: number,
): Promise<void> {
  const targets = parseTargets(await Catalogue.load(session.client), words);
  let first = true;
  for (const target of targets) {
    const answer = await session.client.request<KubeObject & { items?: KubeObject[] }>(
      'GET',
      pathOf(session, target, options),
    );
    for (const item of answer.items ?? [answer]) {
      if (!first) print('\n');
      first = false;
      const object = { ...item, kind: target.ref.kind };
      for (const line of outline(object)) print(line);
      for (const line of await eventLines(session, object, nowMs)) print(line);
    }
  }
}

/** Name, namespace, labels and annotations first, then everything else in the order the server sends it. */
function outline(object: KubeObject): string[] {
  const { name, namespace, labels, annotations, managedFields: _, ...metadata } = object.metadata;
  const { apiVersion, kind, metadata: __, ...rest } = object as KubeObject & Record<string, unknown>;
  const shown: Record<string, unknown> = {
    Name: name,
    ...(namespace && { Namespace: namespace }),
    Kind: kind,
    ...(apiVersion && { 'API Version': apiVersion }),
    Labels: labels,
    Annotations: annotations,
    Metadata: metadata,
  };
  // A Secret's values are nobody's business on a terminal; only their sizes are shown.
  if (kind === 'Secret') rest['data'] = sizes(rest['data']);
  for (const [key, value] of Object.entries(rest)) shown[title(key)] = value;
  return Object.entries(shown).flatMap(([key, value]) => lines(key, value, 0));
}

function sizes(data: unknown): Record<string, string> {
  return Object.fromEntries(
    Object.entries((data ?? {}) as Record<string, string>).map(([key, value]) => [
      key,
      `${Buffer.from(value, 'base64').length} bytes`,
    ]),
  );
}

function lines(key: string, value: unknown, depth: number): string[] {
  const indent = '  '.repeat(depth);
  if (value === null || value === undefined || (typeof value === 'object' && Object.keys(value).length === 0)) {
    return [`${indent}${key}: <none>`];
  }
  if (Array.isArray(value)) {
    if (value.every((each) => typeof each !== 'object')) return [`${indent}${key}: ${value.join(', ')}`];
    return [`${indent}${key}:`, ...value.flatMap((each, index) => lines(nameOf(each, index), each, depth + 1))];
  }
  if (typeof value === 'object') {
    return [
      `${indent}${key}:`,
      ...Object.entries(value).flatMap(([name, each]) =>
        lines(depth === 0 && key !== 'Metadata' ? name : title(name), each, depth + 1),
      ),
    ];
  }
  return [`${indent}${key}: ${String(value)}`];
}

const nameOf = (value: unknown, index: number): string => {
  const named = value as { name?: string; type?: string; ip?: string };
  return named.name ?? named.type ?? named.ip ?? `${index}`;
};

/** `restartPolicy` becomes `Restart Policy`. */
const title = (key: string) => key.replace(/([a-z0-9])([A-Z])/g, '$1 $2').replace(/^./, (first) => first.toUpperCase());

async function eventLines(session: Session, object: KubeObject, nowMs: number): Promise<string[]> {
  const { name, namespace, uid } = object.metadata;
  const events = session.client.resource<Event>(
    { group: '', version: 'v1', resource: 'events', kind: 'Event', namespaced: true },
    namespace ?? 'default',
  );
  const selector = [
    `involvedObject.name=${name}`,
    `involvedObject.kind=${object.kind}`,
    ...(uid && namespace ? [`involvedObject.uid=${uid}`] : []),
  ];
  const { items } = await events.listAll({ fieldSelector: selector.join(',') });
  if (items.length === 0) return ['Events: <none>'];
  const last = (event: Event) =>
    Date.parse(event.lastTimestamp ?? event.eventTime ?? event.metadata.creationTimestamp ?? '');
  const rows = items
    .toSorted((a, b) => last(a) - last(b))
    .map((event) => [
      `  ${event.type ?? ''}`,
      event.reason ?? '',
      `${humanDuration(nowMs - last(event))}${(event.count ?? 1) > 1 ? ` (x${event.count})` : ''}`,
      event.source?.component ?? event.reportingComponent ?? '',
      (event.message ?? '').trim(),
    ]);
  return ['Events:', ...align([['  TYPE', 'REASON', 'AGE', 'FROM', 'MESSAGE'], ...rows])];
}
