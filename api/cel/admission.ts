// What the expressions of admission policies and match conditions may name
// (k8s.io/apiserver/pkg/admission/plugin/cel/compile.go), and the types that mutations make.
import { createEnvironment } from './environment.ts';
import { authorizerType, resourceCheckType } from './library/authorizer.ts';
import type { Environment } from './port.ts';
import { type CelType, type ObjectType, types } from './types.ts';
import { CelError, type CelValue, CelList, FieldStruct, isMap, isStruct } from './values.ts';

const { string, bool, int, timestamp, dyn } = types;
const strings = types.list(string);

const kindType = types.object('kubernetes.GroupVersionKind', { group: string, version: string, kind: string });
const resourceType = types.object('kubernetes.GroupVersionResource', {
  group: string,
  version: string,
  resource: string,
});

const requestType = types.object('kubernetes.AdmissionRequest', {
  kind: kindType,
  resource: resourceType,
  subResource: string,
  requestKind: kindType,
  requestResource: resourceType,
  requestSubResource: string,
  name: string,
  namespace: string,
  operation: string,
  userInfo: types.object('kubernetes.UserInfo', {
    username: string,
    uid: string,
    groups: strings,
    extra: types.map(string, strings),
  }),
  dryRun: bool,
  options: dyn,
});

const namespaceType = types.object('kubernetes.Namespace', {
  metadata: types.object('kubernetes.NamespaceMetadata', {
    name: string,
    generateName: string,
    namespace: string,
    labels: types.map(string, string),
    annotations: types.map(string, string),
    UID: string,
    creationTimestamp: timestamp,
    deletionGracePeriodSeconds: int,
    deletionTimestamp: timestamp,
    generation: int,
    resourceVersion: string,
    finalizers: strings,
  }),
  spec: types.object('kubernetes.NamespaceSpec', { finalizers: strings }),
  status: types.object('kubernetes.NamespaceStatus', {
    conditions: types.list(
      types.object('kubernetes.NamespaceCondition', {
        status: string,
        type: string,
        lastTransitionTime: timestamp,
        message: string,
        reason: string,
      }),
    ),
    phase: string,
  }),
});

export const jsonPatchType: ObjectType = types.object('JSONPatch', {
  op: string,
  path: string,
  from: string,
  value: dyn,
});

const objectTypes = new Map<string, ObjectType>();
const OBJECT_TYPES_LIMIT = 10_000;

/** `Object`, `Object.spec`, …: any field may be given; whether it fits is seen when the result is merged. */
function mutationType(name: string): CelType | undefined {
  if (name === 'JSONPatch') return jsonPatchType;
  if (name !== 'Object' && !name.startsWith('Object.')) return undefined;
  let found = objectTypes.get(name);
  if (!found) {
    if (objectTypes.size >= OBJECT_TYPES_LIMIT) objectTypes.clear();
    objectTypes.set(name, (found = { kind: 'object', name, fields: new Map(), isOpen: true }));
  }
  return found;
}
export const applyType = mutationType('Object') as ObjectType;

export interface AdmissionVariables {
  hasParams?: boolean;
  hasAuthorizer?: boolean;
  /** With `Object{…}`, `JSONPatch{…}` and `jsonpatch.escapeKey`. */
  hasPatchTypes?: boolean;
}

const environments = new Map<string, Environment>();

/** One of the few environments there are; `object`, `oldObject` and `params` are of the types given, else `dyn`. */
export function admissionEnvironment(
  { hasParams = false, hasAuthorizer = false, hasPatchTypes = false }: AdmissionVariables,
  typed?: { object: CelType; params?: CelType | undefined },
): Environment {
  const key = `${hasParams} ${hasAuthorizer} ${hasPatchTypes}`;
  const known = typed ? undefined : environments.get(key);
  if (known) return known;
  const environment = createEnvironment({
    variables: {
      object: typed?.object ?? dyn,
      oldObject: typed?.object ?? dyn,
      namespaceObject: namespaceType,
      request: requestType,
      ...(hasParams && { params: typed?.params ?? dyn }),
      ...(hasAuthorizer && { authorizer: authorizerType, 'authorizer.requestResource': resourceCheckType }),
    },
    ...(hasPatchTypes && { types: mutationType, libraries: ['jsonpatch'] }),
  });
  if (!typed) environments.set(key, environment);
  return environment;
}

/** Undefined when each `Object.a.b{…}` stands where its name says; else what is wrong. */
export function misplacedType(value: CelValue, expected = 'Object'): string | undefined {
  if (value instanceof FieldStruct) {
    if (value.typeName !== expected) {
      return `unexpected type name ${JSON.stringify(value.typeName)}, expected ${JSON.stringify(expected)}, which matches field name path from root Object type`;
    }
    for (const [name, held] of value.values) {
      const problem = misplacedType(held, `${expected}.${name}`);
      if (problem) return problem;
    }
    return undefined;
  }
  if (value instanceof CelList) {
    for (const each of value) {
      const problem = misplacedType(each, expected);
      if (problem) return problem;
    }
  } else if (!(value instanceof CelError) && isMap(value)) {
    for (const key of value.keys()) {
      const held = value.get(key) as CelValue;
      const problem = isStruct(held) ? misplacedType(held, `${expected}.${String(key)}`) : undefined;
      if (problem) return problem;
    }
  }
  return undefined;
}
