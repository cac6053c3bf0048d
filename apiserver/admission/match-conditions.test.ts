import { expect, it } from 'vitest';
import { createScheme } from '../../api/kinds/index.ts';
import type { Kind } from '../../api/kind.ts';
import type { KubeObject } from '../../api/object.ts';
import type { Authorizer } from '../auth/identity.ts';
import type { AdmissionRequest } from './chain.ts';
import { webhookConditions } from './match-conditions.ts';

const kind = createScheme().byResource('', 'v1', 'configmaps') as Kind;
const request = {
  operation: 'CREATE',
  kind,
  subresource: '',
  namespace: 'default',
  name: 'm',
  object: { metadata: { name: 'm' }, data: { a: 'b' } } as KubeObject,
  old: undefined,
  user: { name: 'alice', groups: ['people'] },
  dryRun: false,
  warn() {},
} as AdmissionRequest;

/** Asks somebody else first: its answers are promises. */
const slow: Authorizer = {
  authorize: ({ verb, resource, user }) =>
    Promise.resolve({ allowed: verb === 'get' && resource === 'pods' && user.name === 'alice', reason: 'asked' }),
};

const asked = (...expressions: string[]) =>
  webhookConditions(() => slow)(
    expressions.map((expression, at) => ({ name: `c${at}`, expression })),
    false,
  )(request);

it.each([
  [["request.userInfo.username == 'alice'", 'object.kind == "ConfigMap"'], { matches: true }],
  [["'people' in request.userInfo.groups && oldObject == null"], { matches: true }],
  [["request.userInfo.username != 'alice'"], { matches: false }],
  // A condition that does not hold decides, whatever others run into.
  [['object.missing == 1', 'false'], { matches: false }],
  [
    ['object.missing == 1'],
    { matches: false, error: "expression 'object.missing == 1' resulted in error: no such key: missing" },
  ],
  [
    ['object.x == 1', 'object.y == 1'],
    {
      matches: false,
      error:
        "[expression 'object.x == 1' resulted in error: no such key: x, expression 'object.y == 1' resulted in error: no such key: y]",
    },
  ],
  [["authorizer.group('').resource('pods').check('get').allowed()"], { matches: true }],
  [
    [
      "authorizer.group('').resource('pods').check('get').allowed()",
      "authorizer.group('').resource('nodes').check('get').allowed()",
    ],
    { matches: false },
  ],
])('%j', async (expressions, outcome) => {
  expect(await asked(...expressions)).toEqual(outcome);
});
