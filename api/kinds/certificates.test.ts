// CertificateSigningRequests and APIServices: one row for each rule with upstream's words.
import { describe, expect, it } from 'vitest';
import { apiService } from './api-service.ts';
import { certificateSigningRequest } from './certificate-signing-request.ts';
import { created, createErrors, messagesOf, variant } from './testing.ts';
import { SAMPLES, signingRequest } from './testing-samples.ts';

describe('signing requests', () => {
  const sample = SAMPLES['certificatesigningrequests.certificates.k8s.io'] as object;
  const damaged = () => {
    const pem = Buffer.from(signingRequest(), 'base64').toString('utf8');
    const lines = pem.split('\n');
    const body = Buffer.from(lines.slice(1, -2).join(''), 'base64');
    // A bit of the name that was signed.
    const at = body.indexOf('sample');
    body[at] = (body[at] as number) ^ 1;
    const text = `${lines[0]}\n${body.toString('base64')}\n${lines.at(-2)}\n`;
    return Buffer.from(text).toString('base64');
  };

  it.each<[string, object, RegExp[]]>([
    ['a good one', {}, []],
    [
      'no PEM',
      { request: 'AAAA' },
      [/^spec\.request: Invalid value: "AAAA": PEM block type must be CERTIFICATE REQUEST$/],
    ],
    ['changed since it was signed', { request: damaged() }, [/^spec\.request: .*: x509: ECDSA verification failure$/]],
    [
      'PEM of nothing',
      {
        request: Buffer.from('-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n').toString(
          'base64',
        ),
      },
      [/^spec\.request: .*: asn1: structure error/],
    ],
    ['no usages', { usages: [] }, [/^spec\.usages: Required value$/]],
    [
      'usages that are none, or twice',
      { usages: ['signing', 'signing', 'flying'] },
      [
        /^spec\.usages\[2\]: Unsupported value: "flying": supported values: "any", "cert sign", /,
        /^spec\.usages\[1\]: Duplicate value: "signing"$/,
      ],
    ],
    ['no signer', { signerName: '' }, [/^spec\.signerName: Required value$/]],
    [
      'the legacy signer',
      { signerName: 'kubernetes.io/legacy-unknown' },
      [
        /^spec\.signerName: Invalid value: "kubernetes.io\/legacy-unknown": the legacy signerName is not allowed via this API version$/,
      ],
    ],
    [
      'a signer without a path',
      { signerName: 'example.com' },
      [/must be a fully qualified domain and path of the form 'example\.com\/signer-name'$/],
    ],
    [
      'a signer without a domain',
      { signerName: 'example/s' },
      [/^spec\.signerName: Invalid value: "example": should be a domain with at least two segments separated by dots$/],
    ],
    [
      'too short a time',
      { expirationSeconds: 599 },
      [
        /^spec\.expirationSeconds: Invalid value: 599: may not specify a duration less than 600 seconds \(10 minutes\)$/,
      ],
    ],
  ])('%s', (_, spec, patterns) => {
    const found = createErrors(certificateSigningRequest, variant(sample, { spec }));
    expect(found).toHaveLength(patterns.length);
    for (const [i, pattern] of patterns.entries()) expect(found[i]).toMatch(pattern);
  });

  const approved = { type: 'Approved', status: 'True' };
  it.each<[string, '' | 'approval' | 'status', object, object, string[]]>([
    [
      'main',
      '',
      {},
      { conditions: [approved] },
      ['status.conditions: Forbidden: updates may not add a condition of type "Approved"'],
    ],
    ['approval', 'approval', {}, { conditions: [approved] }, []],
    [
      'approval',
      'approval',
      {},
      { conditions: [{ type: 'Approved', status: 'False' }] },
      ['status.conditions[0].status: Unsupported value: "False": supported values: "True"'],
    ],
    [
      'approval',
      'approval',
      {},
      { conditions: [{}] },
      ['status.conditions[0].type: Required value', 'status.conditions[0].status: Required value'],
    ],
    [
      'approval',
      'approval',
      { conditions: [approved] },
      {},
      ['status.conditions: Forbidden: updates may not remove a condition of type "Approved"'],
    ],
    [
      'status',
      'status',
      { conditions: [approved] },
      { conditions: [approved, { type: 'Failed', status: 'True' }] },
      [],
    ],
    [
      'status',
      'status',
      { conditions: [approved] },
      { conditions: [{ ...approved, reason: 'Other' }] },
      [
        'status.conditions: Forbidden: updates may not modify a condition of type "Approved"\n+ status.conditions[0].reason: "Other"',
      ],
    ],
    [
      'status',
      'status',
      {},
      { certificate: 'AAAA' },
      ['status.certificate: Invalid value: "<certificate data>": must contain at least one CERTIFICATE PEM block'],
    ],
    [
      'status',
      'status',
      { certificate: 'AAAA' },
      { certificate: 'BBBB' },
      ['status.certificate: Forbidden: updates may not modify existing certificate content'],
    ],
    [
      'approval',
      'approval',
      { certificate: 'AAAA' },
      { certificate: 'BBBB' },
      ['status.certificate: Forbidden: updates may not set certificate content'],
    ],
  ])('%s: %j %j to %j', (_, subresource, before, after, messages) => {
    const old = created(certificateSigningRequest, variant<never>(sample, {})) as any;
    const object = { ...old, status: after };
    old.status = before;
    const { validateUpdate, validateStatusUpdate, updates } = certificateSigningRequest;
    const rules = { '': validateUpdate, status: validateStatusUpdate, approval: updates?.['approval']?.validate }[
      subresource
    ];
    expect(messagesOf(rules?.(object, old) ?? [])).toEqual(messages);
  });

  it.each([
    [{}, 'Pending'],
    [{ conditions: [approved] }, 'Approved'],
    [{ conditions: [approved], certificate: 'AAAA' }, 'Approved,Issued'],
    [{ conditions: [{ type: 'Denied' }] }, 'Denied'],
    [{ conditions: [approved, { type: 'Failed' }] }, 'Approved,Failed'],
  ])('%j is %s', (status, text) => {
    const object = { ...variant<any>(sample, { spec: { expirationSeconds: 7200 } }), status };
    expect(certificateSigningRequest.cells(object, { nowMs: 0 }).slice(2)).toEqual([
      'example.com/sample',
      '',
      '120m',
      text,
    ]);
  });
});

describe('API services', () => {
  const sample = SAMPLES['apiservices.apiregistration.k8s.io'] as object;
  it.each<[object, string[]]>([
    [{}, []],
    [
      { metadata: { name: 'wrong' } },
      ['metadata.name: Invalid value: "wrong": must be `spec.version+"."+spec.group`: "v1alpha1.samples.example.com"'],
    ],
    [
      { metadata: { name: 'v2.' }, spec: { group: '', version: 'v2' } },
      ['spec.group: Required value: only v1 may have an empty group and it better be legacy kube'],
    ],
    [
      { spec: { groupPriorityMinimum: 20001, versionPriority: 0 } },
      [
        'spec.groupPriorityMinimum: Invalid value: 20001: must be positive and less than 20000',
        'spec.versionPriority: Invalid value: 0: must be positive and less than 1000',
      ],
    ],
    [
      { spec: { service: { namespace: '', name: '' } } },
      ['spec.service.namespace: Required value', 'spec.service.name: Required value'],
    ],
    [
      { spec: { insecureSkipTLSVerify: true, caBundle: 'AAAA' } },
      ['spec.insecureSkipTLSVerify: Invalid value: true: may not be true if caBundle is present'],
    ],
    [
      { spec: { service: null, insecureSkipTLSVerify: true, caBundle: 'AAAA' } },
      [
        'spec.caBundle: Invalid value: "3 bytes": local APIServices may not have a caBundle',
        'spec.insecureSkipTLSVerify: Invalid value: true: local APIServices may not have insecureSkipTLSVerify',
      ],
    ],
  ])('%j', (patch, messages) => {
    expect(createErrors(apiService, variant(sample, patch))).toEqual(messages);
  });
  it('of the server itself are available at once', () => {
    const local = created(apiService, variant<never>(sample, { spec: { service: null } }));
    expect(apiService.cells(local, { nowMs: 0 }).slice(1, 3)).toEqual(['Local', 'True']);
    const remote = created(apiService, variant<never>(sample, {}));
    expect(apiService.cells(remote, { nowMs: 0 }).slice(1, 3)).toEqual(['default/samples', 'Unknown']);
  });
});
