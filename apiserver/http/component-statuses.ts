// componentstatuses: asked of the components when somebody asks here; nothing is stored, nothing can be watched.
import { request } from 'node:https';
import { errors } from '../../api/errors.ts';
import type { Kind } from '../../api/kind.ts';
import type { KubeObject } from '../../api/object.ts';
import type { ComponentStatus } from '../../api/types/core-v1.ts';
import type { CachedObject } from '../cache/port.ts';
import { selectionOf } from '../registry/selection.ts';
import type { Exchange } from './exchange.ts';
import { negotiateFor, sendEntry, sendList } from './render.ts';
import type { SubresourceHandler } from './resources.ts';

/** Resolves to what the component says of itself when it is well; throws when it is not, or does not answer. */
export type ComponentCheck = () => Promise<string>;

const TIMEOUT_MS = 5_000;

/** Where upstream's components answer, on this host. */
export const COMPONENT_PORTS = { scheduler: 10259, 'controller-manager': 10257 } as const;

export function componentStatuses(checks: Readonly<Record<string, ComponentCheck>>): SubresourceHandler {
  return async (context, exchange, kind) => {
    const { info } = exchange;
    const negotiated = negotiateFor(exchange, true, kind);
    const nowMs = context.clock.now();
    if (info.verb === 'get') {
      const check = Object.hasOwn(checks, info.name) ? checks[info.name] : undefined;
      if (!check) throw errors.notFound({ group: '', resource: 'componentstatuses' }, info.name);
      return sendEntry(exchange, 200, kind, await entryOf(info.name, check), negotiated, nowMs);
    }
    if (info.verb !== 'list') throw errors.methodNotAllowedPath();
    const all = await Promise.all(Object.entries(checks).map(([name, check]) => entryOf(name, check)));
    const items = selected(kind, exchange, all);
    return sendList(exchange, kind, { items, revision: 0, continue: '', remaining: undefined }, negotiated, nowMs);
  };
}

function selected(kind: Kind, { info }: Exchange, entries: readonly CachedObject[]): CachedObject[] {
  const { query } = selectionOf(kind, '', info.query.get('labelSelector'), info.query.get('fieldSelector'));
  return entries.filter(
    ({ object }) =>
      (query.name === undefined || object.metadata.name === query.name) && (query.matches?.(object) ?? true),
  );
}

async function entryOf(name: string, check: ComponentCheck): Promise<CachedObject> {
  let condition: NonNullable<ComponentStatus['conditions']>[number];
  try {
    condition = { type: 'Healthy', status: 'True', message: await check() };
  } catch (error) {
    condition = { type: 'Healthy', status: 'False', message: error instanceof Error ? error.message : String(error) };
  }
  const object: ComponentStatus & KubeObject = {
    kind: 'ComponentStatus',
    apiVersion: 'v1',
    metadata: { name },
    conditions: [condition],
  };
  return { key: '', object, bytes: Buffer.from(JSON.stringify(object)), revision: 0 };
}

/** A component in another process, at its usual port on this host. */
export function probeComponent(port: number): ComponentCheck {
  const url = `https://127.0.0.1:${port}/healthz`;
  return () =>
    new Promise((resolve, reject) => {
      const fail = (problem: string) => reject(new Error(`Get ${JSON.stringify(url)}: ${problem}`));
      // As upstream: the component's certificate is its own, and nothing but its health is asked.
      const sent = request(url, { rejectUnauthorized: false, timeout: TIMEOUT_MS, agent: false }, (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('end', () => {
          const text = Buffer.concat(chunks).toString('utf8').slice(0, 1024);
          if (response.statusCode === 200) resolve(text);
          else reject(new Error(text || `HTTP ${response.statusCode}`));
        });
        response.on('error', (error) => fail(error.message));
      });
      sent.on('timeout', () => sent.destroy(new Error('context deadline exceeded')));
      sent.on('error', (error: NodeJS.ErrnoException) =>
        fail(error.code === 'ECONNREFUSED' ? `dial tcp 127.0.0.1:${port}: connect: connection refused` : error.message),
      );
      sent.end();
    });
}
