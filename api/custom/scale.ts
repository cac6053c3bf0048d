// The scale subresource of a custom resource: paths into it, as its definition names them.
import { setOwn } from '../equality.ts';
import type { ScaleMapping } from '../kind.ts';
import type { KubeObject } from '../object.ts';
import type { CustomResourceSubresourceScale } from '../types/apiextensions-v1.ts';
import { isMap, type Json } from './structural.ts';

/** `.spec.replicas` → `spec`, `replicas`. */
export const dottedPath = (text: string): string[] => text.split('.').filter((each) => each !== '');

export function valueAt(object: unknown, path: readonly string[]): unknown {
  let value = object;
  for (const name of path) {
    if (!isMap(value) || !Object.hasOwn(value, name)) return undefined;
    value = value[name];
  }
  return value;
}

export function customScale(scale: CustomResourceSubresourceScale): ScaleMapping<KubeObject> {
  const spec = dottedPath(scale.specReplicasPath);
  const status = dottedPath(scale.statusReplicasPath);
  const selector = scale.labelSelectorPath ? dottedPath(scale.labelSelectorPath) : undefined;
  const integerAt = (object: KubeObject, path: readonly string[]) => {
    const value = valueAt(object, path);
    return typeof value === 'number' ? Math.trunc(value) : undefined;
  };
  return {
    specReplicasPath: spec,
    missingReplicas: (object) =>
      integerAt(object, spec) === undefined
        ? `the spec replicas field "${scale.specReplicasPath}" does not exist`
        : undefined,
    specReplicas: (object) => integerAt(object, spec) ?? 0,
    setSpecReplicas(object, replicas) {
      let at = object as unknown as Json;
      for (const name of spec.slice(0, -1)) {
        if (!isMap(at[name])) setOwn(at, name, {});
        at = at[name] as Json;
      }
      setOwn(at, spec.at(-1) as string, replicas);
    },
    statusReplicas: (object) => integerAt(object, status) ?? 0,
    selector(object) {
      const value = selector && valueAt(object, selector);
      return typeof value === 'string' ? value : '';
    },
  };
}
