import { describe, expect, it } from 'vitest';
import type { HTTPIngressPath, Ingress, IngressSpec, NetworkPolicySpec } from '../types/networking-v1.ts';
import type { StorageClass } from '../types/storage-v1.ts';
import { ingress } from './ingress.ts';
import { ingressClass } from './ingress-class.ts';
import { networkPolicy } from './network-policy.ts';
import { runtimeClass } from './runtime-class.ts';
import { storageClass } from './storage-class.ts';
import { CONTEXT, createErrors, created, messagesOf, updateErrors } from './testing.ts';

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
    [withPath({ pathType: undefined, backend: {} }), [`${at}.pathType: Required value: pathType must be specified`]],
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

  it('names kinds and names that can stand in a path', () => {
    const resource = { apiGroup: 'A', kind: '', name: 'b/c' };
    expect(createErrors(ingress, { metadata, spec: { defaultBackend: { resource } } })).toEqual([
      expect.stringMatching(
        /^spec\.defaultBackend\.resource\.apiGroup: Invalid value: "A": a lowercase RFC 1123 subdomain/,
      ),
      'spec.defaultBackend.resource.kind: Required value',
      'spec.defaultBackend.resource.name: Invalid value: "b/c": may not contain \'/\'',
    ]);
  });

  it('has a class in one way, or in both', () => {
    const annotations = { 'kubernetes.io/ingress.class': 'a' };
    const spec = { defaultBackend: service, ingressClassName: 'b' };
    expect(createErrors(ingress, { metadata: { ...metadata, annotations }, spec })).toEqual([
      'annotations.kubernetes.io/ingress.class: Invalid value: "a": must match `ingressClassName` when both are specified',
    ]);
  });

  it('keeps what older rules let in', () => {
    const withTls = (secretName: string, host = '*.a.example') => ({
      metadata,
      spec: { tls: [{ secretName }], rules: [{ host, http: { paths: [] } }] },
    });
    const wrong = [
      'spec.rules[0].http.paths: Required value',
      expect.stringMatching(/^spec\.tls\[0\]\.secretName: Invalid value: "B_": a lowercase RFC 1123 subdomain/),
    ];
    expect(createErrors(ingress, withTls('B_'))).toEqual(wrong);
    expect(updateErrors(ingress, withTls('A_'), withTls('B_'))).toEqual([]);
    // A host that is no pattern was always looked at.
    expect(updateErrors(ingress, withTls('A_'), withTls('B_', 'a.example'))).toEqual(wrong.slice(0, 1));
  });

  it('is balanced by addresses and by names', () => {
    const object = (entry: object) => ({ metadata, status: { loadBalancer: { ingress: [entry] } } }) as Ingress;
    const messages = (entry: object) => messagesOf(ingress.validateStatusUpdate?.(object(entry), object({})) ?? []);
    const at = 'status.loadBalancer.ingress[0]';
    expect(messages({ ip: '010.0.0.1' })).toEqual([`${at}.ip: Invalid value: "010.0.0.1": must not have leading 0s`]);
    expect(messages({ hostname: '1.2.3.4' })).toEqual([
      `${at}.hostname: Invalid value: "1.2.3.4": must be a DNS name, not an IP address`,
    ]);
    expect(messages({ hostname: 'A' })).toEqual([expect.stringContaining('a lowercase RFC 1123 subdomain')]);
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
    expect(updateErrors(ingressClass, { metadata, spec }, { metadata, spec: { controller: 'a' } })).toEqual([
      'spec.controller: Invalid value: "a": field is immutable',
      'spec.controller: Invalid value: "a": must be a domain-prefixed path (such as "acme.io/foo")',
    ]);
  });
  it.each<[object, string[]]>([
    [{}, []],
    [{ scope: 'Namespace' }, ["spec.parameters.namespace: Required value: `parameters.scope` is set to 'Namespace'"]],
    [{ scope: 'Namespace', namespace: 'a' }, []],
    [
      { scope: 'Namespace', namespace: 'a.b' },
      ['spec.parameters.namespace: Invalid value: "a.b": must not contain dots'],
    ],
    [{ namespace: 'a' }, ["spec.parameters.namespace: Forbidden: `parameters.scope` is set to 'Cluster'"]],
    [
      { scope: 'Odd', namespace: 'a' },
      ['spec.parameters.scope: Unsupported value: "Odd": supported values: "Cluster", "Namespace"'],
    ],
    [
      { kind: 'a%', name: '..' },
      [
        'spec.parameters.kind: Invalid value: "a%": may not contain \'%\'',
        'spec.parameters.name: Invalid value: "..": may not be \'..\'',
      ],
    ],
  ])('parameters %j', (parameters, messages) => {
    const spec = { controller: 'acme.io/ingress', parameters: { kind: 'Config', name: 'c', ...parameters } };
    expect(createErrors(ingressClass, { metadata, spec })).toEqual(messages);
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
      { egress: [{ ports: [{ endPort: 79 }, { port: 'B', endPort: 0 }] }] },
      [
        'spec.egress[0].ports[0].endPort: Invalid value: 79: may not be specified when `port` is not specified',
        'spec.egress[0].ports[1].endPort: Invalid value: 0: may not be specified when `port` is non-numeric',
        'spec.egress[0].ports[1].port: Invalid value: "B": must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)',
        'spec.egress[0].ports[1].port: Invalid value: "B": must contain at least one letter (a-z)',
      ],
    ],
    [
      { ingress: [{ from: [{ podSelector: {}, ipBlock: { cidr: '', except: ['x'] } }] }] },
      [
        'spec.ingress[0].from[0].ipBlock.cidr: Required value',
        'spec.ingress[0].from[0]: Forbidden: may not specify both ipBlock and another peer',
      ],
    ],
    [
      { policyTypes: ['Odd'] },
      ['spec.policyTypes[0]: Unsupported value: "Odd": supported values: "Ingress", "Egress"'],
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
