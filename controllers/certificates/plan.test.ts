// What becomes of certificate signing requests, as tables.
import { describe, expect, it } from 'vitest';
import type { SigningRequest } from '../../api/pkcs10.ts';
import type { CertificateSigningRequest } from '../../api/types/certificates-v1.ts';
import { expiresAt, planSigning, recognize, servingProblem, SIGNERS } from './plan.ts';

const request = (more: Partial<SigningRequest> = {}): SigningRequest => ({
  commonName: 'system:node:a',
  organizations: ['system:nodes'],
  dnsNames: [],
  emailAddresses: [],
  uris: [],
  ipAddresses: [],
  subject: Buffer.alloc(0),
  publicKey: Buffer.alloc(0),
  ...more,
});
const AT = '2026-01-01T00:00:00Z';
const csr = (
  signerName: string,
  usages: string[],
  types: string[] = ['Approved'],
  more: { certificate?: string; username?: string; seconds?: number } = {},
): CertificateSigningRequest => ({
  metadata: { name: 'r', creationTimestamp: AT },
  spec: {
    request: '',
    signerName,
    usages,
    ...(more.username && { username: more.username }),
    ...(more.seconds && { expirationSeconds: more.seconds }),
  },
  status: {
    conditions: types.map((type) => ({ type, status: 'True', lastUpdateTime: AT })),
    ...(more.certificate && { certificate: more.certificate }),
  },
});

const CLIENT = ['digital signature', 'client auth'];
const SERVER = ['digital signature', 'key encipherment', 'server auth'];
const dns = { dnsNames: ['a'] };

describe('signing', () => {
  it.each<[string, CertificateSigningRequest, SigningRequest, string]>([
    ['waits for the approval', csr(SIGNERS.kubeletClient, CLIENT, []), request(), 'ignore'],
    ['never when denied', csr(SIGNERS.kubeletClient, CLIENT, ['Denied']), request(), 'ignore'],
    ['once', csr(SIGNERS.kubeletClient, CLIENT, ['Approved'], { certificate: 'x' }), request(), 'ignore'],
    ['not for others', csr('example.com/own', CLIENT), request(), 'ignore'],
    ['a kubelet', csr(SIGNERS.kubeletClient, CLIENT), request(), 'sign'],
    ['no names', csr(SIGNERS.kubeletClient, CLIENT), request(dns), 'DNS subjectAltNames are not allowed'],
    [
      'no other group',
      csr(SIGNERS.kubeletClient, CLIENT),
      request({ organizations: ['system:nodes', 'system:masters'] }),
      'subject organization is not system:nodes',
    ],
    [
      'no other user',
      csr(SIGNERS.kubeletClient, CLIENT),
      request({ commonName: 'admin' }),
      'subject common name does not begin with system:node:',
    ],
    [
      'no other usage',
      csr(SIGNERS.kubeletClient, [...CLIENT, 'server auth']),
      request(),
      'usages did not match [client auth digital signature key encipherment]',
    ],
    ['a kubelet serving', csr(SIGNERS.kubeletServing, SERVER), request(dns), 'sign'],
    ['with a name', csr(SIGNERS.kubeletServing, SERVER), request(), 'DNS or IP subjectAltName is required'],
    ['a user', csr(SIGNERS.apiserverClient, ['client auth']), request({ organizations: [] }), 'sign'],
    [
      'for clients only',
      csr(SIGNERS.apiserverClient, ['client auth', 'server auth']),
      request(),
      'invalid usage for client certificate: server auth',
    ],
    [
      'as a client',
      csr(SIGNERS.apiserverClient, ['digital signature']),
      request(),
      'missing required usage for client certificate: client auth',
    ],
  ])('%s', (_, object, asked, expected) => {
    const plan = planSigning(object, asked);
    expect(plan.kind === 'fail' ? plan.message : plan.kind).toBe(expected);
  });
  it.each([
    [undefined, 31_536_000],
    [3600, 3600],
    [60, 600],
    [99_999_999, 31_536_000],
  ])('%s seconds are asked for', (seconds, given) => {
    const object = csr(SIGNERS.kubeletClient, CLIENT, ['Approved'], seconds === undefined ? {} : { seconds });
    expect(planSigning(object, request())).toEqual({ kind: 'sign', seconds: given });
  });
});

it('approves kubelets, and kubelets for themselves', () => {
  const permissions = (object: CertificateSigningRequest) =>
    recognize(object, request()).map((each) => each.permission);
  expect(permissions(csr(SIGNERS.kubeletClient, CLIENT, []))).toEqual(['nodeclient']);
  const own = csr(SIGNERS.kubeletClient, CLIENT, [], { username: 'system:node:a' });
  expect(permissions(own)).toEqual(['selfnodeclient', 'nodeclient']);
  expect(permissions(csr(SIGNERS.kubeletServing, SERVER, []))).toEqual([]);
  expect(permissions(csr(SIGNERS.kubeletServing, CLIENT, [], { username: 'system:node:a' }))).toEqual([]);
});

it.each([
  [csr('s', [], []), 24],
  [csr('s', [], ['Denied']), 1],
  [csr('s', [], ['Approved']), Number.POSITIVE_INFINITY],
  [csr('s', [], ['Approved'], { certificate: 'x' }), 1],
  [csr('s', [], ['Approved', 'Failed']), 1],
])('goes after hours', (object, hours) => {
  expect((expiresAt(object) - Date.parse(AT)) / 3_600_000).toBe(hours);
});

it('a node has certificates for its own addresses only, and for none that another has', () => {
  const node = (name: string, ...addresses: string[]) => ({
    metadata: { name },
    status: { addresses: addresses.map((address) => ({ type: 'InternalIP', address })) },
  });
  const asked = (dnsNames: string[], ipAddresses: string[]) => ({
    ...request(),
    commonName: 'system:node:a',
    dnsNames,
    ipAddresses,
  });
  const nodes = [node('a', '10.0.0.1', 'host', '10.0.0.9'), node('b', '10.0.0.9', 'host')];
  expect(servingProblem(asked(['host'], ['10.0.0.1']), nodes)).toBeUndefined();
  expect(servingProblem(asked([], ['10.0.0.2']), nodes)).toBe('10.0.0.2 is not an address of node a');
  expect(servingProblem(asked(['kubernetes.default'], []), nodes)).toBe(
    'kubernetes.default is not an address of node a',
  );
  expect(servingProblem(asked([], ['10.0.0.9']), nodes)).toBe('10.0.0.9 is an address of another node too');
  expect(servingProblem(asked([], ['10.0.0.1']), [])).toBe('node a has not registered');
});
