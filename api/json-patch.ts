// JSON patch (RFC 6902) with the rules and messages of the library upstream uses (evanphx/json-patch v4).
// The target is never changed; hostile paths, indexes and copies are refused with an ApiError.
import { deepClone, deepEqual, setOwn } from './equality.ts';
import { ApiError, errors } from './errors.ts';

interface Operation {
  op: string;
  path: string;
  from?: string;
  value?: unknown;
  hasValue: boolean;
}

/** Upstream's limit on the number of operations. */
const MAX_OPERATIONS = 10_000;
/** JSON nodes that `copy` may add in one patch; upstream bounds it by the size of a request. */
const MAX_COPIED = 200_000;

/**
 * An operation that cannot be applied to this object, and what a failed `test` gives. The answer is upstream's, which does not
 * say what failed; `message` does, for who reads the error here.
 */
const unprocessable = (message: string) =>
  Object.assign(new ApiError(422, 'Invalid', 'the server rejected our request due to an error in our request', {}), {
    cause: new Error(message),
  });

/** Applies `patch` (a decoded JSON array) to `target`. Throws ApiError 400 for a malformed patch, 422 where it does not apply. */
export function applyJsonPatch(target: unknown, patch: unknown): unknown {
  const operations = readPatch(patch);
  const root = { document: deepClone(target) };
  const budget = { copied: 0 };
  for (const each of operations) applyOperation(root, each, budget);
  return root.document;
}

function readPatch(patch: unknown): Operation[] {
  if (!Array.isArray(patch)) {
    throw errors.badRequest(
      `error decoding patch: json: cannot unmarshal ${patch === null ? 'null' : typeof patch} into Go value of type jsonpatch.Patch`,
    );
  }
  if (patch.length > MAX_OPERATIONS) {
    throw new ApiError(
      413,
      'RequestEntityTooLarge',
      `The allowed maximum operations in a JSON patch is ${MAX_OPERATIONS}, got ${patch.length}`,
    );
  }
  return patch.map((each: unknown) => {
    if (typeof each !== 'object' || each === null || Array.isArray(each)) {
      throw errors.badRequest(
        `error decoding patch: json: cannot unmarshal ${Array.isArray(each) ? 'array' : typeof each} into Go value of type jsonpatch.Operation`,
      );
    }
    const { op, path, from, value } = each as Record<string, unknown>;
    return {
      op: typeof op === 'string' ? op : 'unknown',
      path: readPath(path, 'path', typeof op === 'string' ? op : 'unknown'),
      from: op === 'move' || op === 'copy' ? readPath(from, 'from', op) : undefined,
      value,
      hasValue: Object.hasOwn(each, 'value'),
    };
  });
}

function readPath(value: unknown, field: 'path' | 'from', op: string): string {
  if (typeof value === 'string') return value;
  throw unprocessable(`${op} operation does not apply: doc is missing ${field}: missing value`);
}

type Container = unknown[] | Record<string, unknown>;

const isContainer = (value: unknown): value is Container => typeof value === 'object' && value !== null;

/** `/a~1b/0` as its parts; undefined when it is no pointer. */
function parts(path: string): string[] | undefined {
  if (path === '') return [];
  if (!path.startsWith('/')) return undefined;
  return path
    .slice(1)
    .split('/')
    .map((each) => each.replaceAll('~1', '/').replaceAll('~0', '~'));
}

interface Place {
  parent: Container;
  key: string;
}

/** The container that holds the last part, or undefined when something on the way is missing. */
function locate(document: unknown, path: string): Place | undefined {
  const keys = parts(path);
  const key = keys?.pop();
  if (keys === undefined || key === undefined) return undefined;
  let current = document;
  for (const each of keys) {
    if (Array.isArray(current)) {
      const index = arrayIndex(each, current.length);
      if (index === undefined || index >= current.length) return undefined;
      current = current[index];
    } else if (isContainer(current) && Object.hasOwn(current, each)) {
      current = (current as Record<string, unknown>)[each];
    } else return undefined;
  }
  return isContainer(current) ? { parent: current, key } : undefined;
}

/** A non-negative index, or a negative one counted from the end (upstream accepts those); undefined for anything else. */
function arrayIndex(text: string, length: number): number | undefined {
  if (!/^-?(?:0|[1-9][0-9]{0,9})$/.test(text)) return undefined;
  const index = Number(text);
  return index < 0 ? (index < -length ? undefined : index + length) : index;
}

function applyOperation(root: { document: unknown }, operation: Operation, budget: { copied: number }): void {
  const { path } = operation;
  switch (operation.op) {
    case 'add':
      return add(root, path, needValue(operation), 'add');
    case 'remove':
      remove(root, path, 'remove');
      return;
    case 'replace':
      return replace(root, path, needValue(operation));
    case 'move': {
      const value = get(root.document, operation.from as string, 'move');
      if (path.startsWith(`${operation.from}/`)) {
        throw unprocessable(`move operation does not apply: cannot move ${JSON.stringify(operation.from)} into itself`);
      }
      remove(root, operation.from as string, 'move');
      return add(root, path, value, 'move');
    }
    case 'copy': {
      const value = get(root.document, operation.from as string, 'copy');
      budget.copied += countNodes(value);
      if (budget.copied > MAX_COPIED) {
        throw new ApiError(413, 'RequestEntityTooLarge', 'copy operations of the JSON patch exceed the size limit');
      }
      return add(root, path, deepClone(value), 'copy');
    }
    case 'test':
      return test(root.document, operation);
    default:
      throw unprocessable(`Unexpected kind: ${operation.op}`);
  }
}

function needValue(operation: Operation): unknown {
  if (!operation.hasValue) {
    throw unprocessable(
      `${operation.op} operation does not apply: doc is missing value: ${operation.path}: missing value`,
    );
  }
  return deepClone(operation.value);
}

function add(root: { document: unknown }, path: string, value: unknown, op: string): void {
  if (path === '') {
    root.document = value;
    return;
  }
  const place = locate(root.document, path);
  if (!place)
    throw unprocessable(`${op} operation does not apply: doc is missing path: ${JSON.stringify(path)}: missing value`);
  const { parent, key } = place;
  if (!Array.isArray(parent)) {
    setOwn(parent, key, value);
    return;
  }
  if (key === '-') {
    parent.push(value);
    return;
  }
  const index = arrayIndex(key, parent.length + 1);
  if (index === undefined || index > parent.length) throw outOfRange(op, path, key);
  parent.splice(index, 0, value);
}

function remove(root: { document: unknown }, path: string, op: string): void {
  const place = locate(root.document, path);
  if (!place)
    throw unprocessable(`${op} operation does not apply: doc is missing path: ${JSON.stringify(path)}: missing value`);
  const { parent, key } = place;
  if (Array.isArray(parent)) {
    const index = arrayIndex(key, parent.length);
    if (index === undefined || index >= parent.length) throw outOfRange(op, path, key);
    parent.splice(index, 1);
  } else {
    if (!Object.hasOwn(parent, key)) {
      throw unprocessable(`${op} operation does not apply: Unable to remove nonexistent key: ${key}: missing value`);
    }
    delete parent[key];
  }
}

function replace(root: { document: unknown }, path: string, value: unknown): void {
  if (path === '') {
    root.document = value;
    return;
  }
  const place = locate(root.document, path);
  if (!place) throw unprocessable(`replace operation does not apply: doc is missing path: ${path}: missing value`);
  const { parent, key } = place;
  if (Array.isArray(parent)) {
    const index = arrayIndex(key, parent.length);
    if (index === undefined || index >= parent.length) throw outOfRange('replace', path, key);
    parent[index] = value;
  } else {
    if (!Object.hasOwn(parent, key)) {
      throw unprocessable(`replace operation does not apply: doc is missing key: ${path}: missing value`);
    }
    setOwn(parent, key, value);
  }
}

function outOfRange(op: string, path: string, key: string): ApiError {
  const why = /^-?[0-9]+$/.test(key)
    ? `Unable to access invalid index: ${key}: invalid index referenced`
    : `strconv.Atoi: parsing ${JSON.stringify(key)}: invalid syntax`;
  return unprocessable(`${op} operation does not apply: doc is missing key: ${path}: ${why}`);
}

function get(document: unknown, path: string, op: string): unknown {
  if (path === '') return document;
  const found = find(document, path);
  if (!found) throw unprocessable(`${op} operation does not apply: doc is missing from path: ${path}: missing value`);
  return found.value;
}

function find(document: unknown, path: string): { value: unknown } | undefined {
  if (path === '') return { value: document };
  const place = locate(document, path);
  if (!place) return undefined;
  const { parent, key } = place;
  if (Array.isArray(parent)) {
    const index = arrayIndex(key, parent.length);
    return index === undefined || index >= parent.length ? undefined : { value: parent[index] };
  }
  return Object.hasOwn(parent, key) ? { value: parent[key] } : undefined;
}

function test(document: unknown, operation: Operation): void {
  const found = find(document, operation.path);
  // A test for null holds where there is nothing.
  const actual = found?.value ?? null;
  const expected = operation.value ?? null;
  if (deepEqual(actual, expected)) return;
  throw unprocessable(`testing value ${operation.path} failed: test failed`);
}

function countNodes(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 1;
  let count = 1;
  for (const each of Array.isArray(value) ? value : Object.values(value)) count += countNodes(each);
  return count;
}
