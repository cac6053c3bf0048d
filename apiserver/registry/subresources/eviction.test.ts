import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { startTestServer, type TestServer } from '../../testing/server.ts';

const NS = '/api/v1/namespaces/default';
const BUDGETS = '/apis/policy/v1/namespaces/default/poddisruptionbudgets';

let server: TestServer;

beforeAll(async () => {
  server = await startTestServer();
  await server.call('POST', `${NS}/serviceaccounts`, { body: { metadata: { name: 'default' } } });
});
afterAll(() => server.stop());

let count = 0;
let name = '';

beforeEach(async () => {
  for (const budget of (await server.call('GET', BUDGETS)).body.items) {
    await server.call('DELETE', `${BUDGETS}/${budget.metadata.name}`);
  }
  name = await newPod();
});

async function newPod(ready = true): Promise<string> {
  const pod = `pod-${++count}`;
  const spec = { nodeName: 'n', containers: [{ name: 'c', image: 'i' }], terminationGracePeriodSeconds: 0 };
  await server.call('POST', `${NS}/pods`, { body: { metadata: { name: pod, labels: { app: 'web' } }, spec } });
  await status(`${NS}/pods/${pod}`, {
    phase: 'Running',
    conditions: [{ type: 'Ready', status: ready ? 'True' : 'False' }],
  });
  return pod;
}

const status = (path: string, to: object) =>
  server.call('PATCH', `${path}/status`, { body: { status: to }, type: 'application/merge-patch+json' });

async function newBudget(to: object, spec: object = {}, budget = 'b') {
  const body = {
    metadata: { name: budget },
    spec: { minAvailable: 1, selector: { matchLabels: { app: 'web' } }, ...spec },
  };
  expect((await server.call('POST', BUDGETS, { body })).code).toBe(201);
  const counts = { disruptionsAllowed: 0, currentHealthy: 0, desiredHealthy: 0, expectedPods: 0 };
  expect((await status(`${BUDGETS}/${budget}`, { ...counts, observedGeneration: 1, ...to })).code).toBe(200);
}

const evict = (pod = name, more: object = {}, query = '') =>
  server.call('POST', `${NS}/pods/${pod}/eviction${query}`, {
    body: { apiVersion: 'policy/v1', kind: 'Eviction', metadata: { name: pod }, ...more },
  });
const exists = async (pod = name) => (await server.call('GET', `${NS}/pods/${pod}`)).code === 200;
const cause = (answer: { body: any }) => answer.body.details.causes[0];

describe('an eviction', () => {
  it('deletes a pod that no budget selects, and says why on it', async () => {
    await newBudget({}, { selector: {} });
    await server.call('PATCH', `${NS}/pods/${name}`, {
      body: { metadata: { finalizers: ['example.com/stay'] } },
      type: 'application/merge-patch+json',
    });
    const answer = await evict();
    expect(answer.code).toBe(201);
    expect(answer.body).toMatchObject({ kind: 'Status', status: 'Success' });
    const { body } = await server.call('GET', `${NS}/pods/${name}`);
    expect(body.metadata.deletionTimestamp).toBeDefined();
    expect(body.status.conditions).toContainEqual(
      expect.objectContaining({ type: 'DisruptionTarget', status: 'True', reason: 'EvictionByEvictionAPI' }),
    );
    await server.call('PATCH', `${NS}/pods/${name}`, {
      body: { metadata: { finalizers: null } },
      type: 'application/merge-patch+json',
    });
  });

  it('is refused when the budget has nothing left', async () => {
    await newBudget({ currentHealthy: 1, desiredHealthy: 1 });
    const answer = await evict();
    expect(answer.code).toBe(429);
    expect(answer.body.message).toBe("Cannot evict pod as it would violate the pod's disruption budget.");
    expect(answer.body.reason).toBe('TooManyRequests');
    expect(cause(answer)).toEqual({
      reason: 'DisruptionBudget',
      message: 'The disruption budget b needs 1 healthy pods and has 1 currently',
    });
    expect(await exists()).toBe(true);
  });

  it('waits for a budget that nobody has counted yet', async () => {
    await newBudget({ observedGeneration: 0, disruptionsAllowed: 1 });
    const answer = await evict();
    expect(answer.code).toBe(429);
    expect(answer.body.details.retryAfterSeconds).toBe(10);
    expect(cause(answer).message).toBe('The disruption budget b is still being processed by the server.');
  });

  it('costs the budget one, and it never pays more than it has', async () => {
    await newBudget({ disruptionsAllowed: 3, currentHealthy: 4, desiredHealthy: 1 });
    const pods = [name, ...(await Promise.all(Array.from({ length: 7 }, () => newPod())))];
    const codes = await Promise.all(pods.map(async (pod) => (await evict(pod)).code));
    expect(codes.sort()).toEqual([201, 201, 201, 429, 429, 429, 429, 429]);
    const { body } = await server.call('GET', `${BUDGETS}/b`);
    expect(body.status.disruptionsAllowed).toBe(0);
    expect(Object.keys(body.status.disruptedPods)).toHaveLength(3);
    expect(body.status.conditions).toMatchObject([{ type: 'DisruptionAllowed', status: 'False' }]);
  });

  it('that only tries costs nothing', async () => {
    await newBudget({ disruptionsAllowed: 1, currentHealthy: 2, desiredHealthy: 1 });
    expect((await evict(name, {}, '?dryRun=All')).code).toBe(201);
    expect((await evict(name, { deleteOptions: { dryRun: ['All'] } })).code).toBe(201);
    expect((await server.call('GET', `${BUDGETS}/b`)).body.status.disruptionsAllowed).toBe(1);
    expect(await exists()).toBe(true);
  });

  it.each<[string, string | undefined, object, number]>([
    ['with a healthy budget', undefined, { currentHealthy: 1, desiredHealthy: 1 }, 201],
    ['with a budget that is short', undefined, { currentHealthy: 0, desiredHealthy: 1 }, 429],
    ['with a budget that is short and does not mind', 'AlwaysAllow', { currentHealthy: 0, desiredHealthy: 1 }, 201],
  ])('of a pod that is not ready, %s', async (_, policy, to, code) => {
    await newBudget(to, policy ? { unhealthyPodEvictionPolicy: policy } : {});
    const sick = await newPod(false);
    expect((await evict(sick)).code).toBe(code);
    expect(await exists(sick)).toBe(code !== 201);
  });

  it('of a pod that has ended asks nobody', async () => {
    await newBudget({ currentHealthy: 1, desiredHealthy: 1 });
    await status(`${NS}/pods/${name}`, { phase: 'Succeeded' });
    expect((await evict()).code).toBe(201);
    expect(await exists()).toBe(false);
  });

  it('of a pod with two budgets is not possible', async () => {
    await newBudget({ disruptionsAllowed: 1 });
    await newBudget({ disruptionsAllowed: 1 }, {}, 'c');
    const { code, body } = await evict();
    expect(code).toBe(500);
    expect(body.message).toBe(
      'This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.',
    );
  });

  it('of a pod that is not there is a 404', async () => {
    const { code, body } = await evict('nobody');
    expect(code).toBe(404);
    expect(body.message).toBe('pods "nobody" not found');
  });
});
