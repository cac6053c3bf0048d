import { describe, expect, it } from 'vitest';
import type { HTTPIngressPath, Ingress, IngressSpec, NetworkPolicySpec } from '../types/networking-v1.ts';
import type { StorageClass } from '../types/storage-v1.ts';
import { ingress } from './ingress.ts';
import { ingressClass } from './ingress-class.ts';
import { networkPolicy } from './network-policy.ts';
import { runtimeClass } from './runtime-class.ts';
import { storageClass } from './storage-class.ts';
import { CONTEXT, createErrors, created, updateErrors } from './testing.ts';

const metadata = { name: 'x', namespace: 'default' };
const service = { service: { name: 'web', port: { number: 80 } } };
const withPath = (path: Partial<HTTPIngressPath>): IngressSpec => ({
  rules: [{ host: 'a.example', http: { paths: [{ path: '/', pathType: 'Prefix', backend: service, ...path }] } }],
});
const at = 'spec.rules[0].http.paths[0]';

describe('Ingress', () => {
  it.each<[IngressSpec, string[]]>([
    [withPath({}), []],
    [{}, ['spec: Invalid value: null: either `defaultBackend` or `rules` must be specified']],
    [
      { defaultBackend: service, rules: [{ host: '10.0.0.1' }] },
      ['spec.rules[0].host: Invalid value: "10.0.0.1": must be a DNS name, not an IP address'],
    ],
    [withPath({ path: 'x' }), [`${at}.path: Invalid value: "x": must be an absolute path`]],
    [
      withPath({ path: '/a//b/.' }),
      [
        `${at}.path: Invalid value: "/a//b/.": must not contain '//'`,
        `${at}.path: Invalid value: "/a//b/.": cannot end with '/.'`,
      ],
    ],
    [withPath({ pathType: undefined }), [`${at}.pathType: Required value: pathType must be specified`]],
    [
      withPath({ pathType: 'Odd' }),
      [`${at}.pathType: Unsupported value: "Odd": supported values: "Exact", "ImplementationSpecific", "Prefix"`],
    ],
    [withPath({ backend: {} }), [`${at}.backend: Invalid value: "": resource or service backend is required`]],
    [
      withPath({ backend: { service: { name: 'web' } } }),
      [`${at}.backend: Required value: port name or number is required`],
    ],
  ])('%j', (spec, messages) => {
    expect(createErrors(ingress, { metadata, spec })).toEqual(messages);
  });

  it('prints its table', () => {
    const rules = ['a', 'b', 'c', 'd'].map((host) => ({ host }));
    const sent: Ingress = { metadata, spec: { rules, ingressClassName: 'nginx', tls: [{}] } };
    const object = created(ingress, sent);
    object.status = { loadBalancer: { ingress: [{ ip: '1.2.3.4' }, { hostname: 'lb' }] } };
    expect(ingress.cells(object, CONTEXT)).toEqual([
      'x',
      'nginx',
      'a,b,c + 1 more...',
      '1.2.3.4,lb',
      '80, 443',
      '<unknown>',
    ]);
  });
});

describe('IngressClass', () => {
  it('names its controller for good', () => {
    const spec = { controller: 'acme.io/ingress', parameters: { apiGroup: 'acme.io', kind: 'Config', name: 'c' } };
    expect(createErrors(ingressClass, { metadata, spec })).toEqual([]);
    expect(ingressClass.cells(created(ingressClass, { metadata, spec }), CONTEXT)).toEqual([
      'x',
      'acme.io/ingress',
      'Config.acme.io/c',
      '<unknown>',
    ]);
    expect(createErrors(ingressClass, { metadata, spec: { controller: 'nginx' } })).toEqual([
      'spec.controller: Invalid value: "nginx": must be a domain-prefixed path (such as "acme.io/foo")',
    ]);
    expect(updateErrors(ingressClass, { metadata, spec }, { metadata, spec: { controller: 'a.io/b' } })).toEqual([
      'spec.controller: Invalid value: "a.io/b": field is immutable',
    ]);
  });
});

describe('NetworkPolicy', () => {
  it('has the types of its rules', () => {
    expect(created(networkPolicy, { metadata, spec: { egress: [{ ports: [{ port: 53 }] }] } }).spec).toEqual({
      podSelector: {},
      egress: [{ ports: [{ port: 53, protocol: 'TCP' }] }],
      policyTypes: ['Ingress', 'Egress'],
    });
  });

  it.each<[NetworkPolicySpec, string[]]>([
    [{}, []],
    [{ ingress: [{ from: [{}] }] }, ['spec.ingress[0].from[0]: Required value: must specify a peer']],
    [
      { ingress: [{ from: [{ podSelector: {}, ipBlock: { cidr: '10.0.0.0/8' } }] }] },
      ['spec.ingress[0].from[0]: Forbidden: may not specify both ipBlock and another peer'],
    ],
    [
      { egress: [{ to: [{ ipBlock: { cidr: '10.0.0.0/8', except: ['10.1.0.0/16', '11.0.0.0/16', '10.0.0.0/8'] } }] }] },
      [
        'spec.egress[0].to[0].ipBlock.except[1]: Invalid value: "11.0.0.0/16": must be a strict subset of `cidr`',
        'spec.egress[0].to[0].ipBlock.except[2]: Invalid value: "10.0.0.0/8": must be a strict subset of `cidr`',
      ],
    ],
    [
      { ingress: [{ ports: [{ port: 80, endPort: 79 }] }] },
      ['spec.ingress[0].ports[0].endPort: Invalid value: 79: must be greater than or equal to `port`'],
    ],
    [
      { policyTypes: ['Odd'] },
      ['spec.policyTypes[0]: Unsupported value: "Odd": supported values: "Egress", "Ingress"'],
    ],
  ])('%j', (spec, messages) => {
    expect(createErrors(networkPolicy, { metadata, spec })).toEqual(messages);
  });
});

describe('StorageClass and RuntimeClass', () => {
  it('say what they are for good', () => {
    const fast: StorageClass = { metadata: { name: 'fast' }, provisioner: 'acme.io/disk' };
    expect(createErrors(storageClass, fast)).toEqual([]);
    expect(createErrors(storageClass, { ...fast, provisioner: '', reclaimPolicy: 'Recycle' })).toEqual([
      'provisioner: Required value',
      'reclaimPolicy: Unsupported value: "Recycle": supported values: "Delete", "Retain"',
    ]);
    expect(updateErrors(storageClass, fast, { ...fast, provisioner: 'acme.io/tape' })).toEqual([
      'provisioner: Forbidden: updates to provisioner are forbidden.',
    ]);
    const annotations = { 'storageclass.kubernetes.io/is-default-class': 'true' };
    const marked = created(storageClass, { ...fast, metadata: { name: 'fast', annotations } });
    expect(storageClass.cells(marked, CONTEXT)).toEqual([
      'fast (default)',
      'acme.io/disk',
      'Delete',
      'Immediate',
      false,
      '<unknown>',
    ]);
    expect(updateErrors(runtimeClass, { metadata, handler: 'a' }, { metadata, handler: 'b' })).toEqual([
      'handler: Invalid value: "b": field is immutable',
    ]);
    expect(runtimeClass.cells({ metadata, handler: 'a' }, CONTEXT)).toEqual(['x', 'a', '<unknown>']);
  });
});
