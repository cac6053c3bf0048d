// namespaces/finalize: the only way to take a namespace's own finalizers away; when the last is gone, so is the namespace.
import { deepClone } from '../../../api/equality.ts';
import { errors } from '../../../api/errors.ts';
import type { Kind } from '../../../api/kind.ts';
import type { KubeObject } from '../../../api/object.ts';
import type { Namespace } from '../../../api/types/core-v1.ts';
import { validateFinalizers } from '../../../api/validation/namespace-finalizers.ts';
import type { Exchange } from '../../http/exchange.ts';
import { type ResourceContext, serveUpdate } from '../../http/resources.ts';

export function serveFinalize(context: ResourceContext, exchange: Exchange, kind: Kind): Promise<void> {
  if (exchange.info.verb !== 'update') throw errors.methodNotAllowedPath();
  return serveUpdate(context, exchange, kind, 'finalize', {
    raw: true,
    change: (object, old) => {
      const wrong = validateFinalizers(object as Namespace);
      if (wrong.length > 0) throw errors.invalid(kind, old.metadata.name ?? '', wrong);
      const finalized = deepClone(old) as Namespace & KubeObject;
      finalized.metadata.name = object.metadata.name ?? old.metadata.name;
      finalized.metadata.resourceVersion = object.metadata.resourceVersion;
      if (object.metadata.uid) finalized.metadata.uid = object.metadata.uid;
      finalized.spec = { ...finalized.spec, finalizers: (object as Namespace).spec?.finalizers ?? [] };
      return finalized;
    },
  });
}
