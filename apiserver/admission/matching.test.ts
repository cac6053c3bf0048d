import { describe, expect, it } from 'vitest';
import { deployment } from '../../api/kinds/deployment.ts';
import { namespace } from '../../api/kinds/namespace.ts';
import { pod } from '../../api/kinds/pod.ts';
import type { Kind } from '../../api/kind.ts';
import { selectorFromObject } from '../../api/selectors.ts';
import type { AdmissionRequest, Operation } from './chain.ts';
import {
  isExemptFromWebhooks,
  matchedKind,
  matchesRule,
  namespaceOfRequest,
  objectSelected,
  ruleTarget,
} from './matching.ts';

const kinds = { pod, deployment, namespace } as unknown as Record<string, Kind>;

const request = (kind: string, subresource = '', operation: Operation = 'CREATE'): AdmissionRequest => ({
  operation,
  kind: kinds[kind] as Kind,
  subresource,
  namespace: 'ns',
  name: 'x',
  object: { metadata: { name: 'x', labels: { app: 'web' } } },
  old: undefined,
  user: { name: 'u', groups: [] },
  dryRun: false,
  warn() {},
});

const all = { operations: ['*'], apiGroups: ['*'], apiVersions: ['*'], resources: ['*'] };

describe('rules', () => {
  it.each<[string, object, AdmissionRequest, boolean]>([
    ['everything', all, request('pod'), true],
    ['* has no subresources', all, request('pod', 'status'), false],
    ['*/* has them', { ...all, resources: ['*/*'] }, request('pod', 'status'), true],
    ['pods/* has the pods', { ...all, resources: ['pods/*'] }, request('pod'), true],
    ['pods/* has exec', { ...all, resources: ['pods/*'] }, request('pod', 'exec', 'CONNECT'), true],
    ['*/scale', { ...all, resources: ['*/scale'] }, request('deployment', 'scale', 'UPDATE'), true],
    ['pods/status is not pods', { ...all, resources: ['pods/status'] }, request('pod'), false],
    ['operation', { ...all, operations: ['UPDATE', 'DELETE'] }, request('pod'), false],
    ['core group', { ...all, apiGroups: [''] }, request('pod'), true],
    ['other group', { ...all, apiGroups: ['apps'] }, request('pod'), false],
    ['version', { ...all, apiVersions: ['v2'] }, request('pod'), false],
    ['cluster scope', { ...all, scope: 'Cluster' }, request('pod'), false],
    ['namespaces are cluster-scoped', { ...all, scope: 'Cluster' }, request('namespace'), true],
    ['namespaces are not namespaced', { ...all, scope: 'Namespaced' }, request('namespace'), false],
    ['resource names', { ...all, resourceNames: ['y'] }, request('pod'), false],
  ])('%s', (_, rule, of, expected) => {
    expect(matchesRule(rule, ruleTarget(of))).toBe(expected);
  });

  it('finds another version of the resource unless the policy is Exact', () => {
    const older = { ...(kinds.deployment as Kind), version: 'v1beta1' };
    const rules = [{ ...all, apiVersions: ['v1beta1'] }];
    const of = request('deployment');
    const equivalents = () => [kinds.deployment as Kind, older];
    expect(matchedKind(rules, 'Equivalent', of, equivalents)).toBe(older);
    expect(matchedKind(rules, 'Exact', of, equivalents)).toBeUndefined();
    expect(matchedKind([all], 'Equivalent', of, equivalents)).toBe(kinds.deployment);
  });
});

describe('selectors', () => {
  it('select what is there or what was there', () => {
    const web = selectorFromObject({ matchLabels: { app: 'web' } });
    const none = selectorFromObject({ matchLabels: { app: 'db' } });
    const of = request('pod');
    expect(objectSelected(web, of)).toBe(true);
    expect(objectSelected(none, of)).toBe(false);
    expect(objectSelected(none, { ...of, old: { metadata: { labels: { app: 'db' } } } })).toBe(true);
    expect(objectSelected(web, { ...of, object: undefined })).toBe(false);
  });

  it('look at the namespace of the object, or at the object that is one', () => {
    expect(namespaceOfRequest(request('pod'))).toBe('ns');
    expect(namespaceOfRequest(request('namespace'))).toBe('x');
  });
});

it('leaves what configures admission alone', () => {
  const group = 'admissionregistration.k8s.io';
  expect(isExemptFromWebhooks({ group, resource: 'mutatingwebhookconfigurations' })).toBe(true);
  expect(isExemptFromWebhooks({ group: '', resource: 'pods' })).toBe(false);
});
