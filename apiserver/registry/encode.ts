// How an object is stored: JSON with kind, apiVersion and metadata first, without resourceVersion; in the version of the
// kind that it is stored as.
import { deepClone } from '../../api/equality.ts';
import type { Conversion, Kind } from '../../api/kind.ts';
import { apiVersionOf, type KubeObject } from '../../api/object.ts';

/** A promise only for kinds with a conversion that is asynchronous. `object` is not touched. */
export function encodeStored(kind: Kind, object: KubeObject): Buffer | Promise<Buffer> {
  const storage = kind.conversion?.storage();
  if (!storage || storage === kind) return encode(kind, object);
  const converted = (kind.conversion as Conversion).toStored([deepClone(object)]);
  const finish = (objects: KubeObject[]) => encode(storage, objects[0] as KubeObject);
  return converted instanceof Promise ? converted.then(finish) : finish(converted);
}

function encode(kind: Kind, object: KubeObject): Buffer {
  const { metadata } = object;
  const { resourceVersion: _r, selfLink: _s, ...meta } = metadata;
  // Member by member: a copy of the object in the right order costs more than its encoding.
  let text = `{"kind":"${kind.kind}","apiVersion":"${apiVersionOf(kind)}","metadata":${JSON.stringify(meta)}`;
  for (const [name, value] of Object.entries(object)) {
    if (name === 'kind' || name === 'apiVersion' || name === 'metadata') continue;
    const member = JSON.stringify(value) as string | undefined;
    if (member !== undefined) text += `,${JSON.stringify(name)}:${member}`;
  }
  return Buffer.from(`${text}}`);
}

/** Decodes what is stored, with the revision it was read at. A promise as for `encodeStored`. */
export function decodeStored(kind: Kind, value: Uint8Array, revision: number): KubeObject | Promise<KubeObject> {
  const decoded = decodeAllStored(kind, [{ value, modRevision: revision }]);
  return decoded instanceof Promise ? decoded.then((all) => all[0] as KubeObject) : (decoded[0] as KubeObject);
}

/** The same for many at once: an asynchronous conversion is asked once. */
export function decodeAllStored(
  kind: Kind,
  kvs: readonly { value: Uint8Array; modRevision: number }[],
): KubeObject[] | Promise<KubeObject[]> {
  const parsed = kvs.map(
    ({ value }) =>
      JSON.parse(Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('utf8')) as KubeObject,
  );
  const stamp = (objects: KubeObject[]) => {
    objects.forEach((object, index) => {
      object.kind = kind.kind;
      object.apiVersion = apiVersionOf(kind);
      object.metadata.resourceVersion = String(kvs[index]?.modRevision);
    });
    return objects;
  };
  const converted = kind.conversion ? kind.conversion.fromStored(parsed) : parsed;
  return converted instanceof Promise ? converted.then(stamp) : stamp(converted);
}

/** What a read gives back of what was written: a detour through another version may lose something. */
export function asReadBack(kind: Kind, object: KubeObject, value: Uint8Array): KubeObject | Promise<KubeObject> {
  if (!kind.conversion || kind.conversion.storage() === kind) return object;
  return decodeStored(kind, value, 0);
}

/** The apiVersion that stored bytes say. */
export function storedAs(value: Uint8Array): string {
  const text = Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('utf8');
  return (JSON.parse(text) as KubeObject).apiVersion ?? '';
}

/** RFC 3339 in whole seconds, as metadata times are written. */
export function timestamp(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 19)}Z`;
}
