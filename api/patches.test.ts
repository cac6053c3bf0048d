import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { deepClone } from './equality.ts';
import { ApiError } from './errors.ts';
import { applyJsonPatch } from './json-patch.ts';
import { applyMergePatch, createMergePatch } from './merge-patch.ts';
import { applyStrategicMergePatch } from './strategic-merge-patch.ts';

const failure = (read: () => unknown): string => {
  try {
    read();
  } catch (error) {
    if (error instanceof ApiError) {
      return `${error.code} ${error.cause instanceof Error ? error.cause.message : error.message}`;
    }
    throw error;
  }
  return 'no error';
};

describe('JSON patch', () => {
  it.each<[string, unknown, unknown[], unknown]>([
    ['add', { a: 1 }, [{ op: 'add', path: '/b', value: { c: 2 } }], { a: 1, b: { c: 2 } }],
    ['add into a list', { a: [1, 3] }, [{ op: 'add', path: '/a/1', value: 2 }], { a: [1, 2, 3] }],
    ['append', { a: [1] }, [{ op: 'add', path: '/a/-', value: 2 }], { a: [1, 2] }],
    ['add at the end by index', { a: [1] }, [{ op: 'add', path: '/a/1', value: 2 }], { a: [1, 2] }],
    ['replace', { a: { b: 1 } }, [{ op: 'replace', path: '/a/b', value: 2 }], { a: { b: 2 } }],
    ['replace the whole', { a: 1 }, [{ op: 'replace', path: '', value: { b: 1 } }], { b: 1 }],
    [
      'remove',
      { a: [1, 2], b: 1 },
      [
        { op: 'remove', path: '/a/0' },
        { op: 'remove', path: '/b' },
      ],
      { a: [2] },
    ],
    ['move', { a: 1 }, [{ op: 'move', from: '/a', path: '/b' }], { b: 1 }],
    [
      'copy',
      { a: { x: 1 } },
      [
        { op: 'copy', from: '/a', path: '/b' },
        { op: 'add', path: '/b/x', value: 2 },
      ],
      { a: { x: 1 }, b: { x: 2 } },
    ],
    ['test', { a: { x: [1] } }, [{ op: 'test', path: '/a', value: { x: [1] } }], { a: { x: [1] } }],
    ['test for absence', {}, [{ op: 'test', path: '/a', value: null }], {}],
    ['escapes', { 'a/b': { '~1': 1 } }, [{ op: 'replace', path: '/a~1b/~01', value: 2 }], { 'a/b': { '~1': 2 } }],
    ['add null', {}, [{ op: 'add', path: '/a', value: null }], { a: null }],
    [
      'a key like a prototype',
      {},
      [{ op: 'add', path: '/__proto__', value: { x: 1 } }],
      JSON.parse('{"__proto__":{"x":1}}'),
    ],
  ])('%s', (_, target, patch, expected) => {
    const before = JSON.stringify(target);
    expect(JSON.stringify(applyJsonPatch(target, patch))).toBe(JSON.stringify(expected));
    expect(JSON.stringify(target)).toBe(before);
    expect(({} as { x?: number }).x).toBeUndefined();
  });

  it.each<[unknown, string]>([
    [{}, '400 error decoding patch: json: cannot unmarshal object into Go value of type jsonpatch.Patch'],
    [[1], '400 error decoding patch: json: cannot unmarshal number into Go value of type jsonpatch.Operation'],
    [[{ op: 'test', path: '/a', value: 2 }], '422 testing value /a failed: test failed'],
    [
      [{ op: 'replace', path: '/x/y', value: 2 }],
      '422 replace operation does not apply: doc is missing path: /x/y: missing value',
    ],
    [
      [{ op: 'replace', path: '/x', value: 2 }],
      '422 replace operation does not apply: doc is missing key: /x: missing value',
    ],
    [
      [{ op: 'remove', path: '/x' }],
      '422 remove operation does not apply: Unable to remove nonexistent key: x: missing value',
    ],
    [
      [{ op: 'add', path: '/l/9', value: 1 }],
      '422 add operation does not apply: doc is missing key: /l/9: Unable to access invalid index: 9: invalid index referenced',
    ],
    [
      [{ op: 'add', path: '/l/x', value: 1 }],
      '422 add operation does not apply: doc is missing key: /l/x: strconv.Atoi: parsing "x": invalid syntax',
    ],
    [[{ op: 'jump', path: '/l' }], '422 Unexpected kind: jump'],
    [
      [{ op: 'add', path: '/constructor/prototype/x', value: 1 }],
      '422 add operation does not apply: doc is missing path: "/constructor/prototype/x": missing value',
    ],
    [
      Array.from({ length: 10_001 }, () => ({ op: 'remove', path: '/a' })),
      '413 The allowed maximum operations in a JSON patch is 10000, got 10001',
    ],
  ])('refuses %j', (patch, message) => expect(failure(() => applyJsonPatch({ a: 1, l: [1] }, patch))).toBe(message));

  it('tells a client what upstream tells', () => {
    try {
      applyJsonPatch({ a: 1 }, [{ op: 'test', path: '/a', value: 2 }]);
      expect.unreachable();
    } catch (error) {
      expect((error as ApiError).status).toEqual({
        kind: 'Status',
        apiVersion: 'v1',
        metadata: {},
        status: 'Failure',
        message: 'the server rejected our request due to an error in our request',
        reason: 'Invalid',
        details: {},
        code: 422,
      });
    }
  });

  it('bounds copies of copies', () => {
    const patch = Array.from({ length: 60 }, (_, i) => ({ op: 'copy', from: '', path: `/x${i}` }));
    expect(failure(() => applyJsonPatch({ a: 1 }, patch))).toContain('413');
  });
});

describe('merge patch', () => {
  // The examples of RFC 7386.
  it.each<[unknown, unknown, unknown]>([
    [{ a: 'b' }, { a: 'c' }, { a: 'c' }],
    [{ a: 'b' }, { b: 'c' }, { a: 'b', b: 'c' }],
    [{ a: 'b' }, { a: null }, {}],
    [{ a: ['b'] }, { a: 'c' }, { a: 'c' }],
    [{ a: { b: 'c' } }, { a: { b: 'd', c: null } }, { a: { b: 'd' } }],
    [
      ['a', 'b'],
      ['c', 'd'],
      ['c', 'd'],
    ],
    [{ a: 'foo' }, null, null],
    [{ e: null }, { a: 1 }, { e: null, a: 1 }],
    [[1, 2], { a: 'b', c: null }, { a: 'b' }],
    [{}, { a: { bb: { ccc: null } } }, { a: { bb: {} } }],
  ])('%j with %j', (target, patch, expected) => expect(applyMergePatch(target, patch)).toEqual(expected));

  it('made from two objects turns one into the other', () => {
    const json = fc.dictionary(
      fc.string(),
      fc.oneof(fc.integer(), fc.string(), fc.array(fc.integer()), fc.dictionary(fc.string(), fc.integer())),
    );
    fc.assert(
      fc.property(json, json, (from, to) => {
        expect(JSON.parse(JSON.stringify(applyMergePatch(from, createMergePatch(from, to) ?? {})))).toEqual(
          JSON.parse(JSON.stringify(to)),
        );
      }),
    );
  });
});

const pod = (spec: object) => ({ apiVersion: 'v1', kind: 'Pod', metadata: { name: 'p' }, spec });
const names = (value: unknown) =>
  (value as { spec: { containers: { name: string }[] } }).spec.containers.map((each) => each.name);

describe('strategic merge patch', () => {
  const target = pod({
    containers: [
      { name: 'a', image: '1', env: [{ name: 'X', value: '1' }] },
      { name: 'b', image: '2' },
    ],
    volumes: [{ name: 'v', emptyDir: {} }],
    tolerations: [{ key: 'k' }],
  });
  const patch = (spec: object) =>
    applyStrategicMergePatch('core.v1.Pod', target, { spec }) as { spec: Record<string, unknown> };

  it.each<[string, object, object]>([
    [
      'merges lists by key',
      { containers: [{ name: 'b', image: '3' }] },
      {
        containers: [
          { name: 'a', image: '1', env: [{ name: 'X', value: '1' }] },
          { name: 'b', image: '3' },
        ],
      },
    ],
    ['deletes by key', { containers: [{ name: 'a', $patch: 'delete' }] }, { containers: [{ name: 'b', image: '2' }] }],
    ['replaces a list', { containers: [{ $patch: 'replace' }, { name: 'c' }] }, { containers: [{ name: 'c' }] }],
    ['replaces an atomic list', { tolerations: [{ key: 'j' }] }, { tolerations: [{ key: 'j' }] }],
    ['removes by null', { volumes: null, tolerations: null }, { volumes: undefined, tolerations: undefined }],
    [
      'goes deep',
      {
        containers: [
          {
            name: 'a',
            env: [
              { name: 'X', value: '2' },
              { name: 'Y', value: '3' },
            ],
          },
        ],
      },
      {
        containers: [
          {
            name: 'a',
            image: '1',
            env: [
              { name: 'X', value: '2' },
              { name: 'Y', value: '3' },
            ],
          },
          { name: 'b', image: '2' },
        ],
      },
    ],
    [
      'retains keys',
      { volumes: [{ name: 'v', $retainKeys: ['name', 'hostPath'], hostPath: { path: '/' } }] },
      { volumes: [{ name: 'v', hostPath: { path: '/' } }] },
    ],
    [
      'keeps no nulls and directives in what is new',
      { containers: [{ name: 'c', image: null }], dnsConfig: { $patch: 'delete' } },
      {
        containers: [
          { name: 'c' },
          { name: 'a', image: '1', env: [{ name: 'X', value: '1' }] },
          { name: 'b', image: '2' },
        ],
        dnsConfig: undefined,
      },
    ],
  ])('%s', (_, spec, expected) => {
    const before = JSON.stringify(target);
    // Keys expected to be undefined must be gone.
    expect({ volumes: undefined, tolerations: undefined, dnsConfig: undefined, ...patch(spec).spec }).toMatchObject(
      expected,
    );
    expect(JSON.stringify(target)).toBe(before);
  });

  it('orders lists: named items as asked, others where they were', () => {
    const order = (list: string[], containers: object[] = []) =>
      names(patch({ '$setElementOrder/containers': list.map((name) => ({ name })), containers }));
    expect(order(['b', 'a'])).toEqual(['b', 'a']);
    expect(order(['a', 'c', 'b'], [{ name: 'c' }])).toEqual(['a', 'c', 'b']);
    expect(order(['b', 'c'], [{ name: 'c' }])).toEqual(['a', 'b', 'c']);
    expect(
      names(patch({ '$setElementOrder/containers': [{ name: 'b' }], containers: [{ name: 'a', $patch: 'delete' }] })),
    ).toEqual(['b']);
  });

  it('merges and deletes in lists of scalars', () => {
    const object = { metadata: { finalizers: ['a', 'b'] } };
    const apply = (metadata: object) => applyStrategicMergePatch('core.v1.ConfigMap', object, { metadata });
    expect(apply({ finalizers: ['c', 'a'] })).toEqual({ metadata: { finalizers: ['c', 'a', 'b'] } });
    expect(apply({ '$deleteFromPrimitiveList/finalizers': ['a'] })).toEqual({ metadata: { finalizers: ['b'] } });
    expect(apply({ '$setElementOrder/finalizers': ['b', 'a'] })).toEqual({ metadata: { finalizers: ['b', 'a'] } });
  });

  it('replaces and deletes maps', () => {
    const object = { data: { a: '1', b: '2' } };
    expect(applyStrategicMergePatch('core.v1.ConfigMap', object, { data: { $patch: 'replace', c: '3' } })).toEqual({
      data: { c: '3' },
    });
    expect(applyStrategicMergePatch('core.v1.ConfigMap', object, { data: { $patch: 'delete' } })).toEqual({ data: {} });
    expect(applyStrategicMergePatch('core.v1.ConfigMap', object, { data: { a: null, c: '3' } })).toEqual({
      data: { b: '2', c: '3' },
    });
  });

  it.each<[string, unknown, string]>([
    ['a list', [], '400 json: cannot unmarshal array into Go value of type map[string]interface {}'],
    [
      'no merge key',
      { spec: { containers: [{ image: 'x' }] } },
      '400 map: map[image:x] does not contain declared merge key: name',
    ],
    [
      'a bad directive',
      { spec: { containers: [{ name: 'a', $patch: 'merge' }] } },
      '400 merging lists cannot yet be specified in the patch',
    ],
    ['an unknown directive', { spec: { $patch: 'x' } }, '400 unknown patch type: x in map: map[$patch:x]'],
    [
      'an order that is none',
      { spec: { '$setElementOrder/containers': 'x' } },
      '400 expected a []interface {}, but received a string',
    ],
    [
      'an order that disagrees',
      { spec: { '$setElementOrder/containers': [{ name: 'a' }], containers: [{ name: 'b' }] } },
      "400 The order in patch list:\n[map[name:b]]\n doesn't match $setElementOrder list:\n[map[name:a]]\n",
    ],
    ['retain keys that are none', { spec: { $retainKeys: 'x' } }, '400 invalid patch format of retainKeys'],
    [
      'retain keys that disagree',
      { spec: { $retainKeys: ['a'], nodeName: 'x' } },
      '400 invalid patch format of retainKeys',
    ],
    [
      'mixed elements',
      { spec: { containers: ['x'] } },
      '400 list element types are not identical: [[map[env:[map[name:X value:1]] image:1 name:a] map[image:2 name:b]] [x]]',
    ],
    [
      'a nameless deletion',
      { metadata: { $deleteFromPrimitiveList: ['x'] } },
      '400 invalid patch format of primitive list',
    ],
  ])('refuses %s', (_, body, message) =>
    expect(failure(() => applyStrategicMergePatch('core.v1.Pod', target, body))).toBe(message),
  );

  it('takes 20,000 elements in its stride', () => {
    const containers = Array.from({ length: 20_000 }, (_, i) => ({ name: `c${i}` }));
    expect(names(applyStrategicMergePatch('core.v1.Pod', pod({ containers }), { spec: { containers } }))).toHaveLength(
      20_000,
    );
  });

  it('throws nothing but ApiError, whatever comes', () => {
    const keys = fc.constantFrom(
      'spec',
      'metadata',
      'containers',
      'name',
      'env',
      '$patch',
      '$retainKeys',
      '$setElementOrder/containers',
      '$deleteFromPrimitiveList/finalizers',
      'finalizers',
      'labels',
      '__proto__',
    );
    const { tree } = fc.letrec((tie) => ({
      tree: fc.oneof(
        { maxDepth: 5 },
        fc.constantFrom(null, 'a', 'delete', 'replace', 1, true),
        fc.array(tie('tree'), { maxLength: 3 }),
        fc.dictionary(keys, tie('tree'), { maxKeys: 4 }),
      ),
    }));
    fc.assert(
      fc.property(tree, tree, (from, body) => {
        for (const apply of [
          () => applyStrategicMergePatch('core.v1.Pod', deepClone(from), body),
          () => applyMergePatch(from, body),
          () => applyJsonPatch(from, body),
        ]) {
          try {
            apply();
          } catch (error) {
            expect(error).toBeInstanceOf(ApiError);
          }
        }
      }),
      { numRuns: 500 },
    );
  });
});
