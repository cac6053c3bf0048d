// Kubernetes' libraries, and the messages a user sees.
import { expect, test } from 'vitest';
import { compile, createEnvironment, toJson, types } from './index.ts';
import { authorizerType, authorizerValue } from './library/authorizer.ts';
import { typeFromSchema } from './schema-types.ts';
import type { CelType } from './types.ts';
import { CelOpaque } from './values.ts';

const variables: Record<string, CelType> = {
  self: types.dyn,
  n: types.int,
  s: types.string,
  authorizer: authorizerType,
};
const environment = createEnvironment({ variables, libraries: ['jsonpatch'] });

function evaluate(source: string, self: unknown = {}): unknown {
  const compiled = compile(environment, source);
  if (!compiled.ok) return compiled.issues;
  const authorizer = authorizerValue(({ verb, resource, serviceAccount, path }) => ({
    isAllowed:
      verb === 'get' && (resource?.resource === 'pods' || serviceAccount?.name === 'robot' || path === '/healthz'),
    reason: `asked ${verb}`,
  }));
  const result = compiled.program.evaluate({ self, n: 1, s: 'text', authorizer });
  if (!result.ok) return `error: ${result.error}`;
  return result.value instanceof CelOpaque ? String(result.value) : toJson(result.value);
}

test.each([
  // strings
  ["'tacocat'.charAt(3)", 'o'],
  ["'tacocat'.substring(0, 4)", 'taco'],
  ["'a😀b'.size()", 3],
  ["'a😀b'.indexOf('b')", 2],
  ["'TacoCÆt'.lowerAscii()", 'tacocÆt'],
  ["'hello hello'.replace('he', 'we', 1)", 'wello hello'],
  ["'ab'.replace('', '-')", '-a-b-'],
  ["'a,b,c'.split(',', 2)", ['a', 'b,c']],
  ["['x', 'y'].join('-')", 'x-y'],
  ['"%s=%d".format([dyn("a"), dyn(1)])', 'a=1'],
  ["'x'.charAt(5)", 'error: index out of range: 5'],
  // lists and sets
  ['[1, 2, 3].isSorted() && ![2, 1].isSorted()', true],
  ['[1, 3, 2].max() + [1, 3, 2].min() + [1, 3, 2].sum()', 10],
  ["['a', 'b', 'b'].indexOf('b') + ['a', 'b', 'b'].lastIndexOf('b')", 3],
  ['self.list.min()', 'error: min called on empty list'],
  ['sets.contains([1, 2, 3], [3, 2])', true],
  ['sets.equivalent([1], [1, 1]) && !sets.intersects([1], [2])', true],
  // patterns
  ["'abc 123'.find('[0-9]+')", '123'],
  ["'123 abc 456'.findAll('[0-9]+', 1)", ['123']],
  ["'aaa'.findAll('a*')", ['aaa']],
  ["'ab'.matches('^(?i)AB$')", true],
  // URLs
  ["url('https://example.com:80/a%20b?k=v&k=w').getHost()", 'example.com:80'],
  ["url('https://example.com:80/').getPort()", '80'],
  ["url('https://[::1]:80/').getHostname()", '::1'],
  ["url('https://example.com/a b').getEscapedPath()", '/a%20b'],
  ["url('https://example.com/?k=v&k=w').getQuery()['k']", ['v', 'w']],
  ["isURL('https://a:80/') && isURL('/path') && !isURL('../relative') && !isURL('a b')", true],
  // addresses
  ["ip('fe80::1').isLinkLocalUnicast() && ip('127.0.0.1').isLoopback() && ip('8.8.8.8').isGlobalUnicast()", true],
  ["string(ip('2001:db8:0:0:0:0:0:1'))", '2001:db8::1'],
  ["ip.isCanonical('::1') && !ip.isCanonical('0:0::1')", true],
  ["isIP('01.2.3.4') || isIP('::ffff:1.2.3.4') || isIP('fe80::1%eth0')", false],
  ["cidr('192.168.0.0/24').containsIP('192.168.0.7') && !cidr('192.168.0.0/24').containsIP('192.168.1.7')", true],
  ["string(cidr('10.1.2.3/8').masked())", '10.0.0.0/8'],
  ["cidr('10.0.0.0/8').containsCIDR('10.1.0.0/16') && !cidr('10.1.0.0/16').containsCIDR('10.0.0.0/8')", true],
  // quantities
  ["quantity('1.5Gi').isGreaterThan(quantity('1G')) && quantity('500m').compareTo(quantity('0.5')) == 0", true],
  ["quantity('50k').add(20).sub(quantity('10')).asInteger()", 50_010],
  ["isQuantity('1x') || quantity('1.5').isInteger()", false],
  [
    "quantity('x')",
    "error: quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
  ],
  // versions
  ["semver('1.2.3').isLessThan(semver('1.10.0')) && semver('1.0.0-alpha.1').isLessThan(semver('1.0.0'))", true],
  ["isSemver('v1.2') || !isSemver('v1.2', true)", false],
  ["semver('v01.2', true).compareTo(semver('1.2.0'))", 0],
  // formats
  ["format.dns1123Label().validate('my-label').hasValue()", false],
  ["format.named('uuid').value().validate('nope').value()", ['does not match the UUID format']],
  ["format.named('nope').hasValue()", false],
  // images
  ["image('registry.k8s.io/pause:3.9').registry() + ' ' + image('nginx').identifier()", 'registry.k8s.io latest'],
  ["isImage('registry.k8s.io//pause')", false],
  // authorization
  ["authorizer.group('').resource('pods').namespace('a').check('get').allowed()", true],
  ["authorizer.group('').resource('secrets').check('get').reason()", 'asked get'],
  ["authorizer.serviceAccount('ns', 'robot').group('').resource('secrets').check('get').allowed()", true],
  ["authorizer.path('/healthz').check('get').allowed()", true],
  ["authorizer.serviceAccount('ns', 'No_').path('/').check('get').allowed()", 'error: Invalid service account name'],
  // patches, optional values, loops over two variables
  ["jsonpatch.escapeKey('example.com/a~b')", 'example.com~1a~0b'],
  ['self.?a.b.orValue(7)', 7],
  ["{?'a': self.?x, 'b': 1}", { b: 1 }],
  ['self.?x.optMap(x, x + 1).orValue(0)', 0],
  ["{'a': 1, 'b': 2}.transformMap(k, v, v > 1, v * 10)", { b: 20 }],
  ["['x', 'y'].transformList(i, v, v + string(i))", ['x0', 'y1']],
  ["{'a': 1}.transformMapEntry(k, v, {string(v): k})", { '1': 'a' }],
  // numbers
  ['9223372036854775807 + n', 'error: integer overflow'],
  ['n / (n - 1)', 'error: division by zero'],
  ['string(9007199254740991 + 2)', '9007199254740993'],
  ['self.i == 1.0 && self.i < 1.5 && 1 in self.list2', true],
  ["duration('1h') + duration('30m') == duration('90m')", true],
  ["timestamp('2024-02-29T12:00:00Z').getDayOfYear('America/New_York')", 59],
  // errors at run time
  ['self.missing', 'error: no such key: missing'],
  ['self.list2[5]', 'error: index out of bounds: 5'],
  ['self.list2.all(x, x > 0) && self.missing', 'error: no such key: missing'],
  ['self.missing || true', true],
  ['self.i + "x"', 'error: no such overload'],
  ["self.b.startsWith('x')", 'error: no such overload: startsWith(bool, string)'],
  ["int('abc')", 'error: strconv.ParseInt: parsing "abc": invalid syntax'],
] as [string, unknown][])('%s', (source, expected) => {
  const self = { list: [], list2: [1, 2], i: 1, b: true };
  const found = evaluate(source, self);
  if (typeof expected === 'string' && expected.startsWith('ERROR')) expect(String(found).split('\n')[0]).toBe(expected);
  else expect(found).toEqual(expected);
});

test.each([
  ['x.y', "ERROR: <input>:1:1: undeclared reference to 'x' (in container '')\n | x.y\n | ^"],
  ['n.foo', "ERROR: <input>:1:2: type 'int' does not support field selection\n | n.foo\n | .^"],
  [
    "n + 'a'",
    "ERROR: <input>:1:3: found no matching overload for '_+_' applied to '(int, string)'\n | n + 'a'\n | ..^",
  ],
  [
    'n ? 1 : 2',
    "ERROR: <input>:1:3: found no matching overload for '_?_:_' applied to '(int, int, int)'\n | n ? 1 : 2\n | ..^",
  ],
  ['s.foo()', "ERROR: <input>:1:6: undeclared reference to 'foo' (in container '')\n | s.foo()\n | .....^"],
  [
    'n.all(x, true)',
    "ERROR: <input>:1:1: expression of type 'int' cannot be range of a comprehension (must be list, map, or dynamic)\n | n.all(x, true)\n | ^",
  ],
  ["[1, 'a']", "ERROR: <input>:1:5: expected type 'int' but found 'string'\n | [1, 'a']\n | ....^"],
  ["s.matches('(?<=a)b')", "ERROR: <input>:1:11: invalid matches argument\n | s.matches('(?<=a)b')\n | ..........^"],
  [
    "duration('1y') > duration('1s')",
    "ERROR: <input>:1:10: invalid duration argument\n | duration('1y') > duration('1s')\n | .........^",
  ],
  [
    'self.a ==',
    "ERROR: <input>:1:10: Syntax error: mismatched input '<EOF>' expecting {'[', '{', '(', '.', '-', '!', 'true', 'false', 'null', NUM_FLOAT, NUM_INT, NUM_UINT, STRING, BYTES, IDENTIFIER}\n | self.a ==\n | .........^",
  ],
])('compiling %s', (source, issues) => {
  expect(compile(environment, source)).toMatchObject({ ok: false, issues });
});

test('a result of another type than asked for', () => {
  expect(compile(environment, '1 + 1', { expects: [types.bool] })).toEqual({
    ok: false,
    phase: 'result',
    issues: 'must evaluate to bool but got int',
  });
  expect(compile(environment, 'self.x', { expects: [types.string, types.null] })).toMatchObject({
    issues: 'must evaluate to one of [string null_type] but got dyn',
  });
});

test('schemas give types, names are escaped, JSON is read as the schema says', () => {
  const self = typeFromSchema(
    {
      type: 'object',
      properties: {
        'foo-bar': { type: 'integer' },
        namespace: { type: 'string' },
        when: { type: 'string', format: 'date-time' },
        data: { type: 'string', format: 'byte' },
        ratio: { type: 'number' },
        port: { 'x-kubernetes-int-or-string': true },
        labels: { type: 'object', additionalProperties: { type: 'string' } },
        set: { type: 'array', items: { type: 'string' }, 'x-kubernetes-list-type': 'set' },
        free: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true },
      },
    },
    { isResourceRoot: true },
  ) as CelType;
  const check = (rule: string, json: unknown) => {
    const compiled = compile(createEnvironment({ variables: { self } }), rule);
    if (!compiled.ok) return compiled.issues;
    const result = compiled.program.evaluate({ self: json });
    return result.ok ? toJson(result.value) : result.error;
  };
  const json = {
    metadata: { name: 'n' },
    'foo-bar': 3,
    namespace: 'ns',
    when: '2024-01-01T00:00:00Z',
    data: 'AAE=',
    ratio: 2,
    port: 80,
    labels: { a: 'b' },
    set: ['x', 'y'],
  };
  expect(check("self.foo__dash__bar == 3 && self.__namespace__ == 'ns' && self.metadata.name == 'n'", json)).toBe(true);
  expect(check("self.when < timestamp('2024-01-02T00:00:00Z') && self.data.size() == 2", json)).toBe(true);
  expect(check('self.ratio == 2.0 && self.port == 80 && self.labels.exists(k, self.labels[k] == "b")', json)).toBe(
    true,
  );
  expect(check("self.set == ['y', 'x'] && (self.set + ['x', 'z']).size() == 3", json)).toBe(true);
  expect(check('has(self.free)', json)).toBe(false);
  expect(check('self.nope', json)).toBe("ERROR: <input>:1:5: undefined field 'nope'\n | self.nope\n | ....^");
});
