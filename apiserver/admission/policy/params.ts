// The objects that a binding gives its policy as `params`.
import type { Kind } from '../../../api/kind.ts';
import { apiVersionOf, type KubeObject, parseApiVersion } from '../../../api/object.ts';
import type { Scheme } from '../../../api/scheme.ts';
import { selectorFromObject } from '../../../api/selectors.ts';
import type { ParamKind, ParamRef } from '../../../api/types/admissionregistration-v1.ts';
import type { Lookup } from '../lookup.ts';

export class ParamError extends Error {}

/**
 * One evaluation for each: null stands for a binding without params, undefined for a policy without. None when nothing was
 * found and that is allowed. Throws ParamError.
 */
export async function collectParams(
  paramKind: ParamKind | undefined,
  reference: ParamRef | undefined,
  namespace: string,
  { scheme, lookup }: { scheme: Scheme; lookup: Lookup },
): Promise<(KubeObject | null | undefined)[]> {
  if (!paramKind) return [undefined];
  if (!reference) return [null];
  const gv = parseApiVersion(paramKind.apiVersion ?? '');
  const kind = gv && scheme.byKind(gv.group, gv.version, paramKind.kind ?? '');
  if (!kind) {
    throw new ParamError(`paramKind kind \`${paramKind.apiVersion}, Kind=${paramKind.kind}\` not known`);
  }
  const from = namespaceOf(kind, reference, namespace);
  const found = (await select(kind, reference, from, lookup)).map((each) => ({
    ...each,
    apiVersion: apiVersionOf(kind),
    kind: kind.kind,
  }));
  if (found.length === 0 && reference.parameterNotFoundAction === 'Deny') {
    throw new ParamError('no params found for policy binding with `Deny` parameterNotFoundAction');
  }
  return found;
}

function namespaceOf(kind: Kind, reference: ParamRef, namespace: string): string {
  if (!kind.namespaced) {
    if (reference.namespace) {
      throw new ParamError('paramRef.namespace must not be provided for a cluster-scoped `paramKind`');
    }
    return '';
  }
  const from = reference.namespace || namespace;
  if (!from) {
    throw new ParamError('cannot use namespaced paramRef in policy binding that matches cluster-scoped resources');
  }
  return from;
}

async function select(kind: Kind, reference: ParamRef, namespace: string, lookup: Lookup): Promise<KubeObject[]> {
  if (reference.name) {
    const found = await lookup.find(kind.group, kind.resource, namespace, reference.name);
    return found ? [found] : [];
  }
  const selector = selectorFromObject(reference.selector);
  const all = await lookup.list(kind.group, kind.resource, kind.namespaced ? namespace : undefined);
  return all.filter((each) => selector.matches(each.metadata.labels ?? {}));
}
