import { describe, expect, it } from 'vitest';
import { type BodyFormat, decodeDeleteOptions, decodeObject, decodePatched, strictBodyError } from './codec.ts';
import { ApiError } from './errors.ts';

const POD = { group: '', version: 'v1', kind: 'Pod', schema: 'core.v1.Pod' };
const DEPLOYMENT = { group: 'apps', version: 'v1', kind: 'Deployment', schema: 'apps.v1.Deployment' };
const WIDGET = { group: 'example.com', version: 'v1', kind: 'Widget', schema: '' };
const CONFIG_MAP = { group: '', version: 'v1', kind: 'ConfigMap', schema: 'core.v1.ConfigMap' };
const SECRET = { group: '', version: 'v1', kind: 'Secret', schema: 'core.v1.Secret' };

const decode = (target: typeof POD, body: unknown, format: BodyFormat = 'json') =>
  decodeObject(target, Buffer.from(typeof body === 'string' ? body : JSON.stringify(body)), format);

function failure(read: () => unknown): string {
  try {
    read();
  } catch (error) {
    if (error instanceof ApiError) return `${error.code} ${error.message}`;
    throw error;
  }
  return 'no error';
}

const pod = (spec: object) => ({ apiVersion: 'v1', kind: 'Pod', metadata: { name: 'a' }, spec });

describe('an object is kept as Go would keep it', () => {
  it('drops what is empty, keeps what a pointer says, fills in structs', () => {
    const { object, problems } = decode(POD, {
      metadata: { name: 'a', creationTimestamp: null, labels: {}, generation: 0 },
      spec: {
        hostNetwork: false,
        automountServiceAccountToken: false,
        terminationGracePeriodSeconds: 0,
        nodeName: '',
        volumes: [{ name: 'v', emptyDir: {} }],
        containers: [{ name: 'c', image: 'x', args: [], resources: { limits: { cpu: 0.5, memory: '1024Mi' } } }],
      },
    });
    expect(problems).toEqual([]);
    expect(object).toEqual({
      kind: 'Pod',
      apiVersion: 'v1',
      metadata: { name: 'a' },
      spec: {
        automountServiceAccountToken: false,
        terminationGracePeriodSeconds: 0,
        volumes: [{ name: 'v', emptyDir: {} }],
        containers: [{ name: 'c', image: 'x', resources: { limits: { cpu: '500m', memory: '1Gi' } } }],
      },
      status: {},
    });
  });
  it('writes times in UTC and whole seconds', () => {
    const body = { metadata: { name: 'a', deletionTimestamp: '2026-01-02T03:04:05.678+02:00' } };
    expect(decode(CONFIG_MAP, body).object.metadata.deletionTimestamp).toBe('2026-01-02T01:04:05Z');
  });
  it('gives required fields their zero value', () => {
    const { object } = decode(DEPLOYMENT, { metadata: { name: 'a' }, spec: {} });
    expect(object).toMatchObject({ spec: { strategy: {}, template: { metadata: {}, spec: { containers: [] } } } });
    expect(object).not.toHaveProperty('spec.selector');
  });
  it('keeps keys that look like prototypes', () => {
    const { object } = decode(CONFIG_MAP, '{"metadata":{"name":"a"},"data":{"__proto__":"x","constructor":"y"}}');
    expect(JSON.stringify(object)).toContain('"data":{"__proto__":"x","constructor":"y"}');
  });
});

describe('problems are for fieldValidation to judge', () => {
  it('unknown fields are dropped and named', () => {
    const { object, problems } = decode(
      POD,
      pod({ foo: 1, containers: [{ name: 'c', Image: 'x', ports: [{ containerPort: 1, p: 2 }] }] }),
    );
    expect(problems).toEqual([
      'unknown field "spec.foo"',
      'unknown field "spec.containers[0].Image"',
      'unknown field "spec.containers[0].ports[0].p"',
    ]);
    expect(JSON.stringify(object)).not.toContain('foo');
    expect(strictBodyError(POD, problems.slice(0, 1)).status).toMatchObject({
      code: 400,
      reason: 'BadRequest',
      message: 'Pod in version "v1" cannot be handled as a Pod: strict decoding error: unknown field "spec.foo"',
    });
  });
  it('doubled keys are named', () => {
    const text =
      '{"metadata":{"name":"a","name":"b","labels":{"x":"1","x":"2"}},"spec":{"containers":[{"name":"c","name":"d"}]}}';
    const { object, problems } = decode(POD, text);
    expect(object.metadata.name).toBe('b');
    expect(problems).toEqual([
      'duplicate field "metadata.name"',
      'duplicate field "metadata.labels.x"',
      'duplicate field "spec.containers[0].name"',
    ]);
  });
});

describe('errors are worded as upstream words them', () => {
  const bad = (rest: string) => `400 ${rest}`;
  const handled = (rest: string) => bad(`Pod in version "v1" cannot be handled as a Pod: ${rest}`);
  it.each<[string, unknown, string]>([
    [
      'a string for a list',
      pod({ containers: 'x' }),
      handled('json: cannot unmarshal string into Go struct field PodSpec.spec.containers of type []v1.Container'),
    ],
    [
      'a string for a number',
      pod({ containers: [{ ports: [{ containerPort: '80' }] }] }),
      handled(
        'json: cannot unmarshal string into Go struct field ContainerPort.spec.containers.ports.containerPort of type int32',
      ),
    ],
    [
      'a fraction',
      pod({ priority: 1.5 }),
      handled('json: cannot unmarshal number 1.5 into Go struct field PodSpec.spec.priority of type int32'),
    ],
    [
      'a number for a label',
      { metadata: { labels: { a: 5 } } },
      handled('json: cannot unmarshal number into Go struct field ObjectMeta.metadata.labels of type string'),
    ],
    [
      'an array for an object',
      { spec: [] },
      handled('json: cannot unmarshal array into Go struct field Pod.spec of type v1.PodSpec'),
    ],
    [
      'a quantity',
      pod({ containers: [{ resources: { limits: { cpu: 'much' } } }] }),
      handled("quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"),
    ],
    [
      'a time',
      { metadata: { deletionTimestamp: 'soon' } },
      handled('parsing time "soon" as "2006-01-02T15:04:05Z07:00": cannot parse "soon" as "2006"'),
    ],
    [
      'a day that is none',
      { metadata: { deletionTimestamp: '2026-02-30T00:00:00Z' } },
      handled('parsing time "2026-02-30T00:00:00Z": day out of range'),
    ],
    [
      'a port',
      pod({ containers: [{ readinessProbe: { httpGet: { port: true } } }] }),
      handled('json: cannot unmarshal boolean into Go value of type int32').replace('boolean', 'bool'),
    ],
    [
      'another version',
      { apiVersion: 'v2', kind: 'Pod' },
      bad('the API version in the data (v2) does not match the expected API version (v1)'),
    ],
    [
      'another kind',
      { apiVersion: 'v1', kind: 'Foo' },
      bad(
        'Foo in version "v1" cannot be handled as a Pod: no kind "Foo" is registered for version "v1" in scheme "pkg/api/legacyscheme/scheme.go:30"',
      ),
    ],
    [
      'no version',
      { apiVersion: 'a/b/c', kind: 'Pod' },
      bad(
        'the object provided is unrecognized (must be of type Pod): unexpected GroupVersion string: a/b/c ({"apiVersion":"a/b/c","kind":" ...)',
      ),
    ],
    [
      'kind a number',
      { kind: 5 },
      bad(
        'the object provided is unrecognized (must be of type Pod): couldn\'t get version/kind; json parse error: json: cannot unmarshal number into Go struct field .kind of type string ({"kind":5})',
      ),
    ],
    [
      'nothing',
      '',
      bad(
        "the object provided is unrecognized (must be of type Pod): couldn't get version/kind; json parse error: unexpected end of JSON input (<empty>)",
      ),
    ],
    [
      'cut off',
      '{"kind":"Pod"',
      bad(
        `the object provided is unrecognized (must be of type Pod): couldn't get version/kind; json parse error: unexpected end of JSON input ({"kind":"Pod")`,
      ),
    ],
    [
      'a stray comma',
      '{"a":1,}',
      bad(
        `the object provided is unrecognized (must be of type Pod): couldn't get version/kind; json parse error: invalid character '}' looking for beginning of object key string ({"a":1,})`,
      ),
    ],
    [
      'no colon',
      '{"a" 1}',
      bad(
        `the object provided is unrecognized (must be of type Pod): couldn't get version/kind; json parse error: invalid character '1' after object key ({"a" 1})`,
      ),
    ],
    [
      'two values',
      '{} {}',
      bad(
        `the object provided is unrecognized (must be of type Pod): couldn't get version/kind; json parse error: invalid character '{' after top-level value ({} {})`,
      ),
    ],
    [
      'words',
      'nope',
      bad(
        `the object provided is unrecognized (must be of type Pod): couldn't get version/kind; json parse error: invalid character 'o' in literal null (expecting 'u') (6e6f7065)`,
      ),
    ],
  ])('%s', (_, body, message) => expect(failure(() => decode(POD, body))).toBe(message));

  it('base64', () => {
    expect(failure(() => decode(SECRET, { data: { a: '!' } }))).toBe(
      '400 Secret in version "v1" cannot be handled as a Secret: illegal base64 data at input byte 0',
    );
    expect(decode(SECRET, { metadata: { name: 'a' }, data: { a: 'aGk=' } }).object).toMatchObject({
      data: { a: 'aGk=' },
    });
  });
  it('YAML', () => {
    expect(decode(POD, 'metadata:\n  name: a\nspec:\n  containers: []\n', 'yaml').object.metadata.name).toBe('a');
    expect(failure(() => decode(POD, 'a: b: c', 'yaml'))).toContain(
      'error converting YAML to JSON: yaml: line 1: mapping values are not allowed in this context',
    );
    expect(decode(POD, 'metadata: {name: a}\nmetadata: {name: b}', 'yaml').problems).toEqual([
      'yaml: unmarshal errors:\n  line 2: key "metadata" already set in map',
    ]);
  });
  it('nesting without end', () => {
    expect(failure(() => decode(POD, '['.repeat(100_000)))).toContain('exceeded max depth');
    expect(failure(() => decode(POD, `{"a":${'['.repeat(5000)}${']'.repeat(5000)}}`))).toContain('exceeded max depth');
  });
  it('custom resources keep what they say', () => {
    const body = { apiVersion: 'example.com/v1', kind: 'Widget', metadata: { name: 'a', foo: 1 }, spec: { x: null } };
    const { object, problems } = decode(WIDGET, body);
    expect(object).toEqual({
      apiVersion: 'example.com/v1',
      kind: 'Widget',
      metadata: { name: 'a' },
      spec: { x: null },
    });
    expect(problems).toEqual(['unknown field "metadata.foo"']);
    expect(failure(() => decode(WIDGET, { spec: 1 }))).toContain(`Object 'Kind' is missing in '{"spec":1}'`);
  });
});

describe('results of patches', () => {
  it('are objects again', () => {
    const value = { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'a' }, spec: { containers: [], foo: 1 } };
    expect(decodePatched(POD, value).problems).toEqual(['unknown field "spec.foo"']);
    expect(failure(() => decodePatched(POD, { apiVersion: 'v1', kind: 'Pod', spec: { priority: 'x' } }))).toBe(
      '422  "" is invalid: patch: Invalid value: "{\\"apiVersion\\":\\"v1\\",\\"kind\\":\\"Pod\\",\\"spec\\":{\\"priority\\":\\"x\\"}}": json: cannot unmarshal string into Go struct field PodSpec.spec.priority of type int32',
    );
  });
});

describe('delete options', () => {
  it.each(['v1', 'meta.k8s.io/v1', 'apps/v1'])('of %s', (apiVersion) => {
    const body = { kind: 'DeleteOptions', apiVersion, gracePeriodSeconds: 0, propagationPolicy: 'Background' };
    expect(decodeDeleteOptions(Buffer.from(JSON.stringify(body)), 'json').object).toEqual({
      gracePeriodSeconds: 0,
      propagationPolicy: 'Background',
    });
  });
  it('may be missing or wrong', () => {
    expect(decodeDeleteOptions(Buffer.alloc(0), 'json').object).toEqual({});
    expect(failure(() => decodeDeleteOptions(Buffer.from('{"kind":"Pod"}'), 'json'))).toBe(
      '400 decoded object cannot be converted to DeleteOptions',
    );
  });
});
