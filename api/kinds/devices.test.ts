// Devices: classes, claims and what drivers offer; defaults, and one row for each rule with upstream's words.
import { describe, expect, it } from 'vitest';
import { deviceClass } from './device-class.ts';
import { resourceClaim } from './resource-claim.ts';
import { resourceClaimTemplate } from './resource-claim-template.ts';
import { resourceSlice } from './resource-slice.ts';
import { CONTEXT, created, createErrors, messagesOf, updateErrors, variant } from './testing.ts';
import { SAMPLES } from './testing-samples.ts';

const claim = SAMPLES['resourceclaims.resource.k8s.io'] as object;
const slice = SAMPLES['resourceslices.resource.k8s.io'] as object;
const exactly = { deviceClassName: 'gpu.example.com' };
const request = { name: 'gpu', exactly };
const UNKNOWN_REQUEST =
  "must be the name of a request in the claim or the name of a request and a subrequest separated by '/'";

describe('claims', () => {
  it('get defaults', () => {
    const tolerations = [{ key: 'a' }];
    const object = created(
      resourceClaim,
      variant<never>(claim, {
        spec: {
          devices: {
            requests: [
              { name: 'a', exactly: { ...exactly, tolerations } },
              { name: 'b', firstAvailable: [{ name: 'c', deviceClassName: 'd', allocationMode: 'All' }] },
            ],
          },
        },
      }),
    ) as any;
    expect(object.spec.devices.requests).toEqual([
      {
        name: 'a',
        exactly: { ...exactly, allocationMode: 'ExactCount', count: 1, tolerations: [{ key: 'a', operator: 'Equal' }] },
      },
      { name: 'b', firstAvailable: [{ name: 'c', deviceClassName: 'd', allocationMode: 'All' }] },
    ]);
  });

  it.each<[object, string[]]>([
    [{}, []],
    [
      { requests: [{ name: 'gpu' }] },
      ['spec.devices.requests[0]: Required value: exactly one of `exactly` or `firstAvailable` is required'],
    ],
    [
      { requests: [{ ...request, firstAvailable: [{ name: 'a', deviceClassName: 'b' }] }] },
      [
        'spec.devices.requests[0]: Invalid value: null: exactly one of `exactly` or `firstAvailable` is required, but multiple fields are set',
      ],
    ],
    [{ requests: [request, request] }, ['spec.devices.requests[1]: Duplicate value: "gpu"']],
    [
      { requests: Array.from({ length: 33 }, (_, i) => ({ ...request, name: `r${i}` })) },
      ['spec.devices.requests: Too many: 33: must have at most 32 items'],
    ],
    [
      {
        requests: [{ name: 'gpu', exactly: { deviceClassName: '', allocationMode: 'All', count: 2, selectors: [{}] } }],
      },
      [
        'spec.devices.requests[0].exactly.deviceClassName: Required value',
        'spec.devices.requests[0].exactly.selectors[0].cel: Required value',
        "spec.devices.requests[0].exactly.count: Invalid value: 2: must not be specified when allocationMode is 'All'",
      ],
    ],
    [
      { requests: [{ name: 'gpu', exactly: { ...exactly, allocationMode: 'Most' } }] },
      [
        'spec.devices.requests[0].exactly.allocationMode: Unsupported value: "Most": supported values: "All", "ExactCount"',
      ],
    ],
    [
      {
        requests: [
          { name: 'gpu', exactly: { ...exactly, tolerations: [{ operator: 'Exists', value: 'x', effect: 'Never' }] } },
        ],
      },
      [
        'spec.devices.requests[0].exactly.tolerations[0].value: Invalid value: "x": must be empty for operator `Exists`',
        'spec.devices.requests[0].exactly.tolerations[0].effect: Unsupported value: "Never": supported values: "NoExecute", "NoSchedule", "None"',
      ],
    ],
    [
      { constraints: [{ requests: ['tpu', 'gpu/a/b'], matchAttribute: 'model' }] },
      [
        `spec.devices.constraints[0].requests[0]: Invalid value: "tpu": ${UNKNOWN_REQUEST}`,
        `spec.devices.constraints[0].requests[1]: Invalid value: "gpu/a/b": ${UNKNOWN_REQUEST}`,
        'spec.devices.constraints[0].matchAttribute: Invalid value: "model": a fully qualified name must be a domain and a name separated by a slash',
      ],
    ],
    [
      { config: [{}, { opaque: { driver: '', parameters: [] } }] },
      [
        'spec.devices.config[0].opaque: Required value',
        'spec.devices.config[1].opaque.driver: Required value',
        'spec.devices.config[1].opaque.parameters: Invalid value: "<value omitted>": must be a valid JSON object',
      ],
    ],
  ])('%j', (devices, messages) => {
    expect(createErrors(resourceClaim, variant(claim, { spec: { devices } }))).toEqual(messages);
    const template = createErrors(
      resourceClaimTemplate,
      variant({}, { spec: variant(claim, { metadata: null, spec: { devices } }) }),
    );
    expect(template).toEqual(messages.map((each) => `spec.${each}`));
  });

  it('stay as they are', () => {
    const changed = variant<never>(claim, { spec: { devices: { requests: [{ ...request, name: 'other' }] } } });
    expect(updateErrors(resourceClaim, variant<never>(claim, {}), changed)[0]).toMatch(
      /^spec: Invalid value: .*: field is immutable$/,
    );
  });

  const result = { request: 'gpu', driver: 'gpu.example.com', pool: 'pool', device: 'gpu-0' };
  const allocation = { devices: { results: [result] } };
  const device = { driver: 'gpu.example.com', pool: 'pool', device: 'gpu-0' };
  it.each<[object, object, string[]]>([
    [{}, { allocation, reservedFor: [{ resource: 'pods', name: 'p', uid: 'u' }], devices: [device] }, []],
    [
      {},
      { reservedFor: [{ resource: 'pods', name: 'p', uid: 'u' }] },
      ['status.reservedFor: Forbidden: may not be specified when `allocated` is not set'],
    ],
    [
      { allocation },
      { allocation, reservedFor: [{ uid: 'u' }, { resource: 'pods', name: 'p', uid: 'u' }] },
      [
        'status.reservedFor[0].resource: Required value',
        'status.reservedFor[0].name: Required value',
        'status.reservedFor[1]: Duplicate value: "u"',
      ],
    ],
    [
      {},
      { allocation: { devices: { results: [{ ...result, request: 'tpu', pool: '', shareID: 'x' }] } } },
      [
        `status.allocation.devices.results[0].request: Invalid value: "tpu": ${UNKNOWN_REQUEST}`,
        'status.allocation.devices.results[0].pool: Required value',
        'status.allocation.devices.results[0].shareID: Invalid value: "x": error validating uid: invalid UUID length: 1',
      ],
    ],
    [
      { allocation },
      { allocation, devices: [{ ...device, device: 'gpu-1', data: 'text', networkData: { ips: ['1.2.3.4'] } }] },
      [
        'status.devices[0]: Invalid value: "gpu.example.com/pool/gpu-1": must be an allocated device in the claim',
        'status.devices[0].data: Invalid value: "<value omitted>": must be a valid JSON object',
        'status.devices[0].networkData.ips[0]: Invalid value: "1.2.3.4": must be a valid address in CIDR form, (e.g. 10.9.8.7/24 or 2001:db8::1/64)',
      ],
    ],
  ])('status %j to %j', (before, after, messages) => {
    const old = { ...variant<any>(claim, {}), status: before };
    const object = { ...variant<any>(claim, {}), status: after };
    expect(messagesOf(resourceClaim.validateStatusUpdate?.(object, old) ?? [])).toEqual(messages);
  });

  it('an allocation stays, and nobody joins a claim that goes', () => {
    const old = { ...variant<any>(claim, {}), status: { allocation } };
    const moved = { ...old, status: { allocation: { devices: { results: [{ ...result, device: 'gpu-9' }] } } } };
    expect(messagesOf(resourceClaim.validateStatusUpdate?.(moved, old) ?? [])[0]).toMatch(
      /^status\.allocation: .*: field is immutable$/,
    );
    const going = {
      ...old,
      metadata: { ...old.metadata, deletionTimestamp: '2026-01-01T00:00:00Z' },
      status: { allocation, reservedFor: [{ resource: 'pods', name: 'p', uid: 'u' }] },
    };
    expect(messagesOf(resourceClaim.validateStatusUpdate?.(going, old) ?? [])).toEqual([
      'status.reservedFor: Forbidden: new entries may not be added while `deallocationRequested` or `deletionTimestamp` are set',
    ]);
    expect(resourceClaim.cells(going, { nowMs: 0 })[1]).toBe('deleted,allocated,reserved');
  });
});

it('classes', () => {
  const errors = (spec: object) => createErrors(deviceClass, { metadata: { name: 'c' }, spec } as never);
  expect(errors({ extendedResourceName: 'example.com/gpu' })).toEqual([]);
  expect(errors({ extendedResourceName: 'cpu', selectors: [{}], config: [{}] })).toEqual([
    'spec.selectors[0].cel: Required value',
    'spec.config[0].opaque: Required value',
    'spec.extendedResourceName: Invalid value: "cpu": must be a valid extended resource name',
  ]);
});

describe('slices', () => {
  const one = 'exactly one of `nodeName`, `nodeSelector`, `allNodes`, `perDeviceNodeSelection` is required';
  const shared = { name: 'd', allowMultipleAllocations: true };
  it.each<[object, string[]]>([
    [{}, []],
    [
      { driver: '', pool: { name: 'Bad', resourceSliceCount: 0, generation: -1 } },
      [
        'spec.driver: Required value',
        expect.stringMatching(/^spec\.pool\.name: Invalid value: "Bad"/),
        'spec.pool.resourceSliceCount: Invalid value: 0: must be greater than zero',
        'spec.pool.generation: Invalid value: -1: must be greater than or equal to zero',
      ],
    ],
    [{ nodeName: null }, [`spec: Required value: ${one}`]],
    [{ allNodes: true }, [`spec: Invalid value: "{\`nodeName\`, \`allNodes\`}": ${one}, but multiple fields are set`]],
    [{ devices: [{ name: 'a' }, { name: 'a' }] }, ['spec.devices[1]: Duplicate value: "a"']],
    [
      { devices: [{ name: 'a', nodeName: 'n' }] },
      [
        'spec.devices[0]: Invalid value: null: `nodeName`, `nodeSelector` and `allNodes` can only be set if `perDeviceNodeSelection` is set to true in the ResourceSlice spec',
      ],
    ],
    [
      {
        devices: [
          { name: 'a', attributes: { v: {}, 'x/y/z': { bool: true }, w: { version: '1.0', string: 'x'.repeat(65) } } },
        ],
      },
      [
        'spec.devices[0].attributes[v]: Invalid value: "": exactly one value must be specified',
        'spec.devices[0].attributes: Invalid value: "x/y/z": must not contain more than one slash',
        'spec.devices[0].attributes[w].string: Too long: may not be more than 64 bytes',
        'spec.devices[0].attributes[w].version: Invalid value: "1.0": must be a string compatible with semver.org spec 2.0.0',
        expect.stringMatching(
          /^spec\.devices\[0\]\.attributes\[w\]: Invalid value: .*: exactly one value must be specified$/,
        ),
      ],
    ],
    [
      { devices: [{ name: 'a', taints: [{ key: '', effect: 'Never' }] }] },
      [
        expect.stringMatching(/^spec\.devices\[0\]\.taints\[0\]\.key: Invalid value: "": name part must be non-empty/),
        expect.stringMatching(/^spec\.devices\[0\]\.taints\[0\]\.key/),
        'spec.devices[0].taints[0].effect: Unsupported value: "Never": supported values: "NoExecute", "NoSchedule", "None"',
      ],
    ],
    [
      { devices: [{ name: 'a', bindingConditions: ['x'], bindingFailureConditions: ['x', 'x'] }] },
      [
        'spec.devices[0].bindingFailureConditions[0]: Invalid value: "x": bindingFailureConditions must not overlap with bindingConditions',
        'spec.devices[0].bindingFailureConditions[1]: Duplicate value: "x"',
        'spec.devices[0].bindingFailureConditions[1]: Invalid value: "x": bindingFailureConditions must not overlap with bindingConditions',
      ],
    ],
    [
      { devices: [{ name: 'a', consumesCounters: [{}] }] },
      [
        'spec.devices[0].consumesCounters[0].counterSet: Required value',
        'spec.devices[0].consumesCounters[0].counters: Required value',
      ],
    ],
    [
      { devices: [{ name: 'd', capacity: { memory: { value: '1Gi', requestPolicy: { validValues: ['1Gi'] } } } }] },
      ['spec.devices[0].capacity[memory].requestPolicy: Forbidden: allowMultipleAllocations must be true'],
    ],
    [
      {
        devices: [
          {
            ...shared,
            capacity: {
              memory: { value: '4Gi', requestPolicy: { default: '3Gi', validValues: ['2Gi', '1Gi', '8Gi'] } },
            },
          },
        ],
      },
      [
        'spec.devices[0].capacity[memory].requestPolicy.validValues[1]: Invalid value: "1Gi": values must be sorted in ascending order',
        'spec.devices[0].capacity[memory].requestPolicy.validValues[2]: Invalid value: "8Gi": option is larger than capacity value: 4Gi',
        'spec.devices[0].capacity[memory].requestPolicy.validValues: Invalid value: "3Gi": default value is not valid according to the requestPolicy',
      ],
    ],
    [
      {
        devices: [
          {
            ...shared,
            capacity: {
              memory: {
                value: '4Gi',
                requestPolicy: { default: '3Gi', validRange: { min: '1Gi', max: '8Gi', step: '4Gi' } },
              },
            },
          },
        ],
      },
      [
        'spec.devices[0].capacity[memory].requestPolicy.validRange.max: Invalid value: "8Gi": max is larger than capacity value: 4Gi',
        'spec.devices[0].capacity[memory].requestPolicy.validRange.step: Invalid value: "4Gi": one step 5Gi is larger than capacity value: 4Gi',
        'spec.devices[0].capacity[memory].requestPolicy.validRange.step: Invalid value: "3Gi": value is not a multiple of a given step (4Gi) from (1Gi)',
        'spec.devices[0].capacity[memory].requestPolicy.validRange.step: Invalid value: "8Gi": value is not a multiple of a given step (4Gi) from (1Gi)',
      ],
    ],
  ])('%j', (spec, messages) => {
    expect(createErrors(resourceSlice, variant(slice, { spec }))).toEqual(messages);
  });

  it('keep pool, driver and node, and date their taints', () => {
    const old = variant<never>(slice, {});
    const changed = variant<never>(slice, {
      spec: { driver: 'x.example.com', nodeName: 'node-b', pool: { name: 'p2' } },
    });
    expect(updateErrors(resourceSlice, old, changed)).toEqual([
      'spec.pool.name: Invalid value: "p2": field is immutable',
      'spec.driver: Invalid value: "x.example.com": field is immutable',
      'spec.nodeName: Invalid value: "node-b": field is immutable',
    ]);
    const tainted = created(
      resourceSlice,
      variant<never>(slice, { spec: { devices: [{ name: 'a', taints: [{ key: 'k', effect: 'None' }] }] } }),
    ) as any;
    expect(tainted.spec.devices[0].taints[0].timeAdded).toBe(new Date(CONTEXT.nowMs).toISOString().replace('.000', ''));
  });
});
