// The pod template as identity: which ReplicaSet is a Deployment's present one, and the hash that names it. Pure.
import { semanticEqual } from '../../api/equality.ts';
import type { Deployment, ReplicaSet } from '../../api/types/apps-v1.ts';
import type { PodTemplateSpec } from '../../api/types/core-v1.ts';
import { parseTime } from '../parts/time.ts';

export const hashLabel = 'pod-template-hash';
const alphabet = 'bcdfghjklmnpqrstvwxz2456789';

function withoutHash(template: PodTemplateSpec | undefined): unknown {
  const { [hashLabel]: _, ...labels } = template?.metadata?.labels ?? {};
  const { creationTimestamp: __, ...metadata } = template?.metadata ?? {};
  return { spec: template?.spec, metadata: { ...metadata, labels } };
}

export const sameTemplate = (a: PodTemplateSpec | undefined, b: PodTemplateSpec | undefined): boolean =>
  semanticEqual(withoutHash(a), withoutHash(b));

export const byCreation = (a: ReplicaSet, b: ReplicaSet): number =>
  parseTime(a.metadata.creationTimestamp) - parseTime(b.metadata.creationTimestamp) ||
  ((a.metadata.name ?? '') < (b.metadata.name ?? '') ? -1 : 1);

/** Of several with the same template the oldest, so that every observer picks the same one. */
export function findNew(deployment: Deployment, replicaSets: readonly ReplicaSet[]): ReplicaSet | undefined {
  return [...replicaSets].sort(byCreation).find((each) => sameTemplate(each.spec?.template, deployment.spec?.template));
}

/**
 * At most ten characters that depend on the template and the collision count alone, not on the order of keys. They look as
 * Kubernetes' do: a 32-bit hash in decimal, each digit written as the letter of its character code.
 */
export function templateHash(template: PodTemplateSpec, collisionCount: number): string {
  const value = fnv1a(`${canonical(template)}${collisionCount || ''}`);
  return [...String(value)].map((digit) => alphabet[digit.charCodeAt(0) % alphabet.length]).join('');
}

/** http://www.isthe.com/chongo/tech/comp/fnv/ over UTF-16 units, both bytes. */
function fnv1a(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    hash = Math.imul(hash ^ (unit & 0xff), 0x01000193);
    hash = Math.imul(hash ^ (unit >> 8), 0x01000193);
  }
  return hash >>> 0;
}

function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`;
  if (value === null || typeof value !== 'object') return JSON.stringify(value) ?? 'null';
  const fields = Object.entries(value).filter(([, each]) => each !== undefined);
  fields.sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${fields.map(([key, each]) => `${JSON.stringify(key)}:${canonical(each)}`).join(',')}}`;
}
