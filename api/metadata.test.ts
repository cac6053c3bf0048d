import { describe, expect, it } from 'vitest';
import { humanDuration } from './duration.ts';
import { deepClone, deepEqual, semanticEqual } from './equality.ts';
import { fieldErrorMessage } from './field-error.ts';
import { validateMetadata, validateMetadataUpdate } from './metadata.ts';
import { generateName, isConfigMapKey, isDns1123Label, isPortName, nameIsDnsSubdomain } from './names.ts';

const messages = (found: { field: string; body: string; type: string }[]) =>
  found.map((each) => fieldErrorMessage(each as never));

describe('metadata of a new object', () => {
  it('needs a name and, where namespaced, a namespace', () => {
    expect(messages(validateMetadata({}, { namespaced: true }))).toEqual([
      'metadata.name: Required value: name or generateName is required',
      'metadata.namespace: Required value',
    ]);
    expect(messages(validateMetadata({ name: 'a', namespace: 'b' }, { namespaced: false }))).toEqual([
      'metadata.namespace: Forbidden: not allowed on this type',
    ]);
    expect(validateMetadata({ name: 'a-1', generateName: 'a-', namespace: 'b' }, { namespaced: true })).toEqual([]);
  });
  it('says what is wrong with a name', () => {
    expect(messages(validateMetadata({ name: 'Web_1', namespace: 'x' }, { namespaced: true }))).toEqual([
      "metadata.name: Invalid value: \"Web_1\": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')",
    ]);
  });
  it('bounds annotations and checks owners and finalizers', () => {
    const found = validateMetadata(
      {
        name: 'a',
        annotations: { big: 'x'.repeat(256 * 1024) },
        ownerReferences: [
          { apiVersion: 'apps/v1', kind: 'ReplicaSet', name: 'r', uid: '1', controller: true },
          { apiVersion: 'apps/v1', kind: 'ReplicaSet', name: 's', uid: '2', controller: true },
          { apiVersion: '', kind: '', name: '', uid: '' },
        ],
        finalizers: ['orphan', 'foregroundDeletion'],
      },
      { namespaced: false },
    );
    expect(found.map((each) => each.field)).toEqual([
      'metadata.annotations',
      'metadata.ownerReferences',
      'metadata.ownerReferences.apiVersion',
      'metadata.ownerReferences.kind',
      'metadata.ownerReferences.name',
      'metadata.ownerReferences.uid',
      'metadata.finalizers',
    ]);
    expect(found[1]?.body).toContain('Found "true" in references for ReplicaSet/r and ReplicaSet/s');
  });
});

describe('a change of metadata', () => {
  const RULES = { namespaced: true };
  const old = { name: 'a', namespace: 'b', uid: '1', resourceVersion: '5', creationTimestamp: '2026-01-01T00:00:00Z' };
  it('keeps identity', () => {
    expect(validateMetadataUpdate({ ...old, labels: { x: 'y' } }, old, RULES)).toEqual([]);
    expect(messages(validateMetadataUpdate({ ...old, name: 'c', uid: '2' }, old, RULES))).toEqual([
      'metadata.name: Invalid value: "c": field is immutable',
      'metadata.uid: Invalid value: "2": field is immutable',
    ]);
  });
  it('does not begin a deletion', () => {
    const dying = { ...old, deletionTimestamp: '2026-01-01T00:00:01Z', deletionGracePeriodSeconds: 3 };
    expect(messages(validateMetadataUpdate(dying, old, RULES))).toEqual([
      'metadata.deletionTimestamp: Invalid value: "2026-01-01T00:00:01Z": field is immutable',
      'metadata.deletionGracePeriodSeconds: Invalid value: 3: field is immutable',
    ]);
  });
  it('is held to the rules of new metadata, but for the name', () => {
    const named = { ...old, name: 'A_b' };
    expect(
      messages(validateMetadataUpdate({ ...named, finalizers: ['a b'], labels: { a: '-' } }, named, RULES)),
    ).toEqual([
      expect.stringMatching(/^metadata\.labels: Invalid value: "-": a valid label must be/),
      expect.stringMatching(/^metadata\.finalizers: Invalid value: "a b": name part must consist of/),
    ]);
  });
  it('adds no finalizer to what is being deleted', () => {
    const dying = { ...old, deletionTimestamp: '2026-01-01T00:00:01Z' };
    expect(messages(validateMetadataUpdate({ ...dying, finalizers: ['a.b/c'] }, dying, RULES))).toEqual([
      'metadata.finalizers: Forbidden: no new finalizers can be added if the object is being deleted, found new finalizers []string{"a.b/c"}',
    ]);
  });
});

describe('names', () => {
  it('of labels have no dots', () => expect(isDns1123Label('a.b')).toEqual(['must not contain dots']));
  it('may be a prefix ending in a dash', () => {
    expect(nameIsDnsSubdomain('web-', true)).toEqual([]);
    expect(nameIsDnsSubdomain('web-', false)).toHaveLength(1);
  });
  it('of ports', () =>
    expect(isPortName('-8-')).toEqual([
      'must contain at least one letter (a-z)',
      'must not begin or end with a hyphen',
    ]));
  it('of keys', () => expect(isConfigMapKey('..a')).toEqual(["must not start with '..'"]));
  it('are generated within 63 characters', () => {
    expect(generateName('web-', () => 0)).toBe('web-bbbbb');
    expect(generateName('x'.repeat(100), () => 0.999)).toBe(`${'x'.repeat(58)}99999`);
  });
  it('are checked quickly however long they are', () => {
    const start = process.cpuUsage().user;
    isDns1123Label('a'.repeat(1_000_000));
    isDns1123Label(`${'a'.repeat(1_000)}_`);
    expect(process.cpuUsage().user - start).toBeLessThan(500_000);
  });
});

describe('ages', () => {
  it.each([
    [-3000, '<invalid>'],
    [-500, '0s'],
    [119_000, '119s'],
    [120_000, '2m'],
    [150_000, '2m30s'],
    [600_000, '10m'],
    [3 * 3600_000, '3h'],
    [3 * 3600_000 + 60_000, '3h1m'],
    [47 * 3600_000, '47h'],
    [49 * 3600_000, '2d1h'],
    [8 * 86_400_000, '8d'],
    [800 * 86_400_000, '2y70d'],
  ])('%d ms is %s', (ms, text) => expect(humanDuration(ms)).toBe(text));
});

describe('equality', () => {
  it('ignores key order and undefined keys', () => {
    expect(deepEqual({ a: 1, b: [1, { c: null }] }, { b: [1, { c: null }], a: 1, d: undefined })).toBe(true);
    expect(deepEqual({ a: 1 }, { b: 1 })).toBe(false);
    expect(deepEqual([], {})).toBe(false);
    expect(semanticEqual({ a: [], b: null }, {})).toBe(true);
    expect(semanticEqual({ a: 0 }, {})).toBe(false);
  });
  it('copies keys that look like prototypes', () => {
    const copy = deepClone(JSON.parse('{"__proto__":{"x":1}}'));
    expect(JSON.stringify(copy)).toBe('{"__proto__":{"x":1}}');
    expect((copy as { x?: number }).x).toBeUndefined();
  });
});
