import { expect, it } from 'vitest';
import { parse } from 'yaml';
import { parseYaml } from './yaml.ts';
import { writeYaml } from './yaml-write.ts';

it('writes objects as Go does', () => {
  const object = {
    kind: 'ConfigMap',
    apiVersion: 'v1',
    metadata: { name: 'x', labels: {}, finalizers: [], annotations: { 'a.b/c': 'true' } },
    data: { script: '#!/bin/sh\necho 1\n', list: 'a: b', port: '80', image: 'registry:5000/nginx:1' },
    items: [{ b: [1, [2]], a: null }, 'text', {}, ['x']],
    replicas: 3,
    ready: false,
  };
  expect(writeYaml(object)).toBe(`apiVersion: v1
data:
  image: registry:5000/nginx:1
  list: 'a: b'
  port: "80"
  script: |
    #!/bin/sh
    echo 1
items:
- a: null
  b:
  - 1
  - - 2
- text
- {}
- - x
kind: ConfigMap
metadata:
  annotations:
    a.b/c: "true"
  finalizers: []
  labels: {}
  name: x
ready: false
replicas: 3
`);
});

const TEXTS = [
  ...[
    '',
    ' ',
    'a ',
    ' a',
    '~',
    'null',
    'Yes',
    'NO',
    'y',
    'off',
    '0644',
    '0x1f',
    '1e3',
    '1_000',
    '1:20',
    '.5',
    '-1',
    '+.inf',
    '.NaN',
    '<<',
    '=',
  ],
  ...[
    '2026-01-01',
    '2026-01-01T00:00:00Z',
    '10.0.0.1',
    '::1',
    'a:',
    ':a',
    'a: b',
    'a #b',
    '#a',
    '- a',
    '-',
    '-a',
    '?',
    '{a}',
    '[a]',
    '&a',
    '*a',
    '!a',
    '|',
    '>',
  ],
  ...[
    "it's",
    '"q"',
    '%a',
    '@a',
    '`a',
    'a\\b',
    'a\tb',
    '\t',
    'a\nb',
    'a\n',
    'a\n\n',
    '\na',
    ' a\nb',
    'a \nb',
    'a\r\nb',
    'a\n\nb\n',
    'ü',
    '🚢',
    '\u2028',
    '\u0000',
    '\u0085x',
    '\ufeff',
  ],
  ...[
    '---',
    '...',
    '--- a',
    'a,b',
    'key: |',
    '$(VAR)',
    '1.2.3',
    'v1',
    'a/b',
    'sha256:abc',
    'a@b',
    'true ',
    '0b11',
    '0o7',
    '12e',
    '1.',
    'a\n  b\n',
    'a\n\tb\n',
    '\u00a0',
    'a\u007fb',
  ],
];

it.each(TEXTS)('%j is read as it was', (text) => {
  for (const value of [text, { [text]: text }, [text], { a: [{ b: text }] }, { a: { b: { c: [[text]] } } }]) {
    const written = writeYaml(value);
    expect(parseYaml(written).value).toEqual(value);
    // By both generations of readers.
    if (text !== '<<') expect(parse(written, { version: '1.2' })).toEqual(value);
  }
});
