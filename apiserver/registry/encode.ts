// How an object is stored: JSON with kind, apiVersion and metadata first, without resourceVersion.
import type { Kind } from '../../api/kind.ts';
import { apiVersionOf, type KubeObject } from '../../api/object.ts';

export function encodeStored(kind: Kind, object: KubeObject): Buffer {
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

/** Decodes what is stored, with the revision it was read at. */
export function decodeStored(kind: Kind, value: Uint8Array, revision: number): KubeObject {
  const object = JSON.parse(
    Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('utf8'),
  ) as KubeObject;
  object.kind = kind.kind;
  object.apiVersion = apiVersionOf(kind);
  object.metadata.resourceVersion = String(revision);
  return object;
}

/** RFC 3339 in whole seconds, as metadata times are written. */
export function timestamp(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 19)}Z`;
}
