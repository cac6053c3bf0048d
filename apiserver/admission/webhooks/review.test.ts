// What of a webhook's answer is believed, by the version of the review that it was asked in.
import { expect, it } from 'vitest';
import { createScheme } from '../../../api/kinds/index.ts';
import type { Kind } from '../../../api/kind.ts';
import type { AdmissionRequest } from '../chain.ts';
import { readReview, reviewBody } from './review.ts';

const patch = Buffer.from('[{"op":"remove","path":"/data"}]').toString('base64');
const decoded = [{ op: 'remove', path: '/data' }];

it('asks in the version that the webhook lists', () => {
  const kind = createScheme().byResource('', 'v1', 'configmaps') as Kind;
  const request = {
    operation: 'CREATE',
    kind,
    subresource: '',
    namespace: 'a',
    name: 'b',
    user: { name: 'u', groups: [] },
  };
  const body = (version: 'v1' | 'v1beta1') =>
    JSON.parse(
      reviewBody(request as unknown as AdmissionRequest, {
        uid: 'x',
        version,
        kind,
        object: undefined,
        old: undefined,
      }),
    );
  expect(body('v1').apiVersion).toBe('admission.k8s.io/v1');
  expect(body('v1beta1')).toEqual({ ...body('v1'), apiVersion: 'admission.k8s.io/v1beta1' });
});

it('reads v1beta1 as leniently as upstream: no uid, no type of the patch, no patch of those that only validate', () => {
  const review = {
    apiVersion: 'admission.k8s.io/v1beta1',
    kind: 'AdmissionReview',
    response: { allowed: true, patch },
  };
  expect(readReview(review, 'x', true, 'v1beta1')).toMatchObject({ allowed: true, patch: decoded });
  expect(readReview(review, 'x', false, 'v1beta1').patch).toBeUndefined();
  expect(readReview({ response: { allowed: false } }, 'x', true, 'v1beta1').allowed).toBe(false);
  expect(() => readReview({}, 'x', true, 'v1beta1')).toThrow('webhook response was absent');
});

const V1 = { apiVersion: 'admission.k8s.io/v1', kind: 'AdmissionReview' };

it.each([
  [{ response: { uid: 'x' } }, /Object 'Kind' is missing/],
  [{ ...V1, apiVersion: 'admission.k8s.io/v1beta1' }, /expected webhook response of admission.k8s.io\/v1,/],
  [{ ...V1, response: { uid: 'y', allowed: true } }, /expected response.uid="x", got "y"/],
  [{ ...V1, response: { uid: 'x', allowed: true, patch } }, /response.patch but not response.patchType/],
])('refuses %j in v1', (review, problem) => expect(() => readReview(review, 'x', true)).toThrow(problem));
