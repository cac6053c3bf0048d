// pods/eviction: a deletion that asks politely. Disruption budgets are not served yet, so nothing refuses it.
import { errors } from '../../../api/errors.ts';
import type { Kind } from '../../../api/kind.ts';
import type { KubeObject } from '../../../api/object.ts';
import type { Eviction } from '../../../api/types/policy-v1.ts';
import { admitBody } from '../../admission/subresource.ts';
import type { Exchange } from '../../http/exchange.ts';
import { readObject, type ResourceContext, writeRequest } from '../../http/resources.ts';
import { writeOptions } from '../../http/write-options.ts';
import { evictionKind } from './kinds.ts';

export async function serveEviction(context: ResourceContext, exchange: Exchange, kind: Kind): Promise<void> {
  const { info } = exchange;
  if (info.verb !== 'create') throw errors.methodNotAllowedPath();
  const written = writeOptions(info.query, 'CreateOptions');
  let eviction = (await readObject(context, exchange, evictionKind, written.fieldValidation)) as KubeObject & Eviction;
  if (eviction.metadata.name && eviction.metadata.name !== info.name) {
    throw errors.badRequest('name in URL does not match name in Eviction object');
  }
  const options = eviction.deleteOptions ?? {};
  const dryRun = written.dryRun || (options.dryRun?.length ?? 0) > 0;
  const request = writeRequest(exchange, kind, dryRun);
  eviction = (await admitBody(
    context.admission,
    { kind, subresource: 'eviction', name: info.name, bodyKind: evictionKind },
    eviction,
    request,
  )) as KubeObject & Eviction;
  await context.registry.delete(kind, info.name, { ...request, options, internal: true });
  await exchange.sendJson(
    201,
    JSON.stringify({ kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success', code: 201 }),
  );
}
