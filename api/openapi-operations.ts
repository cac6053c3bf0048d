// Which requests a kind answers, as OpenAPI operations: enough for clients to find paths, kinds, query parameters and
// patch types. One neutral description, written in either dialect.
import { sectionText, typeText } from './descriptions.ts';
import type { Kind } from './kind.ts';
import type { ParameterSet } from './openapi-parameters.ts';
import { type Dialect, definitionOf, described, type JsonSchema, type SchemaSet } from './openapi-schemas.ts';

const LIST = [
  'allowWatchBookmarks',
  'continue',
  'fieldSelector',
  'labelSelector',
  'limit',
  'resourceVersion',
  'resourceVersionMatch',
  'sendInitialEvents',
  'timeoutSeconds',
  'watch',
];
const WRITE = ['dryRun', 'fieldManager', 'fieldValidation'];
const DELETE = [
  'dryRun',
  'gracePeriodSeconds',
  'ignoreStoreReadErrorWithClusterBreakingPotential',
  'orphanDependents',
  'propagationPolicy',
];

const BODY_TYPES = ['application/json', 'application/yaml', 'application/vnd.kubernetes.protobuf'];
const PATCH_TYPES = [
  'application/json-patch+json',
  'application/merge-patch+json',
  'application/strategic-merge-patch+json',
  'application/apply-patch+yaml',
];
const CUSTOM_PATCH_TYPES = PATCH_TYPES.filter((each) => !each.includes('strategic'));

/** How an action can succeed, where that is not 200 alone. */
const CODES: Readonly<Record<string, readonly string[]>> = {
  post: ['200', '201', '202'],
  put: ['200', '201'],
  patch: ['200', '201'],
  delete: ['200', '202'],
};
const CODE_TEXTS: Readonly<Record<string, string>> = { 200: 'OK', 201: 'Created', 202: 'Accepted' };

interface Operation {
  method: 'get' | 'put' | 'post' | 'delete' | 'patch';
  action: string;
  id: string;
  gvk: { group: string; version: string; kind: string };
  query: readonly string[];
  consumes: readonly string[];
  /** Undefined: no body. */
  body: JsonSchema | undefined;
  answer: JsonSchema;
}

/** Adds the paths of `kind` to `paths`. */
export function addPaths(
  paths: Record<string, JsonSchema>,
  kind: Kind,
  own: JsonSchema,
  schemas: SchemaSet,
  parameters: ParameterSet,
  dialect: Dialect,
): void {
  const root = kind.group === '' ? `/api/${kind.version}` : `/apis/${kind.group}/${kind.version}`;
  const scope = kind.namespaced ? '/namespaces/{namespace}' : '';
  const collection = `${root}${scope}/${kind.resource}`;
  const name = `${camel(kind.group)}${capital(kind.version)}`;
  const scoped = kind.namespaced ? 'Namespaced' : '';
  const listName = definitionOf(kind.group, kind.version, kind.listKind);
  const list = listName ? schemas.ref(listName) : { type: 'object' };
  const status = schemas.ref('meta.Status');
  const has = (verb: string) => kind.verbs.includes(verb as never);
  const write = (path: string, named: boolean, operations: (Operation | undefined)[]) => {
    const present = operations.filter((each) => each !== undefined);
    if (present.length === 0) return;
    const item: JsonSchema = {};
    for (const each of present) {
      const text = operationText(each, kind, path.slice(`${collection}/{name}/`.length));
      item[each.method] = writeOperation(each, text, tagOf(kind), parameters, dialect);
    }
    item['parameters'] = [
      ...(named ? [parameters.nameOf(kind.kind)] : []),
      ...(path.includes('{namespace}') ? [parameters.get('namespace')] : []),
      parameters.get('pretty'),
    ];
    paths[path] = item;
  };
  const operation = (
    wanted: boolean,
    method: Operation['method'],
    action: string,
    id: string,
    query: readonly string[],
    answer: JsonSchema,
    body?: JsonSchema,
    gvk: Operation['gvk'] = kind,
  ): Operation | undefined =>
    wanted
      ? {
          method,
          action,
          id,
          gvk: { group: gvk.group, version: gvk.version, kind: gvk.kind },
          query,
          consumes: method !== 'patch' ? BODY_TYPES : kind.schema === '' ? CUSTOM_PATCH_TYPES : PATCH_TYPES,
          body,
          answer,
        }
      : undefined;
  const patchBody = () =>
    schemas.add('io.k8s.apimachinery.pkg.apis.meta.v1.Patch', { ...described(typeText('meta.Patch')), type: 'object' });

  write(collection, false, [
    operation(has('list'), 'get', 'list', `list${name}${scoped}${kind.kind}`, LIST, list),
    operation(has('create'), 'post', 'post', `create${name}${scoped}${kind.kind}`, WRITE, own, own),
    operation(
      has('deletecollection'),
      'delete',
      'deletecollection',
      `delete${name}Collection${scoped}${kind.kind}`,
      [...new Set([...LIST.slice(1), ...DELETE])],
      status,
      schemas.ref('meta.DeleteOptions'),
    ),
  ]);
  if (kind.namespaced) {
    write(`${root}/${kind.resource}`, false, [
      operation(has('list'), 'get', 'list', `list${name}${kind.kind}ForAllNamespaces`, LIST, list),
    ]);
  }
  write(`${collection}/{name}`, true, [
    operation(has('get'), 'get', 'get', `read${name}${scoped}${kind.kind}`, [], own),
    operation(has('update'), 'put', 'put', `replace${name}${scoped}${kind.kind}`, WRITE, own, own),
    operation(
      has('patch'),
      'patch',
      'patch',
      `patch${name}${scoped}${kind.kind}`,
      [...WRITE, 'force'],
      own,
      patchBody(),
    ),
    operation(
      has('delete'),
      'delete',
      'delete',
      `delete${name}${scoped}${kind.kind}`,
      DELETE,
      status,
      schemas.ref('meta.DeleteOptions'),
    ),
  ]);
  for (const sub of subresourcesOf(kind)) {
    const found = sub.kind === kind.kind ? undefined : definitionOf(sub.group, sub.version, sub.kind);
    const shape = sub.kind === kind.kind ? own : found ? schemas.ref(found) : { type: 'string' };
    const id = `${name}${scoped}${kind.kind}${capital(sub.name)}`;
    const isConnect = !found && sub.kind !== kind.kind;
    const verb = (each: string) => sub.verbs.includes(each);
    write(`${collection}/{name}/${sub.name}`, true, [
      operation(
        verb('get'),
        'get',
        isConnect ? 'connect' : 'get',
        isConnect ? `connectGet${id}` : `read${id}`,
        [],
        shape,
        undefined,
        sub,
      ),
      operation(
        verb('create'),
        'post',
        isConnect ? 'connect' : 'post',
        isConnect ? `connectPost${id}` : `create${id}`,
        isConnect ? [] : WRITE,
        shape,
        isConnect ? undefined : shape,
        sub,
      ),
      operation(
        verb('update'),
        'put',
        isConnect ? 'connect' : 'put',
        isConnect ? `connectPut${id}` : `replace${id}`,
        isConnect ? [] : WRITE,
        shape,
        isConnect ? undefined : shape,
        sub,
      ),
      // A connect PATCH is a proxied request, not a patch of the kind.
      operation(
        verb('patch') && !isConnect,
        'patch',
        'patch',
        `patch${id}`,
        [...WRITE, 'force'],
        shape,
        patchBody(),
        sub,
      ),
    ]);
  }
}

interface Subresource {
  name: string;
  group: string;
  version: string;
  kind: string;
  verbs: readonly string[];
}

function subresourcesOf(kind: Kind): Subresource[] {
  const { group, version } = kind;
  const found: Subresource[] = [];
  if (kind.hasStatus)
    found.push({ name: 'status', group, version, kind: kind.kind, verbs: ['get', 'patch', 'update'] });
  if (kind.scale) {
    found.push({
      name: 'scale',
      group: 'autoscaling',
      version: 'v1',
      kind: 'Scale',
      verbs: ['get', 'patch', 'update'],
    });
  }
  for (const each of kind.subresources ?? []) found.push({ group, version, ...each });
  return found;
}

/** What the request does, as operations.txt has it for its action. */
function operationText(operation: Operation, kind: Kind, subresource: string): string | undefined {
  const { action, method } = operation;
  const key = subresource === '' || action === 'connect' ? action : `${action} subresource`;
  const values = { kind: kind.kind, subresource, method: method.toUpperCase() };
  return sectionText('operations', 'Operations', key, values);
}

function writeOperation(
  operation: Operation,
  text: string | undefined,
  tag: string,
  parameters: ParameterSet,
  dialect: Dialect,
): JsonSchema {
  const query = operation.query.map((each) => parameters.get(each));
  const extensions = {
    'x-kubernetes-action': operation.action,
    'x-kubernetes-group-version-kind': operation.gvk,
  };
  const codes = CODES[operation.action] ?? ['200'];
  const answers = <T extends object>(answer: T) => ({
    ...Object.fromEntries(codes.map((code) => [code, { description: CODE_TEXTS[code], ...answer }])),
    401: { description: 'Unauthorized' },
  });
  if (dialect === 'v2') {
    const body = operation.body && {
      in: 'body',
      name: 'body',
      required: operation.method !== 'delete',
      schema: operation.body,
    };
    return {
      ...described(text),
      consumes: operation.body ? operation.consumes : ['*/*'],
      produces: BODY_TYPES,
      schemes: ['https'],
      tags: [tag],
      operationId: operation.id,
      parameters: body ? [body, ...query] : query,
      responses: answers({ schema: operation.answer }),
      ...extensions,
    };
  }
  const content = (types: readonly string[], schema: JsonSchema) =>
    Object.fromEntries(types.map((each) => [each, { schema }]));
  return {
    ...described(text),
    tags: [tag],
    operationId: operation.id,
    parameters: query,
    ...(operation.body && {
      requestBody: {
        ...(operation.method !== 'delete' && { required: true }),
        content: content(operation.consumes, operation.body),
      },
    }),
    responses: answers({ content: content(['application/json', 'application/yaml'], operation.answer) }),
    ...extensions,
  };
}

const capital = (word: string) => (word[0] ?? '').toUpperCase() + word.slice(1);

/** `rbac.authorization.k8s.io` → `RbacAuthorization`, the core group → `Core`. */
function camel(group: string): string {
  return group === ''
    ? 'Core'
    : group
        .replace(/\.k8s\.io$/, '')
        .split('.')
        .map(capital)
        .join('');
}

function tagOf(kind: Kind): string {
  const name = camel(kind.group);
  return `${(name[0] as string).toLowerCase()}${name.slice(1)}_${kind.version}`;
}
