// Questions about access and identity: what is wrong with one, in upstream's order and words.
import { afterAll, beforeAll, expect, it } from 'vitest';
import { startTestServer, type TestServer } from '../../testing/server.ts';

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer();
});
afterAll(() => server.stop());

const API = '/apis/authorization.k8s.io/v1';
const REVIEW = `${API}/subjectaccessreviews`;
const LOCAL = `${API}/namespaces/default/localsubjectaccessreviews`;
const PODS = { resource: 'pods', verb: 'get' };
const ROOT = { path: '/', verb: 'get' };
const AT = 'spec.resourceAttributes';
const VALUES = "must be specified when `operator` is 'In' or 'NotIn'";
const NEITHER = `${AT}: Invalid value: null: exactly one of nonResourceAttributes or resourceAttributes must be specified`;
const ask = (fieldSelector: object, labelSelector: object, more: object = {}) => ({
  spec: { user: 'a', resourceAttributes: { ...PODS, fieldSelector, labelSelector }, ...more },
});

it.each<[string, string, object, string[]]>([
  [
    'nothing is asked about nobody',
    REVIEW,
    { spec: {} },
    [NEITHER, 'spec.user: Invalid value: "": at least one of user or group must be specified'],
  ],
  [
    'a question has no name',
    REVIEW,
    { metadata: { name: 'x' }, spec: { user: 'a', resourceAttributes: PODS } },
    ['metadata: Invalid value: {"name":"x"}: must be empty'],
  ],
  [
    'it is one question, and one form of each selector',
    REVIEW,
    ask({}, { rawSelector: 'a', requirements: [{ key: 'b', operator: 'In' }] }, { nonResourceAttributes: ROOT }),
    [
      'spec.nonResourceAttributes: Invalid value: {"Path":"/","Verb":"get"}: cannot be specified in combination with resourceAttributes',
      `${AT}.fieldSelector.requirements: Required value: when ${AT}.fieldSelector is specified, requirements or rawSelector is required`,
      `${AT}.labelSelector.rawSelector: Invalid value: "a": may not specified at the same time as requirements`,
      `${AT}.labelSelector.requirements[0].values: Required value: ${VALUES}`,
    ],
  ],
  [
    'operators that nobody knows are left alone',
    REVIEW,
    ask(
      {
        requirements: [
          { operator: 'In' },
          { key: 'a', operator: 'Exists', values: ['x'] },
          { key: 'a', operator: 'Z' },
        ],
      },
      { requirements: [{ key: 'b', operator: 'Z' }] },
    ),
    [
      `${AT}.fieldSelector.requirements[0].key: Required value: must be specified`,
      `${AT}.fieldSelector.requirements[0].values: Required value: ${VALUES}`,
      `${AT}.fieldSelector.requirements[1].values: Forbidden: may not be specified when \`operator\` is 'Exists' or 'DoesNotExist'`,
    ],
  ],
  [
    'a local question is about its namespace',
    LOCAL,
    {
      metadata: { name: 'x', namespace: 'default' },
      spec: { user: 'a', resourceAttributes: { ...PODS, namespace: 'other' } },
    },
    [
      'metadata: Invalid value: {"name":"x"}: must be empty except for namespace',
      `${AT}.namespace: Invalid value: "other": must match metadata.namespace`,
    ],
  ],
  [
    'and not about paths',
    LOCAL,
    { spec: { user: 'a', nonResourceAttributes: ROOT } },
    ['spec.nonResourceAttributes: Invalid value: {"Path":"/","Verb":"get"}: disallowed on this kind of request'],
  ],
  [
    'about oneself',
    `${API}/selfsubjectaccessreviews`,
    { metadata: { labels: { a: 'b' } }, spec: {} },
    [NEITHER, 'metadata: Invalid value: {"labels":{"a":"b"}}: must be empty'],
  ],
])('%s', async (_, path, body, messages) => {
  const { code, body: status } = await server.call('POST', path, { body });
  expect(code).toBe(422);
  const causes: { field: string; message: string }[] = status.details.causes;
  expect(causes.map(({ field, message }) => `${field}: ${message}`)).toEqual(messages);
});

it.each<[string, object, string]>([
  [`${API}/selfsubjectrulesreviews`, { spec: {} }, 'no namespace on request'],
  ['/apis/authentication.k8s.io/v1/tokenreviews', { spec: {} }, 'token is required for TokenReview in authentication'],
])('%s %j', async (path, body, message) => {
  expect(await server.call('POST', path, { body })).toMatchObject({ code: 400, body: { message } });
});
